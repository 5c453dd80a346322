--- The promises of the language of recipes (src/recipe/README.md), on a server.
local testkit = require "moonkeeper.testkit"

local world, ann, bob

local function open(sources)
  world = testkit.world { sources = sources }
  ann, bob = world:session("10s"), world:session("10s")
end

-- Whether `call` still waits after `before`, and has ended when `more` has passed, too.
local function ends_between(call, before, more)
  world:advance(before)
  local waited = call:waiting()
  world:advance(more)
  return waited and not call:waiting()
end

local NAP = [[
local nap = {}

nap.take = operation {
  doc  = "Sleep for some time, or until `path` is there.",
  args = { time = "duration", path = "path?", timeout = "duration?" },
  run  = function(call)
    local at = call:once("at", function() return call.now + call.args.time end)
    if call.now >= at then return call.now - at end
    if call.args.path and znode.exists(call.args.path) then return "woken" end
    call:wait { created = call.args.path, at = at }
  end,
}

nap.past = operation {
  doc = "Wait for a time that has been.",
  run = function(call)
    if call:recall("seen") then return call.now - call:recall("seen") end
    call:once("seen", function() return call.now end)
    call:wait { at = call.now - 5000 }
  end,
}

nap.tick = operation {
  doc  = "Wake every so often, and never end.",
  args = { every = "duration" },
  run  = function(call) call:wait { at = call.now + call.args.every } end,
}

nap.brief = operation {
  doc      = "Wait for what never comes.",
  args     = { timeout = "duration?" },
  deadline = "5s",
  run      = function(call) call:wait { created = "/never" } end,
}

return nap
]]

describe("call:wait with a time", function()
  before_each(function() open { nap = NAP } end)

  it("runs the call again at that time, and not before", function()
    local nap = ann:start("nap.take", { time = "10s" })

    assert.is_true(ends_between(nap, "9900ms", "200ms"))
    assert.is_true(nap:result() >= 0 and nap:result() <= 200)
  end)

  it("runs it at the next transaction if that time is past", function()
    local past = ann:start("nap.past")

    world:advance("100ms")

    assert.is_true(past:result() <= 100)
  end)

  it("wakes for whichever comes first, the time or the change", function()
    local early = ann:start("nap.take", { time = "10s", path = "/door" })
    local late = ann:start("nap.take", { time = "1s", path = "/gate" })

    world:advance("5s")
    local waited = early:waiting()
    bob:create("/door")

    assert.is_true(waited)
    assert.are.equal("woken", early:result())
    assert.is_true(late:result() >= 0)
  end)

  it("does not put off the call's timeout", function()
    local nap = ann:start("nap.take", { time = "1h", timeout = "3s" })

    assert.is_true(ends_between(nap, "2900ms", "200ms"))
    assert.are.equal("Timeout", (nap:error()))
  end)

  it("wakes many at their own times, in order", function()
    local order = {}
    local naps = {}
    for i = 10, 1, -1 do
      table.insert(naps, ann:start("nap.take", { time = i * 1000 }))
    end

    for _ = 1, 10 do
      world:advance("1s")
      local awake = 0
      for _, nap in ipairs(naps) do
        if not nap:waiting() then awake = awake + 1 end
      end
      table.insert(order, awake)
    end
    world:advance("1s")

    assert.are.equal(0, world:waiting())
    for i = 2, #order do assert.is_true(order[i] - order[i - 1] <= 1) end
  end)

  it("keeps the time over fail-overs", function()
    local nap = ann:start("nap.take", { time = "10s" })

    world:advance("4s")
    world:fail_over()
    world:advance("4s")
    world:fail_over()

    assert.is_true(ends_between(nap, "1500ms", "600ms"))
  end)

  it("ends the call once, at every proposal around its time", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      open { nap = NAP }
      local nap = ann:start("nap.take", { time = "2s" })

      local cut = world:fail_over_during(proposals, function() world:advance("3s") end)
      world:advance("3s")

      assert.is_true(nap:result() >= 0)
      assert.are.equal(0, world:waiting())
      return cut
    end)

    assert.is_true(cuts >= 1)
  end)

  it("ends with the session", function()
    local nap = ann:start("nap.take", { time = "1h" })

    world:expire(ann)

    assert.are.equal("SessionExpired", (nap:error()))
    assert.are.equal(0, world:waiting())
  end)

  it("slows a call that asks for one time after another without pause", function()
    ann:start("nap.tick", { every = 0 })

    world:advance("1s")
    local woken = world:stats().woken
    world:advance("10s")

    assert.is_true(world:stats().woken - woken < 1000)
  end)

  it("lets a call that wakes every second go on for longer than a busy one may", function()
    local tick = ann:start("nap.tick", { every = "1s" })

    world:advance("3h")

    assert.is_true(tick:waiting())
  end)
