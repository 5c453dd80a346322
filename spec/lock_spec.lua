--- The promises of recipes/lock.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local PRINTER = { path = "/locks/printer" }
-- As Curator's InterProcessMutex and kazoo's Lock name their znodes, up to the sequence number.
local CURATOR = "/locks/printer/_c_6f9c1b1e-8f4b-4c0e-9d5e-0f8a5b8c2d11-lock-"
local KAZOO = "/locks/printer/0a1b2c3d4e5f40718293a4b5c6d7e8f9__lock__"

local function release(ticket)
  return { path = "/locks/printer", ticket = ticket }
end

local function within(timeout)
  return { path = "/locks/printer", timeout = timeout }
end

local function number_of(path)
  return tonumber(path:match("%d+$"))
end

local world, ann, bob, cid

local function new_world()
  world = testkit.world()
  ann, bob, cid = world:session("10s"), world:session("10s"), world:session("10s")
end

describe("lock.acquire", function()
  before_each(new_world)

  it("grants a free lock at once", function()
    local held = ann:call("lock.acquire", PRINTER)

    assert.are.equal(ann.id, world:znode(held.ticket).owner)
  end)

  it("creates the lock's znode, and those above it, as containers if they are missing", function()
    ann:call("lock.acquire", PRINTER)

    assert.is_true(world:znode("/locks").container)
    assert.is_true(world:znode("/locks/printer").container)
  end)

  it("leaves a lock's znode as it is if there is one", function()
    ann:create("/locks")
    ann:create("/locks/printer", "in room 12")

    ann:call("lock.acquire", PRINTER)

    assert.is_false(world:znode("/locks/printer").container)
    assert.are.equal("in room 12", world:znode("/locks/printer").data)
  end)

  it("keeps locks of different paths apart", function()
    ann:call("lock.acquire", { path = "/locks/printer" })

    local other = bob:call("lock.acquire", { path = "/locks/scanner" })

    assert.are.equal(bob.id, world:znode(other.ticket).owner)
  end)

  it("waits for ever without a timeout", function()
    ann:call("lock.acquire", PRINTER)
    local second = bob:start("lock.acquire", PRINTER)

    world:advance("2h")

    assert.is_true(second:waiting())
  end)

  it("fails with Timeout when it was not granted in time, and not before", function()
    ann:call("lock.acquire", PRINTER)
    local second = bob:start("lock.acquire", within "10s")

    world:advance("9900ms")
    local in_time = second:waiting()
    world:advance("200ms")

    assert.is_true(in_time)
    assert.are.equal("Timeout", (second:error()))
  end)

  it("takes a timeout in milliseconds, as a number or with a unit", function()
    ann:call("lock.acquire", PRINTER)
    local number = bob:start("lock.acquire", within(250))
    local text = cid:start("lock.acquire", within "250ms")

    world:advance("400ms")

    assert.are.equal("Timeout", (number:error()))
    assert.are.equal("Timeout", (text:error()))
  end)

  it("leaves nothing behind after a timeout", function()
    ann:call("lock.acquire", PRINTER)
    local before = world:znodes()

    bob:start("lock.acquire", within "5s")
    world:advance("6s")

    assert.are.same(before, world:znodes())
    assert.are.equal(0, world:waiting())
  end)

  it("is no longer in danger of its timeout once it is granted", function()
    local held = ann:call("lock.acquire", within "5s")

    world:advance("1h")

    assert.are.equal(ann.id, world:znode(held.ticket).owner)
  end)

  it("fails with NoAuth where the caller may not create", function()
    ann:create("/locks", "", { acl = "world:anyone:r" })

    local held, name = bob:try("lock.acquire", PRINTER)

    assert.is_nil(held)
    assert.are.equal("NoAuth", name)
    assert.are.same({ "/locks" }, world:znodes())
  end)

  it("fails with Lost when somebody deletes its ticket while it waits", function()
    ann:call("lock.acquire", PRINTER)
    local second = bob:start("lock.acquire", PRINTER)

    cid:delete("/locks/printer/lock-0000000001")

    assert.are.equal("Lost", (second:error()))
    assert.are.equal(0, world:waiting())
  end)

  it("grants the lock in the order of asking", function()
    local held = ann:call("lock.acquire", PRINTER)
    local second = bob:start("lock.acquire", PRINTER)
    local third = cid:start("lock.acquire", PRINTER)

    ann:call("lock.release", release(held.ticket))
    local third_waited = third:waiting()
    bob:call("lock.release", release(second:result().ticket))

    assert.is_true(third_waited)
    assert.are.equal(cid.id, world:znode(third:result().ticket).owner)
  end)

  it("closes the gap of a waiter who is cancelled", function()
    local held = ann:call("lock.acquire", PRINTER)
    local second = bob:start("lock.acquire", PRINTER)
    local third = cid:start("lock.acquire", PRINTER)

    second:cancel()
    local third_waited = third:waiting()
    ann:call("lock.release", release(held.ticket))

    assert.are.equal("Cancelled", (second:error()))
    assert.is_true(third_waited)
    assert.are.same({ third:result().ticket }, world:znodes("/locks/printer"))
  end)

  it("closes the gap of a waiter whose time is over", function()
    local held = ann:call("lock.acquire", PRINTER)
    bob:start("lock.acquire", within "1s")
    local third = cid:start("lock.acquire", PRINTER)

    world:advance("2s")
    local third_waited = third:waiting()
    ann:call("lock.release", release(held.ticket))

    assert.is_true(third_waited)
    assert.are.same({ third:result().ticket }, world:znodes("/locks/printer"))
  end)

  it("closes the gap of a waiter whose session ends", function()
    local held = ann:call("lock.acquire", PRINTER)
    bob:start("lock.acquire", PRINTER)
    local third = cid:start("lock.acquire", PRINTER)

    world:expire(bob)
    local third_waited = third:waiting()
    ann:call("lock.release", release(held.ticket))

    assert.is_true(third_waited)
    assert.are.same({ third:result().ticket }, world:znodes("/locks/printer"))
    assert.are.equal(0, world:waiting())
  end)

  it("passes the lock on when its holder's session expires, with a larger fence", function()
    local first = ann:call("lock.acquire", PRINTER)
    local second = bob:start("lock.acquire", PRINTER)

    world:expire(ann)

    assert.is_true(second:result().fence > first.fence)
  end)

  it("passes the lock on when its holder closes the session", function()
    local first = ann:call("lock.acquire", PRINTER)
    local second = bob:start("lock.acquire", PRINTER)

    ann:close()

    assert.is_true(second:result().fence > first.fence)
    assert.are.same({ second:result().ticket }, world:znodes("/locks/printer"))
  end)

  it("lets the holder keep the lock over a lost connection", function()
    local held = ann:call("lock.acquire", PRINTER)
    local second = bob:start("lock.acquire", PRINTER)

    ann:disconnect()
    world:advance("9s")
    ann:reconnect()
    world:advance("9s")

    assert.is_true(second:waiting())
    assert.are.equal(ann.id, world:znode(held.ticket).owner)
  end)

  it("gives every grant a larger fence", function()
    local fences = {}

    for _ = 1, 5 do
      local held = ann:call("lock.acquire", PRINTER)
      ann:call("lock.release", release(held.ticket))
      table.insert(fences, held.fence)
    end

    for i = 2, #fences do
      assert.is_true(fences[i] > fences[i - 1])
    end
  end)

  it("takes the zxid of the grant as its fence", function()
    local held = ann:call("lock.acquire", PRINTER)
    local second = bob:start("lock.acquire", PRINTER)
    local asked = world:stats().zxid

    ann:call("lock.release", release(held.ticket))

    assert.is_true(second:result().fence > asked)
    assert.is_true(second:result().fence <= world:stats().zxid)
  end)

  it("is granted in the transaction that it asks in, if the lock is free", function()
    local held = ann:call("lock.acquire", PRINTER)

    assert.are.equal(world:znode(held.ticket).czxid, held.fence)
  end)

  it("wakes one waiter per release", function()
    local held = ann:call("lock.acquire", PRINTER)
    for _ = 1, 10 do bob:start("lock.acquire", PRINTER) end
    local before = world:stats().woken

    ann:call("lock.release", release(held.ticket))

    assert.are.equal(before + 1, world:stats().woken)
    assert.are.equal(9, world:waiting())
  end)

  it("is not reentrant: who asks twice waits for itself", function()
    local first = ann:call("lock.acquire", PRINTER)

    local second = ann:start("lock.acquire", PRINTER)
    local waited = second:waiting()
    ann:call("lock.release", release(first.ticket))

    assert.is_true(waited)
    assert.is_true(second:result().fence > first.fence)
  end)

  it("gives the first result to who asks again with the same call id", function()
    local first = ann:start("lock.acquire", PRINTER)

    local again = ann:retry(first)

    assert.are.same(first:result(), again:result())
    assert.are.same({ first:result().ticket }, world:znodes("/locks/printer"))
  end)

  it("gives its place in the queue back to who asks again while waiting", function()
    local held = ann:call("lock.acquire", PRINTER)
    local second = bob:start("lock.acquire", PRINTER)
    local third = cid:start("lock.acquire", PRINTER)

    bob:disconnect()
    bob:reconnect()
    local again = bob:retry(second)
    ann:call("lock.release", release(held.ticket))

    assert.are.same(second:result(), again:result())
    assert.is_true(third:waiting())
  end)

  it("waits for the dying ticket of its caller's former session, and does not take it (defect 3)", function()
    local former = ann:call("lock.acquire", PRINTER)
    ann:disconnect()
    local again = world:session("10s")

    local call = again:start("lock.acquire", PRINTER)
    local waited = call:waiting()
    world:expire(ann)

    assert.is_true(waited)
    assert.are.equal(again.id, world:znode(call:result().ticket).owner)
    assert.is_true(call:result().fence > former.fence)
    assert.are.equal("NotOwner", again:refused("lock.release", release(former.ticket)))
  end)

  it("made as a znode with a name of its own is found by its own session alone (defect 4)", function()
    local guard = "/zookeeper/calls/_c_6f9c1b1e-8f4b-4c0e-9d5e-0f8a5b8c2d11-lock.acquire-"
    local options = { ephemeral = true, sequential = true }
    local former = ann:create(guard, '{"path":"/locks/printer"}', options)
    ann:disconnect()
    local again = world:session("10s")

    local found = again:children("/zookeeper/calls")
    local node = again:create(guard, '{"path":"/locks/printer"}', options)
    local waits = again:get(node)
    world:expire(ann)

    assert.are.same({}, found)
    assert.are_not.equal(former, node)
    assert.are.equal('{"state":"waiting"}', waits)
    assert.matches('"state":"done"', (again:get(node)))
    assert.are.equal(again.id, world:znode(world:znodes("/locks/printer")[1]).owner)
  end)

  it("refuses a path that is none", function()
    local held, name = ann:try("lock.acquire", { path = "locks/printer" })

    assert.is_nil(held)
    assert.are.equal("BadArguments", name)
  end)
end)

