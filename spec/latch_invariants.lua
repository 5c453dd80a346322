--- What holds of recipes/latch.lua whatever happens.
local PATH = "/jobs/done"

-- { round, count, counted, closed }, nil if there is no latch.
local function latch(run)
  local znode = run.world:znode(PATH)
  if not znode then return nil end
  local state = {
    round = tonumber(znode.data:match('"round":(%d+)')),
    count = tonumber(znode.data:match('"count":(%d+)')), counted = 0,
  }
  for _, name in ipairs(run.world:children(PATH)) do
    if name == "closed" then state.closed = true else state.counted = state.counted + 1 end
  end
  return state
end

-- Each id was counted once: what is left is what was begun with, less those.
local function counts_once(run, state)
  for _, call in ipairs(run:returned("latch.init")) do
    local begun = call:result()
    if begun.round == state.round and begun.count - state.counted ~= state.count then
      error(("%d of %d ids were counted, and %d are left"):format(
        state.counted, begun.count, state.count))
    end
  end
end

local function waits_for_its_round(run, call, state)
  local met = run.state[call] or state.round
  if met ~= state.round or state.count == 0 then
    error(call.session.name .. " waits, and its round is over")
  end
  run.state[call] = met
end

return {
  sessions = 4,
  actions = {
    {
      name = "init", weight = 2,
      run = function(run)
        run:start(run:session(), "latch.init", { path = PATH, count = 1 + run:random(3) })
      end,
    },
    {
      name = "count down", weight = 6,
      run = function(run)
        run:start(run:session(), "latch.count_down",
          { path = PATH, id = run:one_of { "a", "b", "c", "d" } })
      end,
    },
    {
      name = "await", weight = 4,
      run = function(run) run:start(run:session(), "latch.await", { path = PATH }) end,
    },
    {
      name = "await with a timeout", weight = 2,
      run = function(run)
        run:start(run:session(), "latch.await",
          { path = PATH, timeout = run:one_of { "100ms", "5s" } })
      end,
    },
  },
  check = function(run)
    local state = latch(run)
    if not state then return end
    if (state.count > 0) ~= (state.closed or false) then
      error("the latch is not closed while its count is above 0")
    end
    counts_once(run, state)
    for _, call in ipairs(run:waiting("latch.await")) do
      if call.session:connected() then waits_for_its_round(run, call, state) end
    end
    for _, call in ipairs(run:returned("latch.await")) do
      if call:result().round == state.round and state.count > 0 then
        error(call.session.name .. " has passed a latch that is closed")
      end
    end
  end,
  finally = function(run)
    for i = 1, 4 do
      run:start(run:session(), "latch.count_down", { path = PATH, id = "last " .. i })
    end
  end,
}