end)

describe("an operation's deadline", function()
  before_each(function() open { nap = NAP } end)

  it("ends a call that asked for no timeout", function()
    local brief = ann:start("nap.brief")

    assert.is_true(ends_between(brief, "4900ms", "200ms"))
    assert.are.equal("Timeout", (brief:error()))
  end)

  it("ends a call that asked for a longer one", function()
    local brief = ann:start("nap.brief", { timeout = "1h" })

    assert.is_true(ends_between(brief, "4900ms", "200ms"))
  end)

  it("leaves a shorter timeout as it is", function()
    local brief = ann:start("nap.brief", { timeout = "2s" })

    assert.is_true(ends_between(brief, "1900ms", "200ms"))
  end)
end)

local SUMS = [[
local sums = {}

sums.add = operation {
  doc  = "Add `by` to the number at `path`.",
  args = { path = "path", by = { type = "integer", default = 1, min = 1 } },
  run  = function(call)
    local data = znode.get(call.args.path)
    local sum = (tonumber(data) or 0) + call.args.by
    if data then
      znode.set(call.args.path, tostring(sum))
    else
      znode.create(call.args.path, { data = tostring(sum) })
    end
    return { sum = sum, zxid = call.zxid, session = call.session, now = call.now }
  end,
}

sums.get = operation {
  doc        = "The number at `path`.",
  args       = { path = "path" },
  reads_only = true,
  run        = function(call) return tonumber(znode.get(call.args.path) or 0) end,
}

sums.await = operation {
  doc  = "Wait until `path` is there.",
  args = { path = "path" },
  run  = function(call)
    if not znode.exists(call.args.path) then call:wait { created = call.args.path } end
    return true
  end,
}

sums.half = operation {
  doc  = "Add, and fail.",
  args = { path = "path" },
  run  = function(call)
    call:run("sums.add", { path = call.args.path })
    fail("Conflict", "half done")
  end,
}

sums.back = operation {
  doc  = "Run an operation of who runs this one.",
  args = { name = "string" },
  run  = function(call) return call:run(call.args.name) end,
}

sums.remember = operation {
  doc  = "What once says, in a run of its own.",
  args = { value = "integer" },
  run  = function(call) return call:once("value", function() return call.args.value end) end,
}

return sums
]]