describe("lock.acquire among client-side recipes", function()
  before_each(new_world)

  for _, client in ipairs { { "Curator", CURATOR }, { "kazoo", KAZOO } } do
    local name, contender = client[1], client[2]

    it("waits for a contender of " .. name .. "'s that came before it", function()
      ann:create("/locks")
      ann:create("/locks/printer")
      local theirs = ann:create(contender, "", { ephemeral = true, sequential = true })
      local ours = bob:start("lock.acquire", PRINTER)

      local waited = ours:waiting()
      ann:delete(theirs)

      assert.is_true(waited)
      assert.are.same({ ours:result().ticket }, world:znodes("/locks/printer"))
    end)

    it("goes before a contender of " .. name .. "'s that came later", function()
      local held = ann:call("lock.acquire", PRINTER)
      local second = bob:start("lock.acquire", PRINTER)
      cid:create(contender, "", { ephemeral = true, sequential = true })

      ann:call("lock.release", release(held.ticket))

      assert.is_false(second:waiting())
    end)

    it("has a sequence number by which " .. name .. " finds the same order", function()
      ann:create("/locks")
      ann:create("/locks/printer")
      local before = ann:create(contender, "", { ephemeral = true, sequential = true })
      local ours = bob:start("lock.acquire", PRINTER)
      local after = cid:create(contender, "", { ephemeral = true, sequential = true })

      ann:delete(before)

      assert.is_true(number_of(before) < number_of(ours:result().ticket))
      assert.is_true(number_of(ours:result().ticket) < number_of(after))
    end)
  end

  it("keeps one order among all three", function()
    ann:create("/locks")
    ann:create("/locks/printer")
    local curator = ann:create(CURATOR, "", { ephemeral = true, sequential = true })
    local ours = bob:start("lock.acquire", PRINTER)
    local kazoo = cid:create(KAZOO, "", { ephemeral = true, sequential = true })
    local last = bob:start("lock.acquire", PRINTER)

    ann:delete(curator)
    bob:call("lock.release", release(ours:result().ticket))
    local last_waited = last:waiting()
    cid:delete(kazoo)

    assert.is_true(last_waited)
    assert.is_false(last:waiting())
  end)

  it("does not wait for children that contend for nothing", function()
    ann:create("/locks")
    ann:create("/locks/printer")
    ann:create("/locks/printer/manual", "how to load paper")

    local held = bob:call("lock.acquire", PRINTER)

    assert.are.equal(bob.id, world:znode(held.ticket).owner)
  end)
end)

