--- The promises of recipes/double_barrier.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local RECIPES = os.getenv("MOONKEEPER_RECIPES") or "recipes"
local PATH = "/jobs/map"
-- As Curator's DistributedDoubleBarrier and kazoo's DoubleBarrier name their members.
local CURATOR = PATH .. "/6f9c1b1e-8f4b-4c0e-9d5e-0f8a5b8c2d11"
local KAZOO = PATH .. "/0a1b2c3d4e5f40718293a4b5c6d7e8f9"

-- The last of a round goes and the first of the next comes in one transaction, before anybody who
-- waits can look.
local TURN = [[
return { turn = operation {
  doc  = "Take the last member's ticket, and make one of the next round.",
  args = { path = "path", ticket = "path" },
  run  = function(call)
    znode.delete(call.args.ticket)
    znode.delete(call.args.path .. "/ready")
    return znode.create(call.args.path .. "/member-", { ephemeral = true, sequential = true,
      data = json.encode { round = call.zxid, count = 2, inside = false } })
  end,
} }
]]

local world, ann, bob, cid, dee

local function new_world()
  world = testkit.world()
  ann, bob, cid, dee = world:session(), world:session(), world:session(), world:session()
end

local function of(count, more)
  local arguments = { path = PATH, count = count }
  for name, value in pairs(more or {}) do arguments[name] = value end
  return arguments
end

local function with(ticket, timeout)
  return { path = PATH, ticket = ticket, timeout = timeout }
end

local function enter(session, count, more)
  return session:start("double_barrier.enter", of(count, more))
end

local function leave(call, timeout)
  return call.session:start("double_barrier.leave", with(call:result().ticket, timeout))
end

-- The members of a complete round, all in.
local function round_of(...)
  local calls = {}
  for _, session in ipairs { ... } do
    table.insert(calls, enter(session, select("#", ...)))
  end
  return unpack(calls)
end

local function errors_of(...)
  local names = {}
  for i, call in ipairs { ... } do names[i] = call:error() or "none" end
  return names
end

