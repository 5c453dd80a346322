--- The program behind `moonkeeper recipe explore`, which checks what it is given:
--   luajit -joff main.lua RECIPE INVARIANTS FIRST LAST STEPS MINUTES SERVERS text|json
-- MINUTES 0: the seeds FIRST to LAST; otherwise seeds from FIRST on, until the time is up.
-- Exit code: 0 all of them hold; 1 one does not, or cannot be tried.
local explore = require "moonkeeper.explore"
local native = require "moonkeeper_testkit"

local recipe, file, first, last, steps, minutes, servers, output = unpack(arg)
first, last, steps, minutes = tonumber(first), tonumber(last), tonumber(steps), tonumber(minutes)
servers = servers ~= "1" and tonumber(servers) or nil

-- Should the server die of a seed, it is one of the hundred after the last that was said.
local ANNOUNCE_SEEDS = 100

local function announce(seed)
  if seed > first and (seed - first) % ANNOUNCE_SEEDS == 0 then
    io.stderr:write(("all holds up to seed %d\n"):format(seed - 1))
  end
end

local function explore_seeds(invariants)
  local order = { recipe = recipe, invariants = invariants, steps = steps, servers = servers }
  if minutes == 0 then return explore.seeds(order, first, last, announce), last end
  local ends, seed = os.time() + 60 * minutes, first
  while os.time() < ends do
    announce(seed)
    local failure = explore.seeds(order, seed, seed)
    if failure then return failure end
    seed = seed + 1
  end
  return nil, seed - 1
end

local function report(failure, until_seed)
  if output == "json" then
    print(native.encode(failure and {
      holds = false, problem = failure.problem, seed = failure.seed, story = failure.story,
      again = failure.again,
    } or { holds = true, first = first, last = until_seed, steps = steps }))
  elseif failure then
    print(failure)
  else
    print(("all holds: seeds %d to %d, %d steps each"):format(first, until_seed, steps))
  end
end

local chunk, problem = loadfile(file)
local ok, invariants = pcall(chunk or error, problem)
if not ok or type(invariants) ~= "table" then
  io.stderr:write(ok and file .. " does not return a table" or tostring(invariants), "\n")
  os.exit(1, true)
end
local tried, failure, until_seed = pcall(explore_seeds, invariants)
if not tried then
  io.stderr:write(tostring(failure), "\n")
  os.exit(1, true)
end
report(failure, until_seed)
os.exit(failure and 1 or 0, true)
