--- The promises of recipes/value.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local world, ann, bob

local function new_world()
  world = testkit.world()
  ann, bob = world:session(), world:session()
end

describe("value.get", function()
  before_each(new_world)

  it("returns the bytes and the zxid that wrote them", function()
    ann:create("/v", "old")
    ann:set("/v", "new")

    local got = bob:call("value.get", { path = "/v" })

    assert.are.same({ data = "new", version = world:znode("/v").mzxid }, got)
  end)

  it("returns null if there is no znode", function()
    assert.is_nil(bob:call("value.get", { path = "/v" }))
  end)

  it("fails with NoAuth where the caller may not read", function()
    ann:create("/v", "secret", { acl = "world:anyone:w" })

    assert.are.equal("NoAuth", bob:refused("value.get", { path = "/v" }))
  end)
end)

describe("the limits of a value", function()
  before_each(new_world)

  it("are those of arguments and results: 64 KB in all", function()
    local data = ("x"):rep(65000)
    ann:call("value.set", { path = "/v", data = data })

    assert.are.equal(data, bob:call("value.get", { path = "/v" }).data)
    assert.are.equal("BadArguments",
      ann:refused("value.set", { path = "/v", data = ("x"):rep(65536) }))
  end)

  it("are those of JSON, if the caller speaks JSON", function()
    ann:create("/v", "\255")

    local _, name, message = bob:try("value.get", { path = "/v" })

    assert.are.equal("RecipeError", name)
    assert.matches("use MessagePack", message, 1, true)
  end)
end)

describe("value.set", function()
  before_each(new_world)

  it("replaces the bytes and returns the version that they have", function()
    local first = ann:call("value.set", { path = "/deep/v", data = "one" })
    local second = bob:call("value.set", { path = "/deep/v", data = "two" })

    assert.is_true(second.version > first.version)
    assert.are.same({ data = "two", version = second.version },
      ann:call("value.get", { path = "/deep/v" }))
  end)

  it("keeps the bytes as they are", function()
    local data = "\0\1\"\\\n \195\188"

    ann:call("value.set", { path = "/v", data = data })

    assert.are.equal(data, world:znode("/v").data)
    assert.are.equal(data, bob:call("value.get", { path = "/v" }).data)
  end)

  it("fails with NoAuth where the caller may not write", function()
    ann:create("/v", "fixed", { acl = "world:anyone:r" })

    assert.are.equal("NoAuth", bob:refused("value.set", { path = "/v", data = "" }))
  end)
end)

describe("value.compare_and_set", function()
  before_each(new_world)

  it("compares the content", function()
    ann:call("value.set", { path = "/v", data = "a" })

    local set = ann:call("value.compare_and_set", { path = "/v", expect = "a", data = "b" })

    assert.are.equal(set.version, world:znode("/v").mzxid)
    assert.are.equal("Conflict", bob:refused("value.compare_and_set",
      { path = "/v", expect = "a", data = "c" }))
    assert.are.equal("b", world:znode("/v").data)
  end)

  it("compares the version, and tells the one that is there", function()
    local one = ann:call("value.set", { path = "/v", data = "a" })
    local two = ann:call("value.set", { path = "/v", data = "a" })

    local _, name, message =
      bob:try("value.compare_and_set", { path = "/v", version = one.version, data = "b" })
    bob:call("value.compare_and_set", { path = "/v", version = two.version, data = "c" })

    assert.are.equal("Conflict", name)
    assert.matches(string.format("version %.0f is there", two.version), message, 1, true)
    assert.are.equal("c", world:znode("/v").data)
  end)

  it("compares both if both are given", function()
    local set = ann:call("value.set", { path = "/v", data = "a" })

    assert.are.equal("Conflict", bob:refused("value.compare_and_set",
      { path = "/v", expect = "b", version = set.version, data = "c" }))
    assert.are.equal("Conflict", bob:refused("value.compare_and_set",
      { path = "/v", expect = "a", version = set.version - 1, data = "c" }))
  end)

  it("creates a value if version 0 is expected and there is none", function()
    ann:call("value.compare_and_set", { path = "/v", version = 0, data = "first" })

    assert.are.equal("Conflict", bob:refused("value.compare_and_set",
      { path = "/v", version = 0, data = "second" }))
    assert.are.equal("first", world:znode("/v").data)
  end)

  it("does not take no znode for an empty one", function()
    assert.are.equal("Conflict", bob:refused("value.compare_and_set",
      { path = "/v", expect = "", data = "a" }))
  end)

  it("does not take a value that was made anew for the one that was there", function()
    local first = ann:call("value.set", { path = "/v", data = "a" })
    ann:delete("/v")
    ann:call("value.set", { path = "/v", data = "a" })

    assert.are.equal("Conflict", bob:refused("value.compare_and_set",
      { path = "/v", version = first.version, data = "b" }))
  end)

  it("wants to know what to compare", function()
    assert.are.equal("BadArguments",
      bob:refused("value.compare_and_set", { path = "/v", data = "" }))
    assert.are.equal("BadArguments", bob:refused("value.compare_and_set",
      { path = "/v", data = "", version = -1 }))
  end)

  it("gives the first answer to who asks again, and writes nothing", function()
    ann:call("value.set", { path = "/v", data = "a" })
    local first = ann:start("value.compare_and_set", { path = "/v", expect = "a", data = "b" })
    bob:call("value.set", { path = "/v", data = "a" })

    local again = ann:retry(first)

    assert.are.same(first:result(), again:result())
    assert.are.equal("a", world:znode("/v").data)
  end)

  it("lets one of two win, wherever the leader dies", function()
    local proposals, cut = 0, true
    while cut do
      new_world()
      local version = ann:call("value.set", { path = "/v", data = "" }).version
      local calls = {}
      cut = world:fail_over_during(proposals, function()
        for i, session in ipairs { ann, bob } do
          calls[i] = session:start("value.compare_and_set",
            { path = "/v", version = version, data = "of " .. i })
        end
      end)
      calls[2] = calls[2] or bob:start("value.compare_and_set",
        { path = "/v", version = version, data = "of 2" })

      local winner = calls[1]:error() and 2 or 1
      assert.are.equal("Conflict", (calls[3 - winner]:error()))
      assert.are.equal("of " .. winner, world:znode("/v").data)
      proposals = proposals + 1
    end
    assert.is_true(proposals > 2)
  end)
end)
