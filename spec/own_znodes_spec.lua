--- What lies below /zookeeper/recipes and /zookeeper/calls is the server's own: no request changes it but
-- calls, whoever asks and however it is wrapped.
local testkit = require "moonkeeper.testkit"

local ROOT, CALLS = "/zookeeper/recipes", "/zookeeper/calls"
local OPEN = "world:anyone:crdwa"

local world, admin, deployer, eve

local function new_world()
  world = testkit.world { recipes = "recipes/lock.lua" }
  admin, deployer, eve = world:session(), world:session(), world:session()
  admin:auth("digest", "super:secret")
  deployer:auth("digest", "ann:ann")
  -- base64(sha1("ann:ann")), as zkCli's addauth makes it
  admin:set_acl(ROOT, "digest:ann:NBxn6wU5X1dBYfxVeNvNbrkF8EE=:crdwa")
end

-- All that the server keeps for itself, to the byte.
local function everything()
  local out = {}
  for _, root in ipairs { ROOT, CALLS } do
    for _, path in ipairs(world:znodes(root)) do
      local znode = world:znode(path)
      table.insert(out, ("%s v%d a%d %s"):format(path, znode.version, znode.aversion or 0, znode.data))
    end
  end
  return table.concat(out, "\n")
end

-- A version, the znodes of a call that waits, and what belongs to it.
local function places()
  local version = world:znode(ROOT .. "/lock").data
  admin:call("lock.acquire", { path = "/locks/a" })
  local node = eve:create(CALLS .. "/lock.acquire-", '{"path":"/locks/a"}',
    { ephemeral = true, sequential = true })
  return {
    ["a recipe"] = ROOT .. "/lock",
    ["a version"] = ROOT .. "/lock/" .. version,
    ["a history"] = ROOT .. "/lock/.history",
    ["a mark of a removal"] = ROOT .. "/.ending/lock." .. version,
    ["a call's node"] = node,
    ["a call's record"] = CALLS .. "/." .. node:match("%x+$"),
    ["a session's results"] = CALLS .. "/.s" .. admin.id,
  }
end

local attempts = {
  ["set"] = function(who, path) who:set(path, "x") end,
  ["set in a multi"] = function(who, path)
    who:multi { { create = "/witness", data = "" }, { set = path, data = "x" } }
  end,
  ["given another ACL"] = function(who, path) who:set_acl(path, OPEN) end,
  ["given a child"] = function(who, path) who:create(path .. "/child", "x") end,
  ["given a child in a multi"] = function(who, path)
    who:multi { { create = "/witness", data = "" }, { create = path .. "/child", data = "x" } }
  end,
  ["removed in a multi"] = function(who, path)
    who:multi { { create = "/witness", data = "" }, { delete = path } }
  end,
  ["made anew in a multi"] = function(who, path)
    who:multi { { create = "/witness", data = "" }, { delete = path }, { create = path, data = "x" } }
  end,
}

describe("What the server keeps for itself", function()
  for name, attempt in pairs(attempts) do
    it("is not " .. name .. ", by nobody, by who may deploy, nor by super", function()
      for _, who in ipairs { "eve", "deployer", "admin" } do
        new_world()
        for what, path in pairs(places()) do
          local before = everything()
          local session = ({ eve = eve, deployer = deployer, admin = admin })[who]

          local ok, problem = pcall(attempt, session, path)

          assert.is_false(ok, who .. ": " .. what)
          assert.is_truthy(problem.error, tostring(problem))
          assert.are.equal(before, everything(), who .. ": " .. what)
          assert.is_nil(world:znode("/witness"))
        end
      end
    end)
  end

  it("is removed by nobody but by calls, and a call's node by who made it", function()
    for _, who in ipairs { "eve", "deployer", "admin" } do
      new_world()
      for what, path in pairs(places()) do
        local session = ({ eve = eve, deployer = deployer, admin = admin })[who]
        local before = everything()
        if what ~= "a call's node" or who == "deployer" then
          assert.is_false(pcall(session.delete, session, path, -1), who .. ": " .. what)
          assert.are.equal(before, everything(), who .. ": " .. what)
        end
      end
    end
  end)

  it("gets no neighbours: recipes, versions, marks, records and results are made by calls alone",
    function()
      for _, who in ipairs { "eve", "deployer", "admin" } do
        new_world()
        local version = world:znode(ROOT .. "/lock").data
        local session = ({ eve = eve, deployer = deployer, admin = admin })[who]
        local before = everything()
        for _, path in ipairs {
          ROOT .. "/mine", ROOT .. "/.ending", ROOT .. "/lock/" .. ("0"):rep(64),
          ROOT .. "/lock/.other", CALLS .. "/.0000000100000001", CALLS .. "/.s" .. eve.id,
          CALLS .. "/mine", CALLS .. "/lock.acquire-" .. ("0"):rep(16), CALLS .. "/lock.acquire-/x",
          ROOT .. "/lock/" .. version .. "/x",
        } do
          for _, options in ipairs { {}, { ephemeral = true }, { sequential = true },
            { container = true } } do
            assert.is_false(pcall(session.create, session, path, "x", options), who .. ": " .. path)
          end
          assert.is_false(pcall(session.multi, session,
            { { create = "/witness", data = "" }, { create = path, data = "x" } }), who .. ": " .. path)
        end
        assert.are.equal(before, everything())
        assert.is_nil(world:znode("/witness"))
      end
    end)

  it("is not made by a call node in a multi", function()
    new_world()
    for _, session in ipairs { eve, deployer, admin } do
      assert.is_false(pcall(session.multi, session, { { create = CALLS .. "/lock.acquire-",
        data = '{"path":"/locks/b"}', ephemeral = true, sequential = true } }))
    end
    assert.is_nil(world:znode("/locks/b"))
    assert.are.equal(0, world:waiting())
  end)
end)

describe("The ACL of /zookeeper/recipes", function()
  before_each(new_world)

  it("is changed by super, and by nobody who has not ADMIN", function()
    admin:set_acl(ROOT, "world:anyone:r")

    assert.is_false(pcall(eve.set_acl, eve, ROOT, OPEN))
    assert.is_false(pcall(deployer.set_acl, deployer, ROOT, OPEN))
    assert.are.equal("NoAuth", select(2, deployer:try("recipe.remove", { name = "lock" })))
  end)

  it("lets who has WRITE deploy by calls, and write nothing there by hand", function()
    local made = deployer:deploy("mine",
      [[return { go = operation { doc = "", run = function() return 1 end } }]])

    assert.is_true(made.changed)
    assert.is_false(pcall(deployer.set, deployer, ROOT .. "/mine", "x"))
    assert.is_false(pcall(deployer.set, deployer, ROOT, "installing"))
    assert.is_false(pcall(deployer.multi, deployer, { { set = ROOT, data = "installing" } }))
    assert.is_false(pcall(deployer.delete, deployer, ROOT .. "/mine", -1))
    assert.are.equal(1, eve:call("mine.go"))
  end)
end)
