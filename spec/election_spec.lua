--- The promises of recipes/election.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

-- As Curator's LeaderLatch and kazoo's Election name their znodes, up to the sequence number.
local CURATOR = "/office/_c_6f9c1b1e-8f4b-4c0e-9d5e-0f8a5b8c2d11-latch-"
local KAZOO = "/office/0a1b2c3d4e5f40718293a4b5c6d7e8f9__lock__"

local world, ann, bob, cid

local function new_world()
  world = testkit.world()
  ann, bob, cid = world:session("10s"), world:session("10s"), world:session("10s")
end

local function campaign(session, value, timeout)
  return session:start("election.campaign", { path = "/office", value = value, timeout = timeout })
end

local function leader()
  return ann:call("election.leader", { path = "/office" }).leader
end

local function resign(session, elected, handover_to)
  return session:start("election.resign",
    { ticket = elected.ticket, fence = elected.fence, handover_to = handover_to })
end

-- A number that sorts as Curator and kazoo sort: who has the smallest leads, for them.
local function first_for_others()
  local names = world:children("/office")
  table.sort(names, function(a, b) return a:match("%d+$") < b:match("%d+$") end)
  return "/office/" .. names[1]
end

describe("election.campaign", function()
  before_each(new_world)

  it("elects who is alone at once, and shows their value", function()
    local elected = campaign(ann, "ann:8080"):result()

    assert.are.equal("ann:8080", world:znode(elected.ticket).data)
    assert.are.same({ ticket = elected.ticket, session = ann.id, value = "ann:8080" }, leader())
  end)

  it("creates the office, and what is above it, as containers", function()
    ann:call("election.campaign", { path = "/a/office" })

    assert.is_true(world:znode("/a").container)
    assert.is_true(world:znode("/a/office").container)
  end)

  it("elects in the order of asking", function()
    local first, second, third = campaign(ann), campaign(bob), campaign(cid)

    resign(ann, first:result())
    local third_waited = third:waiting()
    resign(bob, second:result())

    assert.is_true(third_waited)
    assert.are.equal(cid.id, leader().session)
    assert.is_false(third:waiting())
  end)

  it("fails with Timeout when it was not elected in time, and leaves nothing behind", function()
    local first = campaign(ann):result()
    local second = campaign(bob, "b", "5s")

    world:advance("6s")

    assert.are.equal("Timeout", (second:error()))
    assert.are.same({ first.ticket }, world:znodes("/office"))
    assert.are.equal(0, world:waiting())
  end)

  it("fails with NoAuth where the caller may not create", function()
    ann:create("/office", "", { acl = "world:anyone:r" })

    local _, name = bob:try("election.campaign", { path = "/office" })

    assert.are.equal("NoAuth", name)
  end)

  it("fails with Lost when somebody deletes its ticket while it waits", function()
    campaign(ann)
    local second = campaign(bob)

    cid:delete("/office/latch-0000000001")

    assert.are.equal("Lost", (second:error()))
  end)

  it("refuses a value of more than 32 KB", function()
    local _, name = ann:try("election.campaign", { path = "/office", value = ("x"):rep(32769) })

    assert.are.equal("BadArguments", name)
  end)

  it("closes the gap of a candidate who is cancelled", function()
    local first, second, third = campaign(ann), campaign(bob), campaign(cid)

    second:cancel()
    local third_waited = third:waiting()
    resign(ann, first:result())

    assert.are.equal("Cancelled", (second:error()))
    assert.is_true(third_waited)
    assert.are.same({ third:result().ticket }, world:znodes("/office"))
  end)

  it("elects the next when the leader's session expires, with a larger epoch (defect 5)", function()
    local first, second = campaign(ann), campaign(bob)

    world:expire(ann)

    assert.is_true(second:result().fence > first:result().fence)
  end)

  it("lets the leader lead on over a lost connection (defect 10)", function()
    local first, second = campaign(ann), campaign(bob)

    ann:disconnect()
    world:advance("9s")
    ann:reconnect()
    world:advance("9s")

    assert.is_true(second:waiting())
    assert.are.equal(first:result().ticket, leader().ticket)
  end)

  it("makes one candidate of who asks twice with one call id (defect 11)", function()
    campaign(ann)
    local second = campaign(bob)

    bob:disconnect()
    bob:reconnect()
    bob:retry(second)

    assert.are.equal(2, #world:znodes("/office"))
  end)

  it("makes no znode again for a candidate whose session has ended (defect 8, defect 9)", function()
    local first, second = campaign(ann), campaign(bob)

    bob:close()
    resign(ann, first:result())

    assert.are.equal("SessionExpired", (second:error()))
    assert.are.same({}, world:znodes("/office"))
  end)

  it("has two who lost their connection both wait in their old places (defect 6, defect 7)", function()
    local first, second, third = campaign(ann), campaign(bob), campaign(cid)
    local before = world:znodes("/office")

    for _ = 1, 3 do
      bob:disconnect()
      cid:disconnect()
      cid:reconnect()
      bob:reconnect()
    end

    assert.is_false(first:waiting())
    assert.is_true(second:waiting() and third:waiting())
    assert.are.same(before, world:znodes("/office"))
  end)

  it("wakes one candidate per change of leader", function()
    local first = campaign(ann):result()
    for _ = 1, 10 do campaign(bob) end
    local before = world:stats().woken

    resign(ann, first)

    assert.are.equal(before + 1, world:stats().woken)
  end)

  it("may be asked for again by who has led, and is elected in turn (defect 12)", function()
    local first, second = campaign(ann), campaign(bob)

    resign(ann, first:result())
    local again = campaign(ann)
    local waited = again:waiting()
    resign(bob, second:result())

    assert.is_true(waited)
    assert.is_true(again:result().fence > second:result().fence)
  end)

  -- As an interrupt, and another one while the first is cleaned up behind.
  it("leaves no candidate whose cancel was cut off, and the next one too (defect 2)", function()
    local seconds = 0
    local firsts = testkit.at_every_proposal(function(first_cut)
      local cut
      seconds = seconds + testkit.at_every_proposal(function(second_cut)
        new_world()
        local first, second, third = campaign(ann), campaign(bob), campaign(cid)

        cut = world:fail_over_during(first_cut, function() second:cancel() end)
        local again = world:fail_over_during(second_cut, function()
          if second:waiting() then second:cancel() end
        end)
        if second:waiting() then second:cancel() end
        resign(ann, first:result())

        assert.are.equal("Cancelled", (second:error()))
        assert.are.same({ third:result().ticket }, world:znodes("/office"))
        return again
      end)
      return cut
    end)

    assert.is_true(firsts >= 1)
    assert.is_true(seconds >= 1)
  end)
end)

describe("election.proclaim", function()
  before_each(new_world)

  local function proclaim(session, elected, value)
    return session:try("election.proclaim",
      { ticket = elected.ticket, fence = elected.fence, value = value })
  end

  it("changes what the leader shows", function()
    local elected = campaign(ann, "starting"):result()

    assert.is_true(proclaim(ann, elected, "ready"))

    assert.are.equal("ready", leader().value)
  end)

  it("fails with NotOwner for another session", function()
    local elected = campaign(ann, "ann"):result()

    local _, name = proclaim(bob, elected, "bob")

    assert.are.equal("NotOwner", name)
    assert.are.equal("ann", leader().value)
  end)

  it("fails with NotOwner for a candidate who still waits", function()
    local elected = campaign(ann, "ann"):result()
    campaign(bob, "bob")

    local waiting = { ticket = "/office/latch-0000000001", fence = elected.fence + 99 }
    local _, name = proclaim(bob, waiting, "bob!")

    assert.are.equal("NotOwner", name)
    assert.are.equal("bob", world:znode("/office/latch-0000000001").data)
  end)

  it("fails with NotOwner for an epoch that is over, though the ticket is named alike", function()
    local old = campaign(ann, "old"):result()
    resign(ann, old)
    world:advance("3m")
    local new = campaign(ann, "new"):result()
    assert.are.equal(old.ticket, new.ticket)

    local _, name = proclaim(ann, old, "old!")

    assert.are.equal("NotOwner", name)
    assert.are.equal("new", leader().value)
  end)

  it("fails with NotOwner for what is no ticket", function()
    ann:create("/mine", "precious", { ephemeral = true })

    local _, name = proclaim(ann, { ticket = "/mine", fence = 2 ^ 50 }, "overwritten")

    assert.are.equal("NotOwner", name)
    assert.are.equal("precious", world:znode("/mine").data)
  end)
end)

describe("election.resign", function()
  before_each(new_world)

  it("leaves the office to the oldest candidate before it answers", function()
    local first, second = campaign(ann), campaign(bob)

    assert.is_true(resign(ann, first:result()):result())

    assert.are.equal(second:result().ticket, leader().ticket)
  end)

  it("fails with NotOwner when the caller does not lead", function()
    local first = campaign(ann):result()

    assert.are.equal("NotOwner", (resign(bob, first):error()))
    resign(ann, first)
    assert.are.equal("NotOwner", (resign(ann, first):error()))
  end)

  it("hands over to the candidate who is named, before those who asked earlier", function()
    local first, second, third = campaign(ann, "a"), campaign(bob, "b"), campaign(cid, "c")
    local handed = resign(ann, first:result(), "/office/latch-0000000002")

    assert.is_true(handed:result())

    assert.is_true(second:waiting())
    assert.are.same({ ticket = third:result().ticket, session = cid.id, value = "c" }, leader())
    assert.is_true(third:result().fence > first:result().fence)
  end)

  it("has other clients find the same leader after a hand-over", function()
    local first, second, third = campaign(ann), campaign(bob), campaign(cid)
    resign(ann, first:result(), "/office/latch-0000000002")

    assert.are.equal(third:result().ticket, first_for_others())
    resign(cid, third:result())
    assert.are.equal(second:result().ticket, first_for_others())
  end)

  it("keeps the order of the others after a hand-over", function()
    local first, second, third = campaign(ann), campaign(bob), campaign(cid)
    resign(ann, first:result(), "/office/latch-0000000002")
    local last = campaign(ann)

    resign(cid, third:result())
    local last_waited = last:waiting()
    resign(bob, second:result())

    assert.is_true(last_waited)
    assert.are.equal(last:result().ticket, leader().ticket)
  end)

  it("ends the epoch with a hand-over, within one session too", function()
    local first, second = campaign(ann):result(), campaign(ann)
    resign(ann, first, "/office/latch-0000000001")

    local _, name = ann:try("election.proclaim",
      { ticket = first.ticket, fence = first.fence, value = "x" })

    assert.are.equal("NotOwner", name)
    assert.are.equal(first.ticket, second:result().ticket)
  end)

  for _, named in ipairs { "/office/latch-0000000009", "/office/latch-0000000000", "/elsewhere" } do
    it("fails with NoNode when handover_to is " .. named .. ", and goes on leading", function()
      local first = campaign(ann):result()
      ann:create("/elsewhere")

      assert.are.equal("NoNode", (resign(ann, first, named):error()))

      assert.are.equal(first.ticket, leader().ticket)
    end)
  end

  it("has resigned, though handover_to does not take over in time", function()
    local first = campaign(ann):result()
    cid:create("/office/latch-", "no campaign", { ephemeral = true, sequential = true })
    local handed = ann:start("election.resign", { ticket = first.ticket, fence = first.fence,
      handover_to = "/office/latch-0000000001", timeout = "5s" })

    world:advance("6s")

    assert.are.equal("Timeout", (handed:error()))
    assert.is_nil(world:znode(first.ticket))
  end)

  it("leaves the office to the oldest when handover_to gives up meanwhile", function()
    local first = campaign(ann):result()
    local theirs = cid:create("/office/latch-", "", { ephemeral = true, sequential = true })
    local second = campaign(bob)
    local handed = resign(ann, first, theirs)

    cid:delete(theirs)

    assert.is_true(handed:result())
    assert.are.equal(second:result().ticket, leader().ticket)
  end)
end)

describe("election.observe", function()
  before_each(new_world)

  local function observe(session, seen, timeout)
    return session:start("election.observe", { path = "/office", seen = seen, timeout = timeout })
  end

  it("answers at once if there is a leader", function()
    local elected = campaign(ann, "ann"):result()

    local shown = observe(bob):result()

    assert.are.same({ ticket = elected.ticket, session = ann.id, value = "ann" }, shown.leader)
  end)

  it("waits for a leader, also where there is no office yet", function()
    local shown = observe(bob)
    local waited = shown:waiting()

    campaign(ann, "ann")

    assert.is_true(waited)
    assert.are.equal("ann", shown:result().leader.value)
  end)

  it("waits until the leader says something else", function()
    local elected = campaign(ann, "one"):result()
    local shown = observe(bob, observe(bob):result().seen)
    local waited = shown:waiting()

    ann:call("election.proclaim", { ticket = elected.ticket, fence = elected.fence, value = "two" })

    assert.is_true(waited)
    assert.are.equal("two", shown:result().leader.value)
  end)

  it("waits until another leads, or nobody", function()
    local first, second = campaign(ann, "one"):result(), campaign(cid, "two")
    local shown = observe(bob, observe(bob):result().seen)

    resign(ann, first)
    local after = observe(bob, shown:result().seen)
    resign(cid, second:result())

    assert.are.equal("two", shown:result().leader.value)
    assert.is_nil(after:result().leader)
  end)

  it("sees a hand-over", function()
    local first, second = campaign(ann, "one"):result(), campaign(cid, "two")
    local shown = observe(bob, observe(bob):result().seen)

    resign(ann, first, "/office/latch-0000000001")
    while shown:result().leader.value ~= "two" do
      shown = observe(bob, shown:result().seen)
    end

    assert.are.equal(second:result().ticket, shown:result().leader.ticket)
  end)

  it("tells all observers of one change", function()
    local elected = campaign(ann):result()
    local seen = observe(bob):result().seen
    local one, two = observe(bob, seen), observe(cid, seen)

    resign(ann, elected)
    local three, four = observe(bob, one:result().seen), observe(cid, two:result().seen)
    campaign(ann, "again")

    assert.are.equal("again", three:result().leader.value)
    assert.are.equal("again", four:result().leader.value)
  end)

  it("fails with Timeout if nothing changes", function()
    local shown = observe(bob, nil, "5s")

    world:advance("6s")

    assert.are.equal("Timeout", (shown:error()))
  end)
end)

describe("election.candidates", function()
  before_each(new_world)

  it("shows who leads and who waits, in pages", function()
    campaign(ann)
    campaign(bob)
    campaign(cid)

    local first = ann:call("election.candidates", { path = "/office", limit = 2 })
    local rest = ann:call("election.candidates", { path = "/office", from = "latch-0000000001" })

    assert.are.same({
      { ticket = "/office/latch-0000000000", session = ann.id },
      { ticket = "/office/latch-0000000001", session = bob.id },
    }, first)
    assert.are.same({ { ticket = "/office/latch-0000000002", session = cid.id } }, rest)
  end)

  it("fails with NoNode when the one to go on from is gone", function()
    campaign(ann)

    local _, name = ann:try("election.candidates", { path = "/office", from = "latch-0000000007" })

    assert.are.equal("NoNode", name)
  end)
end)

describe("an election among client-side ones", function()
  before_each(new_world)

  for client, theirs in pairs { Curator = CURATOR, kazoo = KAZOO } do
    it("waits for a candidate of " .. client .. "'s that came before", function()
      ann:create("/office")
      local before = ann:create(theirs, "", { ephemeral = true, sequential = true })
      local ours = campaign(bob)
      local waited = ours:waiting()

      ann:delete(before)

      assert.is_true(waited)
      assert.are.equal(ours:result().ticket, leader().ticket)
    end)

    it("leads before a candidate of " .. client .. "'s that came later", function()
      local first, second = campaign(ann):result(), campaign(bob)
      cid:create(theirs, "", { ephemeral = true, sequential = true })

      resign(ann, first)

      assert.are.equal(second:result().ticket, first_for_others())
    end)
  end

  it("hands over past a candidate of Curator's, who still finds the leader", function()
    local first = campaign(ann):result()
    cid:create(CURATOR, "", { ephemeral = true, sequential = true })
    local third = campaign(bob)

    resign(ann, first, "/office/latch-0000000002")

    assert.are.equal(third:result().ticket, first_for_others())
    assert.are.equal(third:result().ticket, leader().ticket)
  end)
end)

describe("an election and the server's death", function()
  it("elects one, in order, at every proposal of a leader's end", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local first, second, third = campaign(ann), campaign(bob), campaign(cid)

      local cut = world:fail_over_during(proposals, function() world:expire(ann) end)
      if not ann.ended then world:expire(ann) end

      assert.is_true(second:result().fence > first:result().fence)
      assert.is_true(third:waiting())
      assert.are.equal(2, #world:znodes("/office"))
      return cut
    end)

    assert.is_true(cuts >= 1)
  end)

  it("hands over once, at every proposal of a hand-over", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local first, second, third = campaign(ann), campaign(bob), campaign(cid)
      local handed

      local cut = world:fail_over_during(proposals, function()
        handed = resign(ann, first:result(), "/office/latch-0000000002")
      end)

      assert.is_true(handed:result())
      assert.is_true(second:waiting())
      assert.are.equal(third:result().ticket, first_for_others())
      assert.are.equal(2, #world:znodes("/office"))
      return cut
    end)

    assert.is_true(cuts >= 2)
  end)
end)
