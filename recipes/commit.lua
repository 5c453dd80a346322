--- Atomic commit: all participants commit, or none does; nobody but the server has to stay alive.
-- commit.begin
-- Arguments  path     the znode that is the transaction; those above it are created if missing
--            participants  who must vote: 1 to 100 ids of 1 to 100 bytes without "/"
--            within   how long they have to vote, "10s"
-- Result     fence    the zxid at which it began: tells it from others that have had its path
--            deadline the log time at which it aborts, in ms
-- Errors     Conflict there is something at path
--            BadArguments  an id is there twice, or cannot be a part of a path
--            NoAuth   the caller may not create it
--
-- commit.vote
-- Arguments  path     as given to commit.begin
--            id       one of the participants
--            yes      true: it can do its part, and will if all can; false: it cannot
-- Result     outcome  "open", "committed" or "aborted"
--            reason   if it is aborted: why
-- Errors     Conflict the id has voted another way, or from another session
--            BadArguments  it is no participant
--            NoNode   there is no such transaction (any more)
--
-- commit.outcome
-- Arguments  path     as given to commit.begin
--            timeout  how long to wait; default: until the transaction's own deadline
-- Result     outcome  "committed" or "aborted"; the same for all, for ever
--            reason   if it is aborted: why
--            fence    the zxid at which it was decided
-- Errors     Timeout  it was not decided in time; nothing is left behind
--            Lost     all participants have acknowledged before the caller could look
--            NoNode   there is no such transaction (any more)
--
-- commit.acknowledge
-- Arguments  path     as given to commit.begin
--            id       the participant that has done what the outcome says
-- Result     left     how many have yet to; at 0 the transaction is removed
-- Errors     Conflict it is not decided
--            BadArguments  it is no participant
--            NoNode   there is no such transaction (any more)
-- Fairness   everybody is told the same outcome
-- Fencing    the zxid of the decision
-- Wakes      one of those who wait for each vote, all of them when it is decided
-- Survives   the leader's death, at every step; a parked call goes on under its successor
--
-- It is committed if and only if all have voted yes before the deadline, and the sessions that
-- they voted from lived until the last vote; that vote's transaction is the decision. A voter's
-- death, or the deadline, is seen at once if somebody waits for the outcome, and else by whoever
-- comes next: never too late, as nothing is decided without looking. Who deletes the znode `open`
-- aborts it. The outcome is kept until all participants have acknowledged it, whatever session
-- they are in by then.
local commit = {}
local VOTE = "vote-"

-- The invariant: the transaction's znode says the outcome, and once it says another than "open" it
-- never changes. Below it is `open` as long as it does; and each yes is an ephemeral znode, whose
-- end is a no.

local function read(path)
  local data, stat = znode.get(path)
  if not data then fail("NoNode", "there is no transaction at " .. path) end
  local decoded, state = pcall(json.decode, data)
  if not decoded or type(state) ~= "table" or not (state.outcome and state.votes) then
    fail("Conflict", path .. " holds something else")
  end
  return state, stat.czxid
end

local function write(path, state)
  znode.set(path, json.encode(state))
  if state.outcome ~= "open" then znode.delete(path .. "/open") end
end

local function decide(call, state, outcome, reason)
  state.outcome, state.reason, state.fence = outcome, reason, call.zxid
end

-- What has happened without a word: a voter died, it was aborted by hand, or time is over. True if
-- that decides it.
local function look(call, state)
  if state.outcome ~= "open" then return false end
  for id, fence in pairs(state.votes) do
    local stat = znode.stat(call.args.path .. "/" .. VOTE .. id)
    if not stat or stat.czxid ~= fence then
      decide(call, state, "aborted", "the session of " .. id .. " has ended")
      return true
    end
  end
  if not znode.exists(call.args.path .. "/open") then
    decide(call, state, "aborted", "somebody has deleted the znode `open`")
    return true
  end
  if call.now >= state.deadline then
    decide(call, state, "aborted", "not all have voted in time")
    return true
  end
  return false
