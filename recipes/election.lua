--- Leader election: one leader per path; the successor is the candidate who has waited longest.
-- election.campaign
-- Arguments  path         the znode that stands for the office; created, as a container, if missing
--            value        what the leader lets know, up to 32 KB; LeaderLatch calls it its id
--            timeout      how long to wait, "250ms" or "10s"; default: for ever
-- Result     ticket       the leader's znode, which holds `value`; the office lasts as long as it
--            fence        the epoch: grows with every leader; give it to whatever is led
-- Errors     Timeout      not elected in time; nothing is left behind
--            NoAuth       the caller may not create below path
--            Lost         somebody deleted the ticket while it waited
--
-- election.proclaim       a new `value`: ticket, fence, value
-- Result     true
-- Errors     NotOwner     the caller does not lead with this ticket and fence
--
-- election.resign
-- Arguments  ticket fence as returned by election.campaign
--            handover_to  the ticket of the candidate who shall lead next; default: the oldest
--            timeout      of the hand-over
-- Result     true         the successor leads
-- Errors     NotOwner     the caller does not lead with this ticket and fence
--            NoNode       handover_to is no candidate of a campaign for this office
--            Timeout      handover_to did not take over; the caller has resigned nonetheless
--
-- election.leader         who leads at `path` now; reads only
-- election.observe        ... as soon as that has changed
-- Arguments  path seen?   `seen` as returned by the last observe; without: as soon as one leads
--            timeout
-- Result     leader       ticket, session, value; absent if nobody leads
--            seen         for the next observe: what comes and goes between two calls is not shown
--
-- election.candidates     of `path`: ticket and session of each, the oldest first; reads only
-- Arguments  path limit?  (100; up to 256), from? (the name of the last one seen)
-- Errors     NoNode       `from` is gone
--
-- Fairness   first asked, first elected, save for handover_to; who gives up leaves no gap
-- Fencing    the zxid of the election: who slept through the end of their session has a smaller one
-- Wakes      one candidate per change of leader, and the observers
-- Survives   the server's death, at every step
-- Limits     one znode per candidate
--
-- Candidates of Curator's LeaderLatch wait, and are waited for, in one queue with ours, and so are
-- kazoo's Elections, if their lock is told of us by extra_lock_patterns=["latch-"].
local election = {}
local candidate = { by = "creation", like = { "latch-", "__lock__" } }
local HANDS_OVER = "hands over to "

local function number(path)
  return tonumber(path:match("%d+$")) or math.huge
end

-- The invariant: the candidate with the smallest number leads. That is the one created first,
-- unless the office was handed over: then the new leader's znode has its predecessor's number, and
-- is younger than those which it came before.
local function leader_of(path)
  local oldest = znode.first_child(path, candidate)
  if not oldest then return nil end
  local heir = znode.children(path, { from = "latch-", limit = 1 })[1]
  if heir and heir:match("^latch%-%d+$") and number(heir) < number(oldest) then
    return path .. "/" .. heir
  end
  return oldest
end

-- Who is waited for: nil if `ticket` leads.
local function ahead_of(path, ticket)
  local ahead = znode.sibling_before(ticket, candidate) or leader_of(path)
  if ahead ~= ticket then return ahead end
end

local function check_leads(call)
  local ticket = call.args.ticket
  local path = ticket:match("^(.+)/latch%-%d+$")
  local stat = path and znode.stat(ticket)
  if not stat or stat.owner ~= call.session or stat.czxid > call.args.fence
    or leader_of(path) ~= ticket then
    fail("NotOwner", "the caller does not lead with this ticket and fence")
  end
  return path
end

-- What the leader left to this candidate, by name: its number goes with the office.
local function succeed(call, leader, ticket)
  znode.delete(leader)
  znode.delete(ticket)
  znode.create(leader, { ephemeral = true, data = call.args.value })
  return { ticket = leader, fence = call.zxid }
