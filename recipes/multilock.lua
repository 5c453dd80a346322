--- Several locks as one: all of them or none, granted in the order of asking, without deadlocks.
-- multilock.acquire
-- Arguments  paths    1 to 64 different znodes, a lock each; created, as containers, if missing
--            timeout  how long to wait, "250ms" or "10s"; default: for ever
-- Result     tickets  a znode for each path, in their order
--            fence    one for all of them; grows with every grant
-- Errors     Timeout  not granted in time; nothing is left behind
--            BadArguments  a path is named twice
--            NoAuth   the caller may not create below one of the paths
--            Lost     somebody deleted one of the tickets while it waited
--
-- multilock.release   tickets, fence: all, as returned
-- Result     true     whoever asked next for one of them holds it now;
--            false    ... but one of the tickets had been deleted by somebody else
-- Errors     NotOwner the tickets are not the caller's with this fence, or not all of one set
--
-- Fairness   first asked, first granted, for each of the locks. Who asks takes a place in all the
--            queues in one transaction, so of two sets one is before the other in every queue that
--            they share, whatever the order of their paths: they cannot wait for each other.
-- Fencing    the zxid of the grant, larger than the fences that each of the locks had before
-- Wakes      one waiter per lock that is released; a set once for each of its locks, at most
-- Survives   the server's death, at every step
-- Limits     64 paths; one znode per path, for who holds and for who waits
--
-- The queues are those of lock.acquire, Curator's InterProcessMutex and kazoo's Lock.
local multilock = {}
local contender = { by = "creation", like = { "lock-", "__lock__" } }

-- Each ticket tells how many there are in its set, so that none is released without the others.
local function ask(paths)
  local tickets, asked = {}, {}
  for i, path in ipairs(paths) do
    if asked[path] then fail("BadArguments", path .. " is named twice") end
    asked[path] = true
    tickets[i] = znode.create(path .. "/lock-", { ephemeral = true, sequential = true,
      parents = true, data = json.encode { locks = #paths } })
  end
  return tickets
end

-- The invariant: a set holds its locks when each of its tickets is the first of its queue.
multilock.acquire = operation {
  doc  = "Wait for the locks at all of `paths`.",
  args = { paths = { type = "list", items = "path", min = 1, max = 64 }, timeout = "duration?" },
  run  = function(call)
    local tickets = call:once("tickets", function() return ask(call.args.paths) end)
    for _, ticket in ipairs(tickets) do
      local stat = znode.stat(ticket)
      if not stat or stat.owner ~= call.session then
        fail("Lost", ticket .. " was deleted by somebody else")
      end
    end

    for _, ticket in ipairs(tickets) do
      local ahead = znode.sibling_before(ticket, contender)
      if ahead then call:wait { deleted = { ahead, ticket } } end
    end
    return { tickets = tickets, fence = call.zxid }
  end,
  cancel = function(call)
    for _, ticket in ipairs(call:recall("tickets") or {}) do znode.delete(ticket) end
  end,
}

multilock.release = operation {
  doc  = "Release all the locks of a set.",
  args = { tickets = { type = "list", items = "path", min = 1, max = 64 }, fence = "integer" },
  run  = function(call)
    local tickets, seen, asked, lost = call.args.tickets, {}, nil, false
    local whole = json.encode { locks = #tickets }
    for _, ticket in ipairs(tickets) do
      local data, stat = znode.get(ticket)
      asked = asked or stat and stat.czxid
      if seen[ticket] or stat and (data ~= whole or stat.owner ~= call.session
        or stat.czxid ~= asked or stat.czxid > call.args.fence) then
        fail("NotOwner", ticket .. " is not the caller's with this fence")
      end
      seen[ticket], lost = true, lost or not stat
      znode.delete(ticket)
    end
    if not asked then fail("NotOwner", "the tickets are gone") end
    return not lost
  end,
}

return multilock
