--- The promises of the language of recipes (src/recipe/README.md), on a server.
local testkit = require "moonkeeper.testkit"

-- `scenario(proposals)`, each on a new world, until the power no longer goes before it is through.
local function at_every_proposal(scenario)
  local proposals = 0
  while scenario(proposals) do
    proposals = proposals + 1
  end
  return proposals
end

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
    local cuts = at_every_proposal(function(proposals)
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
