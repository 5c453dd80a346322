--- The promises of lua/moonkeeper/testkit.lua, and the example of lua/README.md as it stands there.
local explore = require "moonkeeper.explore"
local testkit = require "moonkeeper.testkit"

local FOLDER = os.getenv("BUILD_DIR") or "/tmp"

local function file_read(path)
  local file = assert(io.open(path))
  local text = file:read("*a")
  file:close()
  return text
end

local function recipe_write(name, source)
  local path = FOLDER .. "/" .. name .. ".lua"
  local file = assert(io.open(path, "w"))
  file:write(source)
  file:close()
  return path
end

-- A world with one recipe; its file is gone when this returns.
local function world_of(name, source)
  local path = recipe_write(name, source)
  local ok, world = pcall(testkit.world, { recipes = path })
  os.remove(path)
  if not ok then error(world, 0) end
  return world
end

describe("The example in lua/README.md:", function()
  local blocks = {}
  for block in file_read("lua/README.md"):gmatch("```lua\n(.-)```") do
    table.insert(blocks, block)
  end
  local path

  setup(function() path = recipe_write("gate", blocks[1]) end)
  teardown(function() os.remove(path) end)

  local spec = blocks[2]:gsub("recipes/gate%.lua", FOLDER .. "/gate.lua")
  setfenv(assert(loadstring(spec, "=lua/README.md")), getfenv())()

  it("keeps its invariants in random schedules", function()
    local invariants = assert(loadstring(blocks[3], "=lua/README.md"))()

    assert.is_nil(explore.seeds({ recipe = path, invariants = invariants }, 1, 3))
  end)
end)

