--- The promises of recipes/latch.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local RECIPES = os.getenv("MOONKEEPER_RECIPES") or "recipes"
local PATH = "/jobs/done"

-- Ends one round and begins the next in one transaction, before anybody who waits can look.
local NEXT_ROUND = [[
return { begin = operation {
  doc  = "The last count of round 1, and the first moment of round 2.",
  args = { path = "path" },
  run  = function(call)
    znode.delete(call.args.path .. "/closed")
    znode.set(call.args.path, json.encode { round = 2, count = 1 })
    return znode.create(call.args.path .. "/closed")
  end,
} }
]]

local world, ann, bob, cid

local function new_world()
  world = testkit.world()
  ann, bob, cid = world:session(), world:session(), world:session()
end

local function init(count)
  return ann:call("latch.init", { path = PATH, count = count })
end

local function count_down(session, id, more)
  local arguments = { path = PATH, id = id }
  for name, value in pairs(more or {}) do arguments[name] = value end
  return session:call("latch.count_down", arguments)
end

local function await(session, timeout)
  return session:start("latch.await", { path = PATH, timeout = timeout })
end

describe("latch.init", function()
  before_each(new_world)

  it("closes the latch with a count, in round 1", function()
    local state = init(3)

    assert.are.same({ round = 1, count = 3 }, state)
    assert.are.same({ round = 1, count = 3 }, bob:call("latch.count", { path = PATH }))
  end)

  it("creates the znodes above it as containers, and the latch as one that stays", function()
    init(1)

    assert.is_true(world:znode("/jobs").container)
    assert.is_false(world:znode(PATH).container)
  end)

  it("begins the next round when the count has come to 0", function()
    init(1)
    count_down(bob, "b")

    local state = init(2)

    assert.are.same({ round = 2, count = 2 }, state)
  end)

  it("fails with Conflict while the latch is closed", function()
    init(2)

    local _, name = bob:try("latch.init", { path = PATH, count = 5 })

    assert.are.equal("Conflict", name)
    assert.are.equal(2, ann:call("latch.count", { path = PATH }).count)
  end)

  it("fails with Conflict when the znode holds something else", function()
    ann:create("/jobs")
    ann:create(PATH, "[1, 2]")

    local _, name = ann:try("latch.init", { path = PATH, count = 1 })

    assert.are.equal("Conflict", name)
    assert.are.equal("[1, 2]", world:znode(PATH).data)
  end)

  it("refuses a count below 1 and above 1,000", function()
    local _, zero = ann:try("latch.init", { path = PATH, count = 0 })
    local _, more = ann:try("latch.init", { path = PATH, count = 1001 })

    assert.are.same({ "BadArguments", "BadArguments" }, { zero, more })
  end)

  it("begins again after 1,000 ids were counted", function()
    init(1000)
    for i = 1, 1000 do count_down(bob, "id" .. i) end

    local state = init(1)

    assert.are.same({ round = 2, count = 1 }, state)
    assert.are.same({ PATH .. "/closed" }, world:znodes(PATH))
  end)

  it("fails with NoAuth where the caller may not create", function()
    ann:create("/jobs", "", { acl = "world:anyone:r" })

    local _, name = ann:try("latch.init", { path = PATH, count = 1 })

    assert.are.equal("NoAuth", name)
  end)
end)

describe("latch.count_down", function()
  before_each(new_world)

  it("takes 1 from the count, or as much as it is told", function()
    init(10)

    assert.are.equal(9, count_down(ann, "a").count)
    assert.are.equal(5, count_down(bob, "b", { by = 4 }).count)
  end)

  it("counts each id once in a round, whoever says it", function()
    init(3)
    count_down(ann, "worker")

    local again = count_down(bob, "worker")

    assert.are.same({ round = 1, count = 2 }, again)
  end)

  it("counts an id once more in the next round", function()
    init(1)
    count_down(ann, "worker")
    init(2)

    local state = count_down(ann, "worker")

    assert.are.same({ round = 2, count = 1 }, state)
  end)

  it("counts a session once when no id is given", function()
    init(3)
    ann:call("latch.count_down", { path = PATH })
    ann:call("latch.count_down", { path = PATH })

    local state = bob:call("latch.count_down", { path = PATH })

    assert.are.equal(1, state.count)
  end)

  it("never makes the count less than 0", function()
    init(3)

    assert.are.equal(0, count_down(ann, "a", { by = 5 }).count)
    assert.are.equal(0, count_down(ann, "b").count)
    assert.is_nil(world:znode(PATH .. "/counted-b"))
  end)

  it("keeps what was counted when the session ends", function()
    init(2)
    count_down(bob, "b")

    world:expire(bob)

    assert.are.equal(1, ann:call("latch.count", { path = PATH }).count)
  end)

  it("fails with Conflict when it is told another round than this one", function()
    init(1)
    count_down(ann, "a")
    init(1)

    local _, late = bob:try("latch.count_down", { path = PATH, id = "b", round = 1 })
    local _, early = bob:try("latch.count_down", { path = PATH, id = "b", round = 3 })
    local now = count_down(bob, "b", { round = 2 })

    assert.are.same({ "Conflict", "Conflict" }, { late, early })
    assert.are.same({ round = 2, count = 0 }, now)
  end)

  it("fails with NoNode when there is no latch", function()
    local _, name = ann:try("latch.count_down", { path = PATH, id = "a" })

    assert.are.equal("NoNode", name)
  end)

  it("refuses an id that is not a part of a path", function()
    init(1)

    local _, name = ann:try("latch.count_down", { path = PATH, id = "a/b" })

    assert.are.equal("BadArguments", name)
  end)

  it("fails with NoAuth where the caller may not create", function()
    ann:create("/jobs")
    ann:create(PATH, '{"count":1,"round":1}', { acl = "world:anyone:r" })

    local _, name = ann:try("latch.count_down", { path = PATH, id = "a" })

    assert.are.equal("NoAuth", name)
  end)

  it("counts once, however often it is asked with the same call id, and over fail-overs", function()
    init(3)
    local first = bob:start("latch.count_down", { path = PATH, id = "b", by = 1 })

    world:fail_over()
    local again = bob:retry(first)

    assert.are.same({ round = 1, count = 2 }, again:result())
    assert.are.equal(2, ann:call("latch.count", { path = PATH }).count)
  end)
end)

