--- The promises of recipes/semaphore.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

-- As Curator's InterProcessSemaphoreV2 names its znodes, up to the sequence number.
local CURATOR_LOCK = "/gate/locks/_c_6f9c1b1e-8f4b-4c0e-9d5e-0f8a5b8c2d11-lock-"
local CURATOR_LEASE = "/gate/leases/_c_7a9c1b1e-8f4b-4c0e-9d5e-0f8a5b8c2d11-lease-"
local SEQUENTIAL = { ephemeral = true, sequential = true }

local world, ann, bob, cid

local function new_world(limit)
  world = testkit.world()
  ann, bob, cid = world:session("10s"), world:session("10s"), world:session("10s")
  if limit then ann:call("semaphore.set_limit", { path = "/gate", limit = limit }) end
end

local function acquire(session, permits, options)
  local arguments = { path = "/gate", permits = permits }
  for name, value in pairs(options or {}) do arguments[name] = value end
  return session:start("semaphore.acquire", arguments)
end

local function release(session, held, count)
  local permits = {}
  for i = 1, count or #held.permits do permits[i] = held.permits[i] end
  return session:try("semaphore.release", { permits = permits, fence = held.fence })
end

local function available()
  return ann:call("semaphore.available", { path = "/gate" })
end

describe("semaphore.set_limit", function()
  before_each(function() new_world() end)

  it("makes the semaphore, and says what is left", function()
    local set = ann:call("semaphore.set_limit", { path = "/gate", limit = 3 })

    assert.are.same({ limit = 3, held = 0, remaining = 3 }, set)
    assert.are.equal("3", world:znode("/gate/limit").data)
  end)

  it("keeps the limit though nobody comes for a long time", function()
    ann:call("semaphore.set_limit", { path = "/gate", limit = 3 })

    world:advance("10m")

    assert.are.equal(3, available().limit)
  end)

  it("wakes who waits for the permits that a larger limit gives", function()
    ann:call("semaphore.set_limit", { path = "/gate", limit = 1 })
    acquire(ann)
    local second, third = acquire(bob), acquire(cid)

    ann:call("semaphore.set_limit", { path = "/gate", limit = 2 })

    assert.is_false(second:waiting())
    assert.is_true(third:waiting())
  end)

  it("takes nobody's permits: what is held beyond the limit is a debt", function()
    ann:call("semaphore.set_limit", { path = "/gate", limit = 3 })
    local held = acquire(ann, 3):result()

    local set = ann:call("semaphore.set_limit", { path = "/gate", limit = 1 })
    local second = acquire(bob)
    release(ann, { permits = { held.permits[1], held.permits[2] }, fence = held.fence })
    local waited = second:waiting()
    release(ann, { permits = { held.permits[3] }, fence = held.fence })

    assert.are.same({ limit = 1, held = 3, remaining = -2 }, set)
    assert.is_true(waited)
    assert.is_false(second:waiting())
  end)

  it("refuses a limit below 0 and above 4,000", function()
    for _, limit in ipairs { -1, 4001 } do
      local _, name = ann:try("semaphore.set_limit", { path = "/gate", limit = limit })
      assert.are.equal("BadArguments", name)
    end
  end)
end)

describe("semaphore.add", function()
  before_each(function() new_world(2) end)

  local function add(permits)
    return ann:try("semaphore.add", { path = "/gate", permits = permits })
  end

  it("raises and lowers the limit", function()
    assert.are.same({ limit = 5, held = 0, remaining = 5 }, add(3))
    assert.are.same({ limit = 1, held = 0, remaining = 1 }, add(-4))
  end)

  it("fails with Limit below 0 and above 4,000, and with NoNode without a limit", function()
    assert.are.equal("Limit", select(2, add(-3)))
    assert.are.equal("Limit", select(2, add(3999)))
    assert.are.equal("NoNode", select(2, ann:try("semaphore.add", { path = "/no", permits = 1 })))
    assert.are.equal(2, available().limit)
  end)
end)

