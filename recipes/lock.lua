--- Fair exclusive lock: one holder per path, granted in the order of asking.
-- lock.acquire
-- Arguments  path     the znode that stands for the lock; created, as a container, if missing
--            timeout  how long to wait, "250ms" or "10s"; default: for ever
--            owner    a name within the caller's session: if it holds the lock by this name, it
--                     holds it once more; default: who asks twice waits for itself
--            limit    how often `owner` may hold it at once, 1 to 1,000; default: 16
--            lease    after which the lock is free if nobody has released it; default: never. Held
--                     once more, the lock has the lease that it had, and that runs anew
--            delay    0 to 60 s for which the lock stays free, to nobody's use, if it is lost in
--                     another way than by lock.release: the time that late writes of the holder's
--                     may take where no fence is checked; default: 0
-- Result     ticket   the holder's znode; released by lock.release or the end of the session
--            fence    grows with every grant; give it to whatever the lock protects
--            count    (with owner) how often it is held now
--            ends     (with lease) when the lease is over, in ms of the server's log time
-- Errors     Timeout  not granted in time; nothing is left behind
--            NoAuth   the caller may not create below path
--            Lost     somebody deleted the ticket while it waited
--            Limit    owner holds it `limit` times
-- Fairness   first asked, first granted; a waiter who gives up leaves no gap
-- Fencing    the zxid of the grant: who slept through the end of their session holds a smaller one.
--            Held once more, the lock has the fence that it had
-- Wakes      one waiter per release
-- Survives   the leader's death, at every step; the parked call goes on under its successor
-- Limits     one znode per holder and waiter. A lease is ended by the recipe's waiter who is next:
--            clients of Curator and kazoo do not know of it. A delay is counted from when the loss
--            is seen, at once by a waiter, else by the next who asks; until the grant after it
--            there is a znode `delay` below path
--
-- lock.release
-- Arguments  path     as given to lock.acquire
--            ticket   as returned by it
--            fence    as returned by it; if given, the ticket of a later grant is not released
-- Result     true     whoever asked next holds the lock now
--            false    owner held it more than once, and holds it still
-- Errors     NotOwner the ticket is not the caller's, or was released, or is gone with its session,
--                     or its lease is over; or it is one of multilock's
--
-- lock.revoke
-- Arguments  path     whose holder shall give the lock up: its ticket's data say so, and change
--            reason   told to the holder
--            grace    how long it may take until the ticket is deleted; default: 0
--            timeout  of this call: the holder is asked nonetheless
-- Result     ticket   the holder's, gone now
--            forced   whether the grace was over
-- Errors     NoNode   nobody holds the lock
--            NoAuth   the caller may not write or delete the ticket
--
-- lock.holder         path: ticket and session of the holder, and what is known of owner, fence,
--                     count, ends and revoke; an empty map if there is none; reads only
-- lock.waiters        path, limit? (100; up to 256), from? (the last name seen): ticket, session
--                     and owner of who waits, in their order; reads only. NoNode: from is gone
--
-- Curator's and kazoo's contenders are waited for, and wait, in one queue with ours.
local lock = {}
local contender = { by = "creation", like = { "lock-", "__lock__" } }

