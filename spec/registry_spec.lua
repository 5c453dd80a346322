--- The promises of recipes/registry.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local PATH = "/services/web"

local world, ann, bob, cid

local function new_world()
  world = testkit.world()
  ann, bob, cid = world:session(), world:session(), world:session()
end

local function register(session, id, more)
  local arguments = { path = PATH, id = id, data = id .. ":80" }
  for name, value in pairs(more or {}) do arguments[name] = value end
  return session:call("registry.register", arguments)
end

local function heartbeat(session, id, registered, more)
  local arguments = { path = PATH, id = id, fence = registered.fence }
  for name, value in pairs(more or {}) do arguments[name] = value end
  return session:call("registry.heartbeat", arguments)
end

local function drain(id, draining)
  return cid:call("registry.drain", { path = PATH, id = id, draining = draining })
end

local function pick(policy, zone)
  local picked = cid:try("registry.pick", { path = PATH, policy = policy, zone = zone })
  return picked and picked.id
end

-- How often each was picked, of `count` picks.
local function picks(count, policy, zone)
  local times = {}
  for _ = 1, count do
    local id = pick(policy, zone)
    times[id] = (times[id] or 0) + 1
  end
  return times
end

local function instances(from, limit)
  return cid:call("registry.instances", { path = PATH, from = from, limit = limit })
end

local function ids_of(list)
  local ids = {}
  for i, instance in ipairs(list) do ids[i] = instance.id end
  return ids
end

describe("registry.register", function()
  before_each(new_world)

  it("adds an instance, with its fence, that is the session's", function()
    local registered = register(ann, "a")

    assert.are.equal(PATH .. "/a", registered.ticket)
    assert.are.equal(ann.id, world:znode(registered.ticket).owner)
    assert.are.equal(world:znode(registered.ticket).czxid, registered.fence)
    assert.is_true(world:znode(PATH).container)
  end)

  it("fails with Conflict when another lives under that id", function()
    register(ann, "a")

    local _, name = bob:try("registry.register", { path = PATH, id = "a", data = "" })

    assert.are.equal("Conflict", name)
  end)

  it("takes the id of an instance whose session has ended, with a larger fence", function()
    local first = register(ann, "a")
    world:expire(ann)

    local second = register(bob, "a")

    assert.is_true(second.fence > first.fence)
  end)

  it("keeps an instance with a ttl when its session ends, and for no longer than that", function()
    register(ann, "a", { ttl = "1m" })
    world:expire(ann)
    local kept = pick()

    world:advance("61s")

    assert.are.equal("a", kept)
    assert.is_nil(pick())
  end)

  it("takes the id of an instance whose time is over, and removes others of that kind", function()
    register(ann, "a", { ttl = "1m" })
    register(ann, "b", { ttl = "1m" })
    world:advance("61s")

    register(bob, "a")

    assert.are.same({ "a" }, world:children(PATH))
  end)

  it("fails with Limit when 1,000 are there", function()
    for i = 1, 1000 do register(ann, "i" .. i) end

    local _, name = bob:try("registry.register", { path = PATH, id = "more", data = "" })

    assert.are.equal("Limit", name)
    assert.is_true(pick("weight") ~= nil)
  end)

  it("refuses weights, times and ids that are out of bounds", function()
    local names = {}
    local wrong = { { weight = 1001 }, { weight = -1 }, { ttl = "10ms" }, { id = "a/b" } }
    for i, more in ipairs(wrong) do
      local arguments = { path = PATH, id = more.id or "a", data = "", weight = more.weight,
        ttl = more.ttl }
      local _, name = ann:try("registry.register", arguments)
      names[i] = name
    end

    assert.are.same({ "BadArguments", "BadArguments", "BadArguments", "BadArguments" }, names)
  end)

  it("fails with NoAuth where the caller may not create", function()
    ann:create("/services", "", { acl = "world:anyone:r" })

    local _, name = ann:try("registry.register", { path = PATH, id = "a", data = "" })

    assert.are.equal("NoAuth", name)
  end)
end)

