--- The promises of recipes/fence.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local world, ann, bob

local function new_world()
  world = testkit.world()
  ann, bob = world:session("10s"), world:session("10s")
end

local function check(session, fence, ticket)
  return session:try("fence.check", { path = "/guards/disk", fence = fence, ticket = ticket })
end

local function acquire(session)
  return session:start("lock.acquire", { path = "/locks/disk" })
end

describe("fence.check", function()
  before_each(new_world)

  it("accepts a fence that grows or stays, and remembers the largest", function()
    assert.is_true(check(ann, 5))
    assert.is_true(check(ann, 5))
    assert.is_true(check(bob, 9007199254740992))

    assert.are.equal("9007199254740992", world:znode("/guards/disk").data)
  end)

  it("fails with NotOwner when a newer holder has been here", function()
    check(bob, 9)

    local _, name = check(ann, 8)

    assert.are.equal("NotOwner", name)
    assert.are.equal("9", world:znode("/guards/disk").data)
  end)

  it("keeps who slept through the end of their session from what the lock protects", function()
    local first, second = acquire(ann):result(), acquire(bob)
    world:expire(ann)
    assert.is_true(check(bob, second:result().fence))

    local _, name = check(bob, first.fence)

    assert.are.equal("NotOwner", name)
  end)

  it("accepts a ticket that is there", function()
    local held = acquire(ann):result()

    assert.is_true(check(bob, held.fence, held.ticket))
  end)

  it("fails with NotOwner when the ticket is gone, and remembers nothing", function()
    local held = acquire(ann):result()
    ann:call("lock.release", { path = "/locks/disk", ticket = held.ticket })

    local _, name = check(ann, held.fence, held.ticket)

    assert.are.equal("NotOwner", name)
    assert.is_nil(world:znode("/guards/disk"))
  end)

  it("fails with NotOwner when the ticket is a later one of the same name", function()
    local old = acquire(ann):result()
    ann:call("lock.release", { path = "/locks/disk", ticket = old.ticket })
    world:advance("3m")
    local new = acquire(bob):result()
    assert.are.equal(old.ticket, new.ticket)

    local _, name = check(ann, old.fence, old.ticket)

    assert.are.equal("NotOwner", name)
  end)

  it("fails with Conflict when the znode holds something else", function()
    ann:create("/guards")
    ann:create("/guards/disk", "a poem")

    local _, name = check(ann, 5)

    assert.are.equal("Conflict", name)
    assert.are.equal("a poem", world:znode("/guards/disk").data)
  end)

  it("fails with NoAuth where the caller may not write", function()
    ann:create("/guards", "", { acl = "world:anyone:r" })

    local _, name = check(ann, 5)

    assert.are.equal("NoAuth", name)
  end)

  it("refuses what can be no fence", function()
    local _, name = check(ann, 0)

    assert.are.equal("BadArguments", name)
  end)

  it("remembers over the server's death", function()
    check(bob, 9)

    world:fail_over()

    assert.are.equal("NotOwner", select(2, check(ann, 8)))
  end)
end)

describe("fence.write", function()
  before_each(new_world)

  local function write(fence, data)
    return ann:try("fence.write",
      { path = "/guards/disk", fence = fence, target = "/disk/label", data = data })
  end

  it("writes, and returns the version", function()
    assert.are.equal(0, write(5, "one"))
    assert.are.equal(1, write(5, "two"))

    assert.are.equal("two", world:znode("/disk/label").data)
  end)

  it("writes nothing with an old fence", function()
    write(9, "new")

    local _, name = write(8, "old")

    assert.are.equal("NotOwner", name)
    assert.are.equal("new", world:znode("/disk/label").data)
  end)

  it("remembers no fence of a write that fails", function()
    ann:create("/disk", "", { acl = "world:anyone:r" })

    local _, name = write(5, "one")

    assert.are.equal("NoAuth", name)
    assert.is_nil(world:znode("/guards/disk"))
  end)
end)

describe("fence.newest", function()
  before_each(new_world)

  it("is the largest fence seen, 0 if none", function()
    local none = ann:call("fence.newest", { path = "/guards/disk" })
    check(bob, 9)

    assert.are.equal(0, none)
    assert.are.equal(9, ann:call("fence.newest", { path = "/guards/disk" }))
  end)
end)
