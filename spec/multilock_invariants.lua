--- What holds of recipes/multilock.lua whatever happens, among lock.acquire on the same paths.
local PATHS = { "/locks/a", "/locks/b", "/locks/c", "/locks/d" }

local function tickets_of(grant)
  return grant.operation == "multilock.acquire" and grant:result().tickets
    or { grant:result().ticket }
end

local function was_let_go(run, grant)
  for number = grant.number + 1, #run.calls do
    local call = run.calls[number]
    if call.operation:match("release$") and call.session == grant.session and not call:error() and
      (call.arguments.tickets or { call.arguments.ticket })[1] == tickets_of(grant)[1] then
      return true
    end
  end
  return false
end

local function holding(run)
  local found = {}
  for _, operation in ipairs { "multilock.acquire", "lock.acquire" } do
    for _, call in ipairs(run:returned(operation)) do
      if not call.session.ended and not was_let_go(run, call) then table.insert(found, call) end
    end
  end
  return found
end

-- Each lock is held once, and by the first of its queue: so each set is held as a whole.
local function one_holder_each(run, grants)
  local held = {}
  for _, grant in ipairs(grants) do
    for _, ticket in ipairs(tickets_of(grant)) do
      local path = ticket:match("^(.+)/")
      if held[path] then error(path .. " is held twice") end
      held[path] = ticket
    end
  end
  for path, ticket in pairs(held) do
    local first = (run.world:children(path) or {})[1]
    if not first or path .. "/" .. first ~= ticket then
      error(ticket .. " is held and not the first")
    end
  end
end

-- Of any two sets that share locks one is before the other in all of their queues: the order of
-- the queues is that of the asking.
local function no_circle(run)
  for _, path in ipairs(PATHS) do
    local before = 0
    for _, name in ipairs(run.world:children(path) or {}) do
      local asked = run.world:znode(path .. "/" .. name).czxid
      if asked < before then error("a later set is before an earlier one at " .. path) end
      before = asked
    end
  end
end

-- Who waits or holds has its tickets, and nobody else has any.
local function whole_sets(run, grants)
  local wanted = {}
  local function add(session, count)
    wanted[session.id] = (wanted[session.id] or 0) + count
  end
  for _, grant in ipairs(grants) do add(grant.session, #tickets_of(grant)) end
  for _, call in ipairs(run:waiting()) do
    add(call.session, call.arguments.paths and #call.arguments.paths or 1)
  end
  for _, path in ipairs(PATHS) do
    for _, name in ipairs(run.world:children(path) or {}) do
      local owner = run.world:znode(path .. "/" .. name).owner
      wanted[owner] = (wanted[owner] or 0) - 1
      if wanted[owner] < 0 then error(path .. "/" .. name .. " is nobody's any more") end
    end
  end
end

local function release(run, grant, session)
  if grant.operation == "multilock.acquire" then
    run:start(session or grant.session, "multilock.release",
      { tickets = grant:result().tickets, fence = grant:result().fence })
  else
    run:start(session or grant.session, "lock.release",
      { path = grant.arguments.path, ticket = grant:result().ticket })
  end
end

local function some_paths(run)
  local chosen = {}
  for _, path in ipairs(PATHS) do
    if run:chance(0.5) then table.insert(chosen, run:random(#chosen + 1), path) end
  end
  if #chosen == 0 then chosen[1] = run:one_of(PATHS) end
  return chosen
end

return {
  sessions = 4,
  recipes = { "recipes/multilock.lua", "recipes/lock.lua" },
  actions = {
    {
      name = "acquire a set", weight = 6,
      run = function(run)
        local timeout = run:one_of { "none", "none", "100ms", "5s" }
        run:start(run:session(), "multilock.acquire",
          { paths = some_paths(run), timeout = timeout ~= "none" and timeout or nil })
      end,
    },
    {
      name = "acquire one", weight = 3,
      run = function(run)
        run:start(run:session(), "lock.acquire", { path = run:one_of(PATHS) })
      end,
    },
    {
      name = "release", weight = 8,
      run = function(run) release(run, run:one_of(holding(run))) end,
    },
    {
      name = "release what may be another's", weight = 1,
      run = function(run)
        release(run, run:one_of(run:returned("multilock.acquire")), run:session())
      end,
    },
  },
  check = function(run)
    local grants = holding(run)
    one_holder_each(run, grants)
    no_circle(run)
    whole_sets(run, grants)
  end,
  finally = function(run)
    local grants = holding(run)
    while #grants > 0 do
      for _, grant in ipairs(grants) do release(run, grant) end
      grants = holding(run)
    end
  end,
}