describe("registry.heartbeat", function()
  before_each(new_world)

  it("lets an instance with a ttl live on, and says until when", function()
    local registered = register(ann, "a", { ttl = "1m" })
    world:advance("50s")
    local first = heartbeat(ann, "a", registered)
    world:advance("50s")

    local second = heartbeat(ann, "a", registered)

    assert.are.equal("a", pick())
    assert.is_true(second.expires - first.expires >= 50000)
  end)

  it("goes on from another session if the instance has a ttl", function()
    local registered = register(ann, "a", { ttl = "1m" })
    world:expire(ann)

    assert.is_true(heartbeat(bob, "a", registered).expires ~= nil)
  end)

  it("takes an instance that says it is down out of the picks, until it is up", function()
    local registered = register(ann, "a")
    heartbeat(ann, "a", registered, { status = "down" })
    local down = pick()

    heartbeat(ann, "a", registered, { status = "up" })

    assert.is_nil(down)
    assert.are.equal("a", pick())
  end)

  it("keeps what it does not say", function()
    local registered = register(ann, "a")
    heartbeat(ann, "a", registered, { load = 7, status = "down" })

    heartbeat(ann, "a", registered)

    local instance = instances().instances[1]
    assert.are.same({ 7, "down" }, { instance.load, instance.status })
  end)

  it("fails with NotOwner from elsewhere, of an earlier registration, and too late", function()
    local registered = register(ann, "a")
    local function try(session, id, fence)
      local _, name = session:try("registry.heartbeat", { path = PATH, id = id, fence = fence })
      return name
    end
    local elsewhere = try(bob, "a", registered.fence)
    ann:call("registry.deregister", { path = PATH, id = "a", fence = registered.fence })
    register(ann, "a")
    local earlier = try(ann, "a", registered.fence)
    local timed = register(ann, "t", { ttl = "1m" })
    world:advance("61s")
    local late = try(ann, "t", timed.fence)

    assert.are.same({ "NotOwner", "NotOwner", "NotOwner" }, { elsewhere, earlier, late })
  end)
end)

describe("registry.drain", function()
  before_each(new_world)

  it("takes an instance out of the picks while it lives on, and puts it back", function()
    register(ann, "a")
    register(bob, "b")
    drain("a")
    local drained = picks(10)

    drain("a", false)

    assert.are.same({ b = 10 }, drained)
    assert.are.same({ a = 5, b = 5 }, picks(10))
  end)

  it("is not undone by a heartbeat", function()
    local registered = register(ann, "a")
    drain("a")

    heartbeat(ann, "a", registered, { status = "up" })

    assert.is_nil(pick())
  end)

  it("fails with NoNode when there is no such instance", function()
    local _, name = cid:try("registry.drain", { path = PATH, id = "a" })

    assert.are.equal("NoNode", name)
  end)

  it("fails with NoAuth where the caller may not change the instance", function()
    ann:create("/services")
    ann:create(PATH)
    ann:create(PATH .. "/a", '{"weight":1,"status":"up","load":0}', { acl = "world:anyone:r" })

    local _, name = bob:try("registry.drain", { path = PATH, id = "a" })

    assert.are.equal("NoAuth", name)
  end)
end)

describe("registry.deregister", function()
  before_each(new_world)

  it("takes an instance away", function()
    local registered = register(ann, "a")

    assert.is_true(ann:call("registry.deregister",
      { path = PATH, id = "a", fence = registered.fence }))
    assert.is_nil(pick())
  end)

  it("fails with NotOwner from another session", function()
    local registered = register(ann, "a")

    local _, name = bob:try("registry.deregister",
      { path = PATH, id = "a", fence = registered.fence })

    assert.are.equal("NotOwner", name)
  end)
end)

