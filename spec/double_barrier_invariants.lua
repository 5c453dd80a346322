--- What holds of recipes/double_barrier.lua whatever happens.
local PATH, COUNT = "/jobs/map", 3

-- Our tickets: { path, owner, round, inside }.
local function tickets(run)
  local list = {}
  for _, name in ipairs(run.world:children(PATH) or {}) do
    local znode = run.world:znode(PATH .. "/" .. name)
    if name:find("^member%-") then
      table.insert(list, {
        path = PATH .. "/" .. name, owner = znode.owner, round = znode.data:match('"round":(%d+)'),
        inside = znode.data:match('"inside":(%a+)') == "true",
      })
    end
  end
  return list
end

-- Enters that were let in, whose sessions live and whose tickets are there.
local function inside(run)
  local there, list = {}, {}
  for _, ticket in ipairs(tickets(run)) do
    if ticket.inside then there[ticket.path .. ticket.round] = true end
  end
  for _, call in ipairs(run:returned("double_barrier.enter")) do
    local entered = call:result()
    if there[entered.ticket .. ("%.0f"):format(entered.round)] and not call.session.ended then
      table.insert(list, call)
    end
  end
  return list
end

local function one_round(run, list)
  for _, ticket in ipairs(list) do
    if ticket.round ~= list[1].round then error("tickets of two rounds are there at once") end
    if ticket.inside ~= list[1].inside then error("some of a round are in, and some are not") end
  end
  if #list > COUNT then error("more than " .. COUNT .. " are in a round") end
  local ready = run.world:znode(PATH .. "/ready") ~= nil
  if #list == COUNT and not list[1].inside then error("a round is complete, and nobody is in") end
  if #list > 0 and list[1].inside ~= ready then
    error("`ready` says another thing than the tickets")
  end
end

-- Who is connected and waits to enter has a ticket of a round that is not complete.
local function nobody_left_behind(run, list)
  local waiting = {}
  for _, call in ipairs(run:waiting("double_barrier.enter")) do
    if call.session:connected() then
      waiting[call.session.id] = (waiting[call.session.id] or 0) + 1
    end
  end
  for _, ticket in ipairs(list) do
    if not ticket.inside then waiting[ticket.owner] = (waiting[ticket.owner] or 0) - 1 end
  end
  for session, count in pairs(waiting) do
    if count > 0 then error("a call of " .. session .. " waits without a place in a round") end
  end
end

-- Sessions whose members the others replace, should they give up.
local function replaceable(run)
  local sessions = {}
  for _, call in ipairs(run.calls) do
    if call.arguments.replaceable then sessions[call.session.id] = true end
  end
  return sessions
end

-- A round that was forming when it was last looked at is as it was, or has more members, or is
-- broken for all.
local function breaks_for_all(run, list)
  local there = {}
  for _, ticket in ipairs(list) do there[ticket.path .. ticket.round] = true end
  local forms = list[1] and not list[1].inside and list[1].round
  for _, ticket in ipairs(run.state.forming or {}) do
    if ticket.round == forms and not there[ticket.path .. ticket.round] and
      not replaceable(run)[ticket.owner] then
      error("a round goes on without one of its members")
    end
  end
  run.state.forming = forms and list or {}
end

-- Nobody is refused for the sake of a round that is over.
local function limit_for_a_reason(run, list)
  local call = run.calls[#run.calls]
  if not call or run.state[call] or call.operation ~= "double_barrier.enter" then return end
  if call:waiting() then return end
  run.state[call] = true
  if call:error() == "Limit" and #list == 0 then error("it is refused, and nobody is in") end
end

local function leavers_wait_for_somebody(run, list)
  for _, call in ipairs(run:waiting("double_barrier.leave")) do
    if call.session:connected() and not (list[1] and list[1].inside) then
      error(call.session.name .. " waits for the others to leave, and nobody is in")
    end
  end
end

local function rounds_do_not_overlap(run)
  local rounds = {}
  for _, call in ipairs(run:returned("double_barrier.enter")) do
    local entered = call:result()
    local round = rounds[entered.round] or { number = entered.round, last = 0, members = 0 }
    round.members = round.members + 1
    round.last = math.max(round.last, entered.fence)
    rounds[entered.round] = round
  end
  local order = {}
  for _, round in pairs(rounds) do table.insert(order, round) end
  table.sort(order, function(one, other) return one.number < other.number end)
  for i, round in ipairs(order) do
    if round.members > COUNT then error("more than " .. COUNT .. " were let into one round") end
    if i > 1 and order[i - 1].last >= round.number then error("two rounds overlap") end
  end
end

-- Who was told that all have left is right, for ever.
local function all_have_left(run, list)
  local there = {}
  for _, ticket in ipairs(list) do there[ticket.round] = true end
  for _, call in ipairs(run:returned("double_barrier.leave")) do
    local round = ("%.0f"):format(run.state[call.number] or 0)
    if there[round] then error("a member has come out of a round that others are in") end
  end
end

local function enter(run, more)
  local arguments = { path = PATH, count = COUNT }
  for name, value in pairs(more or {}) do arguments[name] = value end
  run:start(run:session(), "double_barrier.enter", arguments)
end

local function leave(run, call, timeout)
  run.state[#run.calls + 1] = call:result().round -- of the call that is about to be made
  run:start(call.session, "double_barrier.leave",
    { path = PATH, ticket = call:result().ticket, timeout = timeout })
end

local function connected(list)
  local found = {}
  for _, call in ipairs(list) do
    if call.session:connected() then table.insert(found, call) end
  end
  return found
end

return {
  sessions = 5,
  actions = {
    { name = "enter", weight = 6, run = function(run) enter(run) end },
    {
      name = "enter with a timeout", weight = 3,
      run = function(run) enter(run, { timeout = run:one_of { "100ms", "5s", "30s" } }) end,
    },
    {
      name = "enter, replaceable", weight = 2,
      run = function(run) enter(run, { replaceable = true }) end,
    },
    {
      name = "enter a round of two", weight = 1,
      run = function(run)
        if #tickets(run) == 0 then run:skip() end
        enter(run, { count = 2 })
      end,
    },
    {
      name = "leave", weight = 6,
      run = function(run) leave(run, run:one_of(connected(inside(run)))) end,
    },
    {
      name = "leave with a timeout", weight = 2,
      run = function(run) leave(run, run:one_of(connected(inside(run))), "5s") end,
    },
  },
  check = function(run)
    local list = tickets(run)
    one_round(run, list)
    nobody_left_behind(run, list)
    breaks_for_all(run, list)
    limit_for_a_reason(run, list)
    leavers_wait_for_somebody(run, list)
    rounds_do_not_overlap(run)
    all_have_left(run, list)
  end,
  finally = function(run)
    for _, call in ipairs(inside(run)) do leave(run, call) end
  end,
  may_wait = function(_, call) return call.operation == "double_barrier.enter" end,
}