describe("lock.release", function()
  before_each(new_world)

  it("returns true and removes the ticket", function()
    local held = ann:call("lock.acquire", PRINTER)

    local released = ann:call("lock.release", release(held.ticket))

    assert.is_true(released)
    assert.are.same({}, world:znodes("/locks/printer"))
  end)

  it("makes whoever asked next the holder before it answers", function()
    local held = ann:call("lock.acquire", PRINTER)
    local second = bob:start("lock.acquire", PRINTER)

    ann:call("lock.release", release(held.ticket))

    assert.is_false(second:waiting())
  end)

  it("fails with NotOwner when the ticket is another session's", function()
    local held = ann:call("lock.acquire", PRINTER)

    local released, name = bob:try("lock.release", release(held.ticket))

    assert.is_nil(released)
    assert.are.equal("NotOwner", name)
    assert.are.equal(ann.id, world:znode(held.ticket).owner)
  end)

  it("fails with NotOwner when the ticket was released before", function()
    local held = ann:call("lock.acquire", PRINTER)
    ann:call("lock.release", release(held.ticket))

    local _, name = ann:try("lock.release", release(held.ticket))

    assert.are.equal("NotOwner", name)
  end)

  it("fails with NotOwner when the ticket is gone with its session", function()
    local held = ann:call("lock.acquire", PRINTER)
    world:expire(ann)

    local _, name = bob:try("lock.release", release(held.ticket))

    assert.are.equal("NotOwner", name)
  end)

  it("fails with NotOwner for an earlier grant's fence, though the ticket's name is it", function()
    local old = ann:call("lock.acquire", PRINTER)
    ann:call("lock.release", release(old.ticket))
    world:advance("3m")
    local new = ann:call("lock.acquire", PRINTER)
    assert.are.equal(old.ticket, new.ticket)

    local _, name = ann:try("lock.release",
      { path = "/locks/printer", ticket = old.ticket, fence = old.fence })

    assert.are.equal("NotOwner", name)
    assert.is_true(ann:call("lock.release",
      { path = "/locks/printer", ticket = new.ticket, fence = new.fence }))
  end)

  it("fails with NotOwner for one of multilock's tickets", function()
    local held = ann:call("multilock.acquire", { paths = { "/locks/printer", "/locks/scanner" } })

    local _, name = ann:try("lock.release", release(held.tickets[1]))

    assert.are.equal("NotOwner", name)
  end)

  it("fails with NotOwner when the ticket is of another lock", function()
    local held = ann:call("lock.acquire", { path = "/locks/scanner" })

    local _, name = ann:try("lock.release", release(held.ticket))

    assert.are.equal("NotOwner", name)
    assert.are.equal(ann.id, world:znode(held.ticket).owner)
  end)

  it("releases once, however often it is asked with the same call id", function()
    local held = ann:call("lock.acquire", PRINTER)
    local first = ann:start("lock.release", release(held.ticket))

    local again = ann:retry(first)

    assert.is_true(first:result())
    assert.is_true(again:result())
  end)
end)