end

election.campaign = operation {
  doc  = "Wait for the office at `path`.",
  args = { path = "path", value = { type = "string", default = "", max = 32768 },
    timeout = "duration?" },
  run  = function(call)
    local path = call.args.path
    local ticket = call:once("ticket", function()
      return znode.create(path .. "/latch-",
        { ephemeral = true, sequential = true, parents = true, data = call.args.value })
    end)
    local stat = znode.stat(ticket)
    if not stat or stat.owner ~= call.session then
      fail("Lost", ticket .. " was deleted by somebody else")
    end

    local ahead = ahead_of(path, ticket)
    if not ahead then return { ticket = ticket, fence = call.zxid } end
    local leader = leader_of(path)
    if znode.get(leader) == HANDS_OVER .. ticket then return succeed(call, leader, ticket) end
    call:wait { deleted = ahead, changed = ticket }
  end,
  cancel = function(call) znode.delete(call:recall("ticket")) end,
}

election.proclaim = operation {
  doc  = "Say `value` as the leader.",
  args = { ticket = "path", fence = "integer", value = { type = "string", max = 32768 } },
  run  = function(call)
    check_leads(call)
    znode.set(call.args.ticket, call.args.value)
    return true
  end,
}

election.resign = operation {
  doc  = "Leave the office to the oldest candidate, or to `handover_to`.",
  args = { ticket = "path", fence = "integer", handover_to = "path?", timeout = "duration?" },
  run  = function(call)
    local ticket, heir = call.args.ticket, call.args.handover_to
    local asked = call:recall("asked")
    if asked and not pcall(check_leads, call) then return true end
    local path = check_leads(call)
    if not heir or asked and not znode.exists(heir) then return znode.delete(ticket) end

    call:once("asked", function()
      local value = heir ~= ticket and heir:match("^(.+)/latch%-%d+$") == path and znode.get(heir)
      if not value then fail("NoNode", heir .. " is no candidate") end
      znode.set(ticket, HANDS_OVER .. heir)
      znode.set(heir, value)
      return true
    end)
    call:wait { deleted = { ticket, heir } }
  end,
  cancel = function(call)
    if call:recall("asked") and pcall(check_leads, call) then znode.delete(call.args.ticket) end
  end,
}

local function described(ticket)
  local value, stat = znode.get(ticket)
  return { ticket = ticket, session = stat.owner, value = value }, ticket .. " " .. stat.mzxid
end

election.leader = operation {
  doc  = "Who leads at `path`.",
  args = { path = "path" },
  reads_only = true,
  run  = function(call)
    local leader = leader_of(call.args.path)
    return { leader = leader and described(leader) }
  end,
}

election.observe = operation {
  doc  = "Wait until somebody else than in `seen` leads at `path`, or says something else.",
  args = { path = "path", seen = "string?", timeout = "duration?" },
  run  = function(call)
    local path, leader, seen = call.args.path, leader_of(call.args.path), ""
    local shown
    if leader then shown, seen = described(leader) end
    if seen ~= (call.args.seen or "") then return { leader = shown, seen = seen } end

    if leader then call:wait { changed = leader, deleted = leader } end
    if znode.exists(path) then call:wait { children = path, deleted = path, all = true } end
    call:wait { created = path }
  end,
}

election.candidates = operation {
  doc  = "The candidates at `path`, the oldest first.",
  args = { path = "path", from = "string?",
    limit = { type = "integer", default = 100, min = 1, max = 256 } },
  reads_only = true,
  run  = function(call)
    local path, shown = call.args.path, json.list()
    local names = znode.children(path, { by = "creation", like = candidate.like,
      from = call.args.from, limit = call.args.limit })
    for i, name in ipairs(names) do
      local ticket = path .. "/" .. name
      shown[i] = { ticket = ticket, session = znode.stat(ticket).owner }
    end
    return shown
  end,
}

return election
