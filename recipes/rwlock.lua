--- Read/write lock: many readers or one writer per path, granted in the order of asking, or writers
-- first.
-- rwlock.read
-- rwlock.write
-- Arguments  path     the znode that stands for the lock; created, as a container, if missing
--            timeout  how long to wait, "250ms" or "10s"; default: for ever
-- Result     ticket   the holder's znode; released by rwlock.release or the end of the session
--            fence    grows with every grant; give it to whatever the lock protects
-- Errors     Timeout  not granted in time; nothing is left behind
--            NoAuth   the caller may not create below path
--            Lost     somebody deleted the ticket while it waited
--
-- rwlock.release      ticket, fence: as returned
-- Result     true     whoever asked next holds the lock now
--
-- rwlock.downgrade    ticket, fence: a writer becomes a reader, and no other writer comes between;
--                     readers who asked before the next writer hold the lock with it
-- rwlock.upgrade      ticket, fence: a reader becomes a writer, if it is the only reader
-- Result     ticket, fence: new ones, in place of those given
-- Errors     NotOwner the lock is not the caller's with this ticket and fence, and in this mode
--            Conflict (upgrade) another reader holds the lock, so each might wait for the other
--
-- rwlock.set_policy
-- Arguments  path     created, as a container, if missing
--            policy   "fair", or "writer-first": a reader who has waited lets those writers go
--                     before who have come meanwhile, 16 times
-- Result     true     for who waits, too; it stays when nobody wants the lock any more
-- Errors     NoAuth   the caller may not create or delete below path
--
-- Fairness   first asked, first granted: a reader does not pass a writer who waits, and readers who
--            are next to each other in the queue are granted together; with writers first, when
--            the writers who wait have had their turn
-- Fencing    the zxid of the grant: who slept through the end of their session holds a smaller one
-- Wakes      one waiter per release, or the readers who are next; a writer once more for each of
--            the readers that it waits for
-- Survives   the server's death, at every step
-- Limits     one znode per holder and waiter, and `policy` below path while it is not fair; Curator's
--            and kazoo's readers give way to nobody; not reentrant: a session that asks twice may wait for
--            itself. Each run reads the names of all other clients' contenders, as they do.
--
-- Curator's InterProcessReadWriteLock and kazoo's ReadLock and WriteLock share one queue with ours.
-- kazoo is told of us by extra_lock_patterns: ["__WRIT__"], a WriteLock ["__WRIT__", "__READ__"].
local rwlock = {}
local READ, WRITE = "__READ__", "__WRIT__"
local modes = {
  [READ]  = { name = READ, waits_for = { WRITE }, like = { WRITE, "__lock__" } },
  [WRITE] = { name = WRITE, waits_for = { WRITE, READ },
    like = { WRITE, "__lock__", READ, "__rlock__" } },
}
local WRITER_FIRST = "writer-first"
local YIELDS_MAX = 16 -- of one reader: each is a step that its call remembers, of 64 that it may

local function split(ticket)
  local path, mode, digits = ticket:match("^(.+)/(__%u%u%u%u__)(%d+)$")
  return path, modes[mode], digits
end

-- Names of contenders that are not ours. All of ours, and nobody else's, begin with "__": Curator's
-- do with "_c_", kazoo's with a hexadecimal digit.
local function others(path, like)
  local names = znode.children(path, { from = "__~", like = like })
  for _, name in ipairs(znode.children(path, { from = "__", backwards = true, like = like })) do
    table.insert(names, name)
  end
  return names
end

