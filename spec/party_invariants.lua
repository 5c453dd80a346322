--- What holds of recipes/party.lua whatever happens.
local PATH = "/groups/web"
local IDS = { "a", "b", "c" }

-- The members, id to fence, as the znodes are.
local function here(run)
  local members = {}
  for _, name in ipairs(run.world:children(PATH) or {}) do
    members[name:match("^(.+)__party__$")] = run.world:znode(PATH .. "/" .. name).czxid
  end
  return members
end

local function text_of(members)
  local list = {}
  for id, fence in pairs(members) do table.insert(list, ("%s=%.0f"):format(id, fence)) end
  table.sort(list)
  return table.concat(list, " ")
end

local function members_of(text)
  local members = {}
  for id, fence in text:gmatch("(%w+)=(%d+)") do members[id] = tonumber(fence) end
  return members
end

local function key_of(party, version) return ("%.0f/%.0f"):format(party, version) end

-- What the members were at a version is the same for all who are told, in whatever way.
local function remember(run, key, text)
  local known = run.state[key]
  if known and known ~= text then
    error(("at %s the members are %s, and they are %s"):format(key, known, text))
  end
  run.state[key] = text
end

local function follow(run, call, answer)
  local since = call.arguments.since
  for i, change in ipairs(answer.changes) do
    if change.version ~= since + i then error("a version is missing, or comes twice") end
  end
  if answer.version ~= since + #answer.changes then error("the last change is missing") end
  local before = run.state[key_of(answer.party, since)]
  if not before then return end
  local members = members_of(before)
  for _, change in ipairs(answer.changes) do
    local there = members[change.id] ~= nil
    if there == (change.event == "joined") then
      error(change.id .. " has " .. change.event .. ", and that cannot be")
    end
    members[change.id] = change.event ~= "left" and change.fence or nil
  end
  remember(run, key_of(answer.party, answer.version), text_of(members))
end

local function told(run, call)
  if run.state[call] then return end
  run.state[call] = true
  local answer = call:result()
  if answer.members then
    remember(run, key_of(answer.party, answer.version), text_of(answer.members))
  else
    follow(run, call, answer)
  end
end

local function waits_for_a_change(run, call)
  local arguments = call.arguments
  local known = run.state[key_of(arguments.party, arguments.since)]
  if known and known ~= text_of(here(run)) then
    error(call.session.name .. " waits, and the members are others than it knows")
  end
end

local function last_answer(run, session)
  local answers = run:returned("party.changes", session)
  return answers[#answers] and answers[#answers]:result() or {}
end

local function changes(run, session, known, timeout)
  run:start(session, "party.changes",
    { path = PATH, party = known.party, since = known.version, timeout = timeout })
end

return {
  sessions = 4,
  actions = {
    {
      name = "join", weight = 5,
      run = function(run)
        run:start(run:session(), "party.join", { path = PATH, id = run:one_of(IDS) })
      end,
    },
    {
      name = "take over", weight = 3,
      run = function(run)
        run:start(run:session(), "party.join",
          { path = PATH, id = run:one_of(IDS), takeover = true })
      end,
    },
    {
      name = "leave", weight = 4,
      run = function(run)
        run:start(run:session(), "party.leave", { path = PATH, id = run:one_of(IDS) })
      end,
    },
    {
      name = "ask for changes", weight = 6,
      run = function(run)
        local session = run:session()
        changes(run, session, last_answer(run, session), run:one_of { "100ms", "5s", "1h" })
      end,
    },
    { name = "ask for all", weight = 1, run = function(run) changes(run, run:session(), {}) end },
  },
  check = function(run)
    for _, call in ipairs(run:returned("party.changes")) do told(run, call) end
    for _, call in ipairs(run:waiting("party.changes")) do
      if call.session:connected() then waits_for_a_change(run, call) end
    end
  end,
  may_wait = function(_, call) return call.operation == "party.changes" end,
}