local OUTER = [[
local outer = {}

local function op(run, more)
  local declared = more or {}
  declared.doc, declared.run = "", run
  declared.args = declared.args or { path = "path?", timeout = "duration?" }
  return operation(declared)
end

outer.add = op(function(call)
  return { inner = call:run("sums.add", { path = call.args.path, by = 2 }),
           zxid = call.zxid, session = call.session, now = call.now }
end)

outer.missing = op(function(call) return call:run("sums.nosuch") end)
outer.nowhere = op(function(call) return call:run("nosuch.add") end)
outer.servers = op(function(call) return call:run("recipe.list") end)
outer.nameless = op(function(call) return call:run("sums") end)
outer.wrong = op(function(call) return call:run("sums.add", { path = "/a", by = 0 }) end)
outer.handles = op(function(call)
  local ok, problem = pcall(function() return call:run("sums.add", { path = "/a", by = 0 }) end)
  return { ok = ok, error = problem.error }
end)
outer.waits = op(function(call) return call:run("sums.await", { path = call.args.path }) end)
outer.tries = op(function(call)
  local ok, problem = pcall(function() return call:run("sums.await", { path = call.args.path }) end)
  return ok or problem.error
end)
outer.half = op(function(call)
  local ok = pcall(function() return call:run("sums.half", { path = call.args.path }) end)
  return ok
end)
outer.own = op(function(call) return call:run("outer.leaf") + 1 end)
outer.leaf = op(function() return 41 end)
outer.deep = op(function(call)
  return call:run("outer.deep", { depth = call.args.depth + 1 })
end, { args = { depth = { type = "integer", default = 1 } } })
outer.depth = op(function(call)
  if call.args.depth == 8 then return 8 end
  return call:run("outer.depth", { depth = call.args.depth + 1 })
end, { args = { depth = { type = "integer", default = 1 } } })
outer.reads = op(function(call) return call:run("sums.get", { path = call.args.path }) end,
  { reads_only = true })
outer.writes = op(function(call) return call:run("sums.add", { path = call.args.path }) end,
  { reads_only = true })
outer.apart = op(function(call)
  local first = call:once("value", function() return 1 end)
  local second = call:run("sums.remember", { value = 2 })
  local third = call:run("sums.remember", { value = 3 })
  return { first, second, third }
end)
outer.parks = op(function(call)
  local sum = call:once("sum", function()
    return call:run("sums.add", { path = "/sum" }).sum
  end)
  if not znode.exists(call.args.path) then call:wait { created = call.args.path } end
  return sum
end)
outer.repeats = op(function(call)
  call:run("sums.add", { path = "/sum" })
  call:wait { created = call.args.path }
end)
outer.endless = op(function(call)
  while true do pcall(function() call:run("outer.leaf") end) end
end)
outer.lends = op(function(call)
  local lent = { 1 }
  call:run("outer.takes", { list = lent })
  return lent
end)
outer.takes = op(function(call) table.insert(call.args.list, 2) return call.args.list end,
  { args = { list = "list" } })
outer.there = op(function(call) return call:run("sums.back", { name = "outer.leaf" }) + 1 end)
outer.bomb = op(function(call)
  return call:run("sums.back", { name = "outer.large" })
end)
outer.large = op(function()
  local large = {}
  for i = 1, 1000000 do large[i] = { i, { i } } end
end)
outer.undo = op(function(call) call:wait { created = "/never" } end,
  { cancel = function(call) call:run("sums.add", { path = "/undone" }) end })
outer.bare = op(function() return call.run("sums.get") end)

return outer
]]