describe("A world", function()
  it("is the same whenever the same steps are taken", function()
    local function play()
      local world = testkit.world()
      local ann, bob = world:session(), world:session()
      local held = ann:call("lock.acquire", { path = "/locks/a" })
      bob:start("lock.acquire", { path = "/locks/a" })
      world:advance("1m")
      world:fail_over()
      world:expire(ann)
      return { held, ann.id, bob.id, world:znodes(), world:stats(), world:log() }
    end

    assert.are.same(play(), play())
  end)

  it("refuses a recipe that does not load, with its line", function()
    local ok, problem = pcall(world_of, "broken", "local broken = {}\nbroken.x = operation {{\n")

    assert.is_false(ok)
    assert.is_truthy(problem:match("broken.lua:%d+: "))
  end)

  it("refuses a folder that is none", function()
    assert.has_error(function() testkit.world { recipes = "no/such/folder" } end,
      "no/such/folder is neither a recipe (.lua) nor a folder of them")
  end)

  it("lets only that session expire that is told to", function()
    local world = testkit.world()
    local ann, bob = world:session("1s"), world:session("1s")
    local hers = ann:create("/a", "", { ephemeral = true })
    local his = bob:create("/b", "", { ephemeral = true })

    world:advance("1m")
    local both = world:znodes()
    world:expire(ann)

    assert.are.same({ hers, his }, both)
    assert.are.same({ his }, world:znodes())
  end)

  it("keeps what was checkpointed and what was logged since, over the server's death", function()
    local world = testkit.world()
    local ann = world:session()
    ann:create("/a")
    world:advance("5m")
    ann:create("/b")

    world:fail_over()

    assert.are.same({ "/a", "/b" }, world:znodes())
  end)

  it("loses what is proposed after a cut, and says that it was cut", function()
    local world = testkit.world()
    local ann = world:session()

    local cut = world:fail_over_during(1, function()
      ann:create("/a")
      ann:create("/b")
    end)

    assert.is_true(cut)
    assert.are.same({ "/a" }, world:znodes())
  end)

  it("says that nothing was cut if the action made no more proposals than that", function()
    local world = testkit.world()
    local ann = world:session()

    local cut = world:fail_over_during(1, function() ann:create("/a") end)

    assert.is_false(cut)
    assert.are.same({ "/a" }, world:znodes())
  end)

  it("is cut after each proposal of an action, and after none, by at_every_proposal", function()
    local left = {}

    local cuts = testkit.at_every_proposal(function(proposals)
      local world = testkit.world()
      local ann = world:session()
      local cut = world:fail_over_during(proposals, function()
        ann:create("/a")
        ann:create("/b")
      end)
      table.insert(left, #world:znodes())
      return cut
    end)

    assert.are.equal(2, cuts)
    assert.are.same({ 0, 1, 2 }, left)
  end)

  it("passes on what else an action that is cut raises", function()
    local world = testkit.world()

    local ok, problem = pcall(function()
      world:fail_over_during(0, function() error("my own mistake") end)
    end)

    assert.is_false(ok)
    assert.is_truthy(problem:match("my own mistake"))
  end)

  it("is freed when nobody refers to it", function()
    local worlds = setmetatable({}, { __mode = "v" })

    for i = 1, 10 do worlds[i] = testkit.world() end
    collectgarbage()
    collectgarbage()

    assert.are.same({}, worlds)
  end)
end)

describe("A session", function()
  local world, ann

  before_each(function()
    world = testkit.world()
    ann = world:session()
  end)

  it("raises what the server refuses, under ZooKeeper's names", function()
    local ok, refused = pcall(ann.get, ann, "/nothing")

    assert.is_false(ok)
    assert.are.equal("NoNode", refused.error)
    assert.are.equal("NoNode: no such znode", tostring(refused))
  end)

  it("makes znodes as any client does", function()
    ann:create("/a", "one")
    ann:set("/a", "two", 0)
    local path = ann:create("/a/x-", "", { sequential = true })
    local data, stat = ann:get("/a")

    assert.are.equal("/a/x-0000000000", path)
    assert.are.equal("two", data)
    assert.are.equal(1, stat.version)
    assert.are.same({ "x-0000000000" }, ann:children("/a"))
    assert.is_nil(ann:exists("/b"))
  end)

  it("makes all of a multi, and returns what each operation made", function()
    ann:create("/a", "one")
    ann:create("/b")

    local results = ann:multi {
      { check = "/a", version = 0 },
      { create = "/a/x-", data = "new", ephemeral = true, sequential = true },
      { set = "/a", data = "two", version = 0 },
      { delete = "/b" },
    }

    assert.are.same({ "/a", "/a/x-0000000000" }, world:znodes())
    assert.are.equal("/a/x-0000000000", results[2])
    assert.are.equal(1, results[3].version)
    assert.are.same({ true, true }, { results[1], results[4] })
    assert.are.equal(ann.id, world:znode("/a/x-0000000000").owner)
    assert.are.equal(world:znode("/a").mzxid, world:znode("/a/x-0000000000").czxid)
  end)

  it("makes nothing of a multi of which one operation is refused, and says which", function()
    ann:create("/a")

    local ok, refused = pcall(ann.multi, ann, {
      { create = "/b" }, { set = "/a", data = "two", version = 7 }, { delete = "/nothing" },
    })

    assert.is_false(ok)
    assert.are.equal("BadVersion", refused.error)
    assert.are.equal(2, refused.at)
    assert.are.same({ "/a" }, world:znodes())
  end)

  it("refuses an operation of a multi that is none", function()
    assert.has_error(function() ann:multi { { sync = "/a" } } end,
      "an operation of a multi is { create = path }, or delete, set or check")
  end)

  it("in a chroot sees what is below it, and calls there, and can cancel", function()
    ann:create("/tenant")
    local tenant = world:session { chroot = "/tenant" }
    tenant:create("/x", "one")
    tenant:call("lock.acquire", { path = "/locks/a" })
    local second = tenant:start("lock.acquire", { path = "/locks/a" })

    second:cancel()

    assert.are.equal("Cancelled", (second:error()))
    assert.are.same({ "locks", "x" }, tenant:children("/"))
    assert.are.equal("/x/1-0000000000", tenant:create("/x/1-", "", { sequential = true }))
    assert.are.equal("/x/2", tenant:multi({ { create = "/x/2" }, { delete = "/x/2" } })[1])
    assert.is_truthy(world:znode("/tenant/locks/a"))
    assert.is_nil(world:znode("/locks"))
  end)

  it("raises when a call that should return waits", function()
    local bob = world:session()
    ann:call("lock.acquire", { path = "/locks/a" })

    local ok, problem = pcall(bob.call, bob, "lock.acquire", { path = "/locks/a" })

    assert.is_false(ok)
    assert.is_truthy(problem:match("lock.acquire is waiting"))
  end)

  it("says how a call fails that has to fail, and raises if it does not", function()
    local name = ann:refused("lock.release", { path = "/a", ticket = "/a/lock-0000000000" })
    local ok, problem = pcall(ann.refused, ann, "lock.acquire", { path = "/a" })

    assert.are.equal("NotOwner", name)
    assert.is_false(ok)
    assert.matches("lock.acquire has returned, and should have failed", problem)
  end)

  it("raises SessionExpired once it has ended", function()
    ann:close()

    local ok, refused = pcall(ann.create, ann, "/a")

    assert.is_false(ok)
    assert.are.equal("SessionExpired", refused.error)
  end)

  it("cannot connect again after it has expired", function()
    ann:disconnect()
    world:advance("11s")

    local connected, name = ann:reconnect()

    assert.is_nil(connected)
    assert.are.equal("SessionExpired", name)
  end)

  it("gives arguments and results unchanged", function()
    world = world_of("mirror", [[
      local mirror = {}
      mirror.show = operation {
        doc = "Return what is given.", args = { value = "map" },
        run = function(call) return call.args.value end,
      }
      return mirror]])
    local value = {
      text = "grüße", empty = "", yes = true, no = false, half = 0.5, large = 2 ^ 53, minus = -7,
      list = { 1, "two", { three = 3 } }, map = { a = { b = { c = "d" } } },
    }

    local shown = world:session():call("mirror.show", { value = value })

    assert.are.same(value, shown)
  end)

  it("refuses arguments that JSON has not", function()
    assert.has_error(function() ann:start("lock.acquire", { path = print }) end,
      "JSON has no functions, threads or userdata")
    assert.has_error(function() ann:start("lock.acquire", { path = "\255" }) end,
      "a string is not UTF-8")
  end)
end)

describe("A watch", function()
  local world, ann, bob, seen

  local function note(event, path)
    table.insert(seen, event .. " " .. path)
  end

  before_each(function()
    world, seen = testkit.world(), {}
    ann, bob = world:session(), world:session()
    ann:create("/a", "one")
  end)

  it("is told once, before the function that changes the data returns", function()
    ann:get("/a", note)

    bob:set("/a", "two")
    bob:set("/a", "three")

    assert.are.same({ "changed /a" }, seen)
  end)

  it("is told of what comes and goes, by the kind of question that set it", function()
    ann:exists("/b", note)
    ann:children("/a", note)
    ann:get("/a", note)

    bob:create("/b")
    bob:create("/a/x")
    bob:delete("/a/x")
    bob:delete("/a")

    assert.are.same({ "created /b", "children /a", "deleted /a" }, seen)
  end)

  it("may ask, and watch again, when it is told", function()
    local function follow(event, path)
      note(event, path .. " " .. ann:get(path, follow))
    end
    ann:get("/a", follow)

    bob:set("/a", "two")
    bob:set("/a", "three")

    assert.are.same({ "changed /a two", "changed /a three" }, seen)
  end)

  it("is told of what a recipe did, and of what time did", function()
    ann:call("lock.acquire", { path = "/locks/a" })
    bob:children("/locks/a", note)
    local second = bob:start("lock.acquire", { path = "/locks/a", timeout = "5s" })
    local waited = second:waiting()
    bob:children("/locks/a", note)

    world:advance("6s")

    assert.is_true(waited)
    assert.are.same({ "children /locks/a", "children /locks/a" }, seen)
  end)

  it("is told of a call's end, by its znode", function()
    local held = ann:call("lock.acquire", { path = "/locks/a" })
    local node = bob:create("/zookeeper/calls/lock.acquire-", '{"path":"/locks/a"}',
      { ephemeral = true, sequential = true })
    bob:get(node, note)

    ann:call("lock.release", { path = "/locks/a", ticket = held.ticket })

    assert.are.same({ "changed " .. node }, seen)
    assert.matches('"state":"done"', (bob:get(node)))
  end)

  it("is told of what happened while the connection was away, when it is back", function()
    ann:get("/a", note)
    ann:disconnect()
    bob:set("/a", "two")
    local away = #seen

    ann:reconnect()

    assert.are.equal(0, away)
    assert.are.same({ "changed /a" }, seen)
  end)

  it("is not told twice of what it was told before the connection went", function()
    ann:get("/a", note)
    bob:set("/a", "two")
    ann:get("/a", note)

    ann:disconnect()
    ann:reconnect()

    assert.are.same({ "changed /a" }, seen)
  end)

  it("lives on over the server's death, and is told once of what the log has kept", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      world, seen = testkit.world(), {}
      ann, bob = world:session(), world:session()
      ann:create("/a", "one")
      ann:get("/a", note)

      local cut = world:fail_over_during(proposals, function() bob:set("/a", "two") end)
      if world:znode("/a").version == 0 then bob:set("/a", "two") end

      assert.are.same({ "changed /a" }, seen)
      return cut
    end)

    assert.are.equal(1, cuts)
  end)

  it("in a chroot is told the path that the session knows", function()
    ann:create("/a/x")
    local tenant = world:session { chroot = "/a" }
    tenant:get("/x", note)

    bob:set("/a/x", "two")

    assert.are.same({ "changed /x" }, seen)
  end)

  it("passes on what a watcher raises, and goes on telling afterwards", function()
    ann:get("/a", function() error("my own mistake") end)

    local ok, problem = pcall(bob.set, bob, "/a", "two")
    ann:get("/a", note)
    bob:set("/a", "three")

    assert.is_false(ok)
    assert.matches("my own mistake", problem)
    assert.are.same({ "changed /a" }, seen)
  end)
end)

