--- The promises of recipes/commit.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local RECIPES = os.getenv("MOONKEEPER_RECIPES") or "recipes"
local PATH = "/transactions/7"

-- Decides a transaction and removes it at once, before anybody who waits can look.
local VANISH = [[
return { vanish = operation {
  doc  = "Take away the transaction at `path`.",
  args = { path = "path" },
  run  = function(call)
    znode.delete(call.args.path .. "/open")
    return znode.delete(call.args.path)
  end,
} }
]]

local world, ann, bob, cid

local function new_world()
  world = testkit.world()
  ann, bob, cid = world:session(), world:session(), world:session()
end

local function begin(...)
  return cid:call("commit.begin", { path = PATH, participants = { ... }, within = "1m" })
end

local function vote(session, id, yes)
  return session:call("commit.vote", { path = PATH, id = id, yes = yes })
end

local function outcome(session, timeout)
  return session:start("commit.outcome", { path = PATH, timeout = timeout })
end

local function acknowledge(session, id)
  return session:call("commit.acknowledge", { path = PATH, id = id })
end

describe("commit.begin", function()
  before_each(new_world)

  it("makes a transaction that is open, with a fence and a deadline", function()
    local began = begin("a", "b")

    assert.are.equal(world:znode(PATH).czxid, began.fence)
    assert.is_true(world:znode("/transactions").container)
    assert.is_true(outcome(ann):waiting())
  end)

  it("has a deadline that is as far away as it was told", function()
    local first = begin("a")
    world:advance("5s")
    local second = cid:call("commit.begin",
      { path = "/transactions/8", participants = { "a" }, within = "2m" })

    local later_ms = second.deadline - first.deadline

    assert.is_true(later_ms >= 65000 and later_ms < 66000)
  end)

  it("fails with Conflict when there is something at its path", function()
    begin("a")

    local _, name = ann:try("commit.begin", { path = PATH, participants = { "x" }, within = "1m" })

    assert.are.equal("Conflict", name)
  end)

  it("refuses no participants, one twice, more than 100, and what is no part of a path", function()
    local many, names = {}, {}
    for i = 1, 101 do many[i] = "p" .. i end

    for i, participants in ipairs { {}, { "a", "a" }, many, { "a/b" } } do
      local _, name = ann:try("commit.begin",
        { path = PATH, participants = participants, within = "1m" })
      names[i] = name
    end

    assert.are.same({ "BadArguments", "BadArguments", "BadArguments", "BadArguments" }, names)
  end)

  it("fails with NoAuth where the caller may not create", function()
    ann:create("/transactions", "", { acl = "world:anyone:r" })

    local _, name = ann:try("commit.begin", { path = PATH, participants = { "a" }, within = "1m" })

    assert.are.equal("NoAuth", name)
  end)
end)