describe("call:run", function()
  before_each(function() open { sums = SUMS, outer = OUTER } end)

  it("returns what the other operation returns", function()
    ann:create("/sum", "5")

    assert.are.equal(7, ann:call("outer.add", { path = "/sum" }).inner.sum)
  end)

  it("runs it in the same transaction, for the same caller, at the same time", function()
    local result = ann:call("outer.add", { path = "/sum" })

    assert.are.equal(result.zxid, result.inner.zxid)
    assert.are.equal(ann.id, result.inner.session)
    assert.are.equal(result.now, result.inner.now)
    assert.are.equal(result.zxid, world:znode("/sum").czxid)
  end)

  it("holds the arguments to the other's schema, and fills in its defaults", function()
    local _, name, message = ann:try("outer.wrong")

    assert.are.equal("BadArguments", name)
    assert.matches("argument 'by' must be a whole number, at least 1", message)
    assert.are.equal(1, ann:start("outer.parks", { path = "/" }):result())
  end)

  it("raises what the other fails with, for pcall to catch", function()
    assert.are.same({ ok = false, error = "BadArguments" }, ann:call("outer.handles"))
  end)

  it("fails with Unimplemented when there is no such operation, or it is the server's own", function()
    for _, operation in ipairs { "outer.missing", "outer.nowhere", "outer.nameless",
      "outer.servers" } do
      assert.are.equal("Unimplemented", (select(2, ann:try(operation))))
    end
  end)

  it("fails with Conflict where the other would have to wait", function()
    local _, name = ann:try("outer.waits", { path = "/never" })

    assert.are.equal("Conflict", name)
    assert.are.equal("Conflict", ann:call("outer.tries", { path = "/never" }))
    assert.are.equal(true, ann:call("outer.waits", { path = "/" }))
    assert.are.equal(0, world:waiting())
  end)

  it("fails the whole call when the other fails behind an effect, pcall or not", function()
    local _, name, message = ann:try("outer.half", { path = "/sum" })

    assert.are.equal("Conflict", name)
    assert.matches("half done", message)
    assert.is_nil(world:znode("/sum"))
  end)

  it("runs an operation of its own recipe", function()
    assert.are.equal(42, ann:call("outer.own"))
  end)

  it("runs an operation of who runs it", function()
    assert.are.equal(42, ann:call("outer.there"))
  end)

  it("fails, and leaves every recipe as it was, when one further in takes too much", function()
    assert.are.equal("Budget", (select(2, ann:try("outer.bomb"))))
    assert.are.equal(42, ann:call("outer.there"))
    assert.are.equal("Budget", (select(2, ann:try("outer.large"))))
    assert.are.equal(42, ann:call("outer.there"))
  end)

  it("goes eight deep, and no deeper", function()
    local _, name, message = ann:try("outer.deep")

    assert.are.equal(8, ann:call("outer.depth"))
    assert.are.equal("Limit", name)
    assert.matches("more than 8 operations within each other", message)
  end)

  it("lets an operation that only reads run another such, and none that writes", function()
    ann:create("/sum", "5")

    assert.are.equal(5, ann:call("outer.reads", { path = "/sum" }))
    local _, name, message = ann:try("outer.writes", { path = "/sum" })
    assert.are.equal("RecipeError", name)
    assert.matches("an operation that called this one declares reads_only", message)
    assert.are.equal("5", world:znode("/sum").data)
  end)

  it("keeps the steps of the two apart, and those of the other to one run", function()
    assert.are.same({ 1, 2, 3 }, ann:call("outer.apart"))
  end)

  it("is done once within call:once, however often the caller runs", function()
    local call = ann:start("outer.parks", { path = "/door" })
    local waited = call:waiting()

    bob:create("/door")

    assert.is_true(waited)
    assert.are.equal(1, call:result())
    assert.are.equal("1", world:znode("/sum").data)
  end)

  it("counts as an effect of the caller's, which may not wait behind it", function()
    local _, name, message = ann:try("outer.repeats", { path = "/door" })

    assert.are.equal("RecipeError", name)
    assert.matches("would repeat call:run %(line %d+%)", message)
    assert.is_nil(world:znode("/sum"))
  end)

  it("shares the budgets of the run that it is part of", function()
    local _, name = ann:try("outer.endless")

    assert.are.equal("Budget", name)
  end)

  it("shares no values with what it runs", function()
    assert.are.same({ 1 }, ann:call("outer.lends"))
  end)

  it("works in cancel, too", function()
    ann:create("/undone", "0")
    local call = ann:start("outer.undo")

    call:cancel()

    assert.are.equal("Cancelled", (call:error()))
    assert.are.equal("1", world:znode("/undone").data)
  end)

  it("adds once, at every proposal", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      open { sums = SUMS, outer = OUTER }
      local call

      local cut = world:fail_over_during(proposals, function()
        call = ann:start("outer.parks", { path = "/door" })
        bob:create("/door")
      end)
      if not bob:exists("/door") then bob:create("/door") end

      assert.are.equal(1, call:result())
      assert.are.equal("1", world:znode("/sum").data)
      return cut
    end)

    assert.is_true(cuts >= 3)
  end)
end)