describe("registry.pick", function()
  before_each(new_world)

  it("takes turns, whoever comes and goes", function()
    local a = register(ann, "a")
    register(ann, "c")
    register(ann, "d")
    local before = { pick(), pick() }
    register(ann, "b")
    ann:call("registry.deregister", { path = PATH, id = "a", fence = a.fence })

    local after = { pick(), pick(), pick(), pick() }

    assert.are.same({ "a", "c" }, before)
    assert.are.same({ "d", "b", "c", "d" }, after)
  end)

  it("returns what callers need", function()
    local registered = register(ann, "a", { weight = 3, zone = "east" })
    heartbeat(ann, "a", registered, { load = 0.5 })

    local picked = cid:call("registry.pick", { path = PATH })

    assert.are.same({ id = "a", data = "a:80", weight = 3, zone = "east", load = 0.5,
      fence = registered.fence }, picked)
  end)

  it("picks by weight, as exactly as whole picks allow", function()
    register(ann, "a", { weight = 1 })
    register(ann, "b", { weight = 2 })
    register(ann, "c", { weight = 7 })
    register(ann, "d", { weight = 0 })

    local times = picks(200, "weight")

    assert.is_true(math.abs(times.a - 20) <= 3)
    assert.is_true(math.abs(times.b - 40) <= 3)
    assert.is_true(math.abs(times.c - 140) <= 3)
    assert.is_nil(times.d)
  end)

  it("picks the least loaded, and of equals by turns", function()
    local a, b, c = register(ann, "a"), register(ann, "b"), register(ann, "c")
    heartbeat(ann, "a", a, { load = 3 })
    heartbeat(ann, "b", b, { load = 1 })
    heartbeat(ann, "c", c, { load = 1 })
    local equals = picks(10, "least_load")

    heartbeat(ann, "a", a, { load = 0 })

    assert.are.same({ b = 5, c = 5 }, equals)
    assert.are.same({ a = 10 }, picks(10, "least_load"))
  end)

  it("picks of the caller's zone first, and of others if it has none to pick", function()
    register(ann, "a", { zone = "east" })
    register(ann, "b", { zone = "west" })
    register(ann, "c", { zone = "west" })
    local near = picks(10, "round_robin", "west")
    drain("b")
    drain("c")

    local far = picks(10, "round_robin", "west")

    assert.are.same({ b = 5, c = 5 }, near)
    assert.are.same({ a = 10 }, far)
  end)

  it("never returns an instance whose session has ended", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      register(ann, "a")
      register(bob, "b")

      local cut = world:fail_over_during(proposals, function() world:expire(ann) end)
      world:expire(ann)

      assert.are.same({ b = 10 }, picks(10))
      return cut
    end)

    assert.is_true(cuts >= 1)
  end)

  it("fails with NoNode when there is none to pick", function()
    local _, nobody = cid:try("registry.pick", { path = PATH })
    register(ann, "a", { weight = 0 })
    local _, weightless = cid:try("registry.pick", { path = PATH, policy = "weight" })

    assert.are.same({ "NoNode", "NoNode" }, { nobody, weightless })
  end)

  it("passes over znodes that are no instances", function()
    register(ann, "b")
    ann:create(PATH .. "/a", "how to load paper")
    ann:create(PATH .. "/c", '{"weight":"heavy","load":0,"status":"up"}')
    ann:create(PATH .. "/d", '{"weight":1,"load":[],"status":"up","expires":true}')

    assert.are.same({ b = 3 }, picks(3))
    assert.are.same({ b = 3 }, picks(3, "weight"))
    assert.are.same({ b = 3 }, picks(3, "least_load"))
  end)

  it("fails with NoAuth where the caller may not change the service's znode", function()
    ann:create("/services")
    ann:create(PATH, "", { acl = "world:anyone:rc" })
    register(ann, "a")

    local _, name = bob:try("registry.pick", { path = PATH })

    assert.are.equal("NoAuth", name)
  end)
end)

describe("registry.instances", function()
  before_each(new_world)

  it("lists all that live, drained or down, in pages", function()
    for i = 1, 7 do register(ann, "i" .. i) end
    local timed = register(ann, "t", { ttl = "1m" })
    drain("i2")
    heartbeat(ann, "i3", { fence = world:znode(PATH .. "/i3").czxid }, { status = "down" })

    local first = instances(nil, 4)
    local second = instances(first.next, 4)
    local third = instances(second.next, 4)

    assert.are.same({ "i1", "i2", "i3", "i4" }, ids_of(first.instances))
    assert.are.same({ "i5", "i6", "i7", "t" }, ids_of(second.instances))
    assert.are.same({ true, "down" }, { first.instances[2].draining, first.instances[3].status })
    assert.are.equal(timed.fence, second.instances[4].fence)
    assert.is_true(second.instances[4].expires ~= nil)
    assert.are.same({}, third.instances)
    assert.is_nil(third.next)
  end)

  it("shows 40 of the largest in one page", function()
    for i = 1, 40 do
      register(ann, ("%03d"):format(i) .. ("x"):rep(97),
        { data = ("x"):rep(1000), zone = ("z"):rep(100), ttl = "1h" })
    end

    assert.are.equal(40, #instances().instances)
  end)

  it("is empty where there is no service", function()
    assert.are.same({ instances = {}, version = 0 }, instances())
  end)
end)

describe("registry.watch", function()
  before_each(new_world)

  it("waits until an instance comes or goes, for all who watch", function()
    register(ann, "a")
    local version = instances().version
    local function watch(session)
      return session:start("registry.watch", { path = PATH, version = version })
    end
    local first, second = watch(bob), watch(cid)
    local waited = first:waiting() and second:waiting()

    world:expire(ann)

    assert.is_true(waited)
    assert.is_true(first:result().version > version)
    assert.are.same(first:result(), second:result())
  end)

  it("returns at once when they have come or gone already", function()
    local version = instances().version
    register(ann, "a")

    local watch = cid:start("registry.watch", { path = PATH, version = version })

    assert.is_true(watch:result().version > version)
  end)

  it("fails with Timeout when none has, and goes on after the leader's death", function()
    register(ann, "a")
    local watch = cid:start("registry.watch",
      { path = PATH, version = instances().version, timeout = "5s" })
    world:fail_over()
    local waited = watch:waiting()

    world:advance("6s")

    assert.is_true(waited)
    assert.are.equal("Timeout", (watch:error()))
  end)
end)
