--- What spec/*_invariants.lua say holds in random schedules: of the same seeds each time, and of one
-- seed that is new each time and part of its test's name.
--
-- EXPLORE_RECIPE=lock: only that one's. EXPLORE_SEEDS=24: how many seeds, and EXPLORE_ENSEMBLE_SEEDS=2:
-- how many more in an ensemble of three servers, where everybody is connected to another one of them
-- each time, and the leader dies.
local explore = require "moonkeeper.explore"
local lfs = require "lfs"

local STEPS = 200
local seeds = tonumber(os.getenv "EXPLORE_SEEDS") or 24
local ensemble_seeds = tonumber(os.getenv "EXPLORE_ENSEMBLE_SEEDS") or 2

local function names()
  local found = {}
  for file in lfs.dir "spec" do
    local name = file:match "^([%w_]+)_invariants%.lua$"
    if name then table.insert(found, name) end
  end
  table.sort(found)
  return found
end

-- Should a seed end this process, the last line says which one it was.
local function announce(name)
  return function(seed)
    io.stderr:write(("# %s: seed %d\n"):format(name, seed))
  end
end

local function holds(name, first, last, servers)
  local failure = explore.seeds({
    recipe = "recipes/" .. name .. ".lua", steps = STEPS, servers = servers,
    invariants = dofile("spec/" .. name .. "_invariants.lua"),
  }, first, last, announce(name))
  assert(not failure, "\n" .. tostring(failure))
end

local chosen = os.getenv "EXPLORE_RECIPE"
for _, name in ipairs(chosen and { chosen } or names()) do
  describe("recipes/" .. name .. ".lua", function()
    it(("keeps its invariants in the schedules of seeds 1 to %d"):format(seeds), function()
      holds(name, 1, seeds)
    end)

    local new = os.time() % 2 ^ 31
    it(("keeps its invariants in the schedule of seed %d"):format(new), function()
      holds(name, new, new)
    end)

    it(("keeps them on three servers, in the schedules of seeds 1 to %d and %d"):format(
      ensemble_seeds, new), function()
      holds(name, 1, ensemble_seeds, 3)
      holds(name, new, new, 3)
    end)
  end)
end
