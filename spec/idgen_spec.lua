--- The promises of recipes/idgen.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local YEAR_2020_MS = 1577836800000

local world, ann, bob

local function new_world()
  world = testkit.world()
  ann, bob = world:session(), world:session()
end

local function block(session, size)
  return session:call("idgen.next_block", { path = "/ids", size = size })
end

local function worker(session, max)
  return session:call("idgen.worker", { path = "/workers", max = max })
end

local function release(session, held)
  return session:try("idgen.release",
    { path = "/workers", worker = held.worker, fence = held.fence })
end

describe("idgen.next_block", function()
  before_each(new_world)

  it("gives one block behind the other, without a gap", function()
    local first = block(ann, 100)
    world:advance("5s")
    local second = block(bob, 1)
    local third = block(ann)

    assert.are.equal(100, first.last - first.first + 1)
    assert.are.equal(first.last + 1, second.first)
    assert.are.equal(second.last + 1, third.first)
    assert.are.equal(third.first, third.last)
  end)

  it("begins at 1,000 numbers for each ms since the year 2020", function()
    local first = block(ann).first

    local made_ms = ann:call("tree.children", { path = "/" }).children[1].ctime
    assert.are.equal((made_ms - YEAR_2020_MS) * 1000, first)
  end)

  it("gives up to 1,000,000 at once, and no number below 1", function()
    local first = block(ann, 1000000)

    assert.are.equal(1000000, first.last - first.first + 1)
    assert.are.equal("BadArguments", ann:refused("idgen.next_block", { path = "/ids", size = 0 }))
    assert.are.equal("BadArguments",
      ann:refused("idgen.next_block", { path = "/ids", size = 1000001 }))
  end)

  it("fails with Overload beyond 1,000 numbers for each ms, and goes on later", function()
    local first = block(ann, 1000000)

    assert.are.equal("Overload", bob:refused("idgen.next_block", { path = "/ids" }))
    world:advance("10ms")

    assert.are.equal(first.last + 1, block(bob, 10000).first)
    assert.are.equal("Overload", bob:refused("idgen.next_block", { path = "/ids" }))
  end)

  it("goes on above what can have been given since a backup was made", function()
    block(ann, 10)
    local backup = world:znode("/ids").data
    world:advance("1m")
    local lost = block(ann, 1000000)

    ann:set("/ids", backup)
    world:advance("1s")
    world:fail_over()
    local restored = block(bob)

    assert.is_true(restored.first > lost.last)
  end)

  it("goes on above what was given, also if that is ahead of the time", function()
    local first = block(ann, 1000000)

    world:fail_over()
    world:advance("10ms")

    assert.are.equal(first.last + 1, block(bob).first)
  end)

  it("fails with Conflict where the znode holds something else, and with NoAuth", function()
    ann:create("/text", "hello")
    ann:create("/fixed", "", { acl = "world:anyone:r" })

    assert.are.equal("Conflict", ann:refused("idgen.next_block", { path = "/text" }))
    assert.are.equal("NoAuth", ann:refused("idgen.next_block", { path = "/fixed/ids" }))
  end)

  it("gives the same block to who asks again", function()
    local first = ann:start("idgen.next_block", { path = "/ids", size = 10 })

    local again = ann:retry(first)

    assert.are.same(first:result(), again:result())
    assert.are.equal(first:result().last + 1, block(bob).first)
  end)

  it("gives no number twice, wherever the leader dies", function()
    local proposals, cut = 0, true
    while cut do
      new_world()
      local before = block(ann, 10)
      local call
      cut = world:fail_over_during(proposals, function()
        call = ann:start("idgen.next_block", { path = "/ids", size = 10 })
      end)
      local after = block(bob, 10)

      assert.is_true(before.last < call:result().first)
      assert.is_true(call:result().last < after.first)
      proposals = proposals + 1
    end
    assert.are.equal(2, proposals)
  end)
end)