describe("lock.acquire by owner", function()
  before_each(new_world)

  local function acquire(session, owner, options)
    local arguments = { path = "/locks/printer", owner = owner }
    for name, value in pairs(options or {}) do arguments[name] = value end
    return session:start("lock.acquire", arguments)
  end

  it("holds the lock once more for the owner who holds it, with the fence that it had", function()
    local first, second = acquire(ann, "job"):result(), acquire(ann, "job"):result()

    assert.are.equal(1, first.count)
    assert.are.same({ ticket = first.ticket, fence = first.fence, count = 2 }, second)
  end)

  it("is free when it was released as often as it was acquired", function()
    local held = acquire(ann, "job"):result()
    acquire(ann, "job")
    local next = bob:start("lock.acquire", PRINTER)

    local once = ann:call("lock.release", release(held.ticket))
    local next_waited = next:waiting()
    local twice = ann:call("lock.release", release(held.ticket))

    assert.is_false(once)
    assert.is_true(next_waited)
    assert.is_true(twice)
    assert.is_false(next:waiting())
  end)

  it("waits for another owner, and for an owner of that name in another session", function()
    acquire(ann, "job")

    assert.is_true(acquire(ann, "other"):waiting())
    assert.is_true(acquire(bob, "job"):waiting())
  end)

  it("fails with Limit when the owner holds it as often as it may", function()
    acquire(ann, "job", { limit = 2 })
    acquire(ann, "job", { limit = 2 })

    assert.are.equal("Limit", (acquire(ann, "job", { limit = 2 }):error()))
    assert.are.equal(2, ann:call("lock.holder", PRINTER).count)
  end)

  it("counts once for who asks again with one call id", function()
    acquire(ann, "job")
    local second = acquire(ann, "job")

    ann:retry(second)

    assert.are.equal(2, ann:call("lock.holder", PRINTER).count)
  end)

  it("ends with the session, however often it was acquired", function()
    acquire(ann, "job")
    acquire(ann, "job")
    local next = bob:start("lock.acquire", PRINTER)

    world:expire(ann)

    assert.is_false(next:waiting())
  end)
end)

