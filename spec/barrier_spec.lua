--- The promises of recipes/barrier.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local RECIPES = os.getenv("MOONKEEPER_RECIPES") or "recipes"
local GATE = { path = "/jobs/gate" }

-- Removes the barrier and sets another in one transaction, before anybody who waits can look.
local SWAP = [[
return { swap = operation {
  doc  = "Set another barrier in the place of the one at `path`.",
  args = { path = "path" },
  run  = function(call)
    znode.delete(call.args.path)
    return znode.create(call.args.path)
  end,
} }
]]

local world, ann, bob, cid

local function new_world()
  world = testkit.world()
  ann, bob, cid = world:session("10s"), world:session("10s"), world:session("10s")
end

describe("barrier.set", function()
  before_each(new_world)

  it("creates the barrier's znode, which belongs to no session", function()
    local set = ann:call("barrier.set", GATE)

    ann:close()

    assert.is_true(set.set)
    assert.is_false(world:znode("/jobs/gate").container)
    assert.is_nil(world:znode("/jobs/gate").owner)
  end)

  it("creates the znodes above it as containers if they are missing", function()
    ann:call("barrier.set", { path = "/a/b/gate" })

    assert.is_true(world:znode("/a").container)
    assert.is_true(world:znode("/a/b").container)
  end)

  it("says false when the barrier stood already, with its own fence", function()
    local first = ann:call("barrier.set", GATE)

    local second = bob:call("barrier.set", GATE)

    assert.is_false(second.set)
    assert.are.equal(first.fence, second.fence)
  end)

  it("has the zxid of the barrier's creation as its fence", function()
    local set = ann:call("barrier.set", GATE)

    assert.are.equal(world:znode("/jobs/gate").czxid, set.fence)
  end)

  it("fails with NoAuth where the caller may not create", function()
    ann:create("/jobs", "", { acl = "world:anyone:r" })

    local _, name = ann:try("barrier.set", GATE)

    assert.are.equal("NoAuth", name)
  end)
end)

describe("barrier.remove", function()
  before_each(new_world)

  it("says whether there was a barrier", function()
    ann:call("barrier.set", GATE)

    local first, second = bob:call("barrier.remove", GATE), bob:call("barrier.remove", GATE)

    assert.is_true(first)
    assert.is_false(second)
  end)

  it("removes once, however often it is asked with the same call id", function()
    ann:call("barrier.set", GATE)
    local first = ann:start("barrier.remove", GATE)
    ann:call("barrier.set", GATE)

    local again = ann:retry(first)

    assert.is_true(again:result())
    assert.is_true(world:znode("/jobs/gate") ~= nil)
  end)

  it("fails with NotEmpty when there are znodes below it", function()
    ann:call("barrier.set", GATE)
    ann:create("/jobs/gate/note")

    local _, name = ann:try("barrier.remove", GATE)

    assert.are.equal("NotEmpty", name)
  end)

  it("fails with NoAuth where the caller may not delete", function()
    ann:create("/jobs", "", { acl = "world:anyone:rc" })
    ann:call("barrier.set", GATE)

    local _, name = bob:try("barrier.remove", GATE)

    assert.are.equal("NoAuth", name)
  end)
end)

describe("barrier.wait", function()
  before_each(new_world)

  it("passes at once where no barrier stands", function()
    local passed = ann:call("barrier.wait", GATE)

    assert.are.equal(world:stats().zxid, passed.fence)
  end)

  it("waits for ever without a timeout", function()
    ann:call("barrier.set", GATE)
    local wait = bob:start("barrier.wait", GATE)

    world:advance("2h")

    assert.is_true(wait:waiting())
  end)

  it("passes when the barrier is removed, with a larger fence than the barrier's", function()
    local set = ann:call("barrier.set", GATE)
    local wait = bob:start("barrier.wait", GATE)
    local waited = wait:waiting()

    ann:call("barrier.remove", GATE)

    assert.is_true(waited)
    assert.is_true(wait:result().fence > set.fence)
  end)

  it("fails with Timeout when the barrier was not removed in time, and not before", function()
    ann:call("barrier.set", GATE)
    local wait = bob:start("barrier.wait", { path = "/jobs/gate", timeout = "5s" })

    world:advance("4900ms")
    local in_time = wait:waiting()
    world:advance("200ms")

    assert.is_true(in_time)
    assert.are.equal("Timeout", (wait:error()))
    assert.are.same({ "/jobs", "/jobs/gate" }, world:znodes())
  end)

  it("wakes everybody who waits, once", function()
    ann:call("barrier.set", GATE)
    local waits = {}
    for i = 1, 20 do waits[i] = bob:start("barrier.wait", GATE) end
    local before = world:stats().woken

    ann:call("barrier.remove", GATE)

    assert.are.equal(before + 20, world:stats().woken)
    assert.are.equal(0, world:waiting())
  end)

  it("lets pass in the order in which they began to wait", function()
    ann:call("barrier.set", GATE)
    local first, second = cid:start("barrier.wait", GATE), bob:start("barrier.wait", GATE)

    ann:call("barrier.remove", GATE)

    assert.is_true(first:result().fence < second:result().fence)
  end)

  it("is not held by a barrier that is set in the place of the one it met", function()
    world = testkit.world { recipes = RECIPES, sources = { swap = SWAP } }
    ann, bob = world:session(), world:session()
    ann:call("barrier.set", GATE)
    local wait = bob:start("barrier.wait", GATE)

    ann:call("swap.swap", GATE)

    assert.is_false(wait:waiting())
    assert.is_true(world:znode("/jobs/gate") ~= nil)
  end)

  it("is held by the next barrier if it begins to wait after that was set", function()
    ann:call("barrier.set", GATE)
    ann:call("barrier.remove", GATE)
    ann:call("barrier.set", GATE)

    local wait = bob:start("barrier.wait", GATE)

    assert.is_true(wait:waiting())
  end)

  it("is released by a plain delete, as Curator and kazoo remove their barriers", function()
    ann:create("/jobs")
    ann:create("/jobs/gate", "127.0.0.1")
    local wait = bob:start("barrier.wait", GATE)

    cid:delete("/jobs/gate")

    assert.is_false(wait:waiting())
  end)

  it("fails with NoAuth where the caller may not see the barrier", function()
    ann:create("/jobs")
    ann:create("/jobs/gate", "", { acl = "world:anyone:d" })

    local _, name = bob:try("barrier.wait", GATE)

    assert.are.equal("NoAuth", name)
  end)

  it("goes on after the leader's death", function()
    ann:call("barrier.set", GATE)
    local wait = bob:start("barrier.wait", GATE)

    world:fail_over()
    local waited = wait:waiting()
    ann:call("barrier.remove", GATE)

    assert.is_true(waited)
    assert.is_false(wait:waiting())
  end)

  it("leaves nobody behind, at every proposal of a removal (ZOOKEEPER-1011)", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      ann:call("barrier.set", GATE)
      local first, second = bob:start("barrier.wait", GATE), cid:start("barrier.wait", GATE)

      local cut = world:fail_over_during(proposals, function()
        ann:call("barrier.remove", GATE)
      end)
      if world:znode("/jobs/gate") then ann:call("barrier.remove", GATE) end

      assert.is_false(first:waiting())
      assert.is_false(second:waiting())
      return cut
    end)

    assert.is_true(cuts >= 2)
  end)
end)
