--- One run of a schedule: a world with sessions, the calls they made, and what goes wrong.
--
-- A step is { name, draws, cut }: an action of the author's or a fault of ours; the numbers that it
-- drew, in order; and, if the server dies in its middle, after how many proposals. While a schedule
-- is made, draws come from the generator and are kept in the step; when it is replayed they come
-- from the step, made to fit if there is less to choose from, and 1 when there are no more. So a
-- step means nearly the same after others have been taken away: what shrinking needs.
local testkit = require "moonkeeper.testkit"
local native = require "moonkeeper_testkit"

local Run = {}
Run.__index = Run

-- A call that ended so many calls ago is not asked again: any client has its answer by then.
local RETRIED_CALLS = 16
-- Values longer than this are cut short in a story.
local VALUE_BYTES = 160

-- Raised by a step that has nothing to do.
local SKIP = setmetatable({}, { __tostring = function() return "skipped" end })

-- ---- Chance ----

--- A whole number from 1 to n; 1 is what shrinking tends to.
function Run:random(n)
  self.drawn = self.drawn + 1
  local draw = self.draws[self.drawn]
  if not draw then
    draw = self.generator and self.generator:below(n) or 1
    self.draws[self.drawn] = draw
  end
  return (draw - 1) % n + 1
end

--- One of a list; the step is skipped if it is empty.
function Run:one_of(list)
  if #list == 0 then self:skip() end
  return list[self:random(#list)]
end

--- True with probability p, from 0 to 1.
function Run:chance(p)
  return self:random(1000) > 1000 - 1000 * p
end

--- End this step: there is nothing for it to do.
function Run:skip()
  error(SKIP, 0)
end

-- ---- Sessions and calls ----

-- One of the sessions that fit. They keep their seats, so the same draw means the same one if it
-- fits, whatever became of the others.
local function seated(run, fits)
  local first = run:random(#run.sessions)
  for i = 0, #run.sessions - 1 do
    local session = run.sessions[(first - 1 + i) % #run.sessions + 1]
    if fits(session) then return session end
  end
  run:skip()
end

local function is_connected(session) return session:connected() end

local function session_open(run, seat)
  local session = run.world:session(run.invariants.timeout)
  run.sessions_count = run.sessions_count + 1
  session.name = "s" .. run.sessions_count
  run.sessions[seat] = session
end

--- A session that lives and is connected.
function Run:session()
  return seated(self, is_connected)
end

local function value_text(value)
  if type(value) == "table" and next(value) == nil then return "{}" end
  local ok, text = pcall(native.encode, value)
  text = ok and text or tostring(value)
  return #text <= VALUE_BYTES and text or text:sub(1, VALUE_BYTES) .. "…"
end

local function outcome_text(call)
  if call:waiting() then return "waits" end
  if call:error() then return "fails with " .. (call:error()) end
  return "returns " .. value_text(call.value)
end

--- A line of the story that a failure tells; nothing at other times.
function Run:note(text)
  if self.story then table.insert(self.story, text) end
end

--- Make a call and keep it in run.calls. It may wait, and the server may die while it is made, so
-- what comes of it is seen in the calls, by the next step or check.
function Run:start(session, operation, arguments)
  local before = self.world:stats().zxid
  local call = session:start(operation, arguments)
  table.insert(self.calls, call)
  call.number = #self.calls
  call.logged = self.world:stats().zxid ~= before
  if call.ended and not call.failure and not call.logged and not self.world:dark() then
    self.reading[operation] = true
  end
  if self.story then
    call.told = not call:waiting()
    self:note(("#%d %s %s %s: %s"):format(call.number, session.name, operation,
      value_text(arguments or {}), outcome_text(call)))
  end
  return call
end

--- The calls of an operation that have returned, in the order of asking; of `session`, if given.
function Run:returned(operation, session)
  local found = {}
  for _, call in ipairs(self.calls) do
    if call.operation == operation and (not session or call.session == session) and
      not call:waiting() and not call.failure then
      table.insert(found, call)
    end
  end
  return found
end

--- The calls of living sessions that wait, in the order of asking; of an operation, if given.
-- Those of a session that is not connected may have ended without its knowing.
function Run:waiting(operation)
  local found = {}
  for _, call in ipairs(self.calls) do
    if (not operation or call.operation == operation) and call:waiting() then
      table.insert(found, call)
    end
  end
  return found
end

-- ---- Exactly once ----

-- True if the server keeps this call's outcome, so that asking again must give the same.
local function is_kept(run, call)
  if call:waiting() or run.reading[call.operation] then return false end
  return call.logged or not call.failure
end

local function same_outcome(one, other)
  if one.failure or other.failure then
    return one.failure and other.failure and one.failure.error == other.failure.error
  end
  return value_text(one.value) == value_text(other.value) and
    (one.value == nil) == (other.value == nil)
end

local function ask_again(run, call)
  local first = is_kept(run, call) and call or nil
  local again = call.session:retry(call)
  if first then table.insert(run.repeated, { first = first, again = again }) end
  return again
end

-- Whatever was asked again has given the first outcome, or its session does not know yet.
local function repeated_check(run)
  local unknown = {}
  for _, pair in ipairs(run.repeated) do
    local first, again = pair.first, pair.again
    if again.session.ended then
      -- Nobody can ask any more.
    elseif again:waiting() and not again.session:connected() then
      table.insert(unknown, pair)
    elseif again:waiting() or not same_outcome(first, again) then
      error(("exactly once: #%d %s, asked again with its id, %s, and not as before: it %s"):format(
        first.number, first.operation, outcome_text(again), outcome_text(first)), 0)
    end
  end
  run.repeated = unknown
end

-- A recipe that raises an error of Lua's, or runs out of its budget, has a defect whatever else holds.
local function no_defect(run)
  for _, call in ipairs(run.calls) do
    local name, message = call:error()
    if name == "RecipeError" or name == "Budget" then
      error(("#%d %s fails: %s: %s"):format(call.number, call.operation, name, message), 0)
    end
  end
end

-- ---- Faults ----

local faults = {}

function faults.expire(run)
  local session = seated(run, function(one) return not one.ended end)
  run:note(session.name .. " expires")
  run.world:expire(session)
end

function faults.close(run)
  local session = run:session()
  run:note(session.name .. " closes")
  session:close()
end

function faults.disconnect(run)
  local session = run:session()
  run:note(session.name .. " loses its connection")
  session:disconnect()
end

function faults.reconnect(run)
  local session = seated(run, function(one) return not one:connected() end)
  run:note(session.name .. " connects again")
  session:reconnect()
end

function faults.cancel(run)
  local waiting = {}
  for _, call in ipairs(run:waiting()) do
    if call.session:connected() then table.insert(waiting, call) end
  end
  local call = run:one_of(waiting)
  run:note(("#%d is cancelled"):format(call.number))
  call:cancel()
end

function faults.retry(run)
  local known = {}
  for i = math.max(1, #run.calls - RETRIED_CALLS + 1), #run.calls do
    if run.calls[i].session:connected() then table.insert(known, run.calls[i]) end
  end
  local call = run:one_of(known)
  run:note(("#%d is asked again"):format(call.number))
  ask_again(run, call)
end

function faults.advance(run)
  local duration = run:one_of(run.invariants.times)
  run:note("time passes: " .. duration)
  run.world:advance(duration)
end

function faults.fail_over(run)
  run:note("the server dies, its successor goes on")
  run.world:fail_over()
end

--- Name to function, of every fault.
Run.faults = faults

-- ---- Steps ----

-- Sessions that have ended know it, and others take their seats.
local function bury(run)
  for seat, session in ipairs(run.sessions) do
    if session.ended or not session:alive() then
      session.ended = true
      session_open(run, seat)
    end
  end
end

-- What has become of calls since the last line of the story.
local function changes_note(run)
  if not run.story then return end
  for _, call in ipairs(run.calls) do
    if not call.told and not call:waiting() then
      call.told = true
      run:note(("  #%d of %s %s"):format(call.number, call.session.name, outcome_text(call)))
    end
  end
end

-- The client is not there to do it, which is no mistake of the author's.
local function is_absent(problem)
  return type(problem) == "table" and
    (problem.error == "ConnectionLoss" or problem.error == "SessionExpired")
end

local function checked(run, what, check, ...)
  if not check then return end
  run.draws, run.drawn = {}, 0
  local ok, problem = pcall(check, run, ...)
  if not ok and problem ~= SKIP then error(what .. tostring(problem), 0) end
end

-- What has to hold between any two steps.
local function world_check(run)
  bury(run)
  changes_note(run)
  no_defect(run)
  repeated_check(run)
  local generator = run.generator
  run.generator = nil -- what checks look at is no part of the schedule
  checked(run, "", run.invariants.check)
  run.generator = generator
end

-- As run.world:fail_over_during(), with its line in the story.
local function cut_during(run, proposals, act)
  local at = run.story and #run.story + 1
  local cut = run.world:fail_over_during(proposals, act)
  if at and cut then
    table.insert(run.story, at, ("the server dies when %d proposals of what follows are logged")
      :format(proposals))
  end
end

--- Take one step and check. False: there was nothing to do, and nothing has been done. Raises what
-- is broken.
function Run:step(step)
  local act = faults[step.name] or self.actions[step.name]
  local calls, zxid = #self.calls, self.world:stats().zxid
  self.draws, self.drawn = step.draws, 0
  local ok, problem
  if step.cut then
    ok, problem = pcall(cut_during, self, step.cut, function() act(self) end)
  else
    ok, problem = pcall(act, self)
  end
  if not ok and problem ~= SKIP and not is_absent(problem) then
    error(("%s: %s"):format(step.name, tostring(problem)), 0)
  end
  local done = ok or step.cut or #self.calls > calls or self.world:stats().zxid > zxid
  world_check(self)
  return done
end

-- ---- The end ----

local function heal(run)
  for _, session in ipairs(run.sessions) do
    if not session:connected() then session:reconnect() end
  end
  world_check(run)
end

local function nobody_waits(run)
  for _, call in ipairs(run:waiting()) do
    local may_wait = run.invariants.may_wait
    if not (may_wait and may_wait(run, call)) then
      error(("#%d %s of %s waits, though all is healed and let go"):format(call.number,
        call.operation, call.session.name), 0)
    end
  end
end

local function everything_again(run)
  for _, call in ipairs(run.calls) do
    if call.session:connected() and is_kept(run, call) then ask_again(run, call) end
  end
  repeated_check(run)
end

local function nothing_left(run)
  for _, session in ipairs(run.sessions) do session:close() end
  if not run.invariants.outlives and run.world:waiting() > 0 then
    error(("%d calls wait, though every session has ended"):format(run.world:waiting()), 0)
  end
  for _, path in ipairs(run.world:znodes()) do
    local owner = run.world:znode(path).owner
    if owner then error(path .. " is left of " .. owner .. ", though every session has ended", 0) end
  end
end

--- Heal, let go, and check that nobody waits for ever and nothing is left behind.
function Run:finish()
  self.generator = nil
  self:note("all connect again")
  heal(self)
  if self.invariants.finally then
    self:note("all let go")
    checked(self, "finally: ", self.invariants.finally)
    world_check(self)
  end
  nobody_waits(self)
  everything_again(self)
  nothing_left(self)
  checked(self, "after: ", self.invariants.after)
end

--- Begin a run in testkit.world(recipes). `invariants` are complete. generator: for a new schedule.
-- story: a list for lines.
function Run.new(recipes, invariants, generator, story)
  local run = setmetatable({
    world = testkit.world(recipes), invariants = invariants, sessions = {},
    sessions_count = 0, calls = {}, repeated = {}, reading = {}, state = {}, actions = {},
    draws = {}, drawn = 0, story = story,
  }, Run)
  for _, action in ipairs(invariants.actions) do run.actions[action.name] = action.run end
  for seat = 1, invariants.sessions do session_open(run, seat) end
  checked(run, "begin: ", invariants.begin)
  run.generator = generator
  return run
end

--- Give the world back at once: the collector does not know how large it is.
function Run:free()
  self.world:free()
end

return Run