describe("a lock with a lease", function()
  before_each(new_world)

  local LEASED = { path = "/locks/printer", lease = "30s" }

  it("is passed on when the lease is over, and not before, with a larger fence", function()
    local held = ann:call("lock.acquire", LEASED)
    local second = bob:start("lock.acquire", PRINTER)

    world:advance("29s")
    local in_time = second:waiting()
    world:advance("2s")

    assert.is_true(in_time)
    assert.is_true(second:result().fence > held.fence)
    assert.are.same({ second:result().ticket }, world:znodes("/locks/printer"))
  end)

  it("has its time from the grant, not from the asking", function()
    local first = ann:call("lock.acquire", PRINTER)
    local second, third = bob:start("lock.acquire", LEASED), cid:start("lock.acquire", PRINTER)

    world:advance("1m")
    ann:call("lock.release", release(first.ticket))
    world:advance("29s")
    local in_time = third:waiting()
    world:advance("2s")

    assert.is_false(second:waiting())
    assert.is_true(in_time)
    assert.is_false(third:waiting())
  end)

  it("cannot be released when the lease is over, though nobody has asked yet", function()
    local held = ann:call("lock.acquire", LEASED)

    world:advance("31s")

    assert.are.equal("NotOwner", select(2, ann:try("lock.release", release(held.ticket))))
    assert.are.same({}, bob:call("lock.holder", PRINTER))
    assert.is_false(bob:start("lock.acquire", PRINTER):waiting())
  end)

  it("lasts longer when its owner asks again", function()
    local leased = { path = "/locks/printer", lease = "30s", owner = "job" }
    local first = ann:call("lock.acquire", leased)
    local second = bob:start("lock.acquire", PRINTER)

    world:advance("20s")
    local again = ann:call("lock.acquire", leased)
    world:advance("20s")
    local in_time = second:waiting()
    world:advance("11s")

    assert.are.equal(first.ends + 20000, again.ends)
    assert.is_true(in_time)
    assert.is_false(second:waiting())
  end)

  it("has the lease of the first grant, if its owner asks again with another", function()
    local leased = { path = "/locks/printer", lease = "30s", owner = "job" }
    local first = ann:call("lock.acquire", leased)

    local without = ann:call("lock.acquire", { path = "/locks/printer", owner = "job" })
    local other = ann:call("lock.acquire", { path = "/locks/printer", lease = "5s", owner = "job" })

    assert.are.equal(first.ends, without.ends)
    assert.are.equal(first.ends, other.ends)
  end)

  it("has none, if the first grant had none", function()
    ann:call("lock.acquire", { path = "/locks/printer", owner = "job" })

    local again = ann:call("lock.acquire", { path = "/locks/printer", lease = "5s", owner = "job" })

    assert.is_nil(again.ends)
  end)

  it("ends in time over the server's death", function()
    ann:call("lock.acquire", LEASED)
    local second = bob:start("lock.acquire", PRINTER)

    world:advance("20s")
    world:fail_over()
    world:advance("9s")
    local in_time = second:waiting()
    world:advance("2s")

    assert.is_true(in_time)
    assert.is_false(second:waiting())
  end)
end)

