--- The promises of recipes/ratelimit.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local PATH = "/limits/mail"

local world, ann, bob, cid

local function new_world()
  world = testkit.world()
  ann, bob, cid = world:session(), world:session(), world:session()
end

local function configure(permits, period, burst)
  ann:call("ratelimit.configure",
    { path = PATH, permits = permits, period = period, burst = burst })
end

local function try(session, permits)
  return session:call("ratelimit.try", { path = PATH, permits = permits })
end

local function acquire(session, permits, timeout)
  return session:start("ratelimit.acquire", { path = PATH, permits = permits, timeout = timeout })
end

local function refused(session, operation, arguments)
  local result, name = session:try("ratelimit." .. operation, arguments)
  assert.is_nil(result)
  return name
end

-- How many single permits are granted now.
local function drain(session)
  local count = 0
  while try(session).granted do count = count + 1 end
  return count
end

describe("ratelimit.configure", function()
  before_each(new_world)

  it("makes a limiter that is full, and the znodes above it", function()
    configure(10, "1s")

    assert.are.equal(10, drain(bob))
    assert.is_true(world:znode("/limits").container)
  end)

  it("lets as many through at once as the burst is", function()
    configure(10, "1s", 25)

    assert.are.equal(25, drain(bob))
  end)

  it("keeps what is saved up, up to the new burst", function()
    configure(10, "1s")
    try(bob, 4)
    configure(100, "1m", 50)
    local kept = try(bob, 6)
    world:advance("1h")
    configure(100, "1m", 3)

    assert.is_true(kept.granted)
    assert.are.equal(0, kept.remaining)
    assert.are.equal(3, drain(bob))
  end)

  it("is heard by who waits", function()
    configure(1, "1h")
    try(ann)
    local call = acquire(bob)

    configure(3600, "1h", 1)
    world:advance("2s")

    assert.are.equal(0, call:result().remaining)
  end)

  it("takes 1 to 1,000,000 permits in 1 ms to a day", function()
    for _, wrong in ipairs { { 0, "1s" }, { 1000001, "1s" }, { 1, 0 }, { 1, "25h" },
      { 1, "1s", 0 }, { 1, "1s", 1000001 } } do
      assert.are.equal("BadArguments", refused(ann, "configure",
        { path = PATH, permits = wrong[1], period = wrong[2], burst = wrong[3] }))
    end
    configure(1000000, "24h", 1000000)
    assert.is_true(try(bob, 1000000).granted)
  end)

  it("fails with NoAuth where the caller may not create", function()
    ann:create("/limits", "", { acl = "world:anyone:r" })

    assert.are.equal("NoAuth", refused(bob, "configure",
      { path = PATH, permits = 1, period = "1s" }))
  end)
end)

describe("ratelimit.try", function()
  before_each(new_world)

  it("grants what is there, and says how much is left", function()
    configure(10, "1s")

    assert.are.same({ granted = true, remaining = 7 }, try(bob, 3))
    assert.are.same({ granted = true, remaining = 6 }, try(cid))
  end)

  it("grants nothing that is not there, and says when it could be", function()
    configure(10, "1s")
    try(bob, 8)

    assert.are.same({ granted = false, remaining = 2, retry_after = 300 }, try(bob, 5))
    world:advance("299ms")
    local too_soon = try(bob, 5).granted
    world:advance("1ms")

    assert.is_false(too_soon)
    assert.is_true(try(bob, 5).granted)
  end)

  it("saves up no more than the burst", function()
    configure(10, "1s")
    drain(bob)

    world:advance("10h")

    assert.are.equal(10, drain(bob))
  end)

  it("spaces permits evenly with a burst of 1", function()
    configure(4, "1s", 1)
    local granted = {}
    for ms = 0, 1000, 50 do
      if try(bob).granted then table.insert(granted, ms) end
      world:advance("50ms")
    end

    assert.are.same({ 0, 250, 500, 750, 1000 }, granted)
  end)

  it("rounds nothing, whatever the rate", function()
    configure(7, "1s", 1)
    local granted = 0
    for _ = 1, 3000 do
      if try(bob).granted then granted = granted + 1 end
      world:advance("1ms")
    end

    assert.are.equal(21, granted)
  end)

  it("fails with Limit for more than the burst", function()
    configure(10, "1s", 5)

    assert.are.equal("Limit", refused(bob, "try", { path = PATH, permits = 6 }))
    assert.are.equal("BadArguments", refused(bob, "try", { path = PATH, permits = 0 }))
  end)

  it("fails with NoNode where there is no limiter", function()
    assert.are.equal("NoNode", refused(bob, "try", { path = PATH }))
  end)

  it("is not granted while somebody waits", function()
    configure(10, "1s")
    try(ann, 5)
    acquire(bob, 10)

    local passed = try(cid, 1)

    assert.is_false(passed.granted)
    assert.are.equal(5, passed.remaining)
  end)

  it("takes once what was granted once, wherever the leader dies", function()
    local proposals, cut = 0, true
    while cut do
      new_world()
      configure(10, "1h")
      local call
      cut = world:fail_over_during(proposals, function()
        call = bob:start("ratelimit.try", { path = PATH, permits = 3 })
      end)

      assert.is_true(call:result().granted)
      assert.are.equal(7, bob:call("ratelimit.peek", { path = PATH }).remaining)
      proposals = proposals + 1
    end
    assert.are.equal(2, proposals)
  end)
end)

