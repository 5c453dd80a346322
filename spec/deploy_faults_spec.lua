--- Deployments when the leader dies, at each proposal: what is deployed is what was, or what was asked
-- for, as a whole, and calls that wait meanwhile end as they would have.
local testkit = require "moonkeeper.testkit"

local ROOT = "/zookeeper/recipes"

-- A recipe whose operation `pass` waits for a znode and says which version it has run on.
local function gate(version)
  return ([[
local gate = {}
gate.pass = operation {
  doc  = "Wait until there is a znode at `path`.",
  args = { path = "path" },
  run  = function(call)
    call:once("asked", function() return znode.create("/asked-", { sequential = true }) end)
    if not znode.exists(call.args.path) then call:wait { created = call.args.path } end
    return %q
  end,
}
return gate
]]):format(version)
end

local world, admin, ann

local function new_world()
  world = testkit.world { recipes = "recipes/lock.lua" }
  admin, ann = world:session(), world:session()
  admin:auth("digest", "super:secret")
end

local function history()
  local text = world:znode(ROOT .. "/gate/.history").data
  return require "moonkeeper_testkit".decode(text).entries
end

-- The active version, the versions that there are, and what has been done: in one line, to be compared.
local function deployed()
  local active = world:znode(ROOT .. "/gate")
  if not active then return "nothing" end
  local versions, actions = {}, {}
  for _, path in ipairs(world:znodes(ROOT .. "/gate")) do
    local version = path:match("/gate/(%x+)$")
    if version then table.insert(versions, version:sub(1, 8)) end
  end
  for _, entry in ipairs(history()) do table.insert(actions, entry.action) end
  table.sort(versions)
  return ("%s of %s after %s"):format(active.data:sub(1, 8), table.concat(versions, " "),
    table.concat(actions, " "))
end

local function nothing_is_being_ended()
  local ending = world:znode(ROOT .. "/.ending")
  assert.are.equal(0, ending and #world:children(ROOT .. "/.ending") or 0)
end

-- Run `action` on a world made by `arrange`, cut at every proposal, and each time asked again for as a
-- client that has lost its connection asks: the state after the cut is the one before or the one after.
local function cut_everywhere(arrange, action, check)
  new_world()
  arrange()
  local before = deployed()
  action()
  local after = deployed()

  local cuts = testkit.at_every_proposal(function(proposals)
    new_world()
    arrange()
    local cut = world:fail_over_during(proposals, action)
    local state = deployed()
    assert.is_true(state == before or state == after, state)
    if cut then action() end
    assert.are.equal(after, deployed())
    nothing_is_being_ended()
    if check then check() end
    world:check()
    return cut
  end)
  assert.is_true(cuts >= 1)
end

describe("A deployment under which the leader dies", function()
  local old, new

  -- A call waits on "one", which "two" is about to replace.
  local function arrange()
    admin:deploy("gate", gate "one")
    old = ann:start("gate.pass", { path = "/open" })
  end

  local function all_pass(expected)
    return function()
      new = ann:start("gate.pass", { path = "/open" })
      ann:create("/open")
      assert.are.equal("one", old:result())
      assert.are.equal(expected, new:result())
    end
  end

  it("has made the new version active or has not, and calls end on the version they began with",
    function()
      cut_everywhere(arrange, function() admin:deploy("gate", gate "two") end, all_pass "two")
    end)

  it("is a rollback as a whole or not at all", function()
    local first
    cut_everywhere(function()
      first = admin:deploy("gate", gate "one").version
      admin:deploy("gate", gate "two")
      admin:deploy("gate", gate "three")
      old = ann:start("gate.pass", { path = "/open" })
    end, function()
      admin:call("recipe.rollback", { name = "gate", version = first })
    end, function()
      new = ann:start("gate.pass", { path = "/open" })
      ann:create("/open")
      assert.are.equal("three", old:result())
      assert.are.equal("one", new:result())
    end)
  end)

  it("is the first of its name as a whole or not at all", function()
    cut_everywhere(function() end, function() admin:deploy("gate", gate "one") end, function()
      new = ann:start("gate.pass", { path = "/open" })
      ann:create("/open")
      assert.are.equal("one", new:result())
    end)
  end)

  it("that is answered is there, whenever the leader dies afterwards", function()
    new_world()
    arrange()
    admin:deploy("gate", gate "two")
    world:fail_over()

    all_pass "two"()
  end)
end)

describe("The catalogue's version under which the leader dies", function()
  it("is there as a whole or not at all, and locks can be had", function()
    testkit.at_every_proposal(function(proposals)
      new_world()
      admin:call("recipe.remove", { name = "lock" })
      local function upgrade() admin:call("recipe.upgrade", { name = "lock" }) end
      local cut = world:fail_over_during(proposals, upgrade)
      assert.are.equal(world:znode(ROOT .. "/lock") ~= nil,
        (ann:try("lock.acquire", { path = "/lock" })) ~= nil)
      if cut then upgrade() end
      assert.is_truthy(ann:call("lock.acquire", { path = "/other" }).fence)
      return cut
    end)
  end)
end)

describe("A removal under which the leader dies", function()
  local first, doomed, other

  -- Two calls wait on "one", and one on "two", which is active.
  local function arrange()
    first = admin:deploy("gate", gate "one").version
    doomed = { ann:start("gate.pass", { path = "/open" }), ann:start("gate.pass", { path = "/open" }) }
    admin:deploy("gate", gate "two")
    other = ann:start("gate.pass", { path = "/open" })
  end

  local function remove()
    return admin:start("recipe.remove", { name = "gate", version = first, fail_waiting = true })
  end

  it("ends each call of that version once, and no other", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      arrange()
      local removal
      local cut = world:fail_over_during(proposals, function() removal = remove() end)
      removal = removal or remove()
      world:advance("1s")

      assert.is_true(removal:result().changed)
      for _, call in ipairs(doomed) do assert.are.equal("Cancelled", (call:error())) end
      assert.is_nil(world:znode("/asked-0000000000"))
      assert.is_nil(world:znode("/asked-0000000001"))
      assert.is_nil(world:znode(ROOT .. "/gate/" .. first))
      nothing_is_being_ended()
      ann:create("/open")
      assert.are.equal("two", other:result())
      return cut
    end)
    assert.is_true(cuts >= 4)
  end)

  it("leaves a version of that name that is deployed afterwards", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      admin:deploy("gate", gate "one")
      ann:start("gate.pass", { path = "/open" })
      local cut = world:fail_over_during(proposals, function()
        admin:start("recipe.remove", { name = "gate", fail_waiting = true })
      end)
      world:advance("1s")
      if world:znode(ROOT .. "/gate") then -- the removal was lost with the leader
        assert.are.equal(1, world:waiting())
        return cut
      end
      admin:deploy("gate", gate "one")

      ann:create("/open")
      assert.are.equal("one", ann:call("gate.pass", { path = "/open" }))
      nothing_is_being_ended()
      return cut
    end)
    assert.is_true(cuts >= 3)
  end)

  it("refuses to deploy the version that it is ending, and leaves no half of it", function()
    new_world()
    arrange()

    world:fail_over_during(1, remove) -- the mark is there, the calls have not ended
    local _, name = admin:try("recipe.deploy", { name = "gate", source = gate "one" })
    local _, back = admin:try("recipe.rollback", { name = "gate", version = first })
    world:advance("1s")

    for _, refused in ipairs { name, back } do
      assert.is_true(refused == nil or refused == "Conflict" or refused == "NoNode", refused)
    end
    nothing_is_being_ended()
    ann:create("/open")
    assert.are.equal("two", other:result())
  end)
end)
