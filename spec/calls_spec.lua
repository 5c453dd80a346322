--- The promises of calls, whatever the recipe: once, one end each, bounded, theirs alone.
local testkit = require "moonkeeper.testkit"

local DESK = [[
local desk = {}
local args = { path = "path", n = "integer?", timeout = "duration?" }

local function ticket(call)
  return call:once("ticket", function()
    return znode.create(call.args.path .. "/t-", { sequential = true, parents = true })
  end)
end

local function drop(call) znode.delete(call:recall("ticket")) end

-- Done at once.
desk.note = operation {
  doc = "", args = args,
  run = function(call) return ticket(call) end,
}

-- Made at once, and granted when /open is there.
desk.wait = operation {
  doc = "", args = args, cancel = drop,
  run = function(call)
    local mine = ticket(call)
    if not znode.exists("/open") then call:wait { created = "/open" } end
    return mine
  end,
}

-- Wakes with each change of /open's children.
desk.watch = operation {
  doc = "", args = args,
  run = function(call)
    if znode.count("/open") < call.args.n then call:wait { children = "/open", all = true } end
    return znode.count("/open")
  end,
}

return desk
]]

local NODE = "/zookeeper/calls/desk.wait-"
local PATH = { path = "/desk" }
local MARK = { ephemeral = true, sequential = true }

local world, ann, bob, cid

local function new_world()
  world = testkit.world { sources = { desk = DESK } }
  ann, bob, cid = world:session("10s"), world:session("10s"), world:session("10s")
end

local function tickets()
  return #world:znodes("/desk")
end

local function node_of(session)
  return session:create(NODE, '{"path":"/desk"}', MARK)
end

describe("A call with an id", function()
  before_each(new_world)

  it("is done once, however often it is asked", function()
    local first = ann:start("desk.note", PATH)

    for _ = 1, 5 do
      assert.are.same(first:result(), ann:retry(first):result())
    end
    assert.are.equal(1, tickets())
  end)

  it("is done once over a fail-over at every proposal, asked again at the successor", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local first

      local cut = world:fail_over_during(proposals, function()
        first = ann:start("desk.note", PATH)
      end)
      first = first or ann:start("desk.note", PATH, { id = 1 })

      assert.is_truthy(first:result())
      assert.are.equal(1, tickets())
      return cut
    end)

    assert.are.equal(1, cuts)
  end)

  it("gets the first answer again, also when that was a failure", function()
    local first = ann:start("desk.wait", { path = "/desk", timeout = "1s" })
    world:advance("2s")

    ann:create("/open")
    local again = ann:retry(first)

    assert.are.equal("Timeout", (first:error()))
    assert.are.equal("Timeout", (again:error()))
  end)

  it("is another one when the id is another session's", function()
    ann:call("desk.note", PATH, { id = 7 })
    bob:call("desk.note", PATH, { id = 7 })

    assert.are.equal(2, tickets())
  end)

  it("leaves nothing when it never ran", function()
    local proposals = world:stats().proposals

    assert.are.equal("Unimplemented", select(2, ann:try("desk.nothing", PATH)))
    assert.are.equal("Unimplemented", select(2, ann:try("nobody.nothing", PATH)))
    assert.are.equal("BadArguments", select(2, ann:try("desk.note", { path = "no" })))

    assert.are.equal(proposals, world:stats().proposals)
  end)
end)

describe("A call without an id", function()
  before_each(new_world)

  it("may run, and may not wait", function()
    local noted = ann:call("desk.note", PATH, { id = 0 })
    local _, name = ann:try("desk.wait", PATH, { id = 0 })

    assert.is_truthy(noted)
    assert.are.equal("BadArguments", name)
    assert.are.equal(0, world:waiting())
    assert.are.equal(1, tickets())
  end)
end)

describe("A call has one end:", function()
  before_each(new_world)

  it("granted and cancelled at once, it is one of the two, at every proposal", function()
    testkit.at_every_proposal(function(proposals)
      new_world()
      local call = ann:start("desk.wait", PATH)

      local cut = world:fail_over_during(proposals, function()
        bob:create("/open")
        pcall(call.cancel, call)
      end)

      if call:waiting() then call:cancel() end
      local granted = call:error() == nil
      assert.are.equal(granted and 1 or 0, tickets())
      assert.are.equal(0, world:waiting())
      return cut
    end)
  end)

  it("cancelled first, it is not granted, at every proposal", function()
    testkit.at_every_proposal(function(proposals)
      new_world()
      local call = ann:start("desk.wait", PATH)

      local cut = world:fail_over_during(proposals, function()
        call:cancel()
        bob:create("/open")
      end)
      if call:waiting() then call:cancel() end

      local granted = call:error() == nil
      assert.are.equal(granted and 1 or 0, tickets())
      return cut
    end)
  end)

  it("granted in the moment of its timeout, it is one of the two, at every proposal", function()
    testkit.at_every_proposal(function(proposals)
      new_world()
      local call = ann:start("desk.wait", { path = "/desk", timeout = "2s" })
      world:advance("1s")

      local cut = world:fail_over_during(proposals, function()
        world:advance("1s")
        bob:create("/open")
        world:advance("1s")
      end)
      world:advance("3s")

      local name = call:error()
      assert.is_true(name == nil or name == "Timeout")
      assert.are.equal(name == nil and 1 or 0, tickets())
      return cut
    end)
  end)

  it("its session's end cancels it, and frees what it made, at every proposal", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local calls = {}
      for i = 1, 5 do calls[i] = ann:start("desk.wait", PATH) end
      local other = bob:start("desk.wait", PATH)

      local cut = world:fail_over_during(proposals, function() world:expire(ann) end)
      world:expire(ann)

      for i = 1, 5 do assert.are.equal("SessionExpired", (calls[i]:error())) end
      assert.are.equal(1, tickets())
      assert.are.equal(1, world:waiting())
      cid:create("/open")
      assert.is_truthy(other:result())
      return cut
    end)

    assert.are.equal(6, cuts) -- the session's own end, and one for each call
  end)