describe("ratelimit.acquire", function()
  before_each(new_world)

  it("grants at once what is there", function()
    configure(10, "1s")

    local call = acquire(bob, 4)

    assert.are.equal(6, call:result().remaining)
    assert.are.same({}, world:children(PATH))
  end)

  it("waits until its permits are there, and not longer", function()
    configure(10, "1s")
    try(ann, 10)
    local call = acquire(bob, 3)

    world:advance("299ms")
    local in_time = call:waiting()
    world:advance("1ms")

    assert.is_true(in_time)
    assert.are.equal(0, call:result().remaining)
  end)

  it("grants in the order of asking, however many permits each wants", function()
    configure(10, "1s")
    try(ann, 10)
    local large, small = acquire(bob, 8), acquire(cid, 1)

    world:advance("700ms")
    local both_waited = large:waiting() and small:waiting()
    world:advance("100ms")
    local small_waited = small:waiting()
    world:advance("100ms")

    assert.is_true(both_waited)
    assert.is_true(small_waited)
    assert.is_true(small:result().fence > large:result().fence)
  end)

  it("gives the permits of who gives up to the next", function()
    configure(10, "1s")
    try(ann, 10)
    local first, second = acquire(bob, 10), acquire(cid, 2)

    world:advance("500ms")
    first:cancel()

    assert.are.equal(3, second:result().remaining)
  end)

  it("wakes one waiter at a time", function()
    configure(10, "1s")
    try(ann, 10)
    for _ = 1, 20 do acquire(bob) end
    local before = world:stats().woken

    world:advance("100ms")

    assert.are.equal(before + 2, world:stats().woken) -- who is granted, and who is the first now
    assert.are.equal(19, world:waiting())
  end)

  it("fails with Timeout if it was not its turn in time, and takes nothing", function()
    configure(1, "1m")
    try(ann)
    local call = acquire(bob, 1, "10s")

    world:advance("11s")
    local problem = call:error()
    world:advance("49s")

    assert.are.equal("Timeout", problem)
    assert.is_true(try(cid).granted)
  end)

  it("fails with Lost if somebody deletes its ticket", function()
    configure(1, "1m")
    try(ann)
    local call = acquire(bob)

    cid:delete(PATH .. "/wait-0000000000")

    assert.are.equal("Lost", (call:error()))
  end)

  it("fails with Limit when the burst becomes too small for it", function()
    configure(10, "1m")
    try(ann, 10)
    local call = acquire(bob, 10)

    configure(10, "1m", 5)

    assert.are.equal("Limit", (call:error()))
  end)

  it("fails with NoNode and Limit", function()
    assert.are.equal("NoNode", refused(bob, "acquire", { path = PATH }))
    configure(1, "1m")
    assert.are.equal("Limit", refused(bob, "acquire", { path = PATH, permits = 2 }))
  end)

  it("takes once what was granted once, wherever the leader dies", function()
    local proposals, cut = 0, true
    while cut do
      new_world()
      configure(10, "10s")
      try(ann, 10)
      local first, second = acquire(bob, 2), acquire(cid, 2)
      cut = world:fail_over_during(proposals, function() world:advance("2s") end)
      world:advance("3s")

      assert.is_true(second:result().fence > first:result().fence)
      local left = ann:call("ratelimit.peek", { path = PATH }).remaining
      assert.is_true(left <= 1)
      proposals = proposals + 1
    end
    assert.is_true(proposals > 1)
  end)
end)

describe("the bound of a limiter", function()
  before_each(new_world)

  it("holds over any span: the burst, and the rate", function()
    configure(5, "1s", 8)
    local times = {}
    for _ = 1, 400 do
      for _ = 1, drain(bob) do table.insert(times, world:stats().now_ms) end
      world:advance((#times * 37) % 211)
    end

    for i = 1, #times do
      for j = i, #times do
        assert.is_true(j - i + 1 <= 8 + (times[j] - times[i]) * 5 / 1000)
      end
    end
  end)

  it("is one burst after a step of the clock, however far", function()
    configure(5, "1s", 8)
    drain(bob)

    world:advance("24h")

    assert.are.equal(8, drain(bob))
  end)

  it("does not change with the leader", function()
    configure(5, "1h", 8)
    drain(bob)

    for _ = 1, 5 do world:fail_over() end

    assert.are.equal(0, drain(bob))
  end)
end)

describe("ratelimit.peek", function()
  before_each(new_world)

  it("tells what would be granted, and how the limiter is configured", function()
    configure(10, "1s", 20)
    try(ann, 15)
    acquire(bob, 10)

    world:advance("100ms")

    assert.are.same({ remaining = 6, waiting = 1, permits = 10, period = 1000, burst = 20 },
      cid:call("ratelimit.peek", { path = PATH }))
  end)

  it("fails with NoNode where there is no limiter", function()
    assert.are.equal("NoNode", refused(bob, "peek", { path = PATH }))
  end)
end)
