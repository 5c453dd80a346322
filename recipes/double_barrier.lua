--- Double barrier: `count` members go in together, and come out together, round after round.
-- double_barrier.enter
-- Arguments  path     the znode that stands for the barrier; created, as a container, if missing
--            count    how many members make a round, 1 to 1,000
--            replaceable  if the caller gives up while it waits, the others wait for another in
--                     its place; default: they fail with Lost
--            timeout  how long to wait, "250ms" or "10s"; default: for ever
-- Result     ticket   the member's znode; gone with double_barrier.leave or the end of the session
--            round    the same for all members of the round, and larger than that of the one before
--            fence    grows with every round; give it to whatever the members work on
-- Errors     Timeout  the round was not complete in time; nothing is left behind
--            Lost     a member gave up, timed out or died before the round was complete, or
--                     somebody deleted the ticket
--            Limit    the round is complete, and not all of its members have left
--            Conflict the others in this round said another `count`
--            NoAuth   the caller may not create below path
--
-- double_barrier.leave
-- Arguments  path     as given to double_barrier.enter
--            ticket   as returned by it
--            timeout  how long to wait for the others; default: for ever
-- Result     true     all who were in with the caller have left, or their sessions have ended
-- Errors     NotOwner the ticket is not the caller's, or it has left before, or is gone with its
--                     session
--            Timeout  others are still in; the caller has left all the same
-- Fairness   all or none: nobody passes before the last has come, and nobody is left behind
-- Fencing    the zxid at which the member was let in: larger than any of an earlier round
-- Wakes      all members once when a round is complete, or broken; one leaver for each who leaves,
--            and all leavers when the last one has left
-- Survives   the leader's death, at every step; the parked call goes on under its successor
--
-- The transaction of the member that completes a round lets in all of them: what becomes of one
-- afterwards does not change what the others are told.
-- Curator's DistributedDoubleBarrier and kazoo's DoubleBarrier count in the same round. They know
-- neither Lost nor Limit: when a round breaks they wait on, for the next.
local double_barrier = {}

-- The invariant: a member is in if its ticket says so, and all tickets of a round begin to say so
-- in one transaction, which also makes `ready`, by which Curator and kazoo know it. The tickets
-- below `path` are of one round: the first of a new one comes when none is there.
local OURS = "member-"
local like_ours = { by = "creation", like = OURS }

local function is_child(child, path)
  local start = path .. "/"
  return child:sub(1, #start) == start and not child:find("/", #start + 1, true)
end

local function ready_of(path) return path .. "/ready" end

-- { round, count, inside } as a ticket says; nil if it is none of ours: what somebody else has made
-- under such a name counts as a member, and says nothing.
local function round_of(ticket)
  local decoded, round = pcall(json.decode, ticket and znode.get(ticket) or "")
  local ours = decoded and type(round) == "table" and type(round.round) == "number"
    and type(round.count) == "number"
  return ours and round or nil
end

-- What the oldest of our tickets says.
local function round_at(path)
  local ticket = znode.first_child(path, like_ours)
  while ticket and not round_of(ticket) do ticket = znode.sibling_after(ticket, like_ours) end
  return round_of(ticket)
end

local function tickets_of(path, number)
  local tickets = {}
  for _, name in ipairs(znode.children(path, like_ours)) do
    local ticket = path .. "/" .. name
    local round = round_of(ticket)
    if round and round.round == number then table.insert(tickets, ticket) end
  end
  return tickets
end

local function members_count(path)
  return znode.count(path) - (znode.exists(ready_of(path)) and 1 or 0)
end

-- Whether all of the round have come. kazoo's members delete `ready` as soon as they leave, and
-- those of others make it without a word in our tickets: either will do.
local function complete(path, round)
  return znode.exists(ready_of(path)) or (round and round.inside)
end

local function let_in(path, round)
  round.inside = true
  local data = json.encode(round)
  for _, ticket in ipairs(tickets_of(path, round.round)) do znode.set(ticket, data) end
end

-- Take a place in the round that is forming, or in a new one; complete it if it is the last.
local function join(call)
  local path, count = call.args.path, call.args.count
  local round, before = round_at(path), members_count(path)
  if before == 0 then znode.delete(ready_of(path)) end -- left behind by members that died inside
  if complete(path, round) or before >= count then
    fail("Limit", "the round is complete, and not all of its members have left")
  end
  if round and round.count ~= count then
    fail("Conflict", "the others wait for a round of " .. round.count)
  end

  round = round or { round = call.zxid, count = count, inside = false }
  local ticket = znode.create(path .. "/" .. OURS,
    { ephemeral = true, sequential = true, parents = true, data = json.encode(round) })
  if before + 1 == count then
    znode.create(ready_of(path))
    let_in(path, round)
  end
  return { ticket = ticket, round = round.round }
end

double_barrier.enter = operation {
  doc  = "Wait until `count` members have entered the barrier at `path`.",
  args = {
    path = "path",
    count = { type = "integer", min = 1, max = 1000 },
    replaceable = "boolean?",
    timeout = "duration?",
  },
  run  = function(call)
    local path, ready = call.args.path, ready_of(call.args.path)
    local place = call:once("place", function() return join(call) end)
    local stat, round = znode.stat(place.ticket), round_of(place.ticket)
    if not round or stat.owner ~= call.session then
      fail("Lost", "a member gave up before the round was complete")
    end

    if not round.inside then
      if not znode.exists(ready) then
        call:wait { created = ready, deleted = place.ticket }
      end
      let_in(path, round) -- it was a member of Curator's or kazoo's that completed the round
    end
    return { ticket = place.ticket, round = place.round, fence = call.zxid }
  end,
  cancel = function(call)
    local place = call:recall("place")
    if not place then return end
    znode.delete(place.ticket)
    local round = round_at(call.args.path)
    local broken = not call.args.replaceable and round and round.round == place.round
      and not complete(call.args.path, round)
    if not broken then return end
    for _, ticket in ipairs(tickets_of(call.args.path, place.round)) do znode.delete(ticket) end
  end,
}

double_barrier.leave = operation {
  doc  = "Leave the barrier at `path`, and wait until the others have left it.",
  args = { path = "path", ticket = "path", timeout = "duration?" },
  run  = function(call)
    local path, ready = call.args.path, ready_of(call.args.path)
    local left = call:once("left", function()
      local stat = is_child(call.args.ticket, path) and znode.stat(call.args.ticket)
      if not stat or stat.owner ~= call.session then fail("NotOwner") end
      znode.delete(call.args.ticket)
      return call.zxid
    end)

    -- Who came after the caller had left is of a later round.
    local oldest = znode.first_child(path, { by = "creation" })
    if oldest == ready then oldest = znode.sibling_after(ready, { by = "creation" }) end
    if oldest and znode.stat(oldest).czxid < left then
      call:wait { deleted = znode.exists(ready) and ready or oldest, children = path }
    end
    if not oldest then znode.delete(ready) end
    return true
  end,
}

return double_barrier