describe("idgen.snowflake", function()
  before_each(new_world)

  local function snowflakes(session, count)
    return session:call("idgen.snowflake", { path = "/flakes", count = count }).ids
  end

  -- The ms since 2020 and the count that an id says, in whole numbers of 64 bits.
  local function parts(id)
    local number = 0ULL
    for digit in id:gmatch("%d") do number = number * 10 + tonumber(digit) end
    return tonumber(number / 4194304), tonumber(number % 4194304)
  end

  it("gives ids that say when it was, by the server's time", function()
    local id = snowflakes(ann)[1]

    local made_ms = ann:call("tree.children", { path = "/" }).children[1].ctime
    local ms, count = parts(id)
    assert.are.equal(made_ms, YEAR_2020_MS + ms)
    assert.are.equal(0, count)
    assert.are.equal(19, #id)
  end)

  it("gives up to 1,000 at once, in order, and counts on within one ms", function()
    local first, second = snowflakes(ann, 1000), snowflakes(bob, 2)

    local ms = parts(first[1])
    assert.are.same({ ms, 999 }, { parts(first[1000]) })
    assert.are.same({ ms, 1000 }, { parts(second[1]) })
    assert.are.same({ ms, 1001 }, { parts(second[2]) })
    for i = 2, 1000 do assert.is_true(first[i] > first[i - 1]) end
    assert.are.equal("BadArguments",
      ann:refused("idgen.snowflake", { path = "/flakes", count = 1001 }))
  end)

  it("gives larger ones later, as texts too", function()
    local before = snowflakes(ann, 1000)[1000]
    world:advance("1ms")

    assert.is_true(snowflakes(bob)[1] > before)
  end)

  it("goes on above what was given, though the clock is behind that", function()
    local ms = parts(snowflakes(ann)[1])
    ann:set("/flakes", ("%d 5"):format(ms + 60000))

    assert.are.same({ ms + 60000, 6 }, { parts(snowflakes(bob)[1]) })
  end)

  it("fails with Overload when the ms has no more, and goes on in the next", function()
    local last = snowflakes(ann)[1]
    ann:set("/flakes", ("%d 4194302"):format((parts(last))))
    local full = snowflakes(ann)[1]

    local refused = bob:refused("idgen.snowflake", { path = "/flakes" })
    world:advance("1ms")

    assert.are.equal("Overload", refused)
    assert.is_true(snowflakes(bob)[1] > full)
  end)

  it("goes on above what was given since a backup was made, by whichever leader", function()
    snowflakes(ann)
    local backup = world:znode("/flakes").data
    world:advance("1m")
    local lost = snowflakes(ann, 1000)[1000]

    ann:set("/flakes", backup)
    world:fail_over()

    assert.is_true(snowflakes(bob)[1] > lost)
  end)

  it("fails with Conflict where the znode holds something else, and with NoAuth", function()
    ann:create("/text", "hello")
    ann:create("/beyond", "5 4194304")
    ann:create("/fixed", "", { acl = "world:anyone:r" })

    assert.are.equal("Conflict", ann:refused("idgen.snowflake", { path = "/text" }))
    assert.are.equal("Conflict", ann:refused("idgen.snowflake", { path = "/beyond" }))
    assert.are.equal("NoAuth", ann:refused("idgen.snowflake", { path = "/fixed/ids" }))
  end)

  it("gives the same ids to who asks again", function()
    local first = ann:start("idgen.snowflake", { path = "/flakes", count = 3 })

    assert.are.same(first:result(), ann:retry(first):result())
    assert.are.equal(3, (select(2, parts(snowflakes(bob)[1]))))
  end)

  it("gives none twice, wherever the leader dies", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local before = snowflakes(ann, 10)[10]
      local call
      local cut = world:fail_over_during(proposals, function()
        call = ann:start("idgen.snowflake", { path = "/flakes", count = 10 })
      end)

      assert.is_true(call:result().ids[1] > before)
      assert.is_true(snowflakes(bob)[1] > call:result().ids[10])
      return cut
    end)

    assert.are.equal(1, cuts)
  end)
end)

describe("idgen.worker", function()
  before_each(new_world)

  it("gives every live session a number of its own, and an ephemeral znode", function()
    local one, two = worker(ann), worker(bob)

    assert.are.equal(0, one.worker)
    assert.are.equal(1, two.worker)
    assert.are.equal(ann.id, world:znode(one.ticket).owner)
    assert.is_true(two.fence > one.fence)
  end)

  it("fails with Limit when all are in use", function()
    worker(ann, 2)
    worker(bob, 2)

    assert.are.equal("Limit", ann:refused("idgen.worker", { path = "/workers", max = 2 }))
    assert.are.equal("BadArguments",
      ann:refused("idgen.worker", { path = "/workers", max = 1025 }))
  end)

  it("gives all of 1024", function()
    for i = 0, 1023 do assert.are.equal(i, worker(ann).worker) end

    assert.are.equal("Limit", bob:refused("idgen.worker", { path = "/workers" }))
  end)

  it("gives a number again when its session has ended, but as late as possible", function()
    worker(ann, 3)
    worker(bob, 3)
    world:expire(ann)

    local third = worker(bob, 3)
    local again = worker(bob, 3)

    assert.are.equal(2, third.worker)
    assert.are.equal(0, again.worker)
  end)

  it("fails with NoAuth where the caller may not create", function()
    ann:create("/workers", "", { acl = "world:anyone:r" })

    assert.are.equal("NoAuth", bob:refused("idgen.worker", { path = "/workers" }))
  end)

  it("gives one number to one call, wherever the leader dies", function()
    local proposals, cut = 0, true
    while cut do
      new_world()
      local call
      cut = world:fail_over_during(proposals, function()
        call = ann:start("idgen.worker", { path = "/workers" })
      end)

      assert.are.equal(0, call:result().worker)
      assert.are.equal(1, worker(bob).worker)
      proposals = proposals + 1
    end
    assert.are.equal(2, proposals)
  end)
end)

describe("idgen.release", function()
  before_each(new_world)

  it("gives a number back, once", function()
    local held = worker(ann, 1)

    assert.is_true(release(ann, held))
    assert.are.equal("NotOwner", select(2, release(ann, held)))
    assert.are.equal(0, worker(bob, 1).worker)
  end)

  it("fails with NotOwner for what is another's, or was given to the same session anew", function()
    local held = worker(ann, 1)
    local of_another = select(2, release(bob, held))
    release(ann, held)
    worker(ann, 1)

    assert.are.equal("NotOwner", of_another)
    assert.are.equal("NotOwner", select(2, release(ann, held)))
  end)
end)
