--- What holds of recipes/rwlock.lua whatever happens.
local PATHS = { "/shared/a", "/shared/b" }
local GRANTS = { "rwlock.read", "rwlock.write", "rwlock.downgrade", "rwlock.upgrade" }
local ENDS = { ["rwlock.release"] = true, ["rwlock.downgrade"] = true, ["rwlock.upgrade"] = true }

local function writes(ticket)
  return ticket:find("__WRIT__", 1, true) ~= nil
end

local function was_let_go(run, grant)
  for number = grant.number + 1, #run.calls do
    local call = run.calls[number]
    if ENDS[call.operation] and call.session == grant.session and not call:error() and
      call.arguments.ticket == grant:result().ticket and
      call.arguments.fence == grant:result().fence then
      return true
    end
  end
  return false
end

-- What clients hold at `path`, or anywhere, as far as they know.
local function holding(run, path)
  local found = {}
  for _, operation in ipairs(GRANTS) do
    for _, call in ipairs(run:returned(operation)) do
      local of = call:result().ticket:match("^(.+)/")
      if (not path or of == path) and not call.session.ended and not was_let_go(run, call) then
        table.insert(found, call)
      end
    end
  end
  return found
end

-- Of the contenders, in the order of their numbers: all, and those who hold the lock.
local function queue(run, path)
  local all, holders = {}, {}
  for _, name in ipairs(run.world:children(path) or {}) do
    if name ~= "policy" then table.insert(all, name) end
  end
  table.sort(all, function(a, b) return a:match("%d+$") < b:match("%d+$") end)
  for i, name in ipairs(all) do
    if i > 1 and (writes(name) or writes(all[1])) then break end
    holders[i] = path .. "/" .. name
  end
  return all, holders
end

local function nobody_beside_a_writer(path, grants)
  for _, grant in ipairs(grants) do
    if writes(grant:result().ticket) and #grants > 1 then
      error(#grants .. " hold " .. path .. ", and one of them writes")
    end
  end
end

-- Clients hold what the queue says; and who may hold it has been told, if it can be told.
local function tree_agrees(run, path, grants)
  local _, first = queue(run, path)
  local told = {}
  for _, grant in ipairs(grants) do told[grant:result().ticket] = true end
  for _, ticket in ipairs(first) do
    local owner = run.world:znode(ticket).owner
    for _, session in ipairs(run.sessions) do
      if session.id == owner and session:connected() and not told[ticket] then
        error(ticket .. " holds the lock, and its session was not told")
      end
    end
    told[ticket] = nil
  end
  if next(told) then error(next(told) .. " is held, but not by the queue") end
end

local function no_orphans(run, path, grants)
  local wanted = {}
  for _, grant in ipairs(grants) do
    wanted[grant.session.id] = (wanted[grant.session.id] or 0) + 1
  end
  for _, call in ipairs(run:waiting()) do
    if call.arguments.path == path then
      wanted[call.session.id] = (wanted[call.session.id] or 0) + 1
    end
  end
  for _, name in ipairs((queue(run, path))) do
    local owner = run.world:znode(path .. "/" .. name).owner
    wanted[owner] = (wanted[owner] or 0) - 1
    if wanted[owner] < 0 then error(name .. " is nobody's any more") end
  end
end

-- A write's fence is larger than all that were granted before it, and smaller than all after. Reads
-- may be told in any order.
local function fences_grow(run)
  local seen = run.state
  local new = {}
  for _, operation in ipairs(GRANTS) do
    for _, call in ipairs(run:returned(operation)) do
      if not seen[call] then table.insert(new, call) end
    end
  end
  for _, call in ipairs(new) do
    local path, fence = call:result().ticket:match("^(.+)/"), call:result().fence
    local before = writes(call:result().ticket) and seen[path] or seen[path .. " written"]
    if fence <= (before or 0) then error("a later grant of " .. path .. " has no larger fence") end
  end
  for _, call in ipairs(new) do
    local path, fence = call:result().ticket:match("^(.+)/"), call:result().fence
    local written = path .. " written"
    seen[call], seen[path] = true, math.max(seen[path] or 0, fence)
    if writes(call:result().ticket) then seen[written] = math.max(seen[written] or 0, fence) end
  end
end

local function writer_first(run, path)
  return run.world:znode(path .. "/policy") ~= nil
end

-- While writers are first, no reader is granted beside a writer who has waited since before.
-- (A reader that has given way often enough is an exception; so few steps have none.)
local function writers_come_first(run)
  local before = run.state.writers or {}
  for _, call in ipairs(run:returned("rwlock.read")) do
    local path = call.arguments.path
    local writer = before[path]
    if writer and writer.call:waiting() and call:result().fence > writer.zxid
      and not run.state.first_seen[call] and writer_first(run, path) then
      error("a reader of " .. path .. " went before a writer who waits")
    end
  end
  run.state.writers, run.state.first_seen = {}, {}
  for _, call in ipairs(run:returned("rwlock.read")) do run.state.first_seen[call] = true end
  for _, call in ipairs(run:waiting("rwlock.write")) do
    local path = call.arguments.path
    if writer_first(run, path) and call.session:connected() then
      run.state.writers[path] = { call = call, zxid = run.world:stats().zxid }
    end
  end
end

local function with(run, what, grant, session)
  run:start(session or grant.session, "rwlock." .. what,
    { ticket = grant:result().ticket, fence = grant:result().fence })
end

local function ask(what)
  return function(run)
    local timeout = run:one_of { "none", "none", "100ms", "5s" }
    run:start(run:session(), what,
      { path = run:one_of(PATHS), timeout = timeout ~= "none" and timeout or nil })
  end
end

local function on_one_held(what)
  return function(run) with(run, what, run:one_of(holding(run))) end
end

return {
  sessions = 5,
  actions = {
    { name = "read", weight = 5, run = ask "rwlock.read" },
    { name = "write", weight = 4, run = ask "rwlock.write" },
    { name = "release", weight = 8, run = on_one_held "release" },
    { name = "downgrade", weight = 3, run = on_one_held "downgrade" },
    { name = "upgrade", weight = 3, run = on_one_held "upgrade" },
    {
      name = "set the policy", weight = 1,
      run = function(run)
        run:start(run:session(), "rwlock.set_policy",
          { path = run:one_of(PATHS), policy = run:one_of { "fair", "writer-first" } })
      end,
    },
    {
      name = "what may be another's", weight = 1,
      run = function(run)
        with(run, run:one_of { "release", "downgrade", "upgrade" },
          run:one_of(run:returned(run:one_of(GRANTS))), run:session())
      end,
    },
  },
  check = function(run)
    for _, path in ipairs(PATHS) do
      local grants = holding(run, path)
      nobody_beside_a_writer(path, grants)
      tree_agrees(run, path, grants)
      no_orphans(run, path, grants)
    end
    fences_grow(run)
    writers_come_first(run)
  end,
  finally = function(run)
    for _, path in ipairs(PATHS) do
      run:start(run:session(), "rwlock.set_policy", { path = path, policy = "fair" })
    end
    local grants = holding(run)
    while #grants > 0 do
      for _, grant in ipairs(grants) do with(run, "release", grant) end
      grants = holding(run)
    end
  end,
}
