--- The promises of recipes/lease.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local PATH = "/leases/report"

local world, ann, bob

local function new_world()
  world = testkit.world()
  ann, bob = world:session("10s"), world:session("10s")
end

local function grant(session, ttl, holder)
  return session:try("lease.grant", { path = PATH, ttl = ttl, holder = holder })
end

local function with(session, what, held)
  return session:try("lease." .. what, { path = PATH, fence = held.fence })
end

local function remaining()
  return ann:call("lease.remaining", { path = PATH }).remaining
end

local function attach(session, held, znode)
  return session:try("lease.attach", { path = PATH, fence = held.fence, znode = znode })
end

local function wait(session)
  return session:start("lease.wait", { path = PATH })
end

describe("lease.grant", function()
  before_each(new_world)

  it("grants a lease that nobody holds, and shows by whom it is held", function()
    local held = grant(ann, "30s", "ann")

    local shown = bob:call("lease.remaining", { path = PATH })

    assert.are.same({ holder = "ann", fence = held.fence, ends = held.ends, remaining = 30000 },
      shown)
  end)

  it("fails with Conflict while it is held, and the holder keeps it", function()
    local held = grant(ann, "30s")

    world:advance("29s")

    assert.are.equal("Conflict", select(2, grant(bob, "30s")))
    assert.are.equal("Conflict", select(2, grant(ann, "30s")))
    assert.is_not_nil(with(ann, "keepalive", held))
  end)

  it("grants one that is over to the next, with a larger fence", function()
    local old = grant(ann, "30s")
    world:advance("31s")

    local new = grant(bob, "30s")

    assert.is_true(new.fence > old.fence)
  end)

  it("fails with NoAuth where the caller may not create", function()
    ann:create("/leases", "", { acl = "world:anyone:r" })

    assert.are.equal("NoAuth", select(2, grant(bob, "30s")))
  end)

  it("outlives its session", function()
    local held = grant(ann, "1m")

    world:expire(ann)

    assert.are.equal("Conflict", select(2, grant(bob, "30s")))
    assert.is_not_nil(with(bob, "keepalive", held))
  end)
end)

describe("lease.keepalive", function()
  before_each(new_world)

  it("lets the lease last its whole ttl again", function()
    local held = grant(ann, "30s")
    world:advance("20s")

    local kept = with(ann, "keepalive", held)
    world:advance("20s")

    assert.are.equal(held.ends + 20000, kept.ends)
    assert.are.equal(10000, remaining())
  end)

  it("without it, what remains only shrinks, over the server's death too", function()
    grant(ann, "30s")
    local before = 30000

    for i = 1, 4 do
      world:advance("5s")
      if i == 2 then world:fail_over() end
      assert.is_true(remaining() < before)
      before = remaining()
    end
  end)

  it("fails with NotOwner when the lease is over, though nobody else has asked", function()
    local held = grant(ann, "30s")

    world:advance("31s")

    assert.are.equal("NotOwner", select(2, with(ann, "keepalive", held)))
    assert.are.equal(0, remaining())
  end)

  it("fails with NotOwner with the fence of an older grant", function()
    local old = grant(ann, "30s")
    world:advance("31s")
    grant(bob, "30s")

    assert.are.equal("NotOwner", select(2, with(ann, "keepalive", old)))
  end)
end)