-- The invariant: the contender below `path` that was created first holds the lock. Nothing else
-- says so, and a ticket that goes, in whatever way, makes the next one the holder at once; only a
-- delay lets it wait some more.
--
-- A ticket of ours is empty, or JSON if more was asked for than the lock: owner, lease, delay, as
-- asked; since the grant fence, count and, with a lease, ends; and revoke, since somebody wants it.
-- (multilock's name their locks.) `path`/delay is there from a grant with a delay to the release:
-- if nobody holds the lock and it is there, the lock was lost. It says delay and, once somebody has
-- seen the loss, over.

-- ---- What a ticket says ----

local function said_by(data)
  if not data or data:sub(1, 1) ~= "{" then return {} end
  local ok, said = pcall(json.decode, data)
  return ok and type(said) == "table" and said or {}
end

local function is_granted(said) return said.count ~= nil end

local function is_over(said, now) return said.ends ~= nil and said.ends <= now end

-- ---- Acquiring ----

local function ask(call)
  local args, data = call.args, nil
  if args.owner or args.lease or args.delay > 0 then
    data = json.encode { owner = args.owner, lease = args.lease, delay = args.delay }
  end
  return znode.create(args.path .. "/lock-",
    { ephemeral = true, sequential = true, parents = true, data = data })
end

local function result(ticket, said, fence)
  return { ticket = ticket, fence = fence, count = said.owner and said.count, ends = said.ends }
end

-- Held once more, if `owner` holds it already. Whoever waits knows of the first grant's lease.
local function hold_again(call)
  local ticket = znode.first_child(call.args.path, contender)
  local data, stat = znode.get(ticket or call.args.path)
  local said = said_by(data)
  if not ticket or stat.owner ~= call.session or said.owner ~= call.args.owner
    or not is_granted(said) or is_over(said, call.now) then
    return nil
  end
  if said.count >= call.args.limit then fail("Limit", "held " .. said.count .. " times") end
  said.count, said.ends = said.count + 1, said.lease and call.now + said.lease
  znode.set(ticket, json.encode(said))
  return result(ticket, said, said.fence)
end

-- Who waits for a lease to be over ends it: before its grant it is not known when that will be.
local function wait_behind(call, ahead, ticket)
  local data, stat = znode.get(ahead)
  local said = said_by(data)
  if is_granted(said) and is_over(said, call.now) then
    return call:once("ended", function() return znode.delete(ahead) end)
  end
  call:wait { deleted = { ahead, ticket }, at = said.ends,
    changed = said.lease and not is_granted(said) and ahead or nil }
end

-- Until it is nobody's no longer; returns the znode `delay`, if there is one.
local function wait_for_delay(call, ticket)
  local mark = call.args.path .. "/delay"
  local data = znode.get(mark)
  if not data then return nil end
  local said = said_by(data)
  local over = said.over or call:once("delay", function()
    said.over = call.now + (said.delay or 0)
    znode.set(mark, json.encode(said))
    return said.over
  end)
  if over > call.now then call:wait { deleted = ticket, at = over } end
  return mark
end

local function grant(call, ticket, mark)
  local args, said = call.args, { fence = call.zxid, count = 1 }
  if args.delay > 0 then
    local data = json.encode { delay = args.delay }
    if mark then znode.set(mark, data) else znode.create(args.path .. "/delay", { data = data }) end
  elseif mark then
    znode.delete(mark)
  end
  if args.owner or args.lease or args.delay > 0 then
    said.owner, said.lease, said.delay = args.owner, args.lease, args.delay
    said.ends = args.lease and call.now + args.lease
    znode.set(ticket, json.encode(said))
  end
  return result(ticket, said, call.zxid)
end

lock.acquire = operation {
  doc  = "Wait for the lock at `path`.",
  args = { path = "path", timeout = "duration?", owner = { type = "string", optional = true,
    min = 1, max = 256 }, limit = { type = "integer", default = 16, min = 1, max = 1000 },
    lease = { type = "duration", optional = true, min = 1 },
    delay = { type = "duration", default = 0, max = 60000 } },
  run  = function(call)
    local held = call.args.owner and not call:recall("ticket") and hold_again(call)
    if held then return held end

    local ticket = call:once("ticket", function() return ask(call) end)
    local stat = znode.stat(ticket)
    if not stat or stat.owner ~= call.session then
      fail("Lost", ticket .. " was deleted by somebody else")
    end

    local ahead = znode.sibling_before(ticket, contender)
    if ahead then wait_behind(call, ahead, ticket) end
    return grant(call, ticket, wait_for_delay(call, ticket))
  end,
  cancel = function(call) znode.delete(call:recall("ticket")) end,
}

-- ---- Giving it up, by the holder or by force ----

local function is_child(child, path)
  local start = path .. "/"
  return child:sub(1, #start) == start and not child:find("/", #start + 1, true)
end

lock.release = operation {
  doc  = "Give the lock at `path` to whoever asked next.",
  args = { path = "path", ticket = "path", fence = "integer?" },
  run  = function(call)
    local path, ticket = call.args.path, call.args.ticket
    local data, stat
    if is_child(ticket, path) then data, stat = znode.get(ticket) end
    local said = said_by(data)
    if not stat or stat.owner ~= call.session or stat.czxid > (call.args.fence or math.huge)
      or said.locks or is_over(said, call.now) then
      fail("NotOwner")
    end
    if (said.count or 1) > 1 then
      said.count = said.count - 1
      znode.set(ticket, json.encode(said))
      return false
    end
    if is_granted(said) and (said.delay or 0) > 0 then znode.delete(path .. "/delay") end
    return znode.delete(ticket)
  end,
}

-- As Curator's Revoker asks its own contenders.
local function demand(call)
  local ticket = znode.first_child(call.args.path, contender)
  if not ticket then fail("NoNode", "nobody holds the lock") end
  local data, stat = znode.get(ticket)
  local ends, said = call.now + call.args.grace, said_by(data)
  said.revoke = { reason = call.args.reason, at = ends }
  znode.set(ticket, ticket:find("/_c_", 1, true) and "__REVOKE__" or json.encode(said))
  return { ticket = ticket, czxid = stat.czxid, ends = ends }
end

lock.revoke = operation {
  doc  = "Have the holder at `path` give the lock up, or take it away after `grace`.",
  args = { path = "path", reason = { type = "string", default = "", max = 1024 },
    grace = { type = "duration", default = 0 }, timeout = "duration?" },
  run  = function(call)
    local held = call:once("demand", function() return demand(call) end)
    local stat = znode.stat(held.ticket)
    local there = stat ~= nil and stat.czxid == held.czxid
    if there and held.ends > call.now then
      call:wait { deleted = held.ticket, at = held.ends }
    end
    if there then znode.delete(held.ticket) end
    return { ticket = held.ticket, forced = there }
  end,
}

-- ---- Looking ----

local function described(ticket)
  local data, stat = znode.get(ticket)
  local said = said_by(data)
  return { ticket = ticket, session = stat.owner, owner = said.owner, fence = said.fence,
    count = said.count, ends = said.ends, revoke = said.revoke }
end

lock.holder = operation {
  doc  = "Who holds the lock at `path`.",
  args = { path = "path" },
  reads_only = true,
  run  = function(call)
    local ticket = znode.first_child(call.args.path, contender)
    local delayed = said_by(znode.get(call.args.path .. "/delay")).over or 0
    local holder = ticket and delayed <= call.now and described(ticket) or {}
    return is_over(holder, call.now) and {} or holder
  end,
}

lock.waiters = operation {
  doc  = "Who waits for the lock at `path`.",
  args = { path = "path", from = "string?",
    limit = { type = "integer", default = 100, min = 1, max = 256 } },
  reads_only = true,
  run  = function(call)
    local path, shown = call.args.path, json.list()
    local holder = znode.first_child(path, contender)
    if not holder then return shown end
    local names = znode.children(path, { by = "creation", like = contender.like,
      from = call.args.from or holder:match("[^/]+$"), limit = call.args.limit })
    for i, name in ipairs(names) do
      local one = described(path .. "/" .. name)
      shown[i] = { ticket = one.ticket, session = one.session, owner = one.owner }
    end
    return shown
  end,
}

return lock