local LOOKS = [[
local looks = {}

looks.count = operation {
  doc        = "How often `path` was counted, and when that was looked at.",
  args       = { path = "path", lines = "boolean?" },
  reads_only = true,
  run        = function(call)
    return { count = tonumber(znode.get(call.args.path) or 0), zxid = call.zxid, now = call.now,
             session = call.session }
  end,
}

looks.create = operation {
  doc = "", reads_only = true, run = function(call) return znode.create("/made") end,
}
looks.caught = operation {
  doc = "", reads_only = true,
  run = function(call)
    return { pcall(znode.create, "/made") == false, pcall(znode.set, "/x", "1") == false,
             pcall(znode.delete, "/x") == false }
  end,
}
looks.wait = operation {
  doc = "", reads_only = true, run = function(call) call:wait { created = "/made" } end,
}
looks.once = operation {
  doc = "", reads_only = true,
  run = function(call) return call:once("x", function() return call.now end) == call.now end,
}
looks.loop = operation { doc = "", reads_only = true, run = function() while true do end end }

return looks
]]

describe("an operation that only reads", function()
  before_each(function() open { looks = LOOKS } end)

  it("runs without a transaction", function()
    ann:create("/count", "3")
    local before = world:stats()

    assert.are.equal(3, bob:call("looks.count", { path = "/count" }).count)
    assert.are.equal(before.proposals, world:stats().proposals)
    assert.are.equal(before.zxid, world:stats().zxid)
  end)

  it("sees what its session wrote before", function()
    for i = 1, 5 do
      if i == 1 then ann:create("/count", "1") else ann:set("/count", tostring(i)) end
      assert.are.equal(i, ann:call("looks.count", { path = "/count" }).count)
    end
  end)

  it("knows its caller, the last zxid and the time", function()
    ann:create("/count", "3")

    local seen = ann:call("looks.count", { path = "/count" })

    assert.are.equal(ann.id, seen.session)
    assert.are.equal(world:znode("/count").mzxid, seen.zxid)
    assert.are.equal(world:stats().now_ms > 0, seen.now > 0)
  end)

  it("may not create, set or delete, whatever it catches", function()
    ann:create("/x", "0")

    local _, name, message = ann:try("looks.create")

    assert.are.equal("RecipeError", name)
    assert.matches("znode.create: the operation declares reads_only", message)
    assert.are.same({ true, true, true }, ann:call("looks.caught"))
    assert.are.equal("0", world:znode("/x").data)
    assert.is_nil(world:znode("/made"))
  end)

  it("may not wait", function()
    local _, name, message = ann:try("looks.wait")

    assert.are.equal("RecipeError", name)
    assert.matches("call:wait: the operation declares reads_only", message)
    assert.are.equal(0, world:waiting())
  end)

  it("has arguments and budgets as any", function()
    assert.are.equal("BadArguments", (select(2, ann:try("looks.count", { path = "x" }))))
    assert.are.equal("Budget", (select(2, ann:try("looks.loop"))))
    assert.is_true(ann:call("looks.once"))
  end)

  it("may not see what its caller may not read", function()
    ann:create("/secret", "7", { acl = "digest:ann:x:cdrwa" })

    assert.are.equal("NoAuth", (select(2, bob:try("looks.count", { path = "/secret" }))))
  end)

  it("is a transaction when it is made as a call node, with its result in the node", function()
    ann:create("/count", "3")

    local node = ann:create("/zookeeper/calls/looks.count-", '{"path":"/count"}',
      { ephemeral = true, sequential = true })

    assert.matches('^{"state":"done","result":{"count":3,', (ann:get(node)))
  end)

  it("answers as before after a fail-over", function()
    ann:create("/count", "3")

    world:fail_over()

    assert.are.equal(3, ann:call("looks.count", { path = "/count" }).count)
  end)
end)

