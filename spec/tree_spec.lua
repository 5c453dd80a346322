--- The promises of recipes/tree.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local world, ann, bob

local function new_world()
  world = testkit.world()
  ann, bob = world:session(), world:session()
end

local function make(path, count)
  ann:create(path)
  for i = 1, count do ann:create(string.format("%s/n%03d", path, i)) end
end

local function names(page)
  local list = {}
  for i, child in ipairs(page.children) do list[i] = child.name end
  return list
end

describe("tree.children", function()
  before_each(new_world)

  it("lists the children in the order of their names, page by page", function()
    make("/t", 5)

    local first = bob:call("tree.children", { path = "/t", limit = 2 })
    local second = bob:call("tree.children", { path = "/t", limit = 2, from = first.next })
    local third = bob:call("tree.children", { path = "/t", limit = 2, from = second.next })

    assert.are.same({ "n001", "n002" }, names(first))
    assert.are.same({ "n003", "n004" }, names(second))
    assert.are.same({ "n005" }, names(third))
    assert.is_nil(third.next)
  end)

  it("says that there is no next page when the last one is full", function()
    make("/t", 4)

    local first = bob:call("tree.children", { path = "/t", limit = 2 })
    local second = bob:call("tree.children", { path = "/t", limit = 2, from = first.next })

    assert.are.same({ "n003", "n004" }, names(second))
    assert.is_nil(second.next)
  end)

  it("lists backwards", function()
    make("/t", 3)

    local first = bob:call("tree.children", { path = "/t", limit = 2, backwards = true })
    local second =
      bob:call("tree.children", { path = "/t", limit = 2, backwards = true, from = first.next })

    assert.are.same({ "n003", "n002" }, names(first))
    assert.are.same({ "n001" }, names(second))
  end)

  it("tells each child's stat, and the owner of an ephemeral one", function()
    ann:create("/t")
    ann:create("/t/a", "hello")
    ann:create("/t/b", "", { ephemeral = true })

    local page = bob:call("tree.children", { path = "/t" })

    local a, stat = page.children[1], ann:exists("/t/a")
    assert.are.equal(5, a.data_length)
    assert.are.equal(stat.mzxid, a.mzxid)
    assert.is_nil(a.owner)
    assert.are.equal(ann.id, page.children[2].owner)
  end)

  it("lists the root without what is the server's alone", function()
    ann:create("/t")

    assert.are.same({ "t", "zookeeper" }, names(bob:call("tree.children", { path = "/" })))
    assert.are.same({ "config", "quota", "recipes" },
      names(bob:call("tree.children", { path = "/zookeeper" })))
  end)

  it("lists an empty znode as an empty list", function()
    ann:create("/t")

    assert.are.same({ children = {} }, bob:call("tree.children", { path = "/t" }))
  end)

  it("lists what stays exactly once, whatever comes and goes between the pages", function()
    make("/t", 6)

    local first = bob:call("tree.children", { path = "/t", limit = 3 })
    ann:delete("/t/n003")
    ann:create("/t/n002b")
    ann:create("/t/n004b")
    local second = bob:call("tree.children", { path = "/t", limit = 10, from = first.next })

    assert.are.same({ "n001", "n002", "n003" }, names(first))
    assert.are.same({ "n004", "n004b", "n005", "n006" }, names(second))
  end)

  it("fails with NoNode if there is no such path, and with NoAuth if it may not be read", function()
    ann:create("/secret", "", { acl = "world:anyone:c" })

    assert.are.equal("NoNode", bob:refused("tree.children", { path = "/t" }))
    assert.are.equal("NoAuth", bob:refused("tree.children", { path = "/secret" }))
  end)

  it("tells only the name of a child that may not be read", function()
    ann:create("/t")
    ann:create("/t/secret", "", { acl = "world:anyone:w" })

    assert.are.same({ { name = "secret" } }, bob:call("tree.children", { path = "/t" }).children)
  end)

  it("has at most 200 on a page", function()
    make("/t", 201)

    local page = bob:call("tree.children", { path = "/t", limit = 200 })

    assert.are.equal(200, #page.children)
    assert.are.equal("n200", page.next)
    assert.are.equal("BadArguments", bob:refused("tree.children", { path = "/t", limit = 201 }))
  end)

  it("has fewer on a page if their names are long", function()
    ann:create("/t")
    for i = 1, 20 do ann:create("/t/" .. string.format("%03d", i) .. ("\\"):rep(4000)) end

    local first = bob:call("tree.children", { path = "/t" })
    local all = names(first)
    local page = first
    while page.next do
      page = bob:call("tree.children", { path = "/t", from = page.next })
      for _, name in ipairs(names(page)) do table.insert(all, name) end
    end

    assert.is_true(#first.children < 20)
    assert.are.same(ann:children("/t"), all)
  end)
end)

describe("tree.delete", function()
  before_each(new_world)

  it("deletes a znode with all that is below it", function()
    make("/t", 3)
    ann:create("/t/n002/a")
    ann:create("/t/n002/a/b")
    ann:create("/tt")

    local done = bob:call("tree.delete", { path = "/t" })

    assert.are.same({ deleted = 6, more = false }, done)
    assert.are.same({ "/tt" }, world:znodes())
  end)

  it("deletes at most as many as it is told, and says whether there are more", function()
    make("/t", 5)

    assert.are.same({ deleted = 4, more = true },
      bob:call("tree.delete", { path = "/t", limit = 4 }))
    assert.are.same({ "/t", "/t/n005" }, world:znodes())
    assert.are.same({ deleted = 2, more = false },
      bob:call("tree.delete", { path = "/t", limit = 4 }))
  end)

  it("can delete 1,000 in one request", function()
    make("/t", 1200)

    assert.are.same({ deleted = 1000, more = true },
      bob:call("tree.delete", { path = "/t", limit = 1000 }))
  end)

  it("deletes fewer if their paths are long", function()
    local path = "/t"
    ann:create(path)
    for i = 1, 300 do ann:create(path .. "/" .. i .. ("x"):rep(4000)) end

    local first = bob:call("tree.delete", { path = path, limit = 1000 })
    local count = first.deleted
    while world:znode(path) do
      count = count + bob:call("tree.delete", { path = path, limit = 1000 }).deleted
    end

    assert.is_true(first.more and first.deleted < 100)
    assert.are.equal(301, count)
  end)

  it("fails with NoNode if there is nothing", function()
    assert.are.equal("NoNode", bob:refused("tree.delete", { path = "/t" }))
  end)

  it("deletes nothing if one of them may not be deleted", function()
    ann:create("/t")
    ann:create("/t/a")
    ann:create("/t/z", "", { acl = "world:anyone:rc" })
    ann:create("/t/z/kept")

    assert.are.equal("NoAuth", bob:refused("tree.delete", { path = "/t" }))
    assert.are.same({ "/t", "/t/a", "/t/z", "/t/z/kept" }, world:znodes())
  end)

  it("is through in the end, wherever the leader dies", function()
    local proposals, cut = 0, true
    while cut do
      new_world()
      make("/t", 4)
      cut = world:fail_over_during(proposals, function()
        while bob:call("tree.delete", { path = "/t", limit = 2 }).more do end
      end)
      local left = #world:znodes()
      while world:znode("/t") do bob:call("tree.delete", { path = "/t", limit = 2 }) end

      assert.is_true(left == 5 or left == 3 or left == 1 or left == 0)
      assert.are.same({}, world:znodes())
      proposals = proposals + 1
    end
    assert.is_true(proposals > 3)
  end)
end)

describe("tree.compare_and_set", function()
  before_each(new_world)

  it("sets the data if it is what is expected, and returns the new version", function()
    ann:create("/t", "a")

    local set = bob:call("tree.compare_and_set", { path = "/t", expect = "a", data = "b" })

    assert.are.same({ version = 1 }, set)
    assert.are.equal("b", world:znode("/t").data)
  end)

  it("fails with Conflict if it is something else", function()
    ann:create("/t", "a")

    assert.are.equal("Conflict", bob:refused("tree.compare_and_set",
      { path = "/t", expect = "", data = "b" }))
    assert.are.equal("a", world:znode("/t").data)
  end)

  it("fails with NoNode and NoAuth", function()
    ann:create("/t", "a", { acl = "world:anyone:r" })

    assert.are.equal("NoNode", bob:refused("tree.compare_and_set",
      { path = "/u", expect = "", data = "" }))
    assert.are.equal("NoAuth", bob:refused("tree.compare_and_set",
      { path = "/t", expect = "a", data = "b" }))
  end)
end)

describe("tree.get", function()
  before_each(new_world)

  it("returns the data, the version and the zxid of the last change", function()
    ann:create("/t", "a")
    ann:set("/t", "b")

    local got = bob:call("tree.get", { path = "/t" })

    assert.are.same({ data = "b", version = 1, mzxid = world:znode("/t").mzxid }, got)
  end)

  it("has a place of its own in the order of all changes", function()
    ann:create("/t", "a")
    local before = world:stats().proposals

    bob:call("tree.get", { path = "/t" })

    assert.are.equal(before + 1, world:stats().proposals)
  end)

  it("fails with NoNode and NoAuth", function()
    ann:create("/t", "a", { acl = "world:anyone:w" })

    assert.are.equal("NoNode", bob:refused("tree.get", { path = "/u" }))
    assert.are.equal("NoAuth", bob:refused("tree.get", { path = "/t" }))
  end)
end)