describe("latch.await", function()
  before_each(new_world)

  it("passes at once when the count is 0", function()
    init(1)
    count_down(ann, "a")

    local passed = bob:call("latch.await", { path = PATH })

    assert.are.equal(1, passed.round)
  end)

  it("waits for ever without a timeout", function()
    init(1)
    local waiting = await(bob)

    world:advance("2h")

    assert.is_true(waiting:waiting())
  end)

  it("passes when the count comes to 0, with a fence larger than that zxid", function()
    init(2)
    local waiting = await(bob)
    count_down(ann, "a")
    local waited = waiting:waiting()

    count_down(cid, "c")

    assert.is_true(waited)
    assert.are.equal(1, waiting:result().round)
    assert.is_true(waiting:result().fence > world:znode(PATH).mzxid)
  end)

  it("fails with Timeout when it was not counted down in time, and not before", function()
    init(1)
    local before = world:znodes()
    local waiting = await(bob, "5s")

    world:advance("4900ms")
    local in_time = waiting:waiting()
    world:advance("200ms")

    assert.is_true(in_time)
    assert.are.equal("Timeout", (waiting:error()))
    assert.are.same(before, world:znodes())
  end)

  it("fails with Lost when somebody deletes the latch", function()
    init(1)
    local waiting = await(bob)

    ann:delete(PATH .. "/closed")

    assert.are.equal("Lost", (waiting:error()))
  end)

  it("passes though the next round has begun before it could look", function()
    world = testkit.world { recipes = RECIPES, sources = { next_round = NEXT_ROUND } }
    ann, bob = world:session(), world:session()
    init(1)
    local waiting = await(bob)

    ann:call("next_round.begin", { path = PATH })

    assert.are.equal(1, waiting:result().round)
    assert.are.same({ round = 2, count = 1 }, ann:call("latch.count", { path = PATH }))
  end)

  it("fails with NoNode when there is no latch", function()
    local _, name = ann:try("latch.await", { path = PATH })

    assert.are.equal("NoNode", name)
  end)

  it("wakes nobody before the count is 0, and then everybody once", function()
    init(3)
    for _ = 1, 10 do await(bob) end
    local before = world:stats().woken

    count_down(ann, "a")
    count_down(ann, "b")
    local early = world:stats().woken - before
    count_down(ann, "c")

    assert.are.equal(0, early)
    assert.are.equal(before + 10, world:stats().woken)
    assert.are.equal(0, world:waiting())
  end)

  it("lets pass in the order in which they began to wait", function()
    init(1)
    local first, second = await(cid), await(bob)

    count_down(ann, "a")

    assert.is_true(first:result().fence < second:result().fence)
  end)

  it("goes on after the leader's death", function()
    init(2)
    local waiting = await(bob)
    count_down(ann, "a")

    world:fail_over()
    local waited = waiting:waiting()
    count_down(cid, "c")

    assert.is_true(waited)
    assert.are.equal(1, waiting:result().round)
  end)

  it("leaves nobody behind, at every proposal of two rounds", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      init(2)
      local waiting = { await(bob), await(cid) }

      local cut = world:fail_over_during(proposals, function()
        count_down(ann, "a")
        count_down(ann, "b")
        init(1)
      end)
      local state = ann:call("latch.count", { path = PATH })
      if state.round == 1 then
        count_down(ann, "a")
        count_down(ann, "b")
      end

      assert.are.same({ 1, 1 }, { waiting[1]:result().round, waiting[2]:result().round })
      return cut
    end)

    assert.is_true(cuts >= 4)
  end)
end)