-- The contender nearest to `ticket` in the queue, of those that `mode` waits for; nil if there is
-- none. The queue's order is that of the numbers, for Curator and kazoo too; who changes the mode
-- keeps the number. Ours are found by name, however many there are.
local function neighbour(ticket, mode, before)
  local path, _, digits = split(ticket)
  local own, nearest, distance = tonumber(digits), nil, math.huge
  local function consider(name)
    local away = tonumber(name:match("%d+$") or own) - own
    if before then away = -away end
    if away > 0 and away < distance then nearest, distance = path .. "/" .. name, away end
  end

  for _, kind in ipairs(mode.waits_for) do
    local found = znode.children(path, { from = kind .. digits, backwards = before, limit = 1 })[1]
    if found and found:sub(1, #kind) == kind then consider(found) end
  end
  for _, name in ipairs(others(path, mode.like)) do consider(name) end
  return nearest
end

local function ask(call, mode)
  return znode.create(call.args.path .. "/" .. mode.name,
    { ephemeral = true, sequential = true, parents = true })
end

-- The ticket that the call has now, and how often it has given way.
local function ticket_of(call)
  local ticket, yields = call:recall("ticket"), 0
  while call:recall("yield " .. yields + 1) do
    yields = yields + 1
    ticket = call:recall("yield " .. yields)
  end
  return ticket, yields
end

-- A reader goes to the end of the queue, if that is the policy and a writer waits behind it. So it
-- is the numbers alone, still, that say who holds the lock.
local function give_way(call, ticket, yields)
  if yields == YIELDS_MAX or znode.get(call.args.path .. "/policy") ~= WRITER_FIRST
    or not neighbour(ticket, modes[READ], false) then
    return ticket
  end
  return call:once("yield " .. yields + 1, function()
    znode.delete(ticket)
    return ask(call, modes[READ])
  end)
end

-- The invariant: a reader holds the lock if no writer is before it, a writer if nobody is. Nothing
-- else says so, and a ticket that goes, in whatever way, makes the next ones holders at once.
local function acquire(call, mode)
  call:once("ticket", function() return ask(call, mode) end)
  local ticket, yields = ticket_of(call)
  local stat = znode.stat(ticket)
  if not stat or stat.owner ~= call.session then
    fail("Lost", ticket .. " was deleted by somebody else")
  end

  local ahead = neighbour(ticket, mode, true)
  if not ahead and mode.name == READ then
    ticket = give_way(call, ticket, yields)
    ahead = neighbour(ticket, mode, true)
  end
  if ahead then call:wait { deleted = { ahead, ticket } } end
  return { ticket = ticket, fence = call.zxid }
end

local function operation_for(mode, doc)
  return operation {
    doc  = doc,
    args = { path = "path", timeout = "duration?" },
    run  = function(call) return acquire(call, mode) end,
    cancel = function(call) znode.delete((ticket_of(call))) end,
  }
end

rwlock.read = operation_for(modes[READ], "Wait to read: for the writers who asked before.")
rwlock.write = operation_for(modes[WRITE], "Wait to write: for all who asked before.")

local function check_holds(call, wanted)
  local path, mode, digits = split(call.args.ticket)
  local stat = mode and (wanted or mode) == mode and znode.stat(call.args.ticket)
  if not stat or stat.owner ~= call.session or stat.czxid > call.args.fence
    or neighbour(call.args.ticket, mode, true) then
    fail("NotOwner", "the lock is not the caller's with this ticket and fence")
  end
  return path, digits
end

rwlock.release = operation {
  doc  = "Give the lock to whoever asked next.",
  args = { ticket = "path", fence = "integer" },
  run  = function(call)
    check_holds(call)
    return znode.delete(call.args.ticket)
  end,
}

-- The same number in the other mode: nobody in the queue comes to stand before it, or falls behind.
local function change(call, path, mode, digits)
  local ticket = znode.create(path .. "/" .. mode.name .. digits, { ephemeral = true })
  znode.delete(call.args.ticket)
  return { ticket = ticket, fence = call.zxid }
end

rwlock.downgrade = operation {
  doc  = "Go on as a reader, before all who wait.",
  args = { ticket = "path", fence = "integer" },
  run  = function(call)
    local path, digits = check_holds(call, modes[WRITE])
    return change(call, path, modes[READ], digits)
  end,
}

rwlock.upgrade = operation {
  doc  = "Go on as a writer; Conflict if there is another reader.",
  args = { ticket = "path", fence = "integer" },
  run  = function(call)
    local path, digits = check_holds(call, modes[READ])
    local after = neighbour(call.args.ticket, modes[WRITE], false)
    local reads = after and (after:find(READ, 1, true) or after:find("__rlock__", 1, true))
    if reads or neighbour(call.args.ticket, modes[WRITE], true) then
      fail("Conflict", "another reader holds the lock")
    end
    return change(call, path, modes[WRITE], digits)
  end,
}

rwlock.set_policy = operation {
  doc  = "Who goes before whom at `path`.",
  args = { path = "path", policy = { type = "string", one_of = { "fair", WRITER_FIRST } } },
  run  = function(call)
    local path, policy = call.args.path, call.args.policy
    local mark = path .. "/policy"
    if policy ~= WRITER_FIRST then
      znode.delete(mark)
    elseif not znode.exists(mark) then
      znode.create(mark, { data = policy, parents = true })
    end
    return true
  end,
}

return rwlock