describe("a lock with a delay", function()
  before_each(new_world)

  local DELAYED = { path = "/locks/printer", delay = "30s" }

  it("is passed on at once when it is released", function()
    local held = ann:call("lock.acquire", DELAYED)
    local second = bob:start("lock.acquire", PRINTER)

    ann:call("lock.release", release(held.ticket))

    assert.is_false(second:waiting())
  end)

  it("is nobody's for that time when its holder's session ends", function()
    ann:call("lock.acquire", DELAYED)
    local second, third = bob:start("lock.acquire", PRINTER), cid:start("lock.acquire", PRINTER)

    ann:close()
    world:advance("29s")
    local in_time = second:waiting()
    local holder = cid:call("lock.holder", PRINTER)
    world:advance("2s")

    assert.is_true(in_time)
    assert.are.same({}, holder)
    assert.is_false(second:waiting())
    assert.is_true(third:waiting())
  end)

  it("is nobody's for that time when its lease is over", function()
    ann:call("lock.acquire", { path = "/locks/printer", delay = "30s", lease = "10s" })
    local second = bob:start("lock.acquire", PRINTER)

    world:advance("39s")
    local in_time = second:waiting()
    world:advance("2s")

    assert.is_true(in_time)
    assert.is_false(second:waiting())
  end)

  it("counts the time once, whoever waits", function()
    ann:call("lock.acquire", DELAYED)
    local second, third = bob:start("lock.acquire", PRINTER), cid:start("lock.acquire", PRINTER)

    ann:close()
    world:advance("20s")
    second:cancel()
    world:advance("11s")

    assert.is_false(third:waiting())
  end)

  it("lets who asks after the loss wait for that time", function()
    ann:call("lock.acquire", DELAYED)
    ann:close()
    world:advance("10s")
    local second = bob:start("lock.acquire", PRINTER)

    world:advance("29s")
    local in_time = second:waiting()
    world:advance("2s")

    assert.is_true(in_time)
    assert.is_false(second:waiting())
  end)

  it("leaves nothing behind when the next holder wants none", function()
    ann:call("lock.acquire", DELAYED)
    local second = bob:start("lock.acquire", PRINTER)
    ann:close()

    world:advance("31s")

    assert.are.same({ second:result().ticket }, world:znodes("/locks/printer"))
  end)

  it("is refused above 60 s", function()
    local _, name = ann:try("lock.acquire", { path = "/locks/printer", delay = "61s" })

    assert.are.equal("BadArguments", name)
  end)

  it("is kept over the server's death", function()
    ann:call("lock.acquire", DELAYED)
    local second = bob:start("lock.acquire", PRINTER)
    ann:close()

    world:advance("20s")
    world:fail_over()
    local in_time = second:waiting()
    world:advance("11s")

    assert.is_true(in_time)
    assert.is_false(second:waiting())
  end)
end)

describe("lock.revoke", function()
  before_each(new_world)

  local function revoke(session, grace)
    return session:start("lock.revoke", { path = "/locks/printer", reason = "tea", grace = grace })
  end

  it("tells the holder, by its ticket, and returns when it has given the lock up", function()
    local held = ann:call("lock.acquire", PRINTER)
    local second = bob:start("lock.acquire", PRINTER)
    local asked = cid:start("lock.revoke",
      { path = "/locks/printer", reason = "tea", grace = "1m" })

    local told = ann:call("lock.holder", PRINTER).revoke.reason
    local waited = asked:waiting() and second:waiting()
    ann:call("lock.release", release(held.ticket))

    assert.are.equal("tea", told)
    assert.is_true(waited)
    assert.are.same({ ticket = held.ticket, forced = false }, asked:result())
  end)

  it("takes the lock away after the grace, and passes it on with a larger fence", function()
    local held = ann:call("lock.acquire", PRINTER)
    local second = bob:start("lock.acquire", PRINTER)
    local asked = revoke(cid, "10s")

    world:advance("9s")
    local in_time = second:waiting()
    world:advance("2s")

    assert.is_true(in_time)
    assert.are.same({ ticket = held.ticket, forced = true }, asked:result())
    assert.is_true(second:result().fence > held.fence)
    assert.are.equal("NotOwner", select(2, ann:try("lock.release", release(held.ticket))))
  end)

  it("takes the lock away at once without a grace", function()
    ann:call("lock.acquire", PRINTER)

    assert.is_true(revoke(cid):result().forced)

    assert.are.same({}, world:znodes("/locks/printer"))
  end)

  it("does not touch who comes next", function()
    local held = ann:call("lock.acquire", PRINTER)
    local second = bob:start("lock.acquire", PRINTER)
    revoke(cid, "10s")

    ann:call("lock.release", release(held.ticket))
    world:advance("20s")

    assert.are.equal(bob.id, world:znode(second:result().ticket).owner)
  end)

  it("fails with NoNode when nobody holds the lock", function()
    assert.are.equal("NoNode", (revoke(cid):error()))
  end)

  it("fails with NoAuth when the caller may not delete, and the holder keeps the lock", function()
    ann:create("/locks")
    ann:create("/locks/printer", "", { acl = "world:anyone:cr" })
    local held = ann:call("lock.acquire", PRINTER)

    assert.are.equal("NoAuth", (revoke(bob):error()))
    assert.is_not_nil(world:znode(held.ticket))
  end)

  it("asks a holder of Curator's as Curator's Revoker does", function()
    ann:create("/locks")
    ann:create("/locks/printer")
    local theirs = ann:create(CURATOR, "10.0.0.1", { ephemeral = true, sequential = true })

    revoke(bob, "1m")

    assert.are.equal("__REVOKE__", world:znode(theirs).data)
  end)
end)

