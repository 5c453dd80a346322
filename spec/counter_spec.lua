--- The promises of recipes/counter.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local world, ann, bob

local function new_world()
  world = testkit.world()
  ann, bob = world:session(), world:session()
end

local function bytes(...) return string.char(...) end

describe("counter.add", function()
  before_each(new_world)

  it("adds one if it is not told what to add", function()
    local first = ann:call("counter.add", { path = "/hits" })
    local second = bob:call("counter.add", { path = "/hits" })

    assert.are.same({ before = 0, after = 1 }, first)
    assert.are.same({ before = 1, after = 2 }, second)
  end)

  it("adds what it is told, which may be negative", function()
    ann:call("counter.add", { path = "/hits", by = 40 })

    assert.are.same({ before = 40, after = -2 },
      ann:call("counter.add", { path = "/hits", by = -42 }))
  end)

  it("creates the znode and those above it", function()
    ann:call("counter.add", { path = "/site/pages/hits" })

    assert.are.equal("1", world:znode("/site/pages/hits").data)
  end)

  it("leaves the number alone if the sum is beyond a bound, and says Limit", function()
    ann:call("counter.add", { path = "/seats", by = 3 })

    assert.are.equal("Limit", ann:refused("counter.add", { path = "/seats", by = -4, floor = 0 }))
    assert.are.equal("Limit",
      ann:refused("counter.add", { path = "/seats", by = 8, ceiling = 10 }))
    assert.are.equal(0, world:znode("/seats").version)
  end)

  it("reaches a bound", function()
    ann:call("counter.add", { path = "/seats", by = 3 })

    assert.are.equal(0, ann:call("counter.add", { path = "/seats", by = -3, floor = 0 }).after)
    assert.are.equal(10, ann:call("counter.add", { path = "/seats", by = 10, ceiling = 10 }).after)
  end)

  it("fails with Limit beyond 2^53, in both directions", function()
    ann:call("counter.add", { path = "/up", by = 2 ^ 53 })
    ann:call("counter.add", { path = "/down", by = -2 ^ 53 })

    assert.are.equal("Limit", ann:refused("counter.add", { path = "/up", by = 2 }))
    assert.are.equal("Limit", ann:refused("counter.add", { path = "/down", by = -2 }))
    assert.are.equal("9007199254740992", world:znode("/up").data)
  end)

  it("fails with Conflict where the znode holds no whole number", function()
    for i, data in ipairs { "many", "1.5", "0x10", "1e3", "123456789012345678", "\0\0\0\7" } do
      ann:create("/odd" .. i, data)
      assert.are.equal("Conflict", ann:refused("counter.add", { path = "/odd" .. i }))
      assert.are.equal(data, world:znode("/odd" .. i).data)
    end
  end)

  it("fails with NoAuth where the caller may not write", function()
    ann:create("/fixed", "1", { acl = "world:anyone:r" })

    assert.are.equal("NoAuth", bob:refused("counter.add", { path = "/fixed" }))
  end)

  it("adds once, however often the same call is asked again", function()
    local first = ann:start("counter.add", { path = "/hits", by = 7 })

    ann:disconnect()
    ann:reconnect()
    local again = ann:retry(first)

    assert.are.same({ before = 0, after = 7 }, again:result())
    assert.are.equal("7", world:znode("/hits").data)
  end)

  it("adds once when the leader dies, at every proposal", function()
    local proposals, cut = 0, true
    while cut do
      new_world()
      local call
      cut = world:fail_over_during(proposals, function()
        call = ann:start("counter.add", { path = "/hits", by = 7 })
      end)

      assert.are.same({ before = 0, after = 7 }, call:result())
      assert.are.equal("7", world:znode("/hits").data)
      proposals = proposals + 1
    end
    assert.are.equal(2, proposals)
  end)
end)

