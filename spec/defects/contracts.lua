--- What callers may rely on, without a look at how a recipe keeps its znodes: for the right recipes
-- and the wrong ones of this folder alike. name of a recipe -> invariants.
local contracts = {}

local PATH = "/a/b"
local WAITS = { "100ms", "5s", "30s" }

-- ---- What is held until it is given back: lock, election, semaphore, rwlock ----

-- True if a later call of the session gave back, or exchanged, what this one got; or may have.
local function given_back(run, got, gives_back)
  for number = got.number + 1, #run.calls do
    local call = run.calls[number]
    if call.session == got.session and not call:error() and gives_back(call, got) then
      return true
    end
  end
  return false
end

local function held(run, operations, gives_back)
  local found = {}
  for _, call in ipairs(run.calls) do
    if operations[call.operation] and not call.session.ended and not call:waiting() and
      not call:error() and not given_back(run, call, gives_back) then
      table.insert(found, call)
    end
  end
  return found
end

-- Waiting calls whose clients would know if they had been granted; and whether others might hold.
local function connected_waiters(run)
  local waiters, unknown = 0, false
  for _, call in ipairs(run:waiting()) do
    if call.session:connected() then waiters = waiters + 1 else unknown = true end
  end
  return waiters, unknown
end

-- What a grant is known by, to whom it is given back.
local function same_grant(call, got)
  local asked, result = call.arguments, got:result()
  if asked.fence and asked.fence ~= result.fence then return false end
  return asked.ticket == result.ticket and
    (not result.permits or asked.permits and asked.permits[1] == result.permits[1])
end

local function ask(operation)
  return function(run)
    local arguments = { path = PATH, timeout = run:chance(0.3) and run:one_of(WAITS) or nil }
    run:start(run:session(), operation, arguments)
  end
end

-- At most `limit` hold what `acquire` grants, and nobody waits for what is free.
local function held_by_at_most(limit, acquire, release, begin)
  local function holders(run)
    return held(run, { [acquire] = true },
      function(call, got) return call.operation == release and same_grant(call, got) end)
  end
  local function give_back(run, call)
    local result = call:result()
    run:start(call.session, release, release == "lock.release" and
      { path = PATH, ticket = result.ticket } or
      { ticket = result.ticket, permits = result.permits, fence = result.fence })
  end
  return {
    sessions = 4, begin = begin,
    actions = {
      { name = "ask", weight = 4, run = ask(acquire) },
      {
        name = "give back", weight = 3,
        run = function(run) give_back(run, run:one_of(holders(run))) end,
      },
    },
    check = function(run)
      local count = #holders(run)
      if count > limit then error("too many hold it: " .. count) end
      local waiters, unknown = connected_waiters(run)
      if waiters > 0 and count < limit and not unknown then error("it is free, and somebody waits") end
    end,
    finally = function(run)
      while #holders(run) > 0 do give_back(run, holders(run)[1]) end
    end,
  }
end

contracts.lock = held_by_at_most(1, "lock.acquire", "lock.release")
contracts.election = held_by_at_most(1, "election.campaign", "election.resign")
contracts.semaphore = held_by_at_most(2, "semaphore.acquire", "semaphore.release", function(run)
  run:start(run:session(), "semaphore.set_limit", { path = PATH, limit = 2 })
end)

-- ---- rwlock ----

local grants = { ["rwlock.read"] = true, ["rwlock.write"] = true, ["rwlock.downgrade"] = true }

local function rwlock_holders(run, operation)
  local found = {}
  for _, call in ipairs(held(run, grants, function(call, got)
    return (call.operation == "rwlock.release" or call.operation == "rwlock.downgrade") and
      same_grant(call, got)
  end)) do
    if not operation or call.operation == operation then table.insert(found, call) end
  end
  return found
end

local function rwlock_end(run, call, operation)
  run:start(call.session, operation, { ticket = call:result().ticket, fence = call:result().fence })
end

contracts.rwlock = {
  sessions = 4,
  actions = {
    { name = "read", weight = 3, run = ask("rwlock.read") },
    { name = "write", weight = 3, run = ask("rwlock.write") },
    {
      name = "release", weight = 4,
      run = function(run) rwlock_end(run, run:one_of(rwlock_holders(run)), "rwlock.release") end,
    },
    {
      name = "downgrade", weight = 2,
      run = function(run)
        rwlock_end(run, run:one_of(rwlock_holders(run, "rwlock.write")), "rwlock.downgrade")
      end,
    },
  },
  check = function(run)
    local all, writers = #rwlock_holders(run), #rwlock_holders(run, "rwlock.write")
    if writers > 1 then error("two write") end
    if writers == 1 and all > 1 then error("one writes, and others read") end
    local waiters, unknown = connected_waiters(run)
    if waiters > 0 and all == 0 and not unknown then error("it is free, and somebody waits") end
  end,
  finally = function(run)
    while #rwlock_holders(run) > 0 do rwlock_end(run, rwlock_holders(run)[1], "rwlock.release") end
  end,
}

