--- The promises of recipes/partition.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local PATH = "/work/shards"

local world, ann, bob, cid

local function new_world()
  world = testkit.world()
  ann, bob, cid = world:session(), world:session(), world:session()
end

local function join(session, id, partitions, more)
  local arguments = { path = PATH, id = id, partitions = partitions, grace = "30s" }
  for name, value in pairs(more or {}) do arguments[name] = value end
  return session:call("partition.join", arguments)
end

local function changes(session, id, since, timeout)
  return session:start("partition.changes",
    { path = PATH, id = id, since = since, timeout = timeout })
end

local function acknowledge(session, id, partitions)
  return session:call("partition.acknowledge", { path = PATH, id = id, partitions = partitions })
end

local function leave(session, id)
  return session:call("partition.leave", { path = PATH, id = id })
end

local function check(id, partition, fence)
  local ok, name = cid:try("partition.check",
    { path = PATH, id = id, partition = partition, fence = fence })
  return ok and "own" or name
end

-- The numbers of the partitions in a map of them, in order.
local function numbers(map)
  local list = {}
  for name in pairs(map) do table.insert(list, tonumber(name)) end
  table.sort(list)
  return list
end

-- What the member owns, as its znode says: partition to fence.
local function owned(id)
  local znode = world:znode(PATH .. "/member-" .. id)
  local fences = {}
  for name, fence in (znode and znode.data:match('"owned":(%b{})') or ""):gmatch('"(%d+)":(%d+)') do
    fences[name] = tonumber(fence)
  end
  return fences
end

local function all_owned(...)
  local all = {}
  for _, id in ipairs { ... } do
    for _, number in ipairs(numbers(owned(id))) do table.insert(all, number) end
  end
  table.sort(all)
  return all
end

describe("partition.join", function()
  before_each(new_world)

  it("gives the first member all partitions, with a fence each", function()
    local joined = join(ann, "a", 3)

    assert.are.same({ ["0"] = joined.fence, ["1"] = joined.fence, ["2"] = joined.fence },
      joined.assigned)
    assert.are.equal(ann.id, world:znode(joined.ticket).owner)
    assert.is_true(world:znode(PATH).container)
  end)

  it("gives a second member nothing before the first has let go", function()
    local first = join(ann, "a", 4)

    local second = join(bob, "b", 4)

    assert.are.same({}, second.assigned)
    assert.are.same({ 2, 3 }, changes(ann, "a", first.version):result().revoked)
  end)

  it("fails with Conflict when somebody has the id", function()
    join(ann, "a", 4)

    local _, name = bob:try("partition.join", { path = PATH, id = "a", partitions = 4 })

    assert.are.equal("Conflict", name)
  end)

  it("fails with Conflict when the members said another number, or another grace", function()
    join(ann, "a", 4)

    local _, number, message = bob:try("partition.join",
      { path = PATH, id = "b", partitions = 5, grace = "30s" })
    local _, grace = bob:try("partition.join",
      { path = PATH, id = "b", partitions = 4, grace = "10s" })

    assert.are.same({ "Conflict", "Conflict" }, { number, grace })
    assert.matches("4 partitions and a grace of 30000 ms", message)
  end)

  it("takes another number when all members have left", function()
    join(ann, "a", 4)
    leave(ann, "a")

    assert.are.same({ 0, 1 }, numbers(join(bob, "b", 2).assigned))
  end)

  it("fails with Conflict when the znode holds something else", function()
    ann:create("/work")
    ann:create(PATH, "how to load paper")

    local _, name = ann:try("partition.join", { path = PATH, id = "a", partitions = 4 })

    assert.are.equal("Conflict", name)
  end)

  it("takes 100 members and 1,000 partitions, and fails with Limit for more members", function()
    for i = 1, 100 do join(ann, "m" .. i, 1000, { weight = i % 5 + 1 }) end

    local _, name = bob:try("partition.join",
      { path = PATH, id = "more", partitions = 1000, grace = "30s" })

    assert.are.equal("Limit", name)
  end)

  it("refuses what is out of bounds", function()
    local names = {}
    for i, more in ipairs { { partitions = 0 }, { partitions = 1001 }, { weight = 0 },
      { grace = "2h" }, { id = "a/b" } } do
      local arguments = { path = PATH, id = "a", partitions = 4 }
      for name, value in pairs(more) do arguments[name] = value end
      local _, name = ann:try("partition.join", arguments)
      names[i] = name
    end

    for i = 1, 5 do assert.are.equal("BadArguments", names[i]) end
  end)

  it("fails with NoAuth where the caller may not create", function()
    ann:create("/work", "", { acl = "world:anyone:r" })

    local _, name = ann:try("partition.join", { path = PATH, id = "a", partitions = 4 })

    assert.are.equal("NoAuth", name)
  end)
end)

