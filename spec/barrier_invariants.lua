--- What holds of recipes/barrier.lua whatever happens.
local PATH = "/jobs/gate"

-- A call that waits, and hears of what happens, waits for the barrier that it met and no other.
local function waits_for_its_own(run, call, stands)
  if not stands then error(call.session.name .. " waits, and there is no barrier") end
  local met = run.state[call] or stands.czxid
  if met ~= stands.czxid then
    error(call.session.name .. " waits, and the barrier that it met was removed")
  end
  run.state[call] = met
end

local function passed_after(run, call)
  if run.state[call] and call:result().fence <= run.state[call] then
    error(call.session.name .. " has passed with a fence no larger than the barrier's")
  end
end

return {
  sessions = 4,
  actions = {
    {
      name = "set", weight = 4,
      run = function(run) run:start(run:session(), "barrier.set", { path = PATH }) end,
    },
    {
      name = "remove", weight = 3,
      run = function(run) run:start(run:session(), "barrier.remove", { path = PATH }) end,
    },
    {
      name = "wait", weight = 5,
      run = function(run)
        run:start(run:session(), "barrier.wait",
          { path = PATH, timeout = run:one_of { "100ms", "5s", "1h" } })
      end,
    },
    {
      name = "remove as Curator and kazoo do", weight = 1,
      run = function(run)
        local session = run:session()
        if not run.world:znode(PATH) then run:skip() end
        run:note(session.name .. " deletes " .. PATH)
        session:delete(PATH)
      end,
    },
  },
  check = function(run)
    local stands = run.world:znode(PATH)
    for _, call in ipairs(run:waiting("barrier.wait")) do
      if call.session:connected() then waits_for_its_own(run, call, stands) end
    end
    for _, call in ipairs(run:returned("barrier.wait")) do passed_after(run, call) end
    local fences = {}
    for _, call in ipairs(run:returned("barrier.set")) do
      local set = call:result()
      if set.set and fences[set.fence] then error("one barrier was set twice") end
      fences[set.fence] = fences[set.fence] or set.set
    end
  end,
  finally = function(run) run:start(run:session(), "barrier.remove", { path = PATH }) end,
}