local WILLS = [[
local wills = {}

wills.write = operation {
  doc              = "Write `text` to `path` when `door` opens, whether the caller lives or not.",
  args             = { path = "path", door = "path", timeout = "duration?" },
  outlives_session = true,
  run              = function(call)
    if not znode.exists(call.args.door) then call:wait { created = call.args.door } end
    znode.create(call.args.path, { data = session.alive(call.session) and "alive" or "gone" })
    return call.args.path
  end,
  cancel           = function(call) znode.delete("/trace") end,
}

wills.tie = operation {
  doc              = "Make an ephemeral when `door` opens.",
  args             = { door = "path" },
  outlives_session = true,
  run              = function(call)
    if not znode.exists(call.args.door) then call:wait { created = call.args.door } end
    return znode.create("/tie", { ephemeral = true })
  end,
}

wills.live = operation {
  doc  = "As wills.write, but for as long as the caller lives.",
  args = { door = "path" },
  run  = function(call) call:wait { created = call.args.door } end,
}

return wills
]]

describe("a call that outlives its session", function()
  local WILL = '{"path":"/will","door":"/door"}'
  local node

  local function make(session)
    return session:create("/zookeeper/calls/wills.write-", WILL, { sequential = true })
  end

  before_each(function()
    open { wills = WILLS }
    node = make(ann)
  end)

  it("goes on when its session has expired, and runs as that session", function()
    world:expire(ann)
    local waiting = world:waiting()
    bob:create("/door")

    assert.are.equal(1, waiting)
    assert.are.equal("gone", world:znode("/will").data)
  end)

  it("keeps its result in the node, for who asks later", function()
    ann:close()
    bob:create("/door")

    assert.are.equal('{"state":"done","result":"/will"}', (bob:get(node)))
  end)

  it("goes on when its session has closed, over a fail-over", function()
    ann:close()
    world:fail_over()
    bob:create("/door")

    assert.are.equal("gone", world:znode("/will").data)
  end)

  it("has a node that is sequential and not ephemeral, and no other", function()
    local function made(options)
      return (pcall(bob.create, bob, "/zookeeper/calls/wills.write-", WILL, options))
    end

    assert.is_nil(world:znode(node).owner)
    assert.is_false(made { sequential = true, ephemeral = true })
    assert.is_false(made {})
    assert.is_false((pcall(bob.create, bob, "/zookeeper/calls/wills.live-", '{"door":"/door"}',
      { sequential = true })))
    assert.are.equal(1, world:waiting())
  end)

  it("is listed to its session", function()
    local live = ann:create("/zookeeper/calls/wills.live-", '{"door":"/door"}',
      { sequential = true, ephemeral = true })
    local names = { live:match("[^/]+$"), node:match("[^/]+$") }
    table.sort(names)

    assert.are.same(names, ann:children("/zookeeper/calls"))
    assert.are.same({}, bob:children("/zookeeper/calls"))
  end)

  it("is cancelled by deleting its node", function()
    ann:delete(node, 0)

    assert.are.equal(0, world:waiting())
    assert.is_nil(world:znode(node))
  end)

  it("may be cancelled by others when its session is gone and was nobody in particular", function()
    ann:close()
    bob:delete(node, 0)

    assert.are.equal(0, world:waiting())
  end)

  it("keeps its finished node when the session ends, until its time is over", function()
    bob:create("/door")
    ann:close()
    local kept = world:znode(node) ~= nil

    world:advance("1h")

    assert.is_true(kept)
    assert.is_nil(world:znode(node))
  end)

  it("may not make ephemerals of a session that is gone", function()
    local tie = ann:create("/zookeeper/calls/wills.tie-", '{"door":"/door"}', { sequential = true })
    ann:close()
    bob:create("/door")

    assert.matches('^{"state":"failed","error":"SessionExpired"', (bob:get(tie)))
    assert.is_nil(world:znode("/tie"))
  end)

  it("ends when its timeout is over, with or without a session", function()
    local short = ann:create("/zookeeper/calls/wills.write-",
      '{"path":"/will","door":"/door","timeout":"20s"}', { sequential = true })
    ann:close()

    world:advance("21s")

    assert.matches('^{"state":"failed","error":"Timeout"', (bob:get(short)))
  end)

  it("goes on as well if it was made as a plain call", function()
    local plain = bob:start("wills.write", { path = "/plain", door = "/door" })
    world:expire(bob)
    assert.is_true(plain:error() == "SessionExpired" and world:waiting() == 2)

    local cid = world:session()
    cid:create("/door")

    assert.are.equal("gone", world:znode("/plain").data)
    assert.are.equal(1, world:waiting()) -- the result that the other's node keeps
  end)

  it("writes once, at every proposal of its session's end and of what it waits for", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      open { wills = WILLS }
      local made = make(ann)

      local cut = world:fail_over_during(proposals, function()
        world:expire(ann)
        bob:create("/door")
      end)
      world:expire(ann)
      if not bob:exists("/door") then bob:create("/door") end

      assert.are.equal('{"state":"done","result":"/will"}', (bob:get(made)))
      assert.are.equal("gone", world:znode("/will").data)
      return cut
    end)

    assert.is_true(cuts >= 3)
  end)