-- ---- double_barrier ----

local MEMBERS = 3

-- How many asked and cannot have been told: their sessions ended, or are not connected.
local function untold(run)
  local count = 0
  for _, call in ipairs(run.calls) do
    if call.session.ended and call:error() or call:waiting() and not call.session:connected() then
      count = count + 1
    end
  end
  return count
end

contracts.double_barrier = {
  sessions = 5,
  faults = { expire = 1, close = 0, disconnect = 1 },
  actions = {
    {
      name = "enter", weight = 4,
      run = function(run)
        run:start(run:session(), "double_barrier.enter", {
          path = PATH, count = MEMBERS, timeout = run:chance(0.5) and run:one_of(WAITS) or nil,
        })
      end,
    },
    {
      name = "leave", weight = 3,
      run = function(run)
        local inside = {}
        for _, call in ipairs(run:returned("double_barrier.enter")) do
          if call.session:connected() and not run.state[call] then table.insert(inside, call) end
        end
        local call = run:one_of(inside)
        run.state[call] = true
        -- The wrong ones have nothing to leave: what they do wrong has been done before.
        run:start(call.session, "double_barrier.leave",
          { path = PATH, ticket = call:result().ticket })
      end,
    },
  },
  check = function(run)
    local rounds = {}
    for _, call in ipairs(run:returned("double_barrier.enter")) do
      local round = call:result().round
      rounds[round] = (rounds[round] or 0) + 1
    end
    for round, members in pairs(rounds) do
      if members > MEMBERS then error("a round has too many members") end
      if not run.state[round] and members + untold(run) < MEMBERS then
        error("a round began with too few members")
      end
      run.state[round] = true
    end
  end,
  may_wait = function() return true end,
}

-- ---- queue ----

local function taken(run)
  local found = {}
  for _, call in ipairs(run:returned("queue.take")) do
    local message = call:result()[1]
    if message and call.session:connected() and not given_back(run, call, function(ack)
      return ack.operation == "queue.ack" and ack.arguments.fence == message.fence
    end) then
      table.insert(found, { call = call, message = message })
    end
  end
  return found
end

local function ack(run, one)
  run:start(one.call.session, "queue.ack",
    { path = PATH, id = one.message.id, fence = one.message.fence })
end

local function take(run, session)
  return run:start(session, "queue.take", { path = PATH, visibility = "5s", wait = false })
end

-- The calls that were given a message with this data.
local function deliveries(run, data)
  local found = {}
  for _, call in ipairs(run:returned("queue.take")) do
    local message = call:result()[1]
    if message and message.data == data then table.insert(found, call) end
  end
  return found
end

-- Whoever acknowledged a message was the last to get it.
local function done_by_the_last(run, data)
  local taken_by = deliveries(run, data)
  for _, done in ipairs(run:returned("queue.ack")) do
    local own
    for _, call in ipairs(taken_by) do
      if call:result()[1].fence == done.arguments.fence then own = call end
    end
    for _, call in ipairs(own and taken_by or {}) do
      if call.number < done.number and call:result()[1].fence > done.arguments.fence then
        error(data .. " is done, and not by who has it")
      end
    end
  end
end

-- True if an acknowledgement has succeeded, or may have.
local function may_be_done(run, data)
  for _, call in ipairs(deliveries(run, data)) do
    for _, done in ipairs(run.calls) do
      local problem = done.operation == "queue.ack" and
        done.arguments.fence == call:result()[1].fence and (done:error() or "none")
      if problem == "none" or problem == "SessionExpired" then return true end
    end
  end
  return false
end

contracts.queue = {
  sessions = 3,
  actions = {
    {
      name = "put", weight = 3,
      run = function(run)
        run.state.put = (run.state.put or 0) + 1
        run:start(run:session(), "queue.put", { path = PATH, data = "message " .. run.state.put })
      end,
    },
    { name = "take", weight = 4, run = function(run) take(run, run:session()) end },
    {
      name = "ack", weight = 3,
      run = function(run) ack(run, run:one_of(taken(run))) end,
    },
  },
  check = function(run)
    for _, put in ipairs(run:returned("queue.put")) do
      done_by_the_last(run, put.arguments.data)
    end
  end,
  finally = function(run)
    run.world:advance("6s") -- nobody has a message any more
    local session = run:session()
    local call = take(run, session)
    while call:result()[1] do
      ack(run, { call = call, message = call:result()[1] })
      call = take(run, session)
    end
    for _, put in ipairs(run:returned("queue.put")) do
      if not may_be_done(run, put.arguments.data) then error(put.arguments.data .. " is lost") end
    end
  end,
}

return contracts