describe("A hand-over", function()
  before_each(new_world)

  it("ends the owner's right at once, and assigns when it has acknowledged", function()
    local a = join(ann, "a", 4)
    local b = join(bob, "b", 4)
    local right_before = check("a", 2, a.fence)
    local waiting = changes(bob, "b", b.version)
    local waited = waiting:waiting()

    acknowledge(ann, "a", { 2, 3 })

    assert.are.equal("NotOwner", right_before)
    assert.is_true(waited)
    assert.are.same({ 2, 3 }, numbers(waiting:result().assigned))
    assert.is_true(waiting:result().assigned["2"] > a.fence)
    assert.are.equal("own", check("b", 2, waiting:result().assigned["2"]))
    assert.are.equal("own", check("a", 0, a.fence))
  end)

  it("assigns when the grace is over, and not before", function()
    join(ann, "a", 4)
    local b = join(bob, "b", 4)
    local waiting = changes(bob, "b", b.version)

    world:advance("29900ms")
    local in_time = waiting:waiting()
    world:advance("200ms")

    assert.is_true(in_time)
    assert.are.same({ 2, 3 }, numbers(waiting:result().assigned))
  end)

  it("assigns when the owner's session ends", function()
    join(ann, "a", 4)
    local b = join(bob, "b", 4)
    local waiting = changes(bob, "b", b.version)

    world:expire(ann)

    assert.are.same({ 0, 1, 2, 3 }, numbers(waiting:result().assigned))
  end)

  it("still tells the former owner when its grace is over", function()
    local a = join(ann, "a", 4)
    local b = join(bob, "b", 4)
    world:advance("31s")
    changes(bob, "b", b.version):result()

    assert.are.same({ 2, 3 }, changes(ann, "a", a.version):result().revoked)
  end)

  it("gives back what was not let go when the one it was for leaves", function()
    local a = join(ann, "a", 4)
    join(bob, "b", 4)

    leave(bob, "b")

    local answer = changes(ann, "a", a.version):result()
    assert.are.same({ 2, 3 }, numbers(answer.assigned))
    assert.are.same({}, answer.revoked)
    assert.is_true(answer.assigned["2"] > a.fence)
  end)

  it("tells each member its own changes alone, and wakes nobody else", function()
    local a = join(ann, "a", 6)
    local b = join(bob, "b", 6)
    acknowledge(ann, "a", changes(ann, "a", a.version):result().revoked)
    local b_has = changes(bob, "b", b.version):result()
    local a_waits = changes(ann, "a", world:stats().zxid)
    local woken = world:stats().woken

    local revoked = changes(bob, "b", 0):result()
    local c = join(cid, "c", 6)
    local a_told = a_waits:result()

    assert.are.same({ 3, 4, 5 }, numbers(b_has.assigned))
    assert.are.same({}, revoked.revoked)
    assert.are.same({ 2 }, a_told.revoked)
    assert.are.same({}, c.assigned)
    assert.are.equal(woken + 1, world:stats().woken)
  end)

  it("moves no more partitions than it must", function()
    local a = join(ann, "a", 10)
    join(bob, "b", 10)
    acknowledge(ann, "a", changes(ann, "a", a.version):result().revoked)
    local a_before, b_before = owned("a"), owned("b")

    join(cid, "c", 10)

    local kept = 0
    for name, fence in pairs(owned("a")) do kept = kept + (a_before[name] == fence and 1 or 0) end
    for name, fence in pairs(owned("b")) do kept = kept + (b_before[name] == fence and 1 or 0) end
    assert.are.equal(7, kept) -- 4 and 3 stay, 3 move
  end)

  it("leaves the one that does not divide evenly where it is", function()
    for _, ids in ipairs { { "a", "z" }, { "z", "a" } } do
      new_world()
      local first = join(ann, ids[1], 5)

      join(bob, ids[2], 5)

      assert.are.same({ 3, 4 }, changes(ann, ids[1], first.version):result().revoked)
    end
  end)

  it("does not give back what another has got when the grace was over", function()
    local a = join(ann, "a", 4)
    local b = join(bob, "b", 4)
    world:advance("31s")
    local b_has = changes(bob, "b", b.version):result()
    join(cid, "c", 4)
    leave(cid, "c")

    local a_has = changes(ann, "a", a.version):result()

    assert.are.same({ 2, 3 }, numbers(b_has.assigned))
    assert.are.same({ 2, 3 }, numbers(owned("b")))
    assert.are.same({ 0, 1 }, numbers(owned("a")))
    assert.are.same({ 2, 3 }, a_has.revoked)
  end)

  it("passes over znodes that are no members", function()
    local a = join(ann, "a", 4)
    bob:create(PATH .. "/member-x", "how to load paper")
    bob:create(PATH .. "/member-y", "7", { ephemeral = true })

    join(bob, "b", 4)

    assert.are.same({ 2, 3 }, changes(ann, "a", a.version):result().revoked)
  end)

  it("gives each the share of its weight", function()
    local a = join(ann, "a", 10, { weight = 1 })
    join(bob, "b", 10, { weight = 4 })
    acknowledge(ann, "a", changes(ann, "a", a.version):result().revoked)

    assert.are.same({ 2, 8 }, { #numbers(owned("a")), #numbers(owned("b")) })
  end)
end)

describe("partition.changes", function()
  before_each(new_world)

  it("waits for ever without a timeout", function()
    local a = join(ann, "a", 4)
    local waiting = changes(ann, "a", a.version)

    world:advance("2h")

    assert.is_true(waiting:waiting())
  end)

  it("fails with Timeout when nothing has changed for the member", function()
    local a = join(ann, "a", 4)
    local waiting = changes(ann, "a", a.version, "5s")

    world:advance("6s")

    assert.are.equal("Timeout", (waiting:error()))
  end)

  it("tells the same again to who asks again with the same version", function()
    local a = join(ann, "a", 4)
    join(bob, "b", 4)
    local first = changes(ann, "a", a.version):result()

    local again = changes(ann, "a", a.version):result()

    assert.are.same(first, again)
  end)

  it("fails with NotOwner for another session, and when the member is gone", function()
    join(ann, "a", 4)
    local _, others = bob:try("partition.changes", { path = PATH, id = "a", since = 0 })
    leave(ann, "a")
    local _, gone = ann:try("partition.changes", { path = PATH, id = "a", since = 0 })

    assert.are.same({ "NotOwner", "NotOwner" }, { others, gone })
  end)

  it("lets one of those who wait share out what a dead member owned", function()
    local a = join(ann, "a", 6)
    local b = join(bob, "b", 6)
    acknowledge(ann, "a", changes(ann, "a", a.version):result().revoked)
    b = changes(bob, "b", b.version):result()
    join(cid, "c", 6)
    acknowledge(ann, "a", { 2 })
    acknowledge(bob, "b", { 5 })
    local a_waits, b_waits = changes(ann, "a", world:stats().zxid),
      changes(bob, "b", world:stats().zxid)

    world:expire(cid)

    assert.are.same({ 0, 1, 2, 3, 4, 5 }, all_owned("a", "b"))
    assert.is_false(a_waits:waiting() or b_waits:waiting())
  end)
end)

describe("partition.acknowledge, leave and check", function()
  before_each(new_world)

  it("fail with NotOwner for another session", function()
    join(ann, "a", 4)

    local _, acknowledged = bob:try("partition.acknowledge",
      { path = PATH, id = "a", partitions = { 1 } })
    local _, left = bob:try("partition.leave", { path = PATH, id = "a" })

    assert.are.same({ "NotOwner", "NotOwner" }, { acknowledged, left })
  end)

  it("give others at once all that a member owned when it leaves", function()
    local b
    join(ann, "a", 4)
    b = join(bob, "b", 4)
    local waiting = changes(bob, "b", b.version)

    leave(ann, "a")

    assert.are.same({ 0, 1, 2, 3 }, numbers(waiting:result().assigned))
  end)

  it("check an old fence, another's, and one of nobody as NotOwner", function()
    local a = join(ann, "a", 4)

    assert.are.equal("own", check("a", 0, a.fence))
    assert.are.equal("NotOwner", check("a", 0, a.fence - 1))
    assert.are.equal("NotOwner", check("b", 0, a.fence))
    assert.are.equal("NotOwner", check("a", 4, a.fence))
  end)
end)

describe("partition and the leader's death", function()
  it("gives each partition one owner, and all of them, at every proposal (defect 30)", function()
    testkit.at_every_proposal(function(proposals)
      new_world()
      local a, b = join(ann, "a", 5), nil

      local cut = world:fail_over_during(proposals, function()
        b = join(bob, "b", 5)
        acknowledge(ann, "a", changes(ann, "a", a.version):result().revoked)
        changes(bob, "b", b.version):result()
        join(cid, "c", 5)
        world:expire(bob)
      end)
      world:expire(bob)
      world:advance("31s")
      changes(ann, "a", 0)
      changes(ann, "a", world:stats().zxid)
      changes(cid, "c", world:stats().zxid)
      world:advance("31s")

      assert.are.same({ 0, 1, 2, 3, 4 }, all_owned("a", "c"))
      return cut
    end)
  end)
end)
