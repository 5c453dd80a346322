--- What holds of recipes/lock.lua whatever happens: `moonkeeper recipe explore recipes/lock.lua`.
local PATHS = { "/locks/a", "/locks/b" }

-- True if its session has released what this call was granted. A ticket's name comes back when the
-- lock's container was away, so only what was asked later counts.
local function was_let_go(run, acquired)
  for number = acquired.number + 1, #run.calls do
    local call = run.calls[number]
    if call.operation == "lock.release" and call.session == acquired.session and
      call.arguments.ticket == acquired:result().ticket and not call:error() then
      return true
    end
  end
  return false
end

-- The acquires of `path` that hold it, as far as their clients know: granted, not let go, and of a
-- session that lives.
local function holding(run, path)
  local found = {}
  for _, call in ipairs(run:returned("lock.acquire")) do
    if call.arguments.path == path and not call.session.ended and not was_let_go(run, call) then
      table.insert(found, call)
    end
  end
  return found
end

local function release(run, session, acquired)
  run:start(session, "lock.release",
    { path = acquired.arguments.path, ticket = acquired:result().ticket })
end

-- The contenders' znodes below `path`, in the order of their creation.
local function queue(run, path)
  local znodes = {}
  for _, name in ipairs(run.world:children(path) or {}) do
    local znode = run.world:znode(path .. "/" .. name)
    znode.path = path .. "/" .. name
    table.insert(znodes, znode)
  end
  table.sort(znodes, function(one, other) return one.czxid < other.czxid end)
  return znodes
end

local function one_holder(run, path)
  local holders = holding(run, path)
  if #holders > 1 then error(#holders .. " hold " .. path) end
  local first = queue(run, path)[1]
  if holders[1] and (not first or first.path ~= holders[1]:result().ticket) then
    error("the holder of " .. path .. " is not the first in its queue")
  end
  return holders[1], first
end

-- A ticket that nobody holds, waits for or has lost belongs to a call that has ended: it would be
-- in everybody's way for as long as its session lives.
local function no_orphans(run, path, holder)
  local wanted = {}
  for _, call in ipairs(run:waiting("lock.acquire")) do
    if call.arguments.path == path then
      wanted[call.session.id] = (wanted[call.session.id] or 0) + 1
    end
  end
  if holder then wanted[holder.session.id] = (wanted[holder.session.id] or 0) + 1 end
  for _, znode in ipairs(queue(run, path)) do
    wanted[znode.owner] = (wanted[znode.owner] or 0) - 1
    if wanted[znode.owner] < 0 then error(znode.path .. " is nobody's any more") end
  end
end

-- Whoever is first and waits has not been told that the lock is free.
local function first_is_told(run, path, holder, first)
  if not first or holder then return end
  for _, session in ipairs(run.sessions) do
    if session.id == first.owner and session:connected() then
      error(first.path .. " is the first, and its session was not told")
    end
  end
end

-- What is granted after another grant has the larger fence. Whoever is told late, since it was not
-- connected, still holds: nobody else can have been granted the lock meanwhile.
local function fences_grow(run)
  local seen, new = run.state, {}
  for _, call in ipairs(run:returned("lock.acquire")) do
    if not seen[call] then table.insert(new, call) end
  end
  for _, call in ipairs(new) do
    local path, fence = call.arguments.path, call:result().fence
    if fence <= (seen[path] or 0) then error("a later grant of " .. path .. " has no larger fence") end
  end
  for _, call in ipairs(new) do
    local path = call.arguments.path
    seen[call], seen[path] = true, math.max(seen[path] or 0, call:result().fence)
  end
end

return {
  sessions = 4,
  actions = {
    {
      name = "acquire", weight = 5,
      run = function(run)
        run:start(run:session(), "lock.acquire", { path = run:one_of(PATHS) })
      end,
    },
    {
      name = "acquire with a timeout", weight = 3,
      run = function(run)
        run:start(run:session(), "lock.acquire",
          { path = run:one_of(PATHS), timeout = run:one_of { "100ms", "5s", "30s" } })
      end,
    },
    {
      name = "release", weight = 6,
      run = function(run)
        local call = run:one_of(holding(run, run:one_of(PATHS)))
        release(run, call.session, call)
      end,
    },
    {
      name = "release what may be another's", weight = 1,
      run = function(run)
        release(run, run:session(), run:one_of(run:returned("lock.acquire")))
      end,
    },
  },
  check = function(run)
    for _, path in ipairs(PATHS) do
      local holder, first = one_holder(run, path)
      no_orphans(run, path, holder)
      first_is_told(run, path, holder, first)
    end
    fences_grow(run)
  end,
  finally = function(run)
    for _, path in ipairs(PATHS) do
      local holder = holding(run, path)[1]
      while holder do
        release(run, holder.session, holder)
        holder = holding(run, path)[1]
      end
    end
  end,
}