end)

local FAULTS = [[
local faults = {}

local function inner(value)
  return value.missing
end

faults.index = operation {
  doc = "Index a nil.", run = function() local found = inner(nil) return found end,
}
faults.fail = operation { doc = "", run = function() fail("Conflict", "as it may") end }
faults.text = operation {
  doc = "", args = { text = "string" }, run = function(call) error(call.args.text, 0) end,
}
faults.caught = operation { doc = "", run = function() return pcall(inner, nil) end }
faults.nest = operation { doc = "", run = function(call) return call:run("faults.index") end }
faults.deep = operation {
  doc = "", run = function() local function f() return 1 + f() end return f() end,
}
faults.cancel = operation {
  doc = "", run = function(call) call:wait { created = "/never" } end,
  cancel = function() return inner(nil) end,
}

return faults
]]

describe("a Lua error", function()
  local function logged(pattern)
    local count = 0
    for _ in world:log():gmatch(pattern) do count = count + 1 end
    return count
  end

  before_each(function() open { faults = FAULTS } end)

  it("reaches the caller as RecipeError with recipe, version, line and message", function()
    local _, name, message = ann:try("faults.index")

    assert.are.equal("RecipeError", name)
    assert.matches("^faults@%x%x%x%x%x%x%x%x:4: attempt to index local 'value' %(a nil value%)",
      message)
  end)

  it("is in the log once, with the lines that led there", function()
    ann:try("faults.index")

    assert.are.equal(1, logged("faults%.index: failed: faults@%x+:4: attempt to index"))
    assert.are.equal(1, logged("trace=faults@%x+:4 < faults@%x+:8"))
  end)

  it("is in the log from further in, too", function()
    local _, name = ann:try("faults.nest")

    assert.are.equal("RecipeError", name)
    assert.are.equal(1, logged("faults%.index: failed"))
  end)

  it("of a cancel is in the log, and the call ends as it would have", function()
    local call = ann:start("faults.cancel")
    call:cancel()

    assert.are.equal("Cancelled", (call:error()))
    assert.are.equal(1, logged("faults%.cancel: cancel failed: faults@%x+:4"))
  end)

  it("is not in the log if it is caught, and neither is what fail() says", function()
    ann:try("faults.caught")
    ann:try("faults.fail")

    assert.are.equal(0, logged("faults%."))
  end)

  it("cannot break a line of the log, nor fill it", function()
    for _ = 1, 100 do ann:try("faults.text", { text = "a\nb" .. ("c"):rep(5000) }) end

    assert.are.equal(0, logged("\nb"))
    assert.is_true(logged("faults%.text: failed") <= 40)
    assert.is_true(#world:log() < 40 * 1000)
  end)

  it("of a stack that overflows is reported as any", function()
    local _, name, message = ann:try("faults.deep")

    assert.are.equal("RecipeError", name)
    assert.matches("stack overflow", message)
    assert.are.equal(1, logged("faults%.deep: failed"))
  end)
end)
