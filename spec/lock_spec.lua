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

-- `scenario(proposals)`, each on a new world, until the power no longer goes before it is through.
local function at_every_proposal(scenario)
  local proposals = 0
  while scenario(proposals) do
    proposals = proposals + 1
  end
  return proposals
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
    local cuts = at_every_proposal(function(proposals)
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
    local cuts = at_every_proposal(function(proposals)
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
    local cuts = at_every_proposal(function(proposals)
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
    local cuts = at_every_proposal(function(proposals)
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

  it("leaves nothing behind, at every proposal of a timeout", function()
    local cuts = at_every_proposal(function(proposals)
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

  it("keeps one holder and the order, at every proposal of a whole day's work", function()
    at_every_proposal(function(proposals)
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
    local cuts = at_every_proposal(function(proposals)
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
