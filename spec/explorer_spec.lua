--- The promises of lua/moonkeeper/explore.lua; and its worth: recipes with defects that client-side
-- implementations of them had are found out, by what callers may rely on alone.
local explore = require "moonkeeper.explore"
local contracts = dofile "spec/defects/contracts.lua"

local function text_of(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local function order_of(recipe, path)
  return { sources = { [recipe] = text_of(path) }, invariants = contracts[recipe], steps = 200 }
end

-- How many seeds a defect below spec/defects may take, and how many steps its schedule may have.
local DEFECTS = {
  { number = 1, recipe = "lock", file = "01_lock_orphan", seeds = 2, steps = 4 },
  { number = 5, recipe = "election", file = "05_election_old_path", seeds = 2, steps = 5 },
  { number = 10, recipe = "election", file = "10_election_dead_leader", seeds = 2, steps = 4 },
  { number = 16, recipe = "semaphore", file = "16_semaphore_counted", seeds = 2, steps = 5 },
  { number = 18, recipe = "rwlock", file = "18_rwlock_downgrade", seeds = 3, steps = 4 },
  { number = 21, recipe = "double_barrier", file = "21_double_barrier_counted", seeds = 3, steps = 5 },
  { number = 22, recipe = "double_barrier", file = "22_double_barrier_ready", seeds = 2, steps = 5 },
  { number = 23, recipe = "queue", file = "23_queue_stale_ack", seeds = 3, steps = 6 },
  { number = 24, recipe = "queue", file = "24_queue_lost", seeds = 2, steps = 3 },
  { number = 27, recipe = "rwlock", file = "27_rwlock_deadlock", seeds = 3, steps = 4 },
  { number = 28, recipe = "semaphore", file = "28_semaphore_overfull", seeds = 2, steps = 6 },
}

local RIGHT = { "double_barrier", "election", "lock", "queue", "rwlock", "semaphore" }
local RIGHT_SEEDS = 5

describe("The explorer", function()
  for _, defect in ipairs(DEFECTS) do
    it(("finds (defect %d), %s, and tells it in few steps"):format(defect.number, defect.file),
      function()
        local order = order_of(defect.recipe, "spec/defects/" .. defect.file .. ".lua")

        local failure = explore.seeds(order, 1, defect.seeds)

        assert.is_truthy(failure)
        assert.is_true(#failure.schedule <= defect.steps, tostring(failure))
      end)
  end

  for _, recipe in ipairs(RIGHT) do
    it(("finds nothing in recipes/%s.lua, by the same contract"):format(recipe), function()
      local failure = explore.seeds(order_of(recipe, "recipes/" .. recipe .. ".lua"), 1, RIGHT_SEEDS)

      assert.is_nil(failure, tostring(failure))
    end)
  end
end)

describe("A failure", function()
  local order = order_of("semaphore", "spec/defects/28_semaphore_overfull.lua")

  it("is told in the same words whenever the same seed is taken", function()
    local once, again = explore.seeds(order, 1, 1), explore.seeds(order, 1, 1)

    assert.are.equal(tostring(once), tostring(again))
  end)

  it("is another story with another seed", function()
    assert.are_not.equal(tostring(explore.seeds(order, 1, 1)), tostring(explore.seeds(order, 2, 2)))
  end)

  it("has a schedule that fails when it is replayed, and that needs every one of its steps", function()
    local schedule = explore.seeds(order, 1, 1).schedule

    assert.is_truthy(explore.replay(order, schedule))
    for without = 1, #schedule do
      local rest = {}
      for i, step in ipairs(schedule) do
        if i ~= without then table.insert(rest, step) end
      end
      assert.is_nil(explore.replay(order, rest))
    end
  end)

  it("is shrunk no longer than it is told to", function()
    local failure = explore.run {
      sources = order.sources, invariants = order.invariants, replays = 5,
    }

    assert.are.equal(5, failure.replays)
    assert.is_true(#failure.schedule > 6)
  end)

  it("begins with what does not hold, and ends with the command that repeats it", function()
    local text = tostring(explore.run {
      recipe = "recipes/lock.lua", seed = 3, steps = 20, invariants = {
        actions = {
          {
            name = "ask",
            run = function(run)
              run:start(run:session(), "lock.acquire", { path = "/a/b" })
            end,
          },
        },
        check = function(run)
          if #run.calls > 1 then error("two have asked") end
        end,
      },
    })

    assert.is_truthy(text:match "^[^\n]*: two have asked\n")
    assert.is_truthy(text:match '\n   1%. #1 s%d lock.acquire {"path":"/a/b"}: returns {')
    assert.is_truthy(text:match "\nagain: moonkeeper recipe explore recipes/lock.lua %-%-seed 3 %-%-steps 20$")
  end)
end)

describe("A run", function()
  -- The failure of a schedule of these actions; whatever else of the table is given.
  local function failure_of(actions, rest)
    local invariants = { actions = actions }
    for name, value in pairs(rest or {}) do invariants[name] = value end
    return explore.run { recipe = "recipes/lock.lua", steps = 60, invariants = invariants }
  end

  local function ask(run)
    run:start(run:session(), "lock.acquire", { path = "/a/b" })
  end

  it("finds a call that waits for ever, unless it may", function()
    local failure = failure_of { { name = "ask", run = ask } }
    local allowed = failure_of({ { name = "ask", run = ask } }, { may_wait = function() return true end })

    assert.is_truthy(failure.problem:match "waits, though all is healed and let go")
    assert.is_nil(allowed)
  end)

  it("finds an action that fails, and says which", function()
    local failure = failure_of {
      { name = "look", run = function(run) run:session():get("/nothing") end },
    }

    assert.are.equal("look: NoNode: no such znode", failure.problem)
    assert.are.equal(1, #failure.schedule)
  end)

  it("opens a session for each that ends", function()
    local told = {}
    failure_of({ { name = "ask", run = ask } }, {
      may_wait = function() return true end,
      check = function(run)
        assert(#run.sessions == 4)
        for _, session in ipairs(run.sessions) do assert(session:alive()) end
      end,
      after = function(run)
        told = run.sessions_count
      end,
    })

    assert.is_true(told > 6)
  end)

  it("says so if a failure cannot be repeated, because the invariants remember an earlier run", function()
    local asked = 0
    local failure = failure_of({
      { name = "ask", run = function(run) asked = asked + 1; ask(run) end },
    }, {
      may_wait = function() return true end,
      check = function()
        if asked == 3 then
          asked = 100
          error("three have asked")
        end
      end,
    })

    assert.is_truthy(failure.problem:match "three have asked\nThe same schedule, run again")
  end)

  it("keeps a step that has done something before it found that there is nothing to do", function()
    local failure = failure_of {
      { name = "ask and skip", run = function(run) ask(run); run:skip() end },
    }

    assert.is_truthy(failure.problem:match "waits, though all is healed and let go")
    assert.are.equal(2, #failure.schedule)
  end)

  it("refuses a table of invariants with a field, a fault or an action that makes no sense", function()
    local fine = { name = "ask", run = ask }
    assert.has_error(function() failure_of({ fine }, { chek = print }) end,
      "invariants: there is no field chek")
    assert.has_error(function() failure_of({ fine }, { faults = { explode = 1 } }) end,
      "invariants: there is no fault explode")
    assert.has_error(function() failure_of { fine, fine } end, "invariants: two things are called ask")
    assert.has_error(function() failure_of {} end, "invariants: there are no actions")
  end)
end)
