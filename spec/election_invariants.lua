--- What holds of recipes/election.lua whatever happens.
local PATH = "/office"

local function was_let_go(run, elected)
  for number = elected.number + 1, #run.calls do
    local call = run.calls[number]
    if call.operation == "election.resign" and call.session == elected.session and
      call.arguments.ticket == elected:result().ticket and
      call.arguments.fence == elected:result().fence and
      (not call:error() or call:error() == "Timeout" or call:error() == "Cancelled") then
      return true
    end
  end
  return false
end

-- Those who lead as far as they know.
local function leading(run)
  local found = {}
  for _, call in ipairs(run:returned("election.campaign")) do
    if not call.session.ended and not was_let_go(run, call) then table.insert(found, call) end
  end
  return found
end

-- Candidates' znodes as clients that sort by number see them.
local function queue(run)
  local names = run.world:children(PATH) or {}
  table.sort(names, function(a, b) return a:match("%d+$") < b:match("%d+$") end)
  return names
end

local function one_leader(run, leaders)
  if #leaders > 1 then error(#leaders .. " lead") end
  local first = queue(run)[1]
  if leaders[1] and (not first or leaders[1]:result().ticket ~= PATH .. "/" .. first) then
    error("who leads is not the first")
  end
end

-- True while the office is being handed over: its former leader's znode is still there.
local function hands_over(run, ticket)
  for _, call in ipairs(run:waiting("election.resign")) do
    if call.arguments.ticket == ticket then return true end
  end
  return false
end

local function first_is_told(run, leaders)
  local first = queue(run)[1]
  if not first or #leaders > 0 or hands_over(run, PATH .. "/" .. first) then return end
  for _, session in ipairs(run.sessions) do
    if session.id == run.world:znode(PATH .. "/" .. first).owner and session:connected() then
      error(first .. " is the first, and its session was not told")
    end
  end
end

local function no_orphans(run, leaders)
  local wanted = {}
  local function add(call)
    wanted[call.session.id] = (wanted[call.session.id] or 0) + 1
  end
  for _, call in ipairs(leaders) do add(call) end
  for _, call in ipairs(run:waiting("election.campaign")) do add(call) end
  for _, call in ipairs(run:waiting("election.resign")) do add(call) end
  for _, name in ipairs(queue(run)) do
    local owner = run.world:znode(PATH .. "/" .. name).owner
    wanted[owner] = (wanted[owner] or 0) - 1
    if wanted[owner] < 0 then error(name .. " is nobody's any more") end
  end
end

local function epochs_grow(run)
  local seen = run.state
  local newest = seen.newest or 0
  for _, call in ipairs(run:returned("election.campaign")) do
    if not seen[call] then
      if call:result().fence <= newest then error("a later leader has no larger epoch") end
      seen[call] = true
      seen.newest = math.max(seen.newest or 0, call:result().fence)
    end
  end
end

-- What is said with an epoch is said by who led in it, and is gone with it.
local function says_what_the_leader_says(run, leaders)
  local leader = leaders[1]
  if not leader or not run.world:znode(leader:result().ticket) then return end
  local said = run.world:znode(leader:result().ticket).data
  if not said:find("^s%d+ ") or said:match("^s%d+") ~= leader.session.name then
    error("the leader is " .. leader.session.name .. ", and the office says: " .. said)
  end
end

local function resign(run, elected, handover_to, session)
  run:start(session or elected.session, "election.resign", {
    ticket = elected:result().ticket, fence = elected:result().fence,
    handover_to = handover_to, timeout = handover_to and "5s" or nil,
  })
end

local function campaign(run, timeout)
  local session = run:session()
  run:start(session, "election.campaign",
    { path = PATH, value = session.name .. " campaigns", timeout = timeout })
end

return {
  sessions = 4,
  may_wait = function(_, call) return call.operation == "election.observe" end,
  actions = {
    { name = "campaign", weight = 5, run = function(run) campaign(run) end },
    {
      name = "campaign with a timeout", weight = 2,
      run = function(run) campaign(run, run:one_of { "100ms", "5s", "30s" }) end,
    },
    {
      name = "proclaim", weight = 3,
      run = function(run)
        local elected = run:one_of(leading(run))
        run:start(elected.session, "election.proclaim", { ticket = elected:result().ticket,
          fence = elected:result().fence, value = elected.session.name .. " leads" })
      end,
    },
    {
      name = "proclaim what may be another's to say", weight = 2,
      run = function(run)
        local session, elected = run:session(), run:one_of(run:returned("election.campaign"))
        run:start(session, "election.proclaim", { ticket = elected:result().ticket,
          fence = elected:result().fence, value = session.name .. " usurps" })
      end,
    },
    {
      name = "resign", weight = 3,
      run = function(run) resign(run, run:one_of(leading(run))) end,
    },
    {
      name = "hand over", weight = 5,
      run = function(run)
        local names = queue(run)
        resign(run, run:one_of(leading(run)), PATH .. "/" .. run:one_of(names))
      end,
    },
    {
      name = "resign what may be another's", weight = 1,
      run = function(run)
        resign(run, run:one_of(run:returned("election.campaign")), nil, run:session())
      end,
    },
    {
      name = "observe", weight = 2,
      run = function(run)
        local before = run:returned("election.observe")
        run:start(run:session(), "election.observe",
          { path = PATH, seen = #before > 0 and before[#before]:result().seen or nil })
      end,
    },
  },
  check = function(run)
    local leaders = leading(run)
    one_leader(run, leaders)
    first_is_told(run, leaders)
    no_orphans(run, leaders)
    epochs_grow(run)
    says_what_the_leader_says(run, leaders)
  end,
  finally = function(run)
    local elected = leading(run)[1]
    while elected do
      resign(run, elected)
      elected = leading(run)[1]
    end
  end,
}
