--- Fences: what a lock protects refuses whoever held the lock before.
-- A holder that was paused for longer than its session lives still believes in its lock. So what is
-- protected compares: the largest fence that it has seen is the newest holder's.
-- fence.check
-- Arguments  path     the znode that stands for what is protected; holds the largest fence seen, as
--                     a decimal number; created if missing
--            fence    as returned with a grant: of lock.acquire, election.campaign, ...
--            ticket   the holder's znode; if given, it must be there, from that grant or before
-- Result     true     no newer holder has been here, and none can come back from before this one
-- Errors     NotOwner a newer holder has been here, or the ticket is gone
--            Conflict the znode holds something that is no fence
--            NoAuth   the caller may not read or write the znode
--
-- fence.write         fence.check, and `data` to the znode `target`, in one transaction; created
--                     if missing
-- Arguments  path fence ticket target data
-- Result     the version of `target`
--
-- fence.newest        the largest fence seen at `path`, 0 if none; reads only
--
-- Survives   the server's death: a fence once seen stays seen
-- Limits     one znode for whatever is protected
--
-- ZooKeeper's clients guard a multi by a `check` of the holder's ticket.
local fence = {}
local arguments = { path = "path", fence = { type = "integer", min = 1 }, ticket = "path?" }

local function newest(path)
  local data = znode.get(path)
  local seen = data and tonumber(data:match("^%d+$"))
  if data and not seen then fail("Conflict", path .. " does not hold a fence") end
  return seen
end

-- The invariant: the number at `path` never falls.
local function check(call)
  local path, given, ticket = call.args.path, call.args.fence, call.args.ticket
  local seen, stat = newest(path), ticket and znode.stat(ticket)
  if ticket and (not stat or stat.czxid > given) then fail("NotOwner", ticket .. " is gone") end
  if seen and given < seen then fail("NotOwner", "a newer fence was seen: " .. seen) end
  if not seen then
    znode.create(path, { data = ("%d"):format(given), parents = true })
  elseif given > seen then
    znode.set(path, ("%d"):format(given))
  end
end

fence.check = operation {
  doc  = "Refuse a fence that is older than one seen at `path`.",
  args = arguments,
  run  = function(call)
    check(call)
    return true
  end,
}

fence.write = operation {
  doc  = "Write `data` to `target`, unless a newer fence was seen at `path`.",
  args = { path = arguments.path, fence = arguments.fence, ticket = arguments.ticket,
    target = "path", data = { type = "string", max = 65536 } },
  run  = function(call)
    local target, data = call.args.target, call.args.data
    check(call)
    if znode.exists(target) then return znode.set(target, data) end
    znode.create(target, { data = data, parents = true })
    return 0
  end,
}

fence.newest = operation {
  doc  = "The largest fence seen at `path`.",
  args = { path = "path" },
  reads_only = true,
  run  = function(call) return newest(call.args.path) or 0 end,
}

return fence
