--- The promises of recipes/party.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local PATH = "/groups/web"
local KAZOO = PATH .. "/0a1b2c3d4e5f40718293a4b5c6d7e8f9__party__"

local world, ann, bob, cid

local function new_world()
  world = testkit.world()
  ann, bob, cid = world:session(), world:session(), world:session()
end

local function join(session, id, more)
  local arguments = { path = PATH, id = id }
  for name, value in pairs(more or {}) do arguments[name] = value end
  return session:call("party.join", arguments)
end

local function leave(session, id)
  return session:call("party.leave", { path = PATH, id = id })
end

local function members()
  return cid:call("party.members", { path = PATH })
end

local function ids_of(list)
  local ids = {}
  for i, member in ipairs(list) do ids[i] = member.id end
  return ids
end

local function now()
  return cid:call("party.changes", { path = PATH })
end

-- Wait for what comes after `known`, an earlier answer.
local function watch(session, known, timeout)
  return session:start("party.changes",
    { path = PATH, party = known.party, since = known.version, timeout = timeout })
end

-- "joined a", "left b", ... of an answer.
local function events_of(answer)
  local events = {}
  for i, change in ipairs(answer.changes) do events[i] = change.event .. " " .. change.id end
  return events
end

describe("party.join", function()
  before_each(new_world)

  it("makes the caller a member, with a ticket that is its session's", function()
    local joined = join(ann, "a")

    assert.are.equal(PATH .. "/a__party__", joined.ticket)
    assert.are.equal(ann.id, world:znode(joined.ticket).owner)
    assert.are.equal(world:znode(joined.ticket).czxid, joined.fence)
  end)

  it("creates the party's znode as a container if it is missing", function()
    join(ann, "a")

    assert.is_true(world:znode(PATH).container)
  end)

  it("shows the data that it was given, or the id", function()
    join(ann, "a", { data = "10.0.0.1:80" })
    join(bob, "b")

    local list = members()

    assert.are.same({ "10.0.0.1:80", "b" }, { list[1].data, list[2].data })
  end)

  it("fails with Conflict when somebody has the id", function()
    join(ann, "a")

    local _, name = bob:try("party.join", { path = PATH, id = "a" })

    assert.are.equal("Conflict", name)
    assert.are.equal(ann.id, members()[1].session)
  end)

  it("fails with Conflict when the caller has the id itself", function()
    join(ann, "a")

    local _, name = ann:try("party.join", { path = PATH, id = "a" })

    assert.are.equal("Conflict", name)
  end)

  it("takes an id over, with a larger fence, as one change", function()
    local first = join(ann, "a")
    local known = now()

    local second = join(bob, "a", { takeover = true })

    assert.is_true(second.fence > first.fence)
    assert.are.same({ "a" }, ids_of(members()))
    assert.are.equal(bob.id, members()[1].session)
    assert.are.same({ "replaced a" }, events_of(watch(cid, known):result()))
  end)

  it("never shows an id missing or twice, at every proposal of a takeover", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      join(ann, "a")

      local cut = world:fail_over_during(proposals, function()
        join(bob, "a", { takeover = true })
      end)

      assert.are.same({ "a" }, ids_of(members()))
      return cut
    end)

    assert.is_true(cuts >= 1)
  end)

  it("fails with Conflict when the znode holds something else than a party", function()
    ann:create("/groups")
    ann:create(PATH, "how to load paper")

    local _, name = ann:try("party.join", { path = PATH, id = "a" })

    assert.are.equal("Conflict", name)
    assert.are.equal("how to load paper", world:znode(PATH).data)
  end)

  it("takes 800 members of 32 bytes, and then fails with Limit", function()
    local id = ("%032d")
    for i = 1, 800 do join(ann, id:format(i)) end
    local name, count = nil, 800

    while not name do
      count = count + 1
      local _, error_name = ann:try("party.join", { path = PATH, id = id:format(count) })
      name = error_name
    end

    assert.are.equal("Limit", name)
    assert.is_true(count > 900)
    assert.are.equal(count - 1, #world:children(PATH))
  end)

  it("refuses an id that is not a part of a path, or is too long", function()
    local _, slash = ann:try("party.join", { path = PATH, id = "a/b" })
    local _, empty = ann:try("party.join", { path = PATH, id = "" })
    local _, long = ann:try("party.join", { path = PATH, id = ("x"):rep(101) })

    assert.are.same({ "BadArguments", "BadArguments", "BadArguments" }, { slash, empty, long })
  end)

  it("fails with NoAuth where the caller may not create", function()
    ann:create("/groups", "", { acl = "world:anyone:r" })

    local _, name = ann:try("party.join", { path = PATH, id = "a" })

    assert.are.equal("NoAuth", name)
  end)
end)

