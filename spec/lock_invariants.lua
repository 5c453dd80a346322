--- What holds of recipes/lock.lua whatever happens: `moonkeeper recipe explore recipes/lock.lua`.
local PATHS = { "/locks/a", "/locks/b" }

-- What a lock says when a lease is over is log time.
local function is_over(run, ends)
  return ends and ends <= run.world:stats().log_time_ms
end

-- True if its session has released what this call was granted. A ticket's name comes back when the
-- lock's container was away, so only what was asked later counts.
local function was_let_go(run, acquired)
  for number = acquired.number + 1, #run.calls do
    local call = run.calls[number]
    if call.operation == "lock.release" and call.session == acquired.session and
      call.arguments.ticket == acquired:result().ticket and not call:error() and
      (call:waiting() or call:result()) then
      return true
    end
  end
  return false
end

-- True if somebody has taken it away, who need not have lived to be told.
local function was_revoked(run, acquired)
  local znode = run.world:znode(acquired:result().ticket)
  if znode and znode.czxid <= acquired:result().fence then return false end
  local granted = false
  for _, call in ipairs(run.calls) do
    if call.operation == "lock.revoke" then
      if granted and call.arguments.path == acquired.arguments.path then return true end
    elseif call.operation == "lock.acquire" and not call:waiting() and not call:error() then
      granted = granted or call:result().fence == acquired:result().fence
    end
  end
  return false
end

-- The acquires of `path` that hold it, as far as their clients know: granted, not let go, of a
-- session that lives, with a lease that is not over. Of those that hold it several times, the last.
local function holding(run, path)
  local found = {}
  for _, call in ipairs(run:returned("lock.acquire")) do
    if call.arguments.path == path and not call.session.ended and not was_let_go(run, call) and
      not was_revoked(run, call) then
      local last = found[#found]
      if last and last:result().fence == call:result().fence then table.remove(found) end
      table.insert(found, call)
    end
  end
  for i = #found, 1, -1 do
    if is_over(run, found[i]:result().ends) then table.remove(found, i) end
  end
  return found
end

local function release(run, session, acquired)
  run:start(session, "lock.release",
    { path = acquired.arguments.path, ticket = acquired:result().ticket })
end

-- The contenders' znodes below `path`, in the order of their creation; without those whose lease is
-- over: they stay until somebody asks.
local function queue(run, path)
  local znodes = {}
  for _, name in ipairs(run.world:children(path) or {}) do
    local znode = run.world:znode(path .. "/" .. name)
    znode.path = path .. "/" .. name
    local ends = tonumber(znode.data:match('"ends":(%d+)'))
    if name ~= "delay" and not is_over(run, ends) then table.insert(znodes, znode) end
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

-- Whoever is first and waits has not been told that the lock is free; unless it is nobody's for the
-- time of a delay.
local function first_is_told(run, path, holder, first)
  if not first or holder then return end
  local delay = run.world:znode(path .. "/delay")
  local over = delay and tonumber(delay.data:match('"over":(%d+)'))
  if over and not is_over(run, over) then return end
  for _, session in ipairs(run.sessions) do
    if session.id == first.owner and session:connected() then
      error(first.path .. " is the first, and its session was not told")
    end
  end
end

-- What is granted after another grant has the larger fence. Whoever was not connected is told late,
-- and its lock may have been taken away, and granted again, meanwhile.
local function fences_grow(run)
  local seen, new, away = run.state, {}, run.state.away or {}
  for _, call in ipairs(run:returned("lock.acquire")) do
    if not seen[call] and (call:result().count or 1) == 1 then table.insert(new, call) end
  end
  for _, call in ipairs(new) do
    local path, fence = call.arguments.path, call:result().fence
    if fence <= (seen[path] or 0) and not away[call.session] then
      error("a later grant of " .. path .. " has no larger fence")
    end
  end
  for _, call in ipairs(new) do
    local path = call.arguments.path
    seen[call], seen[path] = true, math.max(seen[path] or 0, call:result().fence)
  end
  run.state.away = {}
  for _, session in ipairs(run.sessions) do run.state.away[session] = not session:connected() end
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
      name = "acquire by owner", weight = 4,
      run = function(run)
        run:start(run:session(), "lock.acquire", { path = run:one_of(PATHS), owner = "job",
          limit = 2, lease = run:chance(0.3) and run:one_of { "100ms", "5s", "30s" } or nil })
      end,
    },
    {
      name = "acquire with a lease or a delay", weight = 3,
      run = function(run)
        local arguments = { path = run:one_of(PATHS) }
        if run:chance(0.6) then arguments.lease = run:one_of { "100ms", "5s", "30s" } end
        if run:chance(0.6) then arguments.delay = run:one_of { "1s", "20s" } end
        run:start(run:session(), "lock.acquire", arguments)
      end,
    },
    {
      name = "revoke", weight = 1,
      run = function(run)
        run:start(run:session(), "lock.revoke",
          { path = run:one_of(PATHS), grace = run:one_of { "1s", "20s" } })
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
    for _ = 0, #run.calls do
      for _, path in ipairs(PATHS) do
        local holder = holding(run, path)[1]
        if holder then release(run, holder.session, holder) end
      end
      if #run:waiting() == 0 then break end
      if #holding(run, PATHS[1]) + #holding(run, PATHS[2]) == 0 then run.world:advance "61s" end
    end
  end,
}
