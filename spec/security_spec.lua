--- What nobody may do with calls and recipes but whose they are.
local testkit = require "moonkeeper.testkit"

local CALLS = "/zookeeper/calls"
local LOCK = '{"path":"/locks/a"}'
local MARK = { ephemeral = true, sequential = true }

local world, ann, eve

local function new_world()
  world = testkit.world()
  ann, eve = world:session(), world:session()
end

-- Ann holds /locks/a, and waits for it once more through a call node.
local function waiting_call()
  ann:call("lock.acquire", { path = "/locks/a" })
  return ann:create(CALLS .. "/lock.acquire-", LOCK, MARK)
end

local function refused(expected, action, ...)
  local done, problem = pcall(action, ...)
  assert.is_false(done)
  assert.matches(expected, tostring(problem))
end

local function record_of(node)
  return CALLS .. "/." .. node:match("%x+$")
end

describe("Somebody else's call", function()
  before_each(new_world)

  it("cannot be read", function()
    local node = waiting_call()

    refused("NoAuth", eve.get, eve, node)
    refused("NoAuth", eve.exists, eve, node)
  end)

  it("is not listed", function()
    local node = waiting_call()

    assert.are.same({}, eve:children(CALLS))
    assert.are.same({ node:match("[^/]+$") }, ann:children(CALLS))
  end)

  it("cannot be cancelled", function()
    local node = waiting_call()

    refused("NoAuth", eve.delete, eve, node, 0)
    refused("NoAuth", eve.delete, eve, node, -1)

    assert.are.equal(1, world:waiting())
  end)

  it("cannot be ended by writing its node", function()
    local node = waiting_call()

    refused("NoAuth", eve.set, eve, node, '{"state":"done","result":true}')
    refused("NoAuth", ann.set, ann, node, '{"state":"done","result":true}')

    assert.are.equal('{"state":"waiting"}', (ann:get(node)))
  end)

  it("cannot be told apart from one that is not there by guessing at its record", function()
    local node = waiting_call()
    local there, nowhere = record_of(node), CALLS .. "/.00000000000000ff"

    for _, path in ipairs { there, nowhere } do
      refused("NoNode", eve.get, eve, path)
      refused("NoNode", eve.delete, eve, path, -1)
      refused("NoNode", ann.get, ann, path)
      assert.is_false(ann:exists(path) and true or false)
    end
    assert.are.equal(1, world:waiting())
  end)

  it("does not answer to its call id in another session", function()
    local held = ann:call("lock.acquire", { path = "/locks/b" }, { id = 70 })

    local other = eve:start("lock.acquire", { path = "/locks/b" }, { id = 70 })

    assert.is_true(other:waiting())
    assert.are.equal(ann.id, world:znode(held.ticket).owner)
  end)
end)

describe("A call cannot be forged", function()
  before_each(new_world)

  local forged = '{"state":"done","result":{"fence":1,"ticket":"/locks/a/lock-0000000000"}}'

  it("by a node with the data of a result", function()
    refused("BadArguments", eve.create, eve, CALLS .. "/lock.acquire-", forged, MARK)
    refused("BadArguments", eve.create, eve, CALLS .. "/lock.acquire-0000000100000001", forged)
  end)

  it("by a record", function()
    for _, options in ipairs { {}, MARK, { ephemeral = true }, { container = true } } do
      refused("%a+", eve.create, eve, CALLS .. "/.0000000100000001", "x", options)
      refused("%a+", eve.create, eve, CALLS .. "/.s" .. ann.id, "x", options)
    end
    assert.are.equal(0, world:waiting())
  end)

  it("by a node below a call", function()
    local node = waiting_call()

    refused("NoAuth", ann.create, ann, node .. "/x")
  end)

  it("by writing, or removing, what all calls are below", function()
    refused("NoAuth", eve.set, eve, CALLS, "/app")
    refused("%a+", eve.delete, eve, CALLS, -1)
  end)
end)

describe("Recipes are deployed by nobody who may not", function()
  before_each(new_world)

  it("neither written, made nor removed", function()
    refused("NoAuth", eve.set, eve, "/zookeeper/recipes", "x")
    refused("NoAuth", eve.set, eve, "/zookeeper/recipes/lock", "x")
    refused("NoAuth", eve.create, eve, "/zookeeper/recipes/mine", "return {}")
    refused("NoAuth", eve.create, eve, "/zookeeper/recipes/lock/0123456789abcdef", "return {}")
    refused("%a+", eve.delete, eve, "/zookeeper/recipes/lock", -1)
    refused("%a+", eve.delete, eve, "/zookeeper/recipes", -1)
    assert.is_truthy(eve:call("lock.acquire", { path = "/locks/a" }))
  end)
end)

describe("A recipe does not do for its caller what the caller may not", function()
  local SPY = [[
  local spy = {}
  spy.look = operation {
    doc = "", args = { path = "path" },
    run = function(call) return znode.get(call.args.path) or "nothing" end,
  }
  spy.list = operation {
    doc = "", args = { path = "path" },
    run = function(call) return json.list(znode.children(call.args.path)) end,
  }
  spy.write = operation {
    doc = "", args = { path = "path" },
    run = function(call) return znode.set(call.args.path, "x") end,
  }
  spy.remove = operation {
    doc = "", args = { path = "path" },
    run = function(call) return znode.delete(call.args.path) end,
  }
  spy.later = operation {
    doc = "", args = { path = "path" },
    run = function(call)
      if not znode.exists("/go") then call:wait { created = "/go" } end
      return znode.set(call.args.path, "x")
    end,
  }
  return spy
  ]]

  before_each(function()
    world = testkit.world { recipes = "recipes/lock.lua", sources = { spy = SPY } }
    ann, eve = world:session(), world:session()
  end)

  it("neither read, write nor delete", function()
    ann:create("/private", "secret", { acl = "digest:ann:hash:cdrwa" })

    assert.are.equal("NoAuth", select(2, eve:try("spy.look", { path = "/private" })))
    assert.are.equal("NoAuth", select(2, eve:try("spy.write", { path = "/private" })))
    assert.are.equal("secret", world:znode("/private").data)
  end)

  it("also when it comes to it later", function()
    ann:create("/private", "secret", { acl = "digest:ann:hash:cdrwa" })
    local later = eve:start("spy.later", { path = "/private" })

    ann:create("/go")

    assert.are.equal("NoAuth", (later:error()))
    assert.are.equal("secret", world:znode("/private").data)
  end)

  it("nor see any call or record, its own included", function()
    local node = ann:create(CALLS .. "/lock.acquire-", LOCK, MARK)
    local look = { CALLS, node, record_of(node), CALLS .. "/.s" .. ann.id }

    for _, path in ipairs(look) do
      local value, name = ann:try("spy.look", { path = path })
      assert.is_true(value == "nothing" or name == "NoNode" or name == "NoAuth")
      assert.is_nil((ann:try("spy.write", { path = path })))
      assert.is_not_true((ann:try("spy.remove", { path = path })))
    end
    assert.is_not_nil(world:znode(node))
  end)

  it("nor write the recipes", function()
    assert.are.equal("NoAuth", select(2, eve:try("spy.write", { path = "/zookeeper/recipes/spy" })))
  end)

  for _, path in ipairs { "/../private", "/a/../private", "/./private", "private", "//private" } do
    it("nor leave the tree's rules by the path " .. path, function()
      ann:create("/private", "secret")

      local value, name = eve:try("spy.look", { path = path })

      assert.is_true(value == "nothing" or name == "BadArguments")
    end)
  end
end)
