--- What holds of recipes/semaphore.lua whatever happens.
local PATH = "/gate"
local LIMITS = { 1, 2, 3, 5 }

local function lease_is_over(run, name)
  local ends = tonumber(name:match("until%-(%d+)%-"))
  return ends and ends <= run.world:stats().log_time_ms
end

-- The permits of a grant that its client holds, as far as it knows; none if its lease is over.
local function permits_left(run, grant)
  local left = {}
  for _, permit in ipairs(grant:result().permits) do
    if not lease_is_over(run, permit) then left[permit] = true end
  end
  for number = grant.number + 1, #run.calls do
    local call = run.calls[number]
    if call.operation == "semaphore.release" and call.session == grant.session and
      call.arguments.fence == grant:result().fence and not call:error() then
      for _, permit in ipairs(call.arguments.permits) do left[permit] = nil end
    end
  end
  local list = {}
  for permit in pairs(left) do table.insert(list, permit) end
  table.sort(list)
  return list
end

local function holding(run)
  local found = {}
  for _, call in ipairs(run:returned("semaphore.acquire")) do
    if not call.session.ended then
      local left = permits_left(run, call)
      if #left > 0 then table.insert(found, { call = call, permits = left }) end
    end
  end
  return found
end

local function limit_of(run)
  return tonumber(run.world:znode(PATH .. "/limit").data)
end

local function held_count(run)
  local held = 0
  for _, name in ipairs(run.world:children(PATH .. "/leases") or {}) do
    if not lease_is_over(run, name) then held = held + 1 end
  end
  return held
end

-- Beyond the limit is what was held when it was lowered, and nothing is added to that.
local function bound_kept(run)
  local held = held_count(run)
  if held > math.max(limit_of(run), run.state.held or 0) then error(held .. " permits are held") end
  run.state.held = held
end

local function held_once(run)
  local seen = {}
  for _, grant in ipairs(holding(run)) do
    for _, permit in ipairs(grant.permits) do
      if seen[permit] then error(permit .. " is held twice") end
      if not run.world:znode(permit) then error(permit .. " is held, and is not there") end
      seen[permit] = true
    end
  end
end

local function no_orphans(run)
  local waiting = {}
  for _, call in ipairs(run:waiting("semaphore.acquire")) do
    waiting[call.session.id] = (waiting[call.session.id] or 0) + 1
  end
  for _, name in ipairs(run.world:children(PATH .. "/locks") or {}) do
    local owner = run.world:znode(PATH .. "/locks/" .. name).owner
    waiting[owner] = (waiting[owner] or 0) - 1
    if waiting[owner] < 0 then error(name .. " queues for nobody") end
  end
end

-- Who is first, and could be granted what it asks for, has been granted it. (Of the calls of one
-- session nobody knows which one is first.)
local function nobody_waits_in_vain(run)
  local first = (run.world:children(PATH .. "/locks") or {})[1]
  local asking = {}
  for _, call in ipairs(run:waiting("semaphore.acquire")) do
    if first and call.session.id == run.world:znode(PATH .. "/locks/" .. first).owner then
      table.insert(asking, call)
    end
  end
  if #asking ~= 1 or not asking[1].session:connected() then return end

  if asking[1].arguments.permits <= limit_of(run) - held_count(run) then
    error(first .. " waits, and permits are free")
  end
end

local function acquire(run, options)
  local arguments = { path = PATH, permits = run:one_of { 1, 1, 1, 2, 3 } }
  for name, value in pairs(options or {}) do arguments[name] = value end
  run:start(run:session(), "semaphore.acquire", arguments)
end

local function release(run, grant, permits, session)
  run:start(session or grant.call.session, "semaphore.release",
    { permits = permits, fence = grant.call:result().fence })
end

local function set_limit(run, session, limit)
  run:start(session, "semaphore.set_limit", { path = PATH, limit = limit })
end

return {
  sessions = 4,
  begin = function(run)
    set_limit(run, run:session(), 3)
  end,
  actions = {
    { name = "acquire", weight = 4, run = function(run) acquire(run) end },
    {
      name = "acquire with a timeout", weight = 3,
      run = function(run) acquire(run, { timeout = run:one_of { "100ms", "5s", "30s" } }) end,
    },
    {
      name = "acquire with a lease", weight = 3,
      run = function(run) acquire(run, { lease = run:one_of { "100ms", "5s", "30s" } }) end,
    },
    {
      name = "acquire, and barge", weight = 2,
      run = function(run) acquire(run, { barge = true, lease = run:one_of { 1000, 60000 } }) end,
    },
    {
      name = "release all of a grant", weight = 5,
      run = function(run)
        local grant = run:one_of(holding(run))
        release(run, grant, grant.permits)
      end,
    },
    {
      name = "release one of a grant", weight = 3,
      run = function(run)
        local grant = run:one_of(holding(run))
        release(run, grant, { run:one_of(grant.permits) })
      end,
    },
    {
      name = "release what may be another's", weight = 1,
      run = function(run)
        local call = run:one_of(run:returned("semaphore.acquire"))
        release(run, { call = call }, call:result().permits, run:session())
      end,
    },
    {
      name = "set the limit", weight = 2,
      run = function(run) set_limit(run, run:session(), run:one_of(LIMITS)) end,
    },
  },
  check = function(run)
    bound_kept(run)
    held_once(run)
    no_orphans(run)
    nobody_waits_in_vain(run)
  end,
  finally = function(run)
    set_limit(run, run:session(), 5)
    for _ = 1, #run.calls do
      for _, grant in ipairs(holding(run)) do release(run, grant, grant.permits) end
    end
  end,
}