end)

describe("The znode of a call", function()
  before_each(new_world)

  it("says that it waits, and then what came of it", function()
    local node = node_of(ann)
    local before = ann:get(node)
    bob:create("/open")
    local after, stat = ann:get(node)

    assert.are.equal('{"state":"waiting"}', before)
    assert.are.equal('{"state":"done","result":"/desk/t-0000000000"}', after)
    assert.is_true(stat.version > 0)
  end)

  it("says how it failed", function()
    local node = ann:create(NODE, '{"path":"/desk","timeout":1000}', MARK)

    world:advance("2s")

    assert.matches('^{"state":"failed","error":"Timeout","message":".+"}$', (ann:get(node)))
  end)

  it("deleted at version 0 cancels, or says that it is too late", function()
    local waits, ends = node_of(ann), nil
    ann:delete(waits, 0)
    local left = tickets()
    bob:create("/open")
    ends = node_of(ann)

    local deleted, problem = pcall(ann.delete, ann, ends, 0)

    assert.are.equal(0, left)
    assert.is_false(deleted)
    assert.matches("BadVersion", tostring(problem))
    assert.are.equal(1, tickets())
  end)

  it("goes when its owner deletes it, and the call's effects stay", function()
    bob:create("/open")
    local node = node_of(ann)

    ann:delete(node, -1)

    assert.is_nil(world:znode(node))
    assert.are.equal(1, tickets())
    assert.are.equal(0, world:waiting())
  end)

  it("goes with its session", function()
    bob:create("/open")
    local node = node_of(ann)

    ann:close()

    assert.is_nil(world:znode(node))
  end)

  it("goes after callResultSeconds", function()
    bob:create("/open")
    local node = node_of(ann)

    world:advance("9m")
    local kept = world:znode(node) ~= nil
    world:advance("2m")

    assert.is_true(kept)
    assert.is_nil(world:znode(node))
  end)

  it("has Curator's protection in its name if it was asked for", function()
    local guard = "_c_6f9c1b1e-8f4b-4c0e-9d5e-0f8a5b8c2d11-"

    local node = ann:create("/zookeeper/calls/" .. guard .. "desk.wait-", '{"path":"/desk"}', MARK)

    assert.matches("^/zookeeper/calls/_c_6f9c1b1e.*%-desk%.wait%-%x+$", node)
    assert.are.equal(1, world:waiting())
  end)
end)

describe("Many calls", function()
  before_each(new_world)

  it("wake once each for one trigger that all of them waited for", function()
    local calls = {}
    for i = 1, 300 do
      calls[i] = (i % 2 == 0 and ann or bob):start("desk.wait", PATH)
    end
    local before = world:stats()

    cid:create("/open")

    for i = 1, 300 do assert.is_truthy(calls[i]:result()) end
    assert.are.equal(300, world:stats().woken - before.woken)
    assert.are.equal(301, world:stats().proposals - before.proposals)
  end)

  it("wake once each, at a cut anywhere among them", function()
    for proposals = 0, 40, 5 do
      new_world()
      local calls = {}
      for i = 1, 30 do calls[i] = ann:start("desk.wait", PATH) end

      world:fail_over_during(proposals, function() bob:create("/open") end)
      if not bob:exists("/open") then bob:create("/open") end

      local seen = {}
      for i = 1, 30 do
        local mine = calls[i]:result()
        assert.is_nil(seen[mine])
        seen[mine] = true
      end
      assert.are.equal(30, tickets())
    end
  end)

  it("that wait for all changes of a parent's children end when it is time, and not before", function()
    ann:create("/open")
    local calls = {}
    for i = 1, 20 do calls[i] = bob:start("desk.watch", { path = "/desk", n = 3 }) end

    ann:create("/open/a")
    ann:create("/open/b")
    local waited = world:waiting()
    ann:create("/open/c")

    assert.are.equal(20, waited)
    for i = 1, 20 do assert.are.equal(3, calls[i]:result()) end
  end)

  it("of one session end behind it without keeping others waiting", function()
    for _ = 1, 200 do ann:start("desk.wait", PATH) end
    local other = bob:start("desk.wait", PATH)
    local before = world:stats()

    ann:close()
    cid:create("/open")

    assert.is_truthy(other:result())
    assert.are.equal(1, tickets())
    assert.are.equal(0, world:waiting())
    assert.are.equal(1 + 200 + 1 + 1, world:stats().proposals - before.proposals)
  end)

  it("of one session are no more than sessionCallsMax, and others are not concerned", function()
    local last
    for _ = 1, 1001 do last = ann:start("desk.wait", PATH) end

    local name, message = last:error()

    assert.are.equal("Overload", name)
    assert.matches("sessionCallsMax", message)
    assert.are.equal(1000, world:waiting())
    assert.is_true(bob:start("desk.wait", PATH):waiting())
  end)
end)