describe("commit.vote", function()
  before_each(new_world)

  it("commits with the last yes, and not before", function()
    begin("a", "b")

    assert.are.equal("open", vote(ann, "a", true).outcome)
    assert.are.equal("committed", vote(bob, "b", true).outcome)
  end)

  it("aborts with the first no, and says whose", function()
    begin("a", "b", "c")
    vote(ann, "a", true)

    local voted = vote(bob, "b", false)

    assert.are.equal("aborted", voted.outcome)
    assert.are.equal("b has voted no", voted.reason)
  end)

  it("lets 100 vote", function()
    local names = {}
    for i = 1, 100 do names[i] = "p" .. i end
    begin(unpack(names))

    for i = 1, 99 do assert.are.equal("open", vote(ann, names[i], true).outcome) end
    local last = vote(bob, names[100], true)

    assert.are.equal("committed", last.outcome)
  end)

  it("says the outcome to who votes after it, and does not change it", function()
    begin("a", "b")
    vote(ann, "a", false)

    local late = vote(bob, "b", true)

    assert.are.equal("aborted", late.outcome)
    assert.are.equal("a has voted no", late.reason)
  end)

  it("does not change a committed transaction by a late no, or by the end of voters", function()
    begin("a", "b")
    vote(ann, "a", true)
    vote(bob, "b", true)
    world:expire(ann)

    assert.are.equal("committed", vote(cid, "b", false).outcome)
    assert.are.equal("committed", outcome(cid):result().outcome)
  end)

  it("takes the same vote twice from one session", function()
    begin("a", "b")
    vote(ann, "a", true)

    assert.are.equal("open", vote(ann, "a", true).outcome)
  end)

  it("fails with Conflict when the id has voted another way, or from elsewhere", function()
    begin("a", "b")
    vote(ann, "a", true)

    local _, other_way = ann:try("commit.vote", { path = PATH, id = "a", yes = false })
    local _, elsewhere = bob:try("commit.vote", { path = PATH, id = "a", yes = true })

    assert.are.same({ "Conflict", "Conflict" }, { other_way, elsewhere })
  end)

  it("fails with BadArguments for who is no participant", function()
    begin("a")

    local _, name = ann:try("commit.vote", { path = PATH, id = "z", yes = true })

    assert.are.equal("BadArguments", name)
  end)

  it("fails with NoNode when there is no transaction", function()
    local _, name = ann:try("commit.vote", { path = PATH, id = "a", yes = true })

    assert.are.equal("NoNode", name)
  end)

  it("is a no when the voter's session ends before the decision", function()
    begin("a", "b")
    vote(ann, "a", true)
    world:expire(ann)

    local last = vote(bob, "b", true)

    assert.are.equal("aborted", last.outcome)
    assert.are.equal("the session of a has ended", last.reason)
  end)

  it("is too late after the deadline", function()
    begin("a", "b")
    vote(ann, "a", true)
    world:advance("61s")

    local last = vote(bob, "b", true)

    assert.are.equal("aborted", last.outcome)
    assert.are.equal("not all have voted in time", last.reason)
  end)

  it("counts once, however often it is asked with the same call id, over a fail-over", function()
    begin("a", "b")
    local first = ann:start("commit.vote", { path = PATH, id = "a", yes = true })

    world:fail_over()
    local again = ann:retry(first)

    assert.are.same({ outcome = "open" }, again:result())
  end)
end)