describe("semaphore.acquire", function()
  before_each(function() new_world(2) end)

  it("gives permits up to the limit, and says what is left (defect 17, defect 28)", function()
    local first, second, third = acquire(ann), acquire(bob), acquire(cid)

    assert.are.equal(1, first:result().remaining)
    assert.are.equal(0, second:result().remaining)
    assert.is_true(third:waiting())
  end)

  it("gives several permits at once, each a znode of the session's", function()
    local held = acquire(ann, 2):result()

    assert.are.equal(2, #held.permits)
    assert.are_not.equal(held.permits[1], held.permits[2])
    assert.are.equal(ann.id, world:znode(held.permits[2]).owner)
    assert.are.equal(held.fence, world:znode(held.permits[2]).czxid)
  end)

  it("is granted in the order of asking: who wants many is not passed by who wants few", function()
    local first = acquire(ann, 1):result()
    local many, few = acquire(bob, 2), acquire(cid, 1)
    local few_waited = few:waiting()

    release(ann, first)
    local many_first = not many:waiting() and few:waiting()
    release(bob, many:result())

    assert.is_true(few_waited)
    assert.is_true(many_first)
    assert.is_false(few:waiting())
  end)

  it("fails with Limit when it wants more than there can be", function()
    assert.are.equal("Limit", (acquire(ann, 3):error()))
    assert.are.same({ limit = 2, held = 0, remaining = 2 }, available())
  end)

  it("fails with Limit when the limit falls below it while it waits, for the next", function()
    acquire(ann, 1)
    local many, few = acquire(bob, 2), acquire(cid, 1)

    ann:call("semaphore.set_limit", { path = "/gate", limit = 1 })
    ann:close()

    assert.are.equal("Limit", (many:error()))
    assert.is_false(few:waiting())
  end)

  it("fails with NoNode when nobody has set a limit", function()
    local _, name = ann:try("semaphore.acquire", { path = "/elsewhere" })

    assert.are.equal("NoNode", name)
  end)

  it("fails with NoAuth where the caller may not create", function()
    ann:create("/closed", "", { acl = "world:anyone:r" })
    ann:create("/gate/locks", "", { acl = "world:anyone:r" })

    assert.are.equal("NoAuth", (acquire(bob):error()))
  end)

  it("fails with Timeout when not granted in time, and leaves nothing (defect 13)", function()
    acquire(ann, 2)
    local second, third = acquire(bob, 1, { timeout = "5s" }), acquire(cid, 1)

    world:advance("6s")
    local third_waited = third:waiting()
    ann:close()

    assert.are.equal("Timeout", (second:error()))
    assert.is_true(third_waited)
    assert.are.equal(1, #world:znodes("/gate/leases"))
    assert.are.same({}, world:znodes("/gate/locks"))
    assert.is_false(third:waiting())
  end)

  it("fails with Lost when somebody deletes its place in the queue", function()
    acquire(ann, 2)
    local second = acquire(bob)

    cid:delete("/gate/locks/lock-0000000001")

    assert.are.equal("Lost", (second:error()))
  end)

  it("takes one set of permits for who asks twice with one call id (defect 14, defect 15)", function()
    local held = acquire(ann)

    ann:disconnect()
    ann:reconnect()
    local again = ann:retry(held)

    assert.are.same(held:result(), again:result())
    assert.are.equal(1, available().held)
  end)

  it("frees exactly the permits of a session that expires (defect 16)", function()
    acquire(ann, 1)
    acquire(bob, 1)
    local third, fourth = acquire(cid, 1), acquire(cid, 1)

    world:expire(bob)

    assert.is_false(third:waiting())
    assert.is_true(fourth:waiting())
  end)

  it("wakes one waiter per change", function()
    local held = acquire(ann, 2):result()
    for _ = 1, 5 do acquire(bob) end
    local before = world:stats().woken

    release(ann, held, 1)

    assert.is_true(world:stats().woken <= before + 2)
    assert.are.equal(4, world:waiting())
  end)

  it("gives every grant a larger fence", function()
    local first, second = acquire(ann):result(), acquire(bob):result()

    assert.is_true(second.fence > first.fence)
  end)
end)

describe("a permit with a lease", function()
  before_each(function() new_world(2) end)

  it("is free for who waits when its lease is over, and not before", function()
    acquire(ann, 2, { lease = "30s" })
    local second = acquire(bob, 1)

    world:advance("29s")
    local in_time = second:waiting()
    world:advance("2s")

    assert.is_true(in_time)
    assert.is_false(second:waiting())
  end)

  it("is counted as free when its lease is over, though nobody waits", function()
    acquire(ann, 2, { lease = "30s" })

    world:advance("31s")

    assert.are.same({ limit = 2, held = 0, remaining = 2 }, available())
    assert.are.equal(0, acquire(bob, 2):result().remaining)
    assert.are.equal(2, #world:znodes("/gate/leases"))
  end)

  it("is waited for together with others: as many as are needed must be over", function()
    acquire(ann, 1, { lease = "10s" })
    acquire(bob, 1, { lease = "20s" })
    local both = acquire(cid, 2)

    world:advance("11s")
    local waited = both:waiting()
    world:advance("10s")

    assert.is_true(waited)
    assert.are.equal(2, #both:result().permits)
  end)

  it("cannot be released when its lease is over", function()
    local held = acquire(ann, 1, { lease = "10s" }):result()

    world:advance("11s")

    assert.are.equal("NotOwner", select(2, release(ann, held)))
  end)

  it("can be released before", function()
    local held = acquire(ann, 1, { lease = "10s" }):result()

    assert.are.same({ remaining = 2 }, release(ann, held))
  end)

  it("ends with its session, if that ends first", function()
    acquire(ann, 2, { lease = "1h" })
    local second = acquire(bob)

    world:expire(ann)

    assert.is_false(second:waiting())
  end)

  it("ends in time over the server's death", function()
    acquire(ann, 2, { lease = "30s" })
    local second = acquire(bob, 1)

    world:advance("20s")
    world:fail_over()
    world:advance("9s")
    local in_time = second:waiting()
    world:advance("2s")

    assert.is_true(in_time)
    assert.is_false(second:waiting())
  end)
end)

describe("semaphore.acquire that barges", function()
  before_each(function() new_world(3) end)

  it("takes what is left at once, past one who waits for more", function()
    acquire(ann, 2)
    local large = acquire(bob, 2)

    local small = acquire(cid, 1, { barge = true })

    assert.are.equal(0, small:result().remaining)
    assert.is_true(large:waiting())
  end)

  it("is not what happens untold", function()
    acquire(ann, 2)
    acquire(bob, 2)

    assert.is_true(acquire(cid, 1):waiting())
    assert.is_true(acquire(cid, 1, { barge = false }):waiting())
  end)

  it("never takes more than is left, and then waits behind who asked before", function()
    local held = acquire(ann, 3):result()
    local second, third = acquire(bob, 1), acquire(cid, 1, { barge = true })

    release(ann, held, 1)

    assert.is_false(second:waiting())
    assert.is_true(third:waiting())
    assert.are.same({ limit = 3, held = 3, remaining = 0 }, available())
  end)

  it("takes the place of leases that are over", function()
    acquire(ann, 3, { lease = "5s" })
    world:advance("6s")

    local taken = acquire(bob, 2, { barge = true })

    assert.are.equal(1, taken:result().remaining)
  end)

  it("leaves no place in the queue behind", function()
    acquire(ann, 1, { barge = true })

    assert.are.same({}, world:children("/gate/locks") or {})
  end)

  it("fails with Limit for more permits than there are", function()
    assert.are.equal("Limit", ann:refused("semaphore.acquire",
      { path = "/gate", permits = 4, barge = true }))
  end)

  it("takes one set of permits, at every proposal", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world(3)
      acquire(ann, 2)
      acquire(bob, 2)
      local small

      local cut = world:fail_over_during(proposals, function()
        small = acquire(cid, 1, { barge = true })
      end)

      assert.are.equal(1, #small:result().permits)
      assert.are.equal(3, available().held)
      return cut
    end)

    assert.is_true(cuts >= 1)
  end)
end)

describe("semaphore.release", function()
  before_each(function() new_world(3) end)

  it("frees some of the permits, or all", function()
    local held = acquire(ann, 3):result()

    assert.are.same({ remaining = 1 }, release(ann, held, 1))
    assert.are.same({ remaining = 3 },
      release(ann, { permits = { held.permits[2], held.permits[3] }, fence = held.fence }))
  end)

  it("frees a permit once, and none if one of them is free already", function()
    local held = acquire(ann, 2):result()
    release(ann, held, 1)

    assert.are.equal("NotOwner", select(2, release(ann, held)))
    assert.are.equal(1, available().held)
  end)

  it("fails with NotOwner for another session, another fence, a permit named twice", function()
    local held, other = acquire(ann, 1):result(), acquire(ann, 1):result()
    local one = held.permits[1]

    assert.are.equal("NotOwner", select(2, release(bob, held)))
    assert.are.equal("NotOwner",
      select(2, release(ann, { permits = held.permits, fence = other.fence })))
    assert.are.equal("NotOwner",
      select(2, release(ann, { permits = { one, one }, fence = held.fence })))
    assert.are.equal(2, available().held)
  end)

  it("fails with NotOwner for what is no permit", function()
    local held = acquire(ann):result()
    ann:create("/mine", "", { ephemeral = true })

    local _, name = release(ann, { permits = { "/mine" }, fence = held.fence })

    assert.are.equal("NotOwner", name)
  end)
end)

describe("a semaphore among Curator's", function()
  before_each(function() new_world(1) end)

  it("waits for a permit that a client of Curator's holds", function()
    ann:create("/gate/leases")
    local theirs = ann:create(CURATOR_LEASE, "", SEQUENTIAL)
    local ours = acquire(bob)
    local waited = ours:waiting()

    ann:delete(theirs)

    assert.is_true(waited)
    assert.is_false(ours:waiting())
  end)

  it("stays behind a client of Curator's that is first in the queue", function()
    ann:create("/gate/locks")
    local first = ann:create(CURATOR_LOCK, "", SEQUENTIAL)
    local ours = acquire(bob)
    local waited = ours:waiting()

    ann:delete(first)

    assert.is_true(waited)
    assert.is_false(ours:waiting())
  end)

  it("shows no permit to clients of Curator's while it waits", function()
    acquire(ann)
    acquire(bob)

    assert.are.equal(1, #world:znodes("/gate/leases"))
    assert.are.equal(1, #world:znodes("/gate/locks"))
  end)
end)

describe("a semaphore and the server's death", function()
  it("never gives more than the limit, nor loses a permit, at every proposal", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world(2)
      local first = acquire(ann, 2)
      local second, third

      local cut = world:fail_over_during(proposals, function()
        second, third = acquire(bob), acquire(cid, 2)
        release(ann, first:result())
      end)
      second, third = second or acquire(bob), third or acquire(cid, 2)
      release(ann, first:result())

      assert.are.equal(1, #second:result().permits)
      assert.is_true(third:waiting())
      release(bob, second:result())
      assert.are.equal(0, third:result().remaining)
      assert.are.equal(2, #world:znodes("/gate/leases"))
      return cut
    end)

    assert.is_true(cuts >= 3)
  end)
end)