describe("party.leave", function()
  before_each(new_world)

  it("ends a membership", function()
    join(ann, "a")
    join(bob, "b")

    assert.is_true(leave(ann, "a"))
    assert.are.same({ "b" }, ids_of(members()))
  end)

  it("fails with NotOwner when the id is another's, or was taken over, or has left", function()
    join(ann, "a")
    local _, others = bob:try("party.leave", { path = PATH, id = "a" })
    join(bob, "a", { takeover = true })
    local _, former = ann:try("party.leave", { path = PATH, id = "a" })
    leave(bob, "a")
    local _, gone = bob:try("party.leave", { path = PATH, id = "a" })

    assert.are.same({ "NotOwner", "NotOwner", "NotOwner" }, { others, former, gone })
  end)

  it("is for good: a join that is asked again does not bring the member back (defect 8)", function()
    local first = ann:start("party.join", { path = PATH, id = "a" })
    leave(ann, "a")

    local again = ann:retry(first)

    assert.are.same(first:result(), again:result())
    assert.are.same({}, members())
  end)
end)

describe("party.members", function()
  before_each(new_world)

  it("lists those whose sessions live, in the order of ids", function()
    join(bob, "b")
    join(ann, "a")
    join(cid, "c")

    world:expire(bob)

    assert.are.same({ "a", "c" }, ids_of(members()))
  end)

  it("is empty where there is no party", function()
    assert.are.same({}, members())
  end)

  it("comes in pages", function()
    for i = 1, 250 do join(ann, ("m%03d"):format(i)) end
    local pages, from = {}, nil

    repeat
      local page = cid:call("party.members", { path = PATH, from = from })
      table.insert(pages, #page)
      from = page[#page] and page[#page].id
    until #page == 0

    assert.are.same({ 100, 100, 50, 0 }, pages)
  end)

  it("has the members of kazoo's, which finds ours by their names", function()
    ann:create("/groups")
    ann:create(PATH)
    ann:create(KAZOO, "host-1", { ephemeral = true })
    join(bob, "b")

    local list = members()

    assert.are.same({ "host-1", "b" }, { list[1].data, list[2].data })
    assert.matches("__party__", world:children(PATH)[2])
  end)
end)

describe("party.changes", function()
  before_each(new_world)

  it("answers at once with all members when the caller knows nothing", function()
    local joined = join(ann, "a")

    local answer = now()

    assert.are.same({ a = joined.fence }, answer.members)
    assert.are.equal(joined.version, answer.version)
    assert.are.equal(joined.party, answer.party)
  end)

  it("answers at once with nobody where there is no party, and waits for one", function()
    local known = now()
    local waiting = watch(bob, known)
    local waited = waiting:waiting()

    local joined = join(ann, "a")

    assert.are.same({}, known.members)
    assert.is_true(waited)
    assert.are.same({ a = joined.fence }, waiting:result().members)
  end)

  it("tells of joining, leaving and dying, in order, with a version for each", function()
    join(ann, "a")
    local known = now()
    join(bob, "b")
    leave(ann, "a")
    join(ann, "c")
    world:expire(bob)

    local answer = watch(cid, known):result()

    assert.are.same({ "joined b", "left a", "joined c", "left b" }, events_of(answer))
    for i, change in ipairs(answer.changes) do
      assert.are.equal(known.version + i, change.version)
    end
    assert.are.equal(known.version + 4, answer.version)
  end)

  it("waits for ever without a timeout, until something changes", function()
    join(ann, "a")
    local waiting = watch(cid, now())
    world:advance("2h")
    local waited = waiting:waiting()

    world:expire(ann)

    assert.is_true(waited)
    assert.are.same({ "left a" }, events_of(waiting:result()))
  end)

  it("fails with Timeout when nothing has changed, and not before", function()
    join(ann, "a")
    local waiting = watch(cid, now(), "5s")

    world:advance("4900ms")
    local in_time = waiting:waiting()
    world:advance("200ms")

    assert.is_true(in_time)
    assert.are.equal("Timeout", (waiting:error()))
  end)

  it("tells everybody who waits", function()
    join(ann, "a")
    local known = now()
    local first, second = watch(bob, known), watch(cid, known)

    join(ann, "b")

    assert.are.same({ "joined b" }, events_of(first:result()))
    assert.are.same({ "joined b" }, events_of(second:result()))
    assert.are.equal(0, world:waiting())
  end)

  it("does not wake up for znodes that are no members", function()
    join(ann, "a")
    local known = now()
    ann:create(PATH .. "/notes")

    local waiting = watch(bob, known)
    local waited = waiting:waiting()
    ann:delete(PATH .. "/notes")

    assert.is_true(waited)
    assert.is_true(waiting:waiting())
  end)

  it("tells all members when the caller's version is older than 100 changes", function()
    join(ann, "a")
    local known = now()
    for _ = 1, 50 do
      join(bob, "b")
      leave(bob, "b")
    end
    local hundred = watch(cid, known):result()
    join(bob, "b")

    local more = watch(cid, known):result()

    assert.are.equal(100, #hundred.changes)
    assert.is_nil(more.changes)
    assert.is_true(more.members.a ~= nil and more.members.b ~= nil)
  end)

  it("tells all members of a new party to who knows one that is gone", function()
    join(ann, "a")
    local known = now()
    leave(ann, "a")
    world:advance("3m")
    assert.is_nil(world:znode(PATH))
    local joined = join(bob, "b")

    local answer = watch(cid, known):result()

    assert.are.same({ b = joined.fence }, answer.members)
    assert.is_true(answer.party > known.party)
  end)

  it("sees kazoo's members come and go", function()
    join(ann, "a")
    local known = now()
    bob:create(KAZOO, "host-1", { ephemeral = true })
    local came = watch(cid, known):result()
    bob:delete(KAZOO)

    local went = watch(cid, came):result()

    assert.are.same({ "joined 0a1b2c3d4e5f40718293a4b5c6d7e8f9" }, events_of(came))
    assert.are.same({ "left 0a1b2c3d4e5f40718293a4b5c6d7e8f9" }, events_of(went))
  end)

  it("has no gap and repeats nothing, at every proposal of a busy day", function()
    testkit.at_every_proposal(function(proposals)
      new_world()
      join(ann, "a")
      local known = now()

      local cut = world:fail_over_during(proposals, function()
        join(bob, "b")
        join(cid, "a", { takeover = true })
        leave(bob, "b")
        world:expire(cid)
      end)
      world:expire(cid)
      local here = {}
      for id, fence in pairs(known.members) do here[id] = fence end
      local answer = ann:call("party.changes",
        { path = PATH, party = known.party, since = known.version })
      for i, change in ipairs(answer.changes) do
        assert.are.equal(known.version + i, change.version)
        here[change.id] = change.event ~= "left" and change.fence or nil
      end

      assert.are.same(ann:call("party.changes", { path = PATH }).members, here)
      return cut
    end)
  end)

  it("goes on after the leader's death", function()
    join(ann, "a")
    local waiting = watch(cid, now())

    world:fail_over()
    local waited = waiting:waiting()
    join(bob, "b")

    assert.is_true(waited)
    assert.are.same({ "joined b" }, events_of(waiting:result()))
  end)
end)
