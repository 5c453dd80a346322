--- Countdown latch: it closes with a count, and whoever waits passes when that has come to 0.
-- latch.init
-- Arguments  path     the znode that is the latch; those above it are created if missing
--            count    what is counted down from, 1 to 1,000
-- Result     round    1 for the first time at this path, then one more for each time
--            count    as given
-- Errors     Conflict it is closed already, or the znode holds something else
--            NoAuth   the caller may not create or change it
--
-- latch.count_down
-- Arguments  path     as given to latch.init
--            id       who has done their part; counted once in a round; default: the session
--            by       how much of the count that is; default: 1
--            round    count in this round alone; default: whichever it is
-- Result     round, count   as they are now; the count is never below 0
-- Errors     NoNode   there is no latch
--            Conflict that round is over, or has not begun
--            NoAuth   the caller may not change it
--
-- latch.await
-- Arguments  path     as given to latch.init
--            timeout  how long to wait, "250ms" or "10s"; default: for ever
-- Result     round    the one whose count has come to 0
--            fence    the zxid at which the caller passed
-- Errors     Timeout  it was not counted down in time; nothing is left behind
--            Lost     somebody deleted the latch
--            NoNode   there is no latch
--
-- latch.count
-- Arguments  path     as given to latch.init
-- Result     round, count   as they are now
-- Errors     NoNode   there is no latch
-- Fairness   all pass, in the order in which they began to wait
-- Fencing    who waited passes with a fence larger than the zxid of the last count
-- Wakes      everybody who waits, once, when the count comes to 0; nobody before
-- Survives   the leader's death, at every step; the parked call goes on under its successor
--
-- Who waits for a round passes when that has come to 0, even if the next begins at once.
-- It belongs to no session, and what was counted stays counted when the session ends.
local latch = {}
local COUNTED = "counted-"

-- The invariant: the latch's znode says round and count. Below it is `closed` if and only if the
-- count is above 0, and `counted-ID` for each id that was counted in this round.

local function read(path)
  local data = znode.get(path)
  if not data then fail("NoNode", "there is no latch at " .. path) end
  local decoded, state = pcall(json.decode, data)
  if not decoded or type(state) ~= "table" or not (state.round and state.count) then
    fail("Conflict", path .. " holds something else")
  end
  return state
end

latch.init = operation {
  doc  = "Close the latch at `path` with a count.",
  args = { path = "path", count = { type = "integer", min = 1, max = 1000 } },
  run  = function(call)
    local path = call.args.path
    local before = znode.exists(path) and read(path)
    if before and before.count > 0 then fail("Conflict", "it is closed already") end

    local state = { round = before and before.round + 1 or 1, count = call.args.count }
    if before then
      for _, name in ipairs(znode.children(path, { like = COUNTED })) do
        znode.delete(path .. "/" .. name)
      end
      znode.set(path, json.encode(state))
    else
      znode.create(path, { data = json.encode(state), parents = true })
    end
    znode.create(path .. "/closed")
    return state
  end,
}

latch.count_down = operation {
  doc  = "Say that a part of what the latch at `path` waits for is done.",
  args = {
    path = "path",
    id = { type = "string", optional = true, min = 1, max = 100 },
    by = { type = "integer", default = 1, min = 1, max = 1000 },
    round = "integer?",
  },
  run  = function(call)
    local path, id = call.args.path, call.args.id or call.session
    local state = read(path)
    if id:find("/", 1, true) then fail("BadArguments", "an id is part of a znode's name") end
    if call.args.round and call.args.round ~= state.round then
      fail("Conflict", "it is in round " .. state.round)
    end
    local counted = path .. "/" .. COUNTED .. id
    if state.count == 0 or znode.exists(counted) then return state end

    state.count = math.max(0, state.count - call.args.by)
    znode.create(counted)
    znode.set(path, json.encode(state))
    if state.count == 0 then znode.delete(path .. "/closed") end
    return state
  end,
}

latch.await = operation {
  doc  = "Wait until the latch at `path` has been counted down.",
  args = { path = "path", timeout = "duration?" },
  run  = function(call)
    local path = call.args.path
    local closed, own = znode.stat(path .. "/closed"), znode.stat(path)
    local met = call:once("met", function()
      local state = read(path)
      return { round = state.round, open = state.count == 0,
        closed = closed and closed.czxid, latch = own.czxid }
    end)
    if met.open then return { round = met.round, fence = call.zxid } end
    if closed and closed.czxid == met.closed then
      call:wait { deleted = path .. "/closed" }
    end

    local state = own and own.czxid == met.latch and read(path)
    if not state or (state.round == met.round and state.count > 0) then
      fail("Lost", "somebody deleted the latch")
    end
    return { round = met.round, fence = call.zxid }
  end,
}

latch.count = operation {
  doc  = "How much is still to be counted down.",
  args = { path = "path" },
  reads_only = true,
  run  = function(call) return read(call.args.path) end,
}

return latch