describe("double_barrier.enter", function()
  before_each(new_world)

  it("holds everybody until the last of a round has come", function()
    local first, second = enter(ann, 3), enter(bob, 3)
    local waited = first:waiting() and second:waiting()

    local third = enter(cid, 3)

    assert.is_true(waited)
    assert.is_false(first:waiting() or second:waiting() or third:waiting())
  end)

  it("lets one in at once where one makes a round", function()
    local only = ann:call("double_barrier.enter", of(1))

    assert.are.equal(ann.id, world:znode(only.ticket).owner)
  end)

  it("creates the barrier's znode as a container if it is missing", function()
    enter(ann, 2)

    assert.is_true(world:znode(PATH).container)
  end)

  it("gives all members of a round its number, and each a ticket of its own", function()
    local first, second = round_of(ann, bob)

    assert.are.equal(first:result().round, second:result().round)
    assert.are.equal(ann.id, world:znode(first:result().ticket).owner)
    assert.are.equal(bob.id, world:znode(second:result().ticket).owner)
  end)

  it("numbers the next round higher, and fences it higher", function()
    local first, second = round_of(ann, bob)
    leave(first)
    leave(second)

    local third, fourth = round_of(bob, cid)

    assert.is_true(third:result().round > first:result().round)
    assert.is_true(third:result().fence > second:result().fence)
    assert.is_true(third:result().fence > first:result().fence)
    assert.are.equal(third:result().round, fourth:result().round)
  end)

  it("numbers a round higher even after the container went in between", function()
    local only = enter(ann, 1)
    leave(only)
    world:advance("3m")
    assert.is_nil(world:znode(PATH))

    local next = enter(ann, 1)

    assert.is_true(next:result().round > only:result().round)
  end)

  it("waits for ever without a timeout", function()
    local first = enter(ann, 2)

    world:advance("2h")

    assert.is_true(first:waiting())
  end)

  it("fails with Timeout when the round was not complete in time, and leaves nothing", function()
    local first = enter(ann, 2, { timeout = "5s" })

    world:advance("4900ms")
    local in_time = first:waiting()
    world:advance("200ms")

    assert.is_true(in_time)
    assert.are.equal("Timeout", (first:error()))
    assert.are.same({}, world:znodes(PATH))
  end)

  it("fails with Limit for whoever comes when the round is complete (defect 22)", function()
    round_of(ann, bob)

    local _, name = cid:try("double_barrier.enter", of(2))

    assert.are.equal("Limit", name)
    assert.are.equal(3, #world:znodes(PATH)) -- two tickets and `ready`
  end)

  it("fails with Limit until the last member of the round has left", function()
    local first = round_of(ann, bob)
    leave(first)

    local _, name = cid:try("double_barrier.enter", of(2))

    assert.are.equal("Limit", name)
  end)

  it("does not count the znode `ready` as a member (defect 22)", function()
    local first = round_of(ann, bob)
    leave(first)
    world:expire(bob)

    local third = enter(cid, 2)

    assert.is_true(third:waiting())
  end)

  it("fails with Conflict for whoever says another count than the others", function()
    local first = enter(ann, 3)

    local _, name, message = bob:try("double_barrier.enter", of(2))

    assert.are.equal("Conflict", name)
    assert.matches("a round of 3", message)
    assert.is_true(first:waiting())
  end)

  it("refuses a count below 1 and above 1,000", function()
    local _, zero = ann:try("double_barrier.enter", of(0))
    local _, more = ann:try("double_barrier.enter", of(1001))

    assert.are.equal("BadArguments", zero)
    assert.are.equal("BadArguments", more)
  end)

  it("lets in 1,000 at once", function()
    local calls = {}
    for i = 1, 1000 do calls[i] = enter(i % 2 == 0 and ann or bob, 1000) end

    assert.are.equal(calls[1]:result().round, calls[1000]:result().round)
    assert.are.equal(0, world:waiting())
  end)

  it("fails with NoAuth where the caller may not create", function()
    ann:create("/jobs", "", { acl = "world:anyone:r" })

    local _, name = ann:try("double_barrier.enter", of(2))

    assert.are.equal("NoAuth", name)
  end)

  it("wakes every member once when the round is complete", function()
    for _ = 1, 9 do enter(ann, 10) end
    local before = world:stats().woken

    enter(bob, 10)

    assert.are.equal(before + 9, world:stats().woken)
  end)

  it("gives its place back to who asks again with the same call id", function()
    local first = enter(ann, 2)

    local again = ann:retry(first)
    enter(bob, 2)

    assert.are.same(first:result(), again:result())
    assert.are.equal(3, #world:znodes(PATH))
  end)
end)

describe("a round that breaks", function()
  before_each(new_world)

  it("fails for all with Lost when a member times out, who is not counted (defect 21)", function()
    local first, second = enter(ann, 3), enter(bob, 3, { timeout = "5s" })
    world:advance("6s")

    local third = enter(cid, 3)

    assert.are.same({ "Lost", "Timeout", "none" }, errors_of(first, second, third))
    assert.is_true(third:waiting())
    assert.are.equal(1, #world:znodes(PATH))
  end)

  it("fails for all with Lost when a member cancels", function()
    local first, second, third = enter(ann, 4), enter(bob, 4), enter(cid, 4)

    second:cancel()

    assert.are.same({ "Lost", "Cancelled", "Lost" }, errors_of(first, second, third))
    assert.are.same({}, world:znodes(PATH))
  end)

  it("fails for all with Lost when a member's session expires", function()
    local first, second, third = enter(ann, 4), enter(bob, 4), enter(cid, 4)

    world:expire(bob)

    assert.are.same({ "Lost", "SessionExpired", "Lost" }, errors_of(first, second, third))
    assert.are.same({}, world:znodes(PATH))
  end)

  it("fails for all with Lost when somebody deletes a ticket", function()
    local first, second = enter(ann, 3), enter(bob, 3)

    cid:delete(PATH .. "/" .. world:children(PATH)[1])

    assert.are.same({ "Lost", "Lost" }, errors_of(first, second))
  end)

  it("is followed by a round with none of its members in it", function()
    local first = enter(ann, 2)
    first:cancel()

    local second = enter(bob, 2)
    local waited = second:waiting()
    local third = enter(cid, 2)

    assert.is_true(waited)
    assert.are.equal(second:result().round, third:result().round)
  end)

  it("does not break when a member who said `replaceable` gives up", function()
    local first = enter(ann, 3)
    local second = enter(bob, 3, { replaceable = true })
    second:cancel()
    local waited = first:waiting()

    local third, fourth = enter(cid, 3), enter(dee, 3)

    assert.is_true(waited)
    assert.are.same({ "none", "Cancelled", "none", "none" },
      errors_of(first, second, third, fourth))
    assert.are.equal(first:result().round, fourth:result().round)
  end)

  it("has one outcome for all, at every proposal of the last one's coming (defect 21)", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local first, second = enter(ann, 3), enter(bob, 3, { timeout = "5s" })
      local third

      local cut = world:fail_over_during(proposals, function() third = enter(cid, 3) end)
      world:advance("6s")

      local lost = first:error() ~= nil
      assert.are.equal(lost, second:error() ~= nil)
      assert.are.equal(lost, third == nil or third:error() ~= nil or third:waiting())
      return cut
    end)

    assert.is_true(cuts >= 3)
  end)

  it("has one outcome for all when the last one comes as another's time ends (defect 21)", function()
    for before_ms = 0, 3 do
      testkit.at_every_proposal(function(proposals)
        new_world()
        local first, second = enter(ann, 3), enter(bob, 3, { timeout = "5s" })
        world:advance(5000 - before_ms)
        local third

        local cut = world:fail_over_during(proposals, function() third = enter(cid, 3) end)
        world:advance("6s")

        local lost = first:error() ~= nil
        assert.are.equal(lost, second:error() ~= nil)
        assert.are.equal(lost, third == nil or third:error() ~= nil or third:waiting())
        return cut
      end)
    end
  end)

  it("has one outcome for all, at every proposal of a member's end", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local first, second, third = enter(ann, 4), enter(bob, 4), enter(cid, 4)

      local cut = world:fail_over_during(proposals, function() world:expire(bob) end)
      world:expire(bob)

      assert.are.same({ "Lost", "SessionExpired", "Lost" }, errors_of(first, second, third))
      assert.are.same({}, world:znodes(PATH))
      assert.are.equal(0, world:waiting())
      return cut
    end)

    assert.is_true(cuts >= 2)
  end)
end)

describe("double_barrier.leave", function()
  before_each(new_world)

  it("holds everybody until the last of the round has left", function()
    local first, second, third = round_of(ann, bob, cid)

    local one, two = leave(first), leave(third)
    local waited = one:waiting() and two:waiting()
    local three = leave(second)

    assert.is_true(waited)
    assert.are.same({ true, true, true }, { one:result(), two:result(), three:result() })
    assert.are.same({}, world:znodes(PATH))
  end)

  it("does not wait for a member whose session has ended (defect 20)", function()
    local first = round_of(ann, bob)
    local one = leave(first)
    local waited = one:waiting()

    world:expire(bob)

    assert.is_true(waited)
    assert.is_true(one:result())
    assert.are.same({}, world:znodes(PATH))
  end)

  it("fails with Timeout in time, and has left all the same (defect 20)", function()
    local first, second = round_of(ann, bob)
    local one = leave(first, "5s")

    world:advance("4900ms")
    local in_time = one:waiting()
    world:advance("200ms")
    local two = leave(second)

    assert.is_true(in_time)
    assert.are.equal("Timeout", (one:error()))
    assert.is_true(two:result())
    assert.are.same({}, world:znodes(PATH))
  end)

  it("fails with NotOwner when the ticket is another's, or has left, or is of elsewhere", function()
    local first, second = round_of(ann, bob)
    local other = cid:call("double_barrier.enter", { path = "/jobs/reduce", count = 1 })

    local _, others = ann:try("double_barrier.leave", with(second:result().ticket))
    local _, elsewhere = cid:try("double_barrier.leave", with(other.ticket))
    leave(first, "1s")
    local _, again = ann:try("double_barrier.leave", with(first:result().ticket))

    assert.are.same({ "NotOwner", "NotOwner", "NotOwner" }, { others, elsewhere, again })
  end)

  it("does not wait for the members of the next round", function()
    world = testkit.world { recipes = RECIPES, sources = { turn = TURN } }
    ann, bob, cid = world:session(), world:session(), world:session()
    local first, second = round_of(ann, bob)
    local one = leave(first)
    local waited = one:waiting()

    cid:call("turn.turn", with(second:result().ticket))

    assert.is_true(waited)
    assert.is_true(one:result())
    assert.are.equal(1, #world:znodes(PATH))
  end)

  it("wakes one leaver for each who leaves, and all with the last one", function()
    local calls = { round_of(ann, bob, cid, dee) }
    leave(calls[1])
    leave(calls[2])
    local before = world:stats().woken

    leave(calls[3])
    local with_one = world:stats().woken - before
    leave(calls[4])

    assert.are.equal(1, with_one)
    assert.are.equal(before + 1 + 3, world:stats().woken)
    assert.are.equal(0, world:waiting())
  end)

  it("clears the way for the next round even if all its members died inside", function()
    round_of(ann, bob)
    world:expire(ann)
    world:expire(bob)

    local third, fourth = round_of(cid, dee)

    assert.are.equal(third:result().round, fourth:result().round)
  end)
end)

describe("double_barrier and the leader's death", function()
  it("keeps those who wait to enter, and those who wait to leave", function()
    new_world()
    local first = enter(ann, 2)
    world:fail_over()
    local second = enter(bob, 2)
    local one = leave(first)

    world:fail_over()
    local waited = one:waiting()
    local two = leave(second)

    assert.is_true(waited)
    assert.is_true(one:result())
    assert.is_true(two:result())
  end)

  it("leaves nobody behind, at every proposal of three whole rounds", function()
    testkit.at_every_proposal(function(proposals)
      new_world()
      local entered, rounds = {}, {}

      local cut = world:fail_over_during(proposals, function()
        for _ = 1, 3 do
          local first, second = round_of(ann, bob)
          table.insert(entered, first)
          table.insert(entered, second)
          leave(first)
          leave(second)
        end
      end)
      for _, call in ipairs(entered) do
        rounds[call:result().round] = (rounds[call:result().round] or 0) + 1
        call.session:start("double_barrier.leave", with(call:result().ticket))
      end

      for _, members in pairs(rounds) do assert.are.equal(2, members) end
      return cut
    end)
  end)
end)

describe("double_barrier among client-side recipes", function()
  before_each(function()
    new_world()
    ann:create("/jobs")
    ann:create(PATH, "127.0.0.1")
  end)

  for client, member in pairs { Curator = CURATOR, kazoo = KAZOO } do
    it("counts " .. client .. "'s members, and shows it when the round is complete", function()
      ann:create(member, "", { ephemeral = true })

      local ours = bob:call("double_barrier.enter", of(2))

      assert.are.equal(bob.id, world:znode(ours.ticket).owner)
      assert.is_true(world:znode(PATH .. "/ready") ~= nil)
    end)

    it("is let in by " .. client .. "'s last member", function()
      local first, second = enter(bob, 3), enter(cid, 3)
      ann:create(member, "", { ephemeral = true })
      local waited = first:waiting()

      ann:create(PATH .. "/ready")

      assert.is_true(waited)
      assert.are.equal(first:result().round, second:result().round)
    end)

    it("waits for " .. client .. "'s members to leave", function()
      ann:create(member, "", { ephemeral = true })
      local ours = enter(bob, 2)
      local out = leave(ours)
      local waited = out:waiting()

      ann:delete(member)

      assert.is_true(waited)
      assert.is_true(out:result())
      assert.is_nil(world:znode(PATH .. "/ready"))
    end)
  end

  it("fails with Limit where they have the places, though nobody has said `ready`", function()
    ann:create(CURATOR, "", { ephemeral = true })
    bob:create(KAZOO, "", { ephemeral = true })

    local _, name = cid:try("double_barrier.enter", of(2))

    assert.are.equal("Limit", name)
  end)

  it("fails with Limit while ours are in, though kazoo has deleted `ready`", function()
    enter(bob, 2)
    ann:create(KAZOO, "", { ephemeral = true })
    ann:create(PATH .. "/ready")
    ann:delete(PATH .. "/ready")
    ann:delete(KAZOO)

    local _, name = cid:try("double_barrier.enter", of(2))

    assert.are.equal("Limit", name)
  end)

  it("counts a member of a strange kind, whatever its znode says", function()
    ann:create(PATH .. "/member-of-mine", "how to load paper", { ephemeral = true })

    local first, second = enter(bob, 3), enter(cid, 3)

    assert.are.equal(first:result().round, second:result().round)
    assert.are.equal("how to load paper", world:znode(PATH .. "/member-of-mine").data)
  end)

  it("leaves in peace when kazoo, as the first to leave, has deleted `ready`", function()
    ann:create(KAZOO, "", { ephemeral = true })
    local ours, other = enter(bob, 3), enter(cid, 3)
    ann:delete(PATH .. "/ready")

    local out = leave(ours)
    ann:delete(KAZOO)
    local waited = out:waiting()
    local last = leave(other)

    assert.is_true(waited)
    assert.is_true(out:result())
    assert.is_true(last:result())
  end)
end)