describe("lease.attach", function()
  before_each(new_world)

  it("has the znode deleted when the lease is revoked", function()
    local held = grant(ann, "30s")
    ann:create("/status", "working")

    assert.is_true(attach(ann, held, "/status"))
    with(ann, "revoke", held)

    assert.is_nil(world:znode("/status"))
    assert.is_nil(world:znode(PATH))
  end)

  it("has the znode deleted with the next grant after the lease is over", function()
    local held = grant(ann, "30s")
    ann:create("/status", "working")
    attach(ann, held, "/status")

    world:advance("31s")
    grant(bob, "30s")

    assert.is_nil(world:znode("/status"))
    assert.are.equal(0, world:znode(PATH).children)
  end)

  it("leaves a later znode of that name alone", function()
    local held = grant(ann, "30s")
    ann:create("/status", "old")
    attach(ann, held, "/status")
    ann:delete("/status")
    bob:create("/status", "new")

    with(ann, "revoke", held)

    assert.are.equal("new", world:znode("/status").data)
  end)

  it("leaves a znode that has children, and one that may not be deleted", function()
    local held = grant(ann, "30s")
    ann:create("/status")
    ann:create("/status/child")
    ann:create("/closed", "", { acl = "world:anyone:cr" })
    ann:create("/closed/status")
    attach(ann, held, "/status")
    attach(ann, held, "/closed/status")

    assert.is_true(with(ann, "revoke", held))

    assert.is_not_nil(world:znode("/status"))
    assert.is_not_nil(world:znode("/closed/status"))
    assert.is_nil(world:znode(PATH))
  end)

  it("fails with NoNode when there is no such znode, NotOwner with another fence", function()
    local held = grant(ann, "30s")
    ann:create("/status")

    assert.are.equal("NoNode", select(2, attach(ann, held, "/nothing")))
    assert.are.equal("NotOwner", select(2, attach(ann, { fence = held.fence - 1 }, "/status")))
  end)

  it("fails with Limit beyond 256, all of which go with the lease", function()
    local held = grant(ann, "1h")
    ann:create("/status")
    for i = 1, 256 do
      ann:create("/status/" .. i)
      attach(ann, held, "/status/" .. i)
    end

    assert.are.equal("Limit", select(2, attach(ann, held, "/status")))
    assert.is_true(with(ann, "revoke", held))
    assert.are.equal(0, world:znode("/status").children)
  end)
end)

describe("lease.revoke", function()
  before_each(new_world)

  it("ends the lease for the next", function()
    local held = grant(ann, "30s")

    assert.is_true(with(ann, "revoke", held))

    assert.is_not_nil(grant(bob, "30s"))
  end)

  it("ends one that is over, too", function()
    local held = grant(ann, "30s")
    world:advance("31s")

    assert.is_true(with(ann, "revoke", held))
    assert.is_nil(world:znode(PATH))
  end)

  it("fails with NotOwner with another's fence, and where there is none", function()
    local old = grant(ann, "30s")
    world:advance("31s")
    local new = grant(bob, "30s")

    assert.are.equal("NotOwner", select(2, with(ann, "revoke", old)))
    with(bob, "revoke", new)
    assert.are.equal("NotOwner", select(2, with(bob, "revoke", new)))
  end)
end)

describe("lease.wait", function()
  before_each(new_world)

  it("returns when the lease is over, with what was attached gone, and not before", function()
    local held = grant(ann, "30s")
    ann:create("/status")
    attach(ann, held, "/status")
    local ended = wait(bob)

    world:advance("29s")
    local in_time = ended:waiting() and world:znode("/status") ~= nil
    world:advance("2s")

    assert.is_true(in_time)
    assert.is_true(ended:result())
    assert.is_nil(world:znode("/status"))
  end)

  it("waits on when the lease is kept alive", function()
    local held = grant(ann, "30s")
    local ended = wait(bob)

    world:advance("20s")
    with(ann, "keepalive", held)
    world:advance("29s")
    local in_time = ended:waiting()
    world:advance("2s")

    assert.is_true(in_time)
    assert.is_true(ended:result())
  end)

  it("returns when the lease is revoked, and granted to another", function()
    local held = grant(ann, "30s")
    local ended = wait(bob)

    with(ann, "revoke", held)
    grant(ann, "30s")

    assert.is_true(ended:result())
    assert.are.equal(30000, remaining())
  end)

  it("returns at once where there is no lease", function()
    assert.is_true(wait(bob):result())
  end)

  it("ends the lease in time though the session that waits has ended", function()
    local held = grant(ann, "1m")
    ann:create("/status")
    attach(ann, held, "/status")
    wait(bob)
    world:expire(bob)

    world:advance("1m")

    assert.is_nil(world:znode("/status"))
    assert.are.equal(0, world:waiting())
  end)
end)

describe("a lease and the server's death", function()
  it("is ended once, as a whole, at every proposal", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local held = grant(ann, "30s")
      ann:create("/status")
      attach(ann, held, "/status")
      local ended = wait(bob)

      local cut = world:fail_over_during(proposals, function() world:advance("31s") end)
      local whole = (world:znode("/status") == nil) == (world:znode(PATH) == nil)
      world:advance("31s")

      assert.is_true(whole)
      assert.is_true(ended:result())
      assert.is_nil(world:znode(PATH))
      return cut
    end)

    assert.is_true(cuts >= 1)
  end)
end)