end

local function check_participant(state, id)
  for _, one in ipairs(state.participants) do
    if one == id then return end
  end
  fail("BadArguments", id .. " is no participant")
end

commit.begin = operation {
  doc  = "Begin a transaction at `path`, in which `participants` vote.",
  args = {
    path = "path",
    participants = { type = "list", min = 1, max = 100,
      items = { type = "string", min = 1, max = 100 } },
    within = { type = "duration", min = 1 },
  },
  run  = function(call)
    local path, seen = call.args.path, {}
    if znode.exists(path) then fail("Conflict", "there is something at " .. path) end
    for _, id in ipairs(call.args.participants) do
      if seen[id] or id:find("/", 1, true) then
        fail("BadArguments", "not a participant, or twice: " .. id)
      end
      seen[id] = true
    end
    local deadline = call.now + call.args.within
    znode.create(path, { parents = true, data = json.encode {
      outcome = "open", participants = call.args.participants, deadline = deadline,
      votes = {}, acknowledged = {},
    } })
    znode.create(path .. "/open")
    return { fence = call.zxid, deadline = deadline }
  end,
}

commit.vote = operation {
  doc  = "Vote in the transaction at `path`.",
  args = { path = "path", id = { type = "string", min = 1, max = 100 }, yes = "boolean" },
  run  = function(call)
    local path, id, yes = call.args.path, call.args.id, call.args.yes
    local state = read(path)
    check_participant(state, id)
    local changed = look(call, state)
    if state.outcome == "open" and state.votes[id] then
      local stat = znode.stat(path .. "/" .. VOTE .. id)
      if not yes or stat.owner ~= call.session then fail("Conflict", id .. " has voted") end
    elseif state.outcome == "open" and yes then
      znode.create(path .. "/" .. VOTE .. id, { ephemeral = true })
      state.votes[id], changed = call.zxid, true
      local missing = false
      for _, one in ipairs(state.participants) do missing = missing or not state.votes[one] end
      if not missing then decide(call, state, "committed") end
    elseif state.outcome == "open" then
      decide(call, state, "aborted", id .. " has voted no")
      changed = true
    end
    if changed then write(path, state) end
    return { outcome = state.outcome, reason = state.reason }
  end,
}

commit.outcome = operation {
  doc  = "Wait until it is decided what becomes of the transaction at `path`.",
  args = { path = "path", timeout = "duration?" },
  run  = function(call)
    local path = call.args.path
    local stat = znode.stat(path)
    local met = call:once("met", function() return stat and stat.czxid or 0 end)
    if met ~= 0 and (not stat or stat.czxid ~= met) then
      fail("Lost", "all participants have acknowledged the outcome, and it is gone")
    end

    local state = read(path)
    local changed = look(call, state)
    if state.outcome == "open" then
      call:wait { deleted = path .. "/open", children = path, at = state.deadline }
    end
    if changed then write(path, state) end
    return { outcome = state.outcome, reason = state.reason, fence = state.fence }
  end,
}

commit.acknowledge = operation {
  doc  = "Say that `id` has done what the outcome of the transaction at `path` says.",
  args = { path = "path", id = { type = "string", min = 1, max = 100 } },
  run  = function(call)
    local path, id = call.args.path, call.args.id
    local state = read(path)
    check_participant(state, id)
    look(call, state)
    if state.outcome == "open" then fail("Conflict", "it is not decided") end

    state.acknowledged[id] = true
    local left = #state.participants
    for _ in pairs(state.acknowledged) do left = left - 1 end
    write(path, state)
    if left > 0 then return { left = left } end
    for _, name in ipairs(znode.children(path)) do znode.delete(path .. "/" .. name) end
    znode.delete(path)
    return { left = 0 }
  end,
}

return commit
