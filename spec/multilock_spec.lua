--- The promises of recipes/multilock.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local A, B, C = "/locks/a", "/locks/b", "/locks/c"

local world, ann, bob, cid

local function new_world()
  world = testkit.world()
  ann, bob, cid = world:session("10s"), world:session("10s"), world:session("10s")
end

local function lock_all(session, paths, timeout)
  return session:start("multilock.acquire", { paths = paths, timeout = timeout })
end

local function lock_one(session, path)
  return session:start("lock.acquire", { path = path })
end

local function release(session, held)
  return session:try("multilock.release", { tickets = held.tickets, fence = held.fence })
end

local function tickets()
  local all = {}
  for _, path in ipairs { A, B, C } do
    for _, ticket in ipairs(world:znodes(path)) do table.insert(all, ticket) end
  end
  return all
end

describe("multilock.acquire", function()
  before_each(new_world)

  it("grants free locks at once, a ticket for each, in the order of the paths", function()
    local held = lock_all(ann, { B, A }):result()

    assert.are.same({ B .. "/lock-0000000000", A .. "/lock-0000000000" }, held.tickets)
    assert.are.equal(ann.id, world:znode(held.tickets[2]).owner)
  end)

  it("creates the locks' znodes as containers", function()
    lock_all(ann, { A, B })

    assert.is_true(world:znode(A).container and world:znode(B).container)
  end)

  it("waits until the last of them is free", function()
    local one, two = lock_one(bob, A):result(), lock_one(cid, B):result()
    local all = lock_all(ann, { A, B })

    bob:call("lock.release", { path = A, ticket = one.ticket })
    local waited = all:waiting()
    cid:call("lock.release", { path = B, ticket = two.ticket })

    assert.is_true(waited)
    assert.is_false(all:waiting())
  end)

  it("has one fence, larger than each of the locks had before", function()
    local one, two = lock_one(bob, A), lock_one(cid, B)
    local all = lock_all(ann, { A, B })

    bob:close()
    cid:close()

    assert.is_true(all:result().fence > math.max(one:result().fence, two:result().fence))
  end)

  it("keeps its places before those who ask later", function()
    local one = lock_one(bob, A):result()
    local all, later = lock_all(ann, { A, B }), lock_one(cid, B)
    local later_waited = later:waiting()

    bob:call("lock.release", { path = A, ticket = one.ticket })
    release(ann, all:result())

    assert.is_true(later_waited)
    assert.is_false(later:waiting())
  end)

  it("never leaves two sets waiting for each other, whatever the order of their paths", function()
    local first = lock_all(ann, { C }):result()
    local second, third = lock_all(bob, { A, B, C }), lock_all(cid, { C, B, A })

    release(ann, first)
    local third_waited = third:waiting()
    release(bob, second:result())

    assert.is_true(third_waited)
    assert.is_false(third:waiting())
  end)

  it("fails with Timeout when not granted in time, and leaves no ticket behind", function()
    local one = lock_one(bob, B):result()
    local all = lock_all(ann, { A, B, C }, "5s")

    world:advance("6s")

    assert.are.equal("Timeout", (all:error()))
    assert.are.same({ one.ticket }, tickets())
  end)

  it("gives up all its places when it is cancelled", function()
    local one = lock_one(bob, A)
    local all, later = lock_all(ann, { A, B }), lock_one(cid, B)

    all:cancel()

    assert.is_false(later:waiting())
    assert.are.same({ one:result().ticket, later:result().ticket }, tickets())
  end)

  it("fails with BadArguments when a path is named twice, or none, or 65 are", function()
    local many = {}
    for i = 1, 65 do many[i] = "/locks/" .. i end

    assert.are.equal("BadArguments", (lock_all(ann, { A, B, A }):error()))
    assert.are.equal("BadArguments", (lock_all(ann, {}):error()))
    assert.are.equal("BadArguments", (lock_all(ann, many):error()))
    assert.are.same({}, tickets())
  end)

  it("locks 64 paths", function()
    local many = {}
    for i = 1, 64 do many[i] = "/locks/" .. i end

    local held = lock_all(ann, many):result()

    assert.are.equal(64, #held.tickets)
    assert.is_true(release(ann, held))
  end)

  it("takes nothing where it may not take all: NoAuth", function()
    ann:create("/locks")
    ann:create(B, "", { acl = "world:anyone:r" })

    assert.are.equal("NoAuth", (lock_all(bob, { A, B }):error()))
    assert.are.same({}, tickets())
  end)

  it("fails with Lost when somebody deleted one of its tickets, and leaves the others", function()
    local one = lock_one(bob, A)
    local all = lock_all(ann, { A, B })
    cid:delete(B .. "/lock-0000000000")

    bob:close()

    assert.is_false(one:waiting())
    assert.are.equal("Lost", (all:error()))
    assert.are.same({}, tickets())
  end)

  it("passes all locks on when its session expires", function()
    lock_all(ann, { A, B })
    local one, two = lock_one(bob, A), lock_one(cid, B)

    world:expire(ann)

    assert.is_false(one:waiting() or two:waiting())
  end)

  it("wakes a set once for each of its locks, at most", function()
    local one = lock_all(bob, { A, B, C }):result()
    lock_all(ann, { A, B, C })
    local before = world:stats().woken

    release(bob, one)

    assert.is_true(world:stats().woken <= before + 3)
    assert.are.equal(0, world:waiting())
  end)
end)

describe("multilock.release", function()
  before_each(new_world)

  it("releases all of the set", function()
    local held = lock_all(ann, { A, B }):result()
    local one, two = lock_one(bob, A), lock_one(cid, B)

    assert.is_true(release(ann, held))

    assert.is_false(one:waiting() or two:waiting())
  end)

  it("fails with NotOwner for another session, and for what was released before", function()
    local held = lock_all(ann, { A, B }):result()

    assert.are.equal("NotOwner", select(2, release(bob, held)))
    release(ann, held)
    assert.are.equal("NotOwner", select(2, release(ann, held)))
  end)

  it("fails with NotOwner for some of the set, also if they are named twice", function()
    local held = lock_all(ann, { A, B }):result()
    local a = held.tickets[1]

    assert.are.equal("NotOwner", select(2, release(ann, { tickets = { a }, fence = held.fence })))
    assert.are.equal("NotOwner",
      select(2, release(ann, { tickets = { a, a }, fence = held.fence })))
    assert.are.equal(2, #tickets())
  end)

  it("fails with NotOwner for tickets of two sets", function()
    local one, two = lock_all(ann, { A, B }):result(), lock_all(ann, { C, "/locks/d" }):result()

    local mixed = { one.tickets[1], two.tickets[1] }
    local _, name = release(ann, { tickets = mixed, fence = two.fence })

    assert.are.equal("NotOwner", name)
    assert.are.equal(3, #tickets())
  end)

  it("fails with NotOwner for an old fence, though the tickets are named alike", function()
    local old = lock_all(ann, { A, B }):result()
    release(ann, old)
    world:advance("3m")
    local new = lock_all(ann, { A, B }):result()
    assert.are.same(old.tickets, new.tickets)

    assert.are.equal("NotOwner", select(2, release(ann, old)))
    assert.are.equal(2, #tickets())
  end)

  it("returns false if one of the tickets was lost meanwhile, and releases the rest", function()
    local held = lock_all(ann, { A, B }):result()
    cid:delete(held.tickets[1])

    assert.is_false(release(ann, held))

    assert.are.same({}, tickets())
  end)
end)

describe("several locks and the server's death", function()
  it("hold all or nothing, at every proposal", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local first = lock_all(ann, { A, B, C })
      local second, third

      local cut = world:fail_over_during(proposals, function()
        second, third = lock_all(bob, { C, B }), lock_all(cid, { B, A })
        ann:try("multilock.release",
          { tickets = first:result().tickets, fence = first:result().fence })
      end)
      if #world:znodes(A) + #world:znodes(C) > 2 then release(ann, first:result()) end
      second, third = second or lock_all(bob, { C, B }), third or lock_all(cid, { B, A })
      ann:close()

      assert.is_true(second:result().fence > first:result().fence)
      assert.is_true(third:waiting())
      release(bob, second:result())
      assert.is_true(third:result().fence > second:result().fence)
      return cut
    end)

    assert.is_true(cuts >= 3)
  end)
end)