describe("a world of several servers", function()
  local world, ann, bob

  before_each(function()
    world = testkit.world { recipes = "recipes", servers = 3 }
    ann, bob = world:session(), world:session()
  end)

  it("answers calls on the server to which their session is connected", function()
    local held = ann:call("lock.acquire", { path = "/locks/a" })
    local waits = bob:start("lock.acquire", { path = "/locks/a" })
    assert.is_true(waits:waiting())

    ann:call("lock.release", { path = "/locks/a", ticket = held.ticket })

    assert.is_true(waits:result().fence > held.fence)
  end)

  it("elects another leader when the one there was dies, and what waits goes on", function()
    local held = ann:call("lock.acquire", { path = "/locks/a" })
    local waits = bob:start("lock.acquire", { path = "/locks/a" })

    for _ = 1, 4 do world:fail_over() end

    assert.is_true(waits:waiting())
    world:expire(ann)
    assert.is_true(waits:result().fence > held.fence)
  end)

  it("does what was asked once, wherever the leader dies, and whether others have heard of it", function()
    local added = 0

    local cuts = testkit.at_every_proposal(function(proposals)
      local cut = world:fail_over_during(proposals, function()
        ann:start("counter.add", { path = "/n" })
        ann:start("counter.add", { path = "/n" })
      end)
      added = added + 2
      assert.are.equal(added, bob:call("counter.get", { path = "/n" }))
      return cut
    end)

    assert.is_true(cuts >= 2)
  end)

  it("is as many as were asked for, up to five", function()
    assert.is_false(pcall(testkit.world, { servers = 6 }))
    local five = testkit.world { recipes = "recipes/counter.lua", servers = 5 }
    assert.are.equal(1, five:session():call("counter.add", { path = "/n" }).after)
    five:free()
  end)
end)
