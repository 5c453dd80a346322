--- Fair exclusive lock: one holder per path, granted in the order of asking.
-- lock.acquire
-- Arguments  path     the znode that stands for the lock; created, as a container, if missing
--            timeout  how long to wait, "250ms" or "10s"; default: for ever
-- Result     ticket   the holder's znode; released by lock.release or the end of the session
--            fence    grows with every grant; give it to whatever the lock protects
-- Errors     Timeout  not granted in time; nothing is left behind
--            NoAuth   the caller may not create below path
--            Lost     somebody deleted the ticket while it waited
-- Fairness   first asked, first granted; a waiter who gives up leaves no gap
-- Fencing    the zxid of the grant: who slept through the end of their session holds a smaller one
-- Wakes      one waiter per release
-- Survives   the leader's death, at every step; the parked call goes on under its successor
--
-- lock.release
-- Arguments  path     as given to lock.acquire
--            ticket   as returned by it
-- Result     true     whoever asked next holds the lock now
-- Errors     NotOwner the ticket is not the caller's, or was released, or is gone with its session
--
-- Not reentrant: a session that asks twice waits for itself.
-- Curator's and kazoo's contenders are waited for, and wait, in one queue with ours.
local lock = {}
local contender = { by = "creation", like = { "lock-", "__lock__" } }

-- The invariant: the contender below `path` that was created first holds the lock. Nothing else
-- says so, and a ticket that goes, in whatever way, makes the next one the holder at once.
lock.acquire = operation {
  doc  = "Wait for the lock at `path`.",
  args = { path = "path", timeout = "duration?" },
  run  = function(call)
    local ticket = call:once("ticket", function()
      return znode.create(call.args.path .. "/lock-",
        { ephemeral = true, sequential = true, parents = true })
    end)
    local stat = znode.stat(ticket)
    if not stat or stat.owner ~= call.session then
      fail("Lost", ticket .. " was deleted by somebody else")
    end

    local ahead = znode.sibling_before(ticket, contender)
    if ahead then call:wait { deleted = { ahead, ticket } } end
    return { ticket = ticket, fence = call.zxid }
  end,
  cancel = function(call) znode.delete(call:recall("ticket")) end,
}

lock.release = operation {
  doc  = "Give the lock at `path` to whoever asked next.",
  args = { path = "path", ticket = "path" },
  run  = function(call)
    local parent, name = call.args.ticket:match("^(.*)/([^/]+)$")
    local stat = name and parent == call.args.path and znode.stat(call.args.ticket)
    if not stat or stat.owner ~= call.session then fail("NotOwner") end
    return znode.delete(call.args.ticket)
  end,
}

return lock
