--- What holds of recipes/lease.lua whatever happens.
local PATH, STATUS = "/lease", "/status"

local function now(run) return run.world:stats().log_time_ms end

-- When the grant's lease is over, as far as its holder knows.
local function ends(run, granted)
  local last = granted:result().ends
  for number = granted.number + 1, #run.calls do
    local call = run.calls[number]
    if call.arguments.fence == granted:result().fence and not call:error() then
      if call.operation == "lease.revoke" then return 0 end
      if call.operation == "lease.keepalive" and not call:waiting() then
        last = call:result().ends
      end
    end
  end
  return last
end

local function holding(run)
  local found = {}
  for _, call in ipairs(run:returned("lease.grant")) do
    if ends(run, call) > now(run) then table.insert(found, call) end
  end
  return found
end

local function with_one_of(run, what, grants, arguments)
  local granted = run:one_of(grants)
  arguments = arguments or {}
  arguments.path, arguments.fence = PATH, granted:result().fence
  run:start(run:session(), "lease." .. what, arguments)
end

return {
  sessions = 3,
  outlives = true,
  times = { "1ms", "100ms", "1s", "5s", "11s" },
  actions = {
    {
      name = "grant", weight = 5,
      run = function(run)
        run:start(run:session(), "lease.grant",
          { path = PATH, ttl = run:one_of { "100ms", "2s", "20s" } })
      end,
    },
    {
      name = "keepalive", weight = 4,
      run = function(run) with_one_of(run, "keepalive", holding(run)) end,
    },
    {
      name = "keepalive of what may be over", weight = 2,
      run = function(run) with_one_of(run, "keepalive", run:returned("lease.grant")) end,
    },
    {
      name = "attach", weight = 3,
      run = function(run)
        if not run.world:znode(STATUS) then run:session():create(STATUS) end
        with_one_of(run, "attach", holding(run), { znode = STATUS })
      end,
    },
    {
      name = "revoke", weight = 2,
      run = function(run) with_one_of(run, "revoke", run:returned("lease.grant")) end,
    },
    {
      name = "wait", weight = 2,
      run = function(run) run:start(run:session(), "lease.wait", { path = PATH }) end,
    },
  },
  check = function(run)
    local holders, state = holding(run), run.state
    if #holders > 1 then error(#holders .. " hold the lease") end
    local znode = run.world:znode(PATH)
    local fence = znode and tonumber(znode.data:match('"fence":(%d+)'))
    if holders[1] and fence ~= holders[1]:result().fence then
      error("the lease is not its holder's")
    end
    if fence and fence < (state.newest or 0) then error("an older grant holds the lease again") end
    state.newest = fence or state.newest

    local over = znode and tonumber(znode.data:match('"ends":(%d+)')) <= now(run)
    for _, call in ipairs(run:waiting("lease.wait")) do
      if call.session:connected() and (over or not znode) then
        error("a wait goes on, though the lease is over")
      end
    end
  end,
  finally = function(run)
    run.world:advance "21s"
    run:start(run:session(), "lease.wait", { path = PATH })
    if run.world:znode(PATH) then error("a lease that is over is still there") end
  end,
}
