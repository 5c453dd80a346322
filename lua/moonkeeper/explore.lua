--- Random schedules of a recipe's operations, with faults between and within them, against
-- invariants; and of a schedule that breaks one, the shortest that was found.
--
--   local failure = explore.run { recipe = "recipes/lock.lua", invariants = table, seed = 7 }
--   if failure then print(failure) end
--
-- What an invariants table says is in lua/README.md; what happens in a run is in explore/run.lua.
-- All chance comes from the seed: the same seed is the same schedule, everywhere.
local random = require "moonkeeper.explore.random"
local Run = require "moonkeeper.explore.run"
local shrink = require "moonkeeper.explore.shrink"

local explore = {}

-- A schedule is so short that its traces cost more to make than they save: nearly half of all time.
require("jit").off()

local STEPS = 200 -- of a schedule, unless told
local STEPS_MAX = 100000
local SESSIONS, SESSIONS_MAX = 4, 64
-- Replays while a schedule is shrunk: some seconds. Failures that were looked at needed 50 to 400.
local REPLAYS_MAX = 1000

-- Of a hundred steps so many are faults, and in so many more the server dies in the middle.
local FAULTS_PERCENT, CUTS_PERCENT = 40, 12
-- After how many proposals, at most. A step of one request has one or two, time that passes more.
local CUT_PROPOSALS_MAX = 3

local fault_weights = {
  expire = 3, close = 1, disconnect = 3, reconnect = 4, cancel = 4, retry = 4, advance = 5,
  fail_over = 2,
}

-- Below and above what sessions and containers live.
local TIMES = { "1ms", "100ms", "1s", "5s", "11s", "61s" }

-- ---- The invariants table ----

local fields = {
  sessions = "number", timeout = "string", actions = "table", faults = "table", times = "table",
  recipes = "table", begin = "function", check = "function", finally = "function",
  after = "function", may_wait = "function", outlives = "boolean",
}

local function complain(what, ...)
  error("invariants: " .. what:format(...), 0)
end

local function actions_check(actions)
  local known = {}
  for i, action in ipairs(actions or {}) do
    if type(action.name) ~= "string" or type(action.run) ~= "function" or
      type(action.weight or 1) ~= "number" then
      complain("action %d has to be { name = string, run = function, weight = number }", i)
    end
    if known[action.name] or Run.faults[action.name] then
      complain("two things are called %s", action.name)
    end
    known[action.name] = true
  end
  if not next(known) then complain("there are no actions") end
end

local function faults_completed(faults)
  local complete = {}
  for name in pairs(faults or {}) do
    if not fault_weights[name] then complain("there is no fault %s", name) end
  end
  for name, weight in pairs(fault_weights) do
    complete[name] = faults and faults[name] or weight
  end
  return complete
end

-- Checked, with the defaults of what is absent.
local function completed(invariants)
  for name, value in pairs(invariants) do
    if not fields[name] then complain("there is no field %s", name) end
    if type(value) ~= fields[name] then complain("%s has to be a %s", name, fields[name]) end
  end
  actions_check(invariants.actions)
  local complete = {
    sessions = SESSIONS, timeout = "10s", times = TIMES,
  }
  for name, value in pairs(invariants) do complete[name] = value end
  if complete.sessions < 1 or complete.sessions > SESSIONS_MAX then
    complain("sessions has to be 1 to %d", SESSIONS_MAX)
  end
  complete.faults = faults_completed(invariants.faults)
  return complete
end

-- ---- Running ----

-- Names and weights of what a step may be; faults in the order of their names.
local function choices(invariants)
  local actions, faults = { names = {}, weights = {} }, { names = {}, weights = {} }
  for _, action in ipairs(invariants.actions) do
    table.insert(actions.names, action.name)
    table.insert(actions.weights, action.weight or 1)
  end
  for name, weight in pairs(invariants.faults) do
    if weight > 0 then table.insert(faults.names, name) end
  end
  table.sort(faults.names)
  for i, name in ipairs(faults.names) do faults.weights[i] = invariants.faults[name] end
  return actions, faults
end

local function step_choose(generator, actions, faults)
  local kinds = actions
  if #faults.names > 0 and generator:below(100) <= FAULTS_PERCENT then kinds = faults end
  local step = { name = kinds.names[generator:weighted(kinds.weights)], draws = {} }
  if step.name ~= "fail_over" and generator:below(100) <= CUTS_PERCENT then
    step.cut = generator:below(CUT_PROPOSALS_MAX + 1) - 1
  end
  return step
end

-- Where it was raised if that is known, else what was said without its numbers: two failures of one
-- kind are one failure.
local function kind_of(problem)
  return problem:match("[^%s:]+%.lua:%d+:") or (problem:gsub("%d+", "#"))
