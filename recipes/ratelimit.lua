--- Rate limiter: so many permits in a period, by the log's clock, for all callers together.
-- ratelimit.configure
-- Arguments  path     the znode that stands for the limiter; created if missing
--            permits  how many in each `period`, 1 to 1000000
--            period   "1s" or "1h", up to a day
--            burst    how many may be taken at once after a rest; default: permits. With 1 they are
--                     spaced evenly, as GCRA without tolerance has it
-- Result     true     what is saved up stays, up to the new burst; a new limiter is full
-- Errors     NoAuth   the caller may not write, or create, there
--
-- ratelimit.try
-- Arguments  path
--            permits  how many, default: 1
-- Result     granted  whether the caller has them now
--            remaining  how many are left
--            retry_after  if not: in how many ms they could be granted, if nobody else asks
-- Errors     NoNode   there is no limiter
--            Limit    more than the burst: they can never be granted
--            NoAuth
--
-- ratelimit.acquire
-- Arguments  path, permits  as above
--            timeout  how long to wait, "250ms" or "10s"; default: for ever
-- Result     remaining, and `fence`, larger with every grant
-- Errors     Timeout  it was not their turn in time; nothing has been taken
--            NoNode, Limit, Lost (somebody deleted the ticket), NoAuth
--
-- ratelimit.peek
-- Arguments  path
-- Result     remaining, waiting (callers), permits, period (ms), burst
-- Errors     NoNode, NoAuth
--
-- Fairness   first asked, first granted, however many permits each wants; while somebody waits,
--            `try` is not granted
-- Bound      in any span of time S at most burst + S * permits / period, by the log's clock, which
--            never goes back; however far it steps forward, that mints at most one burst
-- Wakes      one waiter at a time: when its permits are there
-- Survives   the leader's death: what was granted has been taken, once
-- Limits     whole milliseconds; arithmetic in whole numbers, nothing is rounded
local ratelimit = {}
local DAY_MS = 86400000

-- The znode holds the limiter as JSON: `level` is what is saved up at log time `at`, in units of
-- which a permit is worth `period`, so that `permits` units come in each millisecond.
local function read(call)
  local data = znode.get(call.args.path)
  if not data then fail("NoNode", call.args.path) end
  local state = json.decode(data)
  local full, passed = state.burst * state.period, call.now - state.at
  -- Compared before it is multiplied: after a long rest the product would be inexact.
  if passed >= (full - state.level) / state.permits then
    state.level = full
  else
    state.level = state.level + passed * state.permits
  end
  state.at = call.now
  return state
end

local function remaining(state) return math.floor(state.level / state.period) end

-- In how many milliseconds `permits` of them will be there; 0: they are.
local function missing_ms(state, permits)
  return math.max(0, math.ceil((permits * state.period - state.level) / state.permits))
end

local function check_possible(state, permits)
  if permits > state.burst then fail("Limit", "the burst is " .. state.burst) end
end

local function grant(call, state)
  state.level = state.level - call.args.permits * state.period
  znode.set(call.args.path, json.encode(state))
end

local wanted = { type = "integer", default = 1, min = 1 }

ratelimit.configure = operation {
  doc  = "Say how many permits the limiter at `path` gives.",
  args = { path = "path", permits = { type = "integer", min = 1, max = 1000000 },
           period = { type = "duration", min = 1, max = DAY_MS },
           burst = { type = "integer", optional = true, min = 1, max = 1000000 } },
  run  = function(call)
    local path, args = call.args.path, call.args
    local burst = args.burst or args.permits
    local state = { permits = args.permits, period = args.period, burst = burst, at = call.now,
                    level = burst * args.period }
    if znode.exists(path) then
      local old = read(call)
      state.level = math.min(state.level, remaining(old) * args.period)
      znode.set(path, json.encode(state))
    else
      znode.create(path, { data = json.encode(state), parents = true })
    end
    return true
  end,
}

ratelimit.try = operation {
  doc  = "Take permits if they are there now.",
  args = { path = "path", permits = wanted },
  run  = function(call)
    local state, permits = read(call), call.args.permits
    check_possible(state, permits)
    local wait_ms = missing_ms(state, permits)
    if wait_ms > 0 or znode.first_child(call.args.path, { like = "wait-" }) then
      return { granted = false, remaining = remaining(state), retry_after = wait_ms }
    end
    grant(call, state)
    return { granted = true, remaining = remaining(state) }
  end,
}

-- The waiter whose ticket is the first waits for the time when its permits will be there; the
-- others, for the one before them.
ratelimit.acquire = operation {
  doc  = "Take permits as soon as it is the caller's turn.",
  args = { path = "path", permits = wanted, timeout = "duration?" },
  run  = function(call)
    local path, permits, ticket = call.args.path, call.args.permits, call:recall("ticket")
    local state, line, ahead = read(call), { by = "creation", like = "wait-" }, nil
    check_possible(state, permits)
    if ticket then
      local stat = znode.stat(ticket)
      if not stat or stat.owner ~= call.session then fail("Lost", ticket .. " was deleted") end
      ahead = znode.sibling_before(ticket, line)
    else
      ahead = znode.first_child(path, line)
    end
    if ahead or missing_ms(state, permits) > 0 then
      ticket = call:once("ticket", function()
        return znode.create(path .. "/wait-", { ephemeral = true, sequential = true })
      end)
      ahead = znode.sibling_before(ticket, line)
      if ahead then call:wait { deleted = { ahead, ticket } } end
      -- `changed`: the limiter was configured anew. Nobody else is granted anything meanwhile.
      call:wait { at = call.now + missing_ms(state, permits), deleted = ticket, changed = path }
    end
    znode.delete(ticket)
    grant(call, state)
    return { remaining = remaining(state), fence = call.zxid }
  end,
}

ratelimit.peek = operation {
  doc  = "What the limiter at `path` would give now.",
  args = { path = "path" },
  reads_only = true,
  run  = function(call)
    local state = read(call)
    return { remaining = remaining(state), waiting = znode.count(call.args.path),
             permits = state.permits, period = state.period, burst = state.burst }
  end,
}

return ratelimit
