--- The promises of recipes/config.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local world, ann, bob

local function new_world()
  world = testkit.world()
  ann, bob = world:session(), world:session()
end

local function publish(session, set, more)
  local arguments = { path = "/app/config", set = set }
  for key, value in pairs(more or {}) do arguments[key] = value end
  return session:call("config.publish", arguments).revision
end

local function fetch(session, since)
  return session:call("config.fetch", { path = "/app/config", since = since })
end

describe("config.publish", function()
  before_each(new_world)

  it("sets keys and removes others, as one revision", function()
    publish(ann, { host = "a", port = "1", user = "root" })
    local revision = publish(ann, { host = "b" }, { remove = { "user", "unknown" } })

    assert.are.same({ revision = revision, values = { host = "b", port = "1" } }, fetch(bob))
  end)

  it("creates the znode and those above it", function()
    publish(ann, {})

    assert.is_not_nil(world:znode("/app/config"))
    assert.are.same({}, fetch(bob).values)
  end)

  it("gives every change a larger revision, and none to what changes nothing", function()
    local one = publish(ann, { a = "1" })
    local two = publish(ann, { a = "2" })
    local same = publish(ann, { a = "2" }, { remove = { "b" } })

    assert.is_true(two > one)
    assert.are.equal(two, same)
    assert.are.equal(2, #world:children("/app/config"))
  end)

  it("never uses a revision twice, even if the configuration is made anew", function()
    local one = publish(ann, { a = "1" })
    ann:call("tree.delete", { path = "/app/config" })

    assert.is_true(publish(ann, { a = "1" }) > one)
  end)

  it("fails with Conflict, and the revision, if another is expected", function()
    local one = publish(ann, { a = "1" }, { expect = 0 })
    local two = publish(ann, { a = "2" }, { expect = one })

    local _, name, message =
      bob:try("config.publish", { path = "/app/config", set = { a = "3" }, expect = one })

    assert.are.equal("Conflict", name)
    assert.matches(string.format("its revision is %.0f", two), message, 1, true)
    assert.are.equal("Conflict", bob:refused("config.publish",
      { path = "/app/config", set = { a = "3" }, expect = 0 }))
    assert.are.equal("2", fetch(bob).values.a)
  end)

  it("refuses a key that is both set and removed", function()
    assert.are.equal("BadArguments", ann:refused("config.publish",
      { path = "/app/config", set = { a = "1" }, remove = { "a" } }))
  end)

  it("fails with Limit beyond 500 keys, and beyond 24 KB", function()
    local keys = {}
    for i = 1, 500 do keys["key" .. i] = "" end
    publish(ann, keys)

    assert.are.equal("Limit", ann:refused("config.publish",
      { path = "/app/config", set = { more = "" } }))
    assert.are.equal("Limit", ann:refused("config.publish",
      { path = "/app/other", set = { a = ("x"):rep(24 * 1024) } }))
    assert.is_nil(world:znode("/app/other"))
  end)

  it("takes values of nearly 24 KB, and replaces them all at once", function()
    local function large(letter)
      local keys = {}
      for i = 1, 20 do keys["key" .. i] = letter:rep(1150) end
      return keys
    end
    publish(ann, large "a")

    publish(ann, large "b")

    assert.are.same(large "b", fetch(bob).values)
  end)

  it("fails with NoAuth where the caller may not write", function()
    ann:create("/app")
    ann:create("/app/config", "", { acl = "world:anyone:r" })

    assert.are.equal("NoAuth", bob:refused("config.publish",
      { path = "/app/config", set = { a = "1" } }))
  end)

  it("publishes as a whole or not at all, once, wherever the leader dies", function()
    local proposals, cut = 0, true
    while cut do
      new_world()
      local one = publish(ann, { a = "1", b = "1" })
      local call
      cut = world:fail_over_during(proposals, function()
        call = ann:start("config.publish",
          { path = "/app/config", set = { a = "2", b = "2" }, expect = one })
      end)

      local two = call:result().revision
      assert.are.same({ revision = two, values = { a = "2", b = "2" } }, fetch(bob))
      assert.are.equal(1, #fetch(bob, one).changes)
      proposals = proposals + 1
    end
    assert.are.equal(2, proposals)
  end)
end)

describe("config.fetch", function()
  before_each(new_world)

  it("tells what came after a revision, in order, none missing", function()
    local one = publish(ann, { a = "1", b = "1" })
    local two = publish(ann, { a = "2", c = "2" })
    local three = publish(ann, {}, { remove = { "b" } })

    assert.are.same({ revision = three, changes = {
      { revision = two, set = { a = "2", c = "2" }, removed = {} },
      { revision = three, set = {}, removed = { "b" } },
    } }, fetch(bob, one))
    assert.are.same({ revision = three, changes = {} }, fetch(bob, three))
  end)

  it("tells a change that says nothing new about a key only once", function()
    local one = publish(ann, { a = "1", b = "1" })
    publish(ann, { a = "1", b = "2" })

    assert.are.same({ b = "2" }, fetch(bob, one).changes[1].set)
  end)

  it("gives everything, as a resync, to who has a revision that is not known", function()
    local one = publish(ann, { a = "1" })
    local two = publish(ann, { a = "2" })

    for _, since in ipairs { 1, one + 0.0 - 1, two + 1000 } do
      assert.are.same({ revision = two, values = { a = "2" }, resync = true }, fetch(bob, since))
    end
  end)

  it("gives everything, as a resync, to who saw another life of the configuration", function()
    local one = publish(ann, { a = "1" })
    ann:call("tree.delete", { path = "/app/config" })
    local two = publish(ann, { a = "2" })

    assert.are.same({ revision = two, values = { a = "2" }, resync = true }, fetch(bob, one))
  end)

  it("knows the last 100 changes", function()
    local revisions = {}
    for i = 0, 101 do revisions[i] = publish(ann, { a = tostring(i) }) end

    assert.are.equal(100, #fetch(bob, revisions[1]).changes)
    assert.is_true(fetch(bob, revisions[0]).resync)
    assert.are.equal(100, #world:children("/app/config"))
  end)

  it("gives everything, as a resync, if the changes are longer than it", function()
    local one = publish(ann, { a = "1" })
    for i = 1, 5 do publish(ann, { a = tostring(i):rep(10000) }) end

    assert.is_true(fetch(bob, one).resync)
  end)

  it("fails with NoNode before anything was published, and with NoAuth", function()
    ann:create("/secret", "", { acl = "world:anyone:w" })

    assert.are.equal("NoNode", bob:refused("config.fetch", { path = "/app/config" }))
    assert.are.equal("NoAuth", bob:refused("config.fetch", { path = "/secret" }))
  end)
end)

describe("config.wait", function()
  before_each(new_world)

  local function wait(session, since, timeout)
    return session:start("config.wait", { path = "/app/config", since = since, timeout = timeout })
  end

  it("returns at once what the caller has not seen", function()
    local one = publish(ann, { a = "1" })
    local two = publish(ann, { a = "2" })

    local change = { revision = two, set = { a = "2" }, removed = {} }
    assert.are.same({ revision = two, changes = { change } },
      wait(bob, one):result())
  end)

  it("waits for the next revision", function()
    local one = publish(ann, { a = "1" })
    local call = wait(bob, one)
    local waited = call:waiting()

    local two = publish(ann, { a = "2" })

    assert.is_true(waited)
    local change = { revision = two, set = { a = "2" }, removed = {} }
    assert.are.same({ revision = two, changes = { change } },
      call:result())
  end)

  it("waits for the first revision", function()
    local call = wait(bob, 0)
    local waited = call:waiting()

    local one = publish(ann, { a = "1" })

    assert.is_true(waited)
    assert.are.same({ revision = one, values = { a = "1" } }, call:result())
  end)

  it("does not end for a publication that changes nothing", function()
    local one = publish(ann, { a = "1" })
    local call = wait(bob, one)

    publish(ann, { a = "1" })

    assert.is_true(call:waiting())
  end)

  it("wakes all who wait, once per revision", function()
    local one = publish(ann, { a = "1" })
    local calls = {}
    for i = 1, 10 do calls[i] = wait(bob, one) end
    local before = world:stats().woken

    publish(ann, { a = "2" })

    assert.are.equal(before + 10, world:stats().woken)
    assert.are.equal(0, world:waiting())
  end)

  it("fails with Timeout if nothing has changed in time", function()
    local one = publish(ann, { a = "1" })
    local call = wait(bob, one, "5s")

    world:advance("6s")

    assert.are.equal("Timeout", (call:error()))
  end)

  it("fails with NoAuth where the caller may not read", function()
    ann:create("/secret", "", { acl = "world:anyone:w" })

    assert.are.equal("NoAuth", bob:refused("config.wait", { path = "/secret", since = 0 }))
  end)

  it("goes on under the leader's successor", function()
    local one = publish(ann, { a = "1" })
    local call = wait(bob, one)

    world:fail_over()
    local waited = call:waiting()
    local two = publish(ann, { a = "2" })

    assert.is_true(waited)
    assert.are.equal(two, call:result().revision)
  end)
end)

describe("config.rollback", function()
  before_each(new_world)

  it("publishes the values of an earlier revision as a new one", function()
    local one = publish(ann, { a = "1", b = "1" })
    local two = publish(ann, { a = "2", c = "2" }, { remove = { "b" } })
    publish(ann, { d = "3" })

    local four = ann:call("config.rollback", { path = "/app/config", to = one }).revision

    assert.are.same({ revision = four, values = { a = "1", b = "1" } }, fetch(bob))
    assert.are.same({ revision = four, set = { a = "1", b = "1" }, removed = { "c", "d" } },
      fetch(bob, two).changes[2])
  end)

  it("goes back over 100 changes, and over itself", function()
    local revisions = {}
    for i = 0, 99 do revisions[i] = publish(ann, { ["k" .. i % 7] = tostring(i) }) end

    ann:call("config.rollback", { path = "/app/config", to = revisions[0] })
    local empty = fetch(bob).values
    ann:call("config.rollback", { path = "/app/config", to = revisions[99] })

    assert.are.same({ k0 = "0" }, empty)
    assert.are.same({ k0 = "98", k1 = "99", k2 = "93", k3 = "94", k4 = "95", k5 = "96", k6 = "97" },
      fetch(bob).values)
  end)

  it("to the current revision changes nothing", function()
    local one = publish(ann, { a = "1" })

    assert.are.equal(one,
      ann:call("config.rollback", { path = "/app/config", to = one }).revision)
  end)

  it("fails with NoNode if the revision, or the configuration, is not known", function()
    assert.are.equal("NoNode", ann:refused("config.rollback", { path = "/app/config", to = 1 }))
    local one = publish(ann, { a = "1" })

    assert.are.equal("NoNode",
      ann:refused("config.rollback", { path = "/app/config", to = one - 1 }))
    assert.are.equal("NoNode",
      ann:refused("config.rollback", { path = "/app/config", to = one + 1 }))
  end)

  it("fails with NoAuth where the caller may not read", function()
    ann:create("/secret", "", { acl = "world:anyone:w" })

    assert.are.equal("NoAuth", ann:refused("config.rollback", { path = "/secret", to = 1 }))
  end)
end)

describe("config.stage and config.spread", function()
  local one

  before_each(function()
    new_world()
    one = publish(ann, { colour = "red", size = "1" })
  end)

  local function stage(percent, set)
    return ann:call("config.stage",
      { path = "/app/config", set = set or { colour = "blue" }, percent = percent }).revision
  end

  local function spread(revision, percent)
    return ann:call("config.spread",
      { path = "/app/config", revision = revision, percent = percent }).revision
  end

  local function colour(name, since)
    local told = bob:call("config.fetch", { path = "/app/config", as = name, since = since })
    return told.values and told.values.colour, told
  end

  -- Of 1,000 names: how many are shown the staged revision, and which.
  local function shown()
    local names, count = {}, 0
    for i = 1, 1000 do
      local name = "host-" .. i
      if colour(name) == "blue" then names[name], count = true, count + 1 end
    end
    return count, names
  end

  it("show a revision to so many of the names that ask, always to the same", function()
    stage(20)

    local count, names = shown()
    local _, again = shown()

    assert.is_true(count > 150 and count < 250, count)
    assert.are.same(names, again)
  end)

  it("show it to nobody who does not say who asks", function()
    local two = stage(99)

    local told = bob:call("config.fetch", { path = "/app/config" })

    assert.are.equal(one, told.revision)
    assert.are.equal("red", told.values.colour)
    assert.is_true(two > one)
  end)

  it("keep those who are shown it when there are to be more of them", function()
    local two = stage(20)
    local _, few = shown()

    spread(two, 60)

    local count, many = shown()
    assert.is_true(count > 540 and count < 660, count)
    for name in pairs(few) do assert.is_true(many[name]) end
  end)

  it("show it as a whole, with its number, and say that it is staged", function()
    local two = stage(99)
    local name
    for i = 1, 1000 do
      if colour("host-" .. i) == "blue" then name = "host-" .. i end
    end

    local _, first = colour(name)
    local _, resync = colour(name, one)
    local _, again = colour(name, two)

    assert.are.same({ revision = two, staged = true, values = { colour = "blue", size = "1" } }, first)
    assert.is_true(resync.resync)
    assert.are.same({ revision = two, staged = true, changes = {} }, again)
  end)

  it("publish it to all under its number at 100 percent, as a change like any other", function()
    local two = stage(50)

    assert.are.equal(two, spread(two, 100))

    local told = bob:call("config.fetch", { path = "/app/config", since = one })
    assert.are.same({ revision = two, changes = { { revision = two, set = { colour = "blue" },
      removed = {} } } }, told)
    assert.are.same({ two, "blue" }, { select(2, colour("anybody")).revision, (colour "anybody") })
    ann:call("config.rollback", { path = "/app/config", to = one })
    assert.are.equal("red", (colour()))
  end)

  it("take it back at 0 percent: who had it is told to forget it", function()
    local two = stage(99)

    assert.are.equal(one, spread(two, 0))

    local _, told = colour("host-1", two)
    assert.are.same({ revision = one, values = { colour = "red", size = "1" }, resync = true }, told)
    assert.is_nil(world:znode("/app/config/staged"))
  end)

  it("wake those whose revision it becomes, and nobody else", function()
    local inside, outside
    local two = stage(50)
    for i = 1, 20 do
      if colour("host-" .. i) == "blue" then inside = "host-" .. i else outside = "host-" .. i end
    end
    spread(two, 0)
    local function wait(name)
      return bob:start("config.wait", { path = "/app/config", since = one, as = name })
    end
    local calls = {}
    for i = 1, 20 do calls[i] = wait("host-" .. i) end
    local other = wait(nil)

    local three = stage(50)

    local woken = 0
    for _, call in ipairs(calls) do
      if not call:waiting() then
        woken = woken + 1
        assert.are.equal(three, call:result().revision)
      end
    end
    assert.is_truthy(inside and outside)
    assert.is_true(woken > 0 and woken < 20)
    assert.is_true(other:waiting())
  end)

  it("let nothing else be published meanwhile, and only one be staged", function()
    local two = stage(10)

    assert.are.equal("Conflict", ann:refused("config.publish",
      { path = "/app/config", set = { colour = "green" } }))
    assert.are.equal("Conflict", ann:refused("config.rollback", { path = "/app/config", to = one }))
    assert.are.equal("Conflict", ann:refused("config.stage",
      { path = "/app/config", set = { colour = "green" }, percent = 5 }))
    spread(two, 0)
    assert.is_true(publish(ann, { colour = "green" }) > two)
  end)

  it("fail with NoNode for a revision that is not staged", function()
    local two = stage(10)

    for _, revision in ipairs { one, two + 1 } do
      assert.are.equal("NoNode", ann:refused("config.spread",
        { path = "/app/config", revision = revision, percent = 50 }))
    end
    spread(two, 100)
    assert.are.equal("NoNode", ann:refused("config.spread",
      { path = "/app/config", revision = two, percent = 100 }))
  end)

  it("stage nothing that changes nothing, or that is too long", function()
    assert.are.equal(one, stage(10, { colour = "red" }))
    assert.are.equal("Limit", ann:refused("config.stage",
      { path = "/app/config", set = { colour = ("x"):rep(24 * 1024) }, percent = 5 }))
    assert.is_nil(world:znode("/app/config/staged"))
  end)

  it("stage the first revision, too", function()
    local first = ann:call("config.stage", { path = "/new", set = { a = "1" }, percent = 50,
      expect = 0 }).revision

    assert.are.equal("NoNode", bob:refused("config.fetch", { path = "/new" }))
    ann:call("config.spread", { path = "/new", revision = first, percent = 100 })
    assert.are.equal(first, bob:call("config.fetch", { path = "/new" }).revision)
  end)

  it("tell who waits when the only revision that there was is taken back", function()
    local first = ann:call("config.stage", { path = "/new", set = { a = "1" }, percent = 99 }).revision
    local name = 0
    repeat name = name + 1 until bob:try("config.fetch", { path = "/new", as = "host-" .. name })
    local waits = bob:start("config.wait", { path = "/new", since = first, as = "host-" .. name })
    local waited = waits:waiting()

    ann:call("config.spread", { path = "/new", revision = first, percent = 0 })

    assert.is_true(waited)
    assert.are.same({ revision = 0, values = {}, resync = true }, waits:result())
  end)

  it("publish once, at every proposal", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local first = publish(ann, { colour = "red" })
      local two = stage(50)
      local call

      local cut = world:fail_over_during(proposals, function()
        call = ann:start("config.spread", { path = "/app/config", revision = two, percent = 100 })
      end)

      assert.are.equal(two, call:result().revision)
      assert.are.same({ { revision = two, set = { colour = "blue" }, removed = {} } },
        bob:call("config.fetch", { path = "/app/config", since = first }).changes)
      return cut
    end)

    assert.are.equal(1, cuts)
  end)
end)

describe("config.set_validator", function()
  local SHOP = [[
    local shop = {}
    shop.check = operation {
      doc = "Whether the configuration of a shop makes sense.",
      args = { path = "path", values = "map" },
      reads_only = true,
      run = function(call)
        if call.args.values.broken then fail("Overload", "the judge is tired") end
        if tonumber(call.args.values.price) then return true end
        return "price is no number at " .. call.args.path
      end,
    }
    return shop]]
  local CONFIG

  before_each(function()
    local file = assert(io.open("recipes/config.lua"))
    CONFIG = file:read("*a")
    file:close()
    world = testkit.world { sources = { shop = SHOP, config = CONFIG } }
    ann, bob = world:session(), world:session()
    ann:call("config.set_validator", { path = "/app/config", operation = "shop.check" })
  end)

  it("has an operation judge what is published, and says why it is refused", function()
    local _, name, message = ann:try("config.publish",
      { path = "/app/config", set = { price = "cheap" } })

    assert.are.equal("BadArguments", name)
    assert.matches("price is no number at /app/config", message)
    assert.are.equal("NoNode", bob:refused("config.fetch", { path = "/app/config" }))
    assert.is_number(publish(ann, { price = "7" }))
  end)

  it("judges all values, not only those that change", function()
    publish(ann, { price = "7" })

    assert.is_number(publish(ann, { colour = "red" }))
    assert.are.equal("BadArguments", ann:refused("config.publish",
      { path = "/app/config", remove = { "price" } }))
  end)

  it("judges what is rolled back to, staged, and spread", function()
    ann:call("config.set_validator", { path = "/app/config" })
    local cheap = publish(ann, { price = "cheap" })
    publish(ann, { price = "7" })
    local staged = ann:call("config.stage", { path = "/app/config", set = { price = "dear" },
      percent = 5 }).revision
    ann:call("config.set_validator", { path = "/app/config", operation = "shop.check" })

    assert.are.equal("BadArguments", ann:refused("config.spread",
      { path = "/app/config", revision = staged, percent = 100 }))
    ann:call("config.spread", { path = "/app/config", revision = staged, percent = 0 })
    assert.are.equal("BadArguments", ann:refused("config.rollback",
      { path = "/app/config", to = cheap }))
    assert.are.equal("BadArguments", ann:refused("config.stage",
      { path = "/app/config", set = { price = "dear" }, percent = 5 }))
    assert.are.equal("7", bob:call("config.fetch", { path = "/app/config" }).values.price)
  end)

  it("lets nothing be published when it fails, or is not there", function()
    assert.are.equal("Overload", ann:refused("config.publish",
      { path = "/app/config", set = { price = "7", broken = "yes" } }))
    ann:call("config.set_validator", { path = "/app/config", operation = "shop.gone" })
    assert.are.equal("Unimplemented", ann:refused("config.publish",
      { path = "/app/config", set = { price = "7" } }))
  end)

  it("stays over what is published, and changes no revision", function()
    local one = publish(ann, { price = "7" })
    local waiting = bob:start("config.wait", { path = "/app/config", since = one })

    ann:call("config.set_validator", { path = "/app/config", operation = "shop.check" })

    assert.is_true(waiting:waiting())
    assert.are.equal("BadArguments", ann:refused("config.publish",
      { path = "/app/config", set = { price = "cheap" } }))
  end)

  it("fails with NoAuth where the caller may not write", function()
    ann:create("/secret", "", { acl = "world:anyone:r" })

    assert.are.equal("NoAuth", ann:refused("config.set_validator",
      { path = "/secret", operation = "shop.check" }))
  end)
end)