describe("the znode of a counter", function()
  before_each(new_world)

  it("is kazoo's: the number as text, an empty one is 0", function()
    ann:create("/kazoo", "")

    assert.are.same({ before = 0, after = -3 },
      ann:call("counter.add", { path = "/kazoo", by = -3 }))
    assert.are.equal("-3", world:znode("/kazoo").data)
  end)

  it("can be Curator's: eight bytes", function()
    ann:call("counter.add", { path = "/long", by = 258, layout = "long" })
    assert.are.equal(bytes(0, 0, 0, 0, 0, 0, 1, 2), world:znode("/long").data)

    ann:call("counter.add", { path = "/long", by = -260 })
    assert.are.equal(bytes(255, 255, 255, 255, 255, 255, 255, 254), world:znode("/long").data)
  end)

  it("stays as it is written, whatever the caller prefers", function()
    ann:create("/long", bytes(0, 0, 0, 0, 0, 0, 0, 5))
    ann:create("/text", "5")

    ann:call("counter.add", { path = "/long", layout = "text" })
    ann:call("counter.add", { path = "/text", layout = "long" })

    assert.are.equal(bytes(0, 0, 0, 0, 0, 0, 0, 6), world:znode("/long").data)
    assert.are.equal("6", world:znode("/text").data)
  end)

  it("is text if it has eight digits", function()
    ann:create("/text", "12345678")

    assert.are.equal(12345679, ann:call("counter.add", { path = "/text" }).after)
  end)

  it("holds every number in eight bytes that it holds as text", function()
    for _, number in ipairs { 1, -1, 2 ^ 31, -2 ^ 31 - 1, 2 ^ 32, -2 ^ 32, 2 ^ 40 + 77, -2 ^ 52 - 5,
      2 ^ 53, -2 ^ 53, 2 ^ 53 - 1, 1 - 2 ^ 53 } do
      ann:call("counter.add", { path = "/long", by = number, layout = "long" })
      assert.are.equal(number, ann:call("counter.get", { path = "/long" }))
      assert.are.equal(8, #world:znode("/long").data)
      ann:delete("/long")
    end
  end)
end)

describe("counter.add_all", function()
  before_each(new_world)

  it("adds to several numbers and returns them", function()
    ann:call("counter.add", { path = "/a", by = 10 })

    local after = ann:call("counter.add_all", { by = { ["/a"] = -1, ["/b"] = 1 } })

    assert.are.same({ ["/a"] = 9, ["/b"] = 1 }, after)
  end)

  it("adds to none of them if one is refused", function()
    ann:call("counter.add", { path = "/a", by = 10 })
    local moves = { ["/a"] = 5, ["/b"] = -5 }

    assert.are.equal("Limit", ann:refused("counter.add_all", { by = moves, floor = 0 }))
    assert.are.equal("10", world:znode("/a").data)
    assert.is_nil(world:znode("/b"))
  end)

  it("takes 1 to 100 paths", function()
    local moves = {}
    for i = 1, 101 do moves["/n" .. i] = 1 end

    assert.are.equal("BadArguments", ann:refused("counter.add_all", { by = moves }))
    assert.are.equal("BadArguments", ann:refused("counter.add_all", { by = {} }))
    moves["/n101"] = nil
    ann:call("counter.add_all", { by = moves })
    assert.are.equal("1", world:znode("/n100").data)
  end)
end)

describe("counter.compare_and_set", function()
  before_each(new_world)

  it("sets the number if it is the one that is expected", function()
    ann:call("counter.add", { path = "/n", by = 5 })

    local set = ann:call("counter.compare_and_set", { path = "/n", expect = 5, value = 50 })

    assert.are.same({ before = 5, after = 50 }, set)
  end)

  it("takes no znode for 0", function()
    ann:call("counter.compare_and_set", { path = "/n", expect = 0, value = 50 })

    assert.are.equal("50", world:znode("/n").data)
  end)

  it("fails with Conflict, and the number, if it is another", function()
    ann:call("counter.add", { path = "/n", by = 5 })

    local _, name, message =
      bob:try("counter.compare_and_set", { path = "/n", expect = 4, value = 50 })

    assert.are.equal("Conflict", name)
    assert.matches("the number is 5", message, 1, true)
    assert.are.equal("5", world:znode("/n").data)
  end)
end)

describe("counter.raise and counter.lower", function()
  before_each(new_world)

  it("raise a number that is smaller, and no other", function()
    assert.are.same({ before = 0, after = 9 }, ann:call("counter.raise", { path = "/n", to = 9 }))
    assert.are.same({ before = 9, after = 9 }, ann:call("counter.raise", { path = "/n", to = 3 }))
    assert.are.equal(0, world:znode("/n").version)
  end)

  it("lower a number that is larger, and no other", function()
    assert.are.same({ before = 0, after = -9 }, ann:call("counter.lower", { path = "/n", to = -9 }))
    assert.are.same({ before = -9, after = -9 }, ann:call("counter.lower", { path = "/n", to = 3 }))
  end)
end)

describe("counter.get", function()
  before_each(new_world)

  it("returns the number, or 0 if there is no znode", function()
    ann:call("counter.add", { path = "/n", by = 5 })

    assert.are.equal(5, bob:call("counter.get", { path = "/n" }))
    assert.are.equal(0, bob:call("counter.get", { path = "/other" }))
    assert.is_nil(world:znode("/other"))
  end)

  it("fails with Conflict where there is no number, with NoAuth where it may not read", function()
    ann:create("/text", "hello")
    ann:create("/secret", "1", { acl = "world:anyone:w" })

    assert.are.equal("Conflict", ann:refused("counter.get", { path = "/text" }))
    assert.are.equal("NoAuth", ann:refused("counter.get", { path = "/secret" }))
  end)
end)
