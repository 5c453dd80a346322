--- What holds of recipes/ratelimit.lua whatever happens.
local PATH = "/limits/mail"
local PERMITS, PERIOD_MS, BURST = 3, 1000, 5

local function now(run) return run.world:stats().now_ms end

local function level(run)
  local znode = run.world:znode(PATH)
  return tonumber(znode.data:match('"level":(%d+)')), tonumber(znode.data:match('"at":(%d+)'))
end

local function ask(run, operation, more)
  local arguments = { path = PATH, permits = run:random(BURST) }
  for name, value in pairs(more or {}) do arguments[name] = value end
  run:start(run:session(), operation, arguments)
end

return {
  sessions = 4,
  times = { "1ms", "100ms", "333ms", "1s", "5s", "11s" },
  begin = function(run)
    run.state.begun = now(run)
    run:session():call("ratelimit.configure",
      { path = PATH, permits = PERMITS, period = PERIOD_MS, burst = BURST })
  end,
  actions = {
    { name = "try", weight = 3, run = function(run) ask(run, "ratelimit.try") end },
    { name = "acquire", weight = 4, run = function(run) ask(run, "ratelimit.acquire") end },
    {
      name = "acquire with a timeout", weight = 2,
      run = function(run)
        ask(run, "ratelimit.acquire", { timeout = run:one_of { "1ms", "2s" } })
      end,
    },
  },
  check = function(run)
    local granted = 0
    for _, call in ipairs(run:returned("ratelimit.acquire")) do
      granted = granted + call.arguments.permits
    end
    for _, call in ipairs(run:returned("ratelimit.try")) do
      if call:result().granted then granted = granted + call.arguments.permits end
    end
    local most = BURST + (now(run) - run.state.begun) * PERMITS / PERIOD_MS
    if granted > most then error(granted .. " permits, where there can have been " .. most) end
    local saved = level(run)
    if saved < 0 or saved > BURST * PERIOD_MS then error("the level is " .. saved) end
  end,
  -- Everybody's turn comes.
  finally = function(run)
    for _ = 1, 2 * #run.calls do run.world:advance("2s") end
    if #(run.world:children(PATH) or {}) > 0 then error("somebody waits for ever") end
  end,
}