describe("commit.outcome", function()
  before_each(new_world)

  it("waits until it is decided, and is the same for all", function()
    begin("a", "b")
    local first, second = outcome(cid), outcome(ann)
    vote(ann, "a", true)
    local waited = first:waiting() and second:waiting()

    vote(bob, "b", true)
    local third = outcome(bob)

    assert.is_true(waited)
    assert.are.equal("committed", first:result().outcome)
    assert.are.same(first:result(), second:result())
    assert.are.same(first:result(), third:result())
  end)

  it("has the zxid of the decision as its fence", function()
    begin("a")
    local waiting = outcome(cid)

    vote(ann, "a", true)

    assert.are.equal(world:znode(PATH).mzxid, waiting:result().fence)
  end)

  it("is told as soon as the session of a voter ends", function()
    begin("a", "b")
    local first, second = outcome(cid), outcome(bob)
    vote(ann, "a", true)
    local waited = first:waiting()

    world:expire(ann)

    assert.is_true(waited)
    assert.are.equal("the session of a has ended", first:result().reason)
    assert.are.same(first:result(), second:result())
  end)

  it("is told at the deadline, and not before", function()
    begin("a", "b")
    local first, second = outcome(cid), outcome(bob)

    world:advance("59900ms")
    local in_time = first:waiting() and second:waiting()
    world:advance("200ms")

    assert.is_true(in_time)
    assert.are.equal("not all have voted in time", first:result().reason)
    assert.are.same(first:result(), second:result())
  end)

  it("fails with Timeout when it was not decided in time, which decides nothing", function()
    begin("a")
    local waiting = outcome(cid, "5s")

    world:advance("6s")

    assert.are.equal("Timeout", (waiting:error()))
    assert.are.equal("committed", vote(ann, "a", true).outcome)
  end)

  it("fails with Lost when it is removed before the caller could look", function()
    world = testkit.world { recipes = RECIPES, sources = { vanish = VANISH } }
    ann, cid = world:session(), world:session()
    begin("a")
    local waiting = outcome(cid)
    local waited = waiting:waiting()

    ann:call("vanish.vanish", { path = PATH })

    assert.is_true(waited)
    assert.are.equal("Lost", (waiting:error()))
  end)

  it("is aborted for all when somebody deletes the znode `open`", function()
    begin("a", "b")
    local waiting = outcome(cid)
    vote(ann, "a", true)

    bob:delete(PATH .. "/open")

    assert.are.equal("aborted", waiting:result().outcome)
    assert.are.equal("aborted", vote(bob, "b", true).outcome)
  end)

  it("fails with NoNode when there is no transaction", function()
    local _, name = ann:try("commit.outcome", { path = PATH })

    assert.are.equal("NoNode", name)
  end)

  it("wakes one of those who wait for each vote, and all for the last", function()
    begin("a", "b", "c")
    for _ = 1, 10 do outcome(cid) end
    local before = world:stats().woken

    vote(ann, "a", true)
    vote(ann, "b", true)
    local for_votes = world:stats().woken - before
    vote(ann, "c", true)

    assert.are.equal(2, for_votes)
    assert.are.equal(0, world:waiting())
  end)

  it("goes on after the leader's death, and keeps the deadline", function()
    begin("a", "b")
    local waiting = outcome(cid)

    world:fail_over()
    local waited = waiting:waiting()
    world:advance("61s")

    assert.is_true(waited)
    assert.are.equal("aborted", waiting:result().outcome)
  end)
end)

describe("commit.acknowledge", function()
  before_each(new_world)

  it("keeps the outcome until all participants have acknowledged it, then removes it", function()
    begin("a", "b")
    vote(ann, "a", true)
    vote(bob, "b", true)

    local one = acknowledge(ann, "a")
    local again = acknowledge(ann, "a")
    world:advance("10h")
    local kept = outcome(cid):result()
    local two = acknowledge(cid, "b") -- the participant is in another session by now

    assert.are.same({ 1, 1, 0 }, { one.left, again.left, two.left })
    assert.are.equal("committed", kept.outcome)
    assert.is_nil(world:znode(PATH))
  end)

  it("takes an abort by the deadline that nobody has looked at", function()
    begin("a")
    world:advance("61s")

    assert.are.same({ left = 0 }, acknowledge(ann, "a"))
  end)

  it("fails with Conflict before it is decided", function()
    begin("a", "b")

    local _, name = ann:try("commit.acknowledge", { path = PATH, id = "a" })

    assert.are.equal("Conflict", name)
  end)

  it("fails with BadArguments for no participant, and with NoNode for no transaction", function()
    begin("a")
    vote(ann, "a", true)

    local _, stranger = ann:try("commit.acknowledge", { path = PATH, id = "z" })
    acknowledge(ann, "a")
    local _, gone = ann:try("commit.acknowledge", { path = PATH, id = "a" })

    assert.are.same({ "BadArguments", "NoNode" }, { stranger, gone })
  end)
end)

describe("a transaction and the leader's death", function()
  it("has one outcome for all, at every proposal of the votes", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      begin("a", "b", "c")
      local first = outcome(cid)

      local cut = world:fail_over_during(proposals, function()
        vote(ann, "a", true)
        vote(bob, "b", true)
        world:expire(ann)
        vote(cid, "c", true)
      end)
      world:advance("2m")
      local second = outcome(bob)

      assert.are.equal("aborted", first:result().outcome)
      assert.are.same(first:result(), second:result())
      return cut
    end)

    assert.is_true(cuts >= 4)
  end)
end)
