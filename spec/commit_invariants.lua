--- What holds of recipes/commit.lua whatever happens.
local PATH = "/transactions/7"
local IDS = { "a", "b", "c" }

-- { number, outcome, votes, open }; nil if there is none.
local function transaction(run)
  local znode = run.world:znode(PATH)
  if not znode then return nil end
  local state = {
    number = znode.czxid, outcome = znode.data:match('"outcome":"(%a+)"'), votes = {},
    open = run.world:znode(PATH .. "/open") ~= nil,
  }
  for id, fence in znode.data:match('"votes":(%b{})'):gmatch('"(%a+)":(%d+)') do
    state.votes[id] = tonumber(fence)
  end
  return state
end

local function decided_once(run, state)
  local before = run.state[state.number]
  if before and before ~= state.outcome then
    error("a transaction was " .. before .. ", and is " .. state.outcome)
  end
  if state.outcome ~= "open" then run.state[state.number] = state.outcome end
  if state.open ~= (state.outcome == "open") then
    error("`open` says another thing than the data")
  end
end

local function committed_by_all(state)
  if state.outcome ~= "committed" then return end
  for _, id in ipairs(IDS) do
    if not state.votes[id] then error("it is committed, and " .. id .. " has not voted") end
  end
end

-- While somebody waits, all who have voted live.
local function waits_for_a_reason(run, state)
  for _, call in ipairs(run:waiting("commit.outcome")) do
    if call.session:connected() then
      if not state or state.outcome ~= "open" then
        error(call.session.name .. " waits, and it is decided")
      end
      for id, fence in pairs(state.votes) do
        local vote = run.world:znode(PATH .. "/vote-" .. id)
        if not vote or vote.czxid ~= fence then
          error(call.session.name .. " waits, and the voter " .. id .. " has died")
        end
      end
    end
  end
end

-- One decision has one fence, and one outcome.
local function same_for_all(run)
  for _, call in ipairs(run:returned("commit.outcome")) do
    local answer = call:result()
    local known = run.state["decision " .. answer.fence]
    if known and known ~= answer.outcome then error("two were told different outcomes") end
    run.state["decision " .. answer.fence] = answer.outcome
  end
end

local function vote(run, id, yes)
  run:start(run:session(), "commit.vote", { path = PATH, id = id, yes = yes })
end

return {
  sessions = 4,
  actions = {
    {
      name = "begin", weight = 4,
      run = function(run)
        run:start(run:session(), "commit.begin",
          { path = PATH, participants = IDS, within = run:one_of { "5s", "1m" } })
      end,
    },
    {
      name = "vote yes", weight = 12,
      run = function(run) vote(run, run:one_of(IDS), true) end,
    },
    {
      name = "vote no", weight = 1,
      run = function(run) vote(run, run:one_of(IDS), false) end,
    },
    {
      name = "wait for the outcome", weight = 5,
      run = function(run)
        run:start(run:session(), "commit.outcome",
          { path = PATH, timeout = run:one_of { "1s", "1h" } })
      end,
    },
    {
      name = "acknowledge", weight = 8,
      run = function(run)
        run:start(run:session(), "commit.acknowledge", { path = PATH, id = run:one_of(IDS) })
      end,
    },
  },
  faults = { expire = 2, close = 1, disconnect = 2, reconnect = 4, cancel = 2, retry = 3,
    advance = 2, fail_over = 2 },
  check = function(run)
    local state = transaction(run)
    if state then
      decided_once(run, state)
      committed_by_all(state)
    end
    waits_for_a_reason(run, state)
    same_for_all(run)
  end,
  finally = function(run)
    for _, id in ipairs(IDS) do vote(run, id, false) end
  end,
}