describe("lock.holder and lock.waiters", function()
  before_each(new_world)

  it("show who holds, and who waits in which order, in pages", function()
    local held = ann:call("lock.acquire", { path = "/locks/printer", owner = "job" })
    for _, session in ipairs { bob, cid, bob } do session:start("lock.acquire", PRINTER) end

    local holder = cid:call("lock.holder", PRINTER)
    local two = cid:call("lock.waiters", { path = "/locks/printer", limit = 2 })
    local rest = cid:call("lock.waiters", { path = "/locks/printer", from = "lock-0000000002" })

    assert.are.same({ ticket = held.ticket, session = ann.id, owner = "job", fence = held.fence,
      count = 1 }, holder)
    assert.are.same({ bob.id, cid.id }, { two[1].session, two[2].session })
    assert.are.same({ { ticket = "/locks/printer/lock-0000000003", session = bob.id } }, rest)
  end)

  it("are empty where nobody asks", function()
    assert.are.same({}, ann:call("lock.holder", PRINTER))
    assert.are.same({}, ann:call("lock.waiters", PRINTER))
  end)
end)

describe("a lock and the leader's death", function()
  it("keeps holder and queue", function()
    new_world()
    local held = ann:call("lock.acquire", PRINTER)
    local second, third = bob:start("lock.acquire", PRINTER), cid:start("lock.acquire", PRINTER)

    world:fail_over()
    local both_waited = second:waiting() and third:waiting()
    ann:call("lock.release", release(held.ticket))

    assert.is_true(both_waited)
    assert.is_true(second:result().fence > held.fence)
    assert.is_true(third:waiting())
  end)

  it("keeps a timeout running", function()
    new_world()
    ann:call("lock.acquire", PRINTER)
    local second = bob:start("lock.acquire", within "5s")

    world:advance("3s")
    world:fail_over()
    world:advance("1s")
    local in_time = second:waiting()
    world:advance("2s")

    assert.is_true(in_time)
    assert.are.equal("Timeout", (second:error()))
  end)

  it("gives one ticket to who asks, at every proposal", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local first

      local cut = world:fail_over_during(proposals, function()
        first = ann:start("lock.acquire", PRINTER)
      end)

      assert.are.same({ first:result().ticket }, world:znodes("/locks/printer"))
      return cut
    end)

    assert.are.equal(1, cuts)
  end)

  it("makes one waiter the holder, in order, at every proposal of a release", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local held = ann:call("lock.acquire", PRINTER)
      local second, third = bob:start("lock.acquire", PRINTER), cid:start("lock.acquire", PRINTER)

      local cut = world:fail_over_during(proposals, function()
        ann:call("lock.release", release(held.ticket))
      end)

      assert.is_true(second:result().fence > held.fence)
      assert.is_true(third:waiting())
      assert.are.equal(2, #world:znodes("/locks/printer"))
      assert.are.equal(1, world:waiting())
      return cut
    end)

    assert.is_true(cuts >= 2)
  end)

  it("makes one waiter the holder, in order, at every proposal of a session's end", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local held = ann:call("lock.acquire", PRINTER)
      local own = ann:start("lock.acquire", PRINTER)
      local second, third = bob:start("lock.acquire", PRINTER), cid:start("lock.acquire", PRINTER)

      local cut = world:fail_over_during(proposals, function() world:expire(ann) end)
      world:expire(ann)

      assert.are.equal("SessionExpired", (own:error()))
      assert.is_true(second:result().fence > held.fence)
      assert.is_true(third:waiting())
      assert.are.equal(2, #world:znodes("/locks/printer"))
      assert.are.equal(1, world:waiting())
      return cut
    end)

    assert.is_true(cuts >= 2)
  end)

  it("leaves no gap, at every proposal of a cancel", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local held = ann:call("lock.acquire", PRINTER)
      local second, third = bob:start("lock.acquire", PRINTER), cid:start("lock.acquire", PRINTER)

      local cut = world:fail_over_during(proposals, function() second:cancel() end)
      if second:waiting() then second:cancel() end
      ann:call("lock.release", release(held.ticket))

      assert.are.equal("Cancelled", (second:error()))
      assert.are.same({ third:result().ticket }, world:znodes("/locks/printer"))
      return cut
    end)

    assert.is_true(cuts >= 1)
  end)

  it("is stood in the way of by nobody who never got an answer and gave up (defect 1)", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local held = ann:call("lock.acquire", PRINTER)
      local second

      local cut = world:fail_over_during(proposals, function()
        second = bob:start("lock.acquire", PRINTER)
      end)
      if second:waiting() then second:cancel() end
      local third = cid:start("lock.acquire", PRINTER)
      ann:call("lock.release", release(held.ticket))

      assert.are.same({ third:result().ticket }, world:znodes("/locks/printer"))
      return cut
    end)

    assert.are.equal(1, cuts)
  end)

  it("leaves nothing behind, at every proposal of a timeout", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local held = ann:call("lock.acquire", PRINTER)
      local second = bob:start("lock.acquire", within "5s")

      local cut = world:fail_over_during(proposals, function() world:advance("6s") end)
      world:advance("6s")

      assert.are.equal("Timeout", (second:error()))
      assert.are.same({ held.ticket }, world:znodes("/locks/printer"))
      assert.are.equal(0, world:waiting())
      return cut
    end)

    assert.are.equal(1, cuts)
  end)

  it("leaves no ticket of one who will not wait, wherever the connection breaks (defect 26)", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local held = ann:call("lock.acquire", PRINTER)
      local attempts = {}

      local cut = world:fail_over_during(proposals, function()
        for i = 1, 3 do
          attempts[i] = bob:start("lock.acquire", within "0ms")
          bob:disconnect()
          bob:reconnect()
        end
      end)
      if not bob:connected() then bob:reconnect() end
      world:advance("200ms")

      for _, attempt in ipairs(attempts) do
        assert.are.equal("Timeout", (attempt:error()))
      end
      assert.are.same({ held.ticket }, world:znodes("/locks/printer"))
      assert.are.equal(0, world:waiting())
      return cut
    end)

    assert.is_true(cuts >= 3)
  end)

  it("keeps one holder and the order, at every proposal of a whole day's work", function()
    testkit.at_every_proposal(function(proposals)
      new_world()
      local order, fences, calls = {}, {}, {}

      local cut = world:fail_over_during(proposals, function()
        for _, session in ipairs { ann, bob, cid } do
          table.insert(calls, session:start("lock.acquire", PRINTER))
        end
        for _, call in ipairs(calls) do
          call.session:call("lock.release", release(call:result().ticket))
        end
      end)
      for _, call in ipairs(calls) do
        local held = call:result()
        table.insert(order, call.session.id)
        table.insert(fences, held.fence)
        call.session:try("lock.release", release(held.ticket))
      end

      for i = 2, #fences do
        assert.is_true(fences[i] > fences[i - 1])
      end
      assert.are.same({}, world:znodes("/locks/printer"))
      assert.are.equal(0, world:waiting())
      return cut
    end)
  end)