end

-- In a new world, `take(run)`, then the end. nil; or what is broken, and its kind.
local function attempt(order, generator, story, take)
  local run = Run.new(order.recipes, order.invariants, generator, story)
  local ok, problem = pcall(take, run)
  local ended = false
  if ok then
    ended = true
    ok, problem = pcall(run.finish, run)
  end
  run:free()
  if ok then return nil end
  problem = tostring(problem)
  return problem, kind_of(problem), ended
end

local function replay(order, steps, story)
  return attempt(order, nil, story, function(run)
    for _, step in ipairs(steps) do run:step(step) end
  end)
end

-- A schedule of the seed's, and how it ended.
local function generate(order)
  local generator = random.new(order.seed)
  local actions, faults = choices(order.invariants)
  local steps = {}
  local problem, kind = attempt(order, generator, nil, function(run)
    for _ = 1, order.steps do
      local step = step_choose(generator, actions, faults)
      table.insert(steps, step)
      if not run:step(step) then table.remove(steps) end
    end
  end)
  return steps, problem, kind
end

-- ---- Failures ----

local Failure = {}
Failure.__index = Failure

--- The whole story, for people.
function Failure:__tostring()
  local lines = {
    self.problem,
    ("seed %d: of %d steps the shortest schedule found has %d (%d replays):"):format(
      self.seed, self.found, #self.schedule, self.replays),
  }
  local number = 0
  for _, line in ipairs(self.story) do
    if line:sub(1, 1) ~= " " then number = number + 1 end
    table.insert(lines, line:sub(1, 1) == " " and "     " .. line
      or ("%4d. %s"):format(number, line))
  end
  table.insert(lines, "again: " .. self.again)
  return table.concat(lines, "\n")
end

local NOT_REPEATABLE = "The same schedule, run again, ends in another way, so it cannot be made"
  .. " shorter: do the invariants remember something outside of run.state, or draw lots themselves?"

local function failure_of(order, steps, problem, kind)
  local found, story = #steps, {}
  local function fails(candidate)
    local _, other = replay(order, candidate)
    return other == kind
  end
  local schedule, replays = steps, 0
  if fails(steps) then
    schedule, replays = shrink.steps(steps, order.replays or REPLAYS_MAX, fails)
    problem = replay(order, schedule, story) or problem
  else
    problem = problem .. "\n" .. NOT_REPEATABLE
    replay(order, schedule, story)
  end
  return setmetatable({
    seed = order.seed, found = found, problem = problem, schedule = schedule, story = story,
    replays = replays, again = order.again,
  }, Failure)
end

-- ---- The door ----

-- What testkit.world() is given.
local function recipes_of(order)
  local recipes = {
    sources = order.sources, recipes = { order.recipe }, servers = order.servers,
  }
  for _, path in ipairs(order.invariants.recipes or {}) do table.insert(recipes.recipes, path) end
  return recipes
end

local function order_completed(order)
  local seed, steps = order.seed or 1, order.steps or STEPS
  if steps < 1 or steps > STEPS_MAX then
    error(("steps have to be 1 to %d"):format(STEPS_MAX), 3)
  end
  return {
    recipes = recipes_of(order), invariants = completed(order.invariants), seed = seed,
    steps = steps, replays = order.replays,
    again = ("moonkeeper recipe explore %s --seed %d --steps %d"):format(
      order.recipe or "FILE", seed, steps)
      .. (order.servers and " --servers " .. order.servers or ""),
  }
end

--- Run one schedule. order.recipe: a file or folder; or .sources: recipes as text, by name;
-- .invariants: a table; .seed: a whole number; .steps: how many, default 200; .servers: in an ensemble
-- of so many, whose leader it is that dies; .replays: how many may shrink a failure.
-- nil if all holds; else a failure, which prints well: .problem, .seed, .schedule (its steps),
-- .story (lines), .again (the command that repeats it).
function explore.run(order)
  local whole = order_completed(order)
  local schedule, problem, kind = generate(whole)
  if problem then return failure_of(whole, schedule, problem, kind) end
end

--- Run one schedule again, as it is in failure.schedule or was written down: what was found once
-- stays a test. nil if all holds; else what does not.
function explore.replay(order, schedule)
  return (replay(order_completed(order), schedule))
end

--- Run the schedules of the seeds first to last, until one fails.
-- progress(seed): called before each, if given. nil, or a failure.
function explore.seeds(order, first, last, progress)
  for seed = first, last do
    if progress then progress(seed) end
    local failure = explore.run {
      recipe = order.recipe, sources = order.sources, invariants = order.invariants,
      steps = order.steps, servers = order.servers, replays = order.replays, seed = seed,
    }
    if failure then return failure end
  end
end

return explore