end)

describe("the containers of a lock", function()
  before_each(new_world)

  it("stay while somebody holds it or waits for it", function()
    ann:call("lock.acquire", PRINTER)
    local second = bob:start("lock.acquire", PRINTER)

    world:advance("10m")

    assert.is_true(second:waiting())
    assert.is_true(world:znode("/locks/printer").container)
  end)

  it("go when nobody wants it any more, and are made anew for who does, with a larger fence", function()
    local first = ann:call("lock.acquire", PRINTER)
    ann:call("lock.release", release(first.ticket))

    world:advance("3m")
    assert.is_nil(world:znode("/locks"))
    local second = bob:call("lock.acquire", PRINTER)

    assert.is_true(second.fence > first.fence)
    assert.are.same({ second.ticket }, world:znodes("/locks/printer"))
  end)

  it("do not bring back an old ticket of the same name", function()
    local first = ann:call("lock.acquire", PRINTER)
    ann:call("lock.release", release(first.ticket))
    world:advance("3m")
    local second = bob:call("lock.acquire", PRINTER)
    assert.are.equal(first.ticket, second.ticket)

    local ok, problem = ann:try("lock.release", release(first.ticket))

    assert.is_nil(ok)
    assert.matches("NotOwner", tostring(problem))
    assert.are.same({ second.ticket }, world:znodes("/locks/printer"))
  end)

  it("take nobody's place with them, at every proposal while they go and are asked for", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local first = ann:call("lock.acquire", PRINTER)
      ann:call("lock.release", release(first.ticket))
      local second

      local cut = world:fail_over_during(proposals, function()
        world:advance("61s")
        second = bob:start("lock.acquire", PRINTER)
        world:advance("61s")
      end)
      second = second or bob:start("lock.acquire", PRINTER)
      local third = cid:start("lock.acquire", PRINTER)

      assert.is_true(second:result().fence > first.fence)
      bob:call("lock.release", release(second:result().ticket))
      assert.is_true(third:result().fence > second:result().fence)
      return cut
    end)

    assert.is_true(cuts >= 2)
  end)
end)
