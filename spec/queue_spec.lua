--- The promises of recipes/queue.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

local PATH = "/queues/mail"

local world, ann, bob, cid

local function new_world(options)
  world = testkit.world(options)
  ann, bob, cid = world:session(), world:session(), world:session()
end

local function with(arguments)
  local all = { path = PATH }
  for name, value in pairs(arguments or {}) do all[name] = value end
  return all
end

local function put(session, data, more)
  local arguments = with(more)
  arguments.data = data
  return session:call("queue.put", arguments)
end

-- Messages that are taken, without waiting.
local function take(session, more)
  local arguments = with(more)
  arguments.wait = false
  return session:call("queue.take", arguments)
end

local function take_one(session, more) return take(session, more)[1] end

local function start_take(session, more) return session:start("queue.take", with(more)) end

local function start_put(session, data, more)
  local arguments = with(more)
  arguments.data = data
  return session:start("queue.put", arguments)
end

local function answer(session, operation, message, more)
  local arguments = with(more)
  arguments.id, arguments.fence = message.id, message.fence
  return session:try("queue." .. operation, arguments)
end

local function stats() return ann:call("queue.stats", with()) end

local function data_of(messages)
  local list = {}
  for i, message in ipairs(messages) do list[i] = message.data end
  return list
end

local function refused(session, operation, arguments)
  local result, name = session:try(operation, with(arguments))
  assert.is_nil(result)
  return name
end

local function not_owner(session, operation, message, more)
  local result, name = answer(session, operation, message, more)
  assert.is_nil(result)
  assert.are.equal("NotOwner", name)
end

describe("queue.put", function()
  before_each(new_world)

  it("puts a message that somebody can take", function()
    local id = put(ann, "hello").id

    local message = take_one(bob)

    assert.are.same({ id = id, data = "hello", deliveries = 1, fence = message.fence }, message)
  end)

  it("creates the queue's znode and those above it", function()
    put(ann, "hello")

    assert.is_true(world:znode("/queues").container)
    assert.are.same({ "entries" }, world:children(PATH))
  end)

  it("takes smaller priorities first, and equal ones in the order of putting", function()
    for _, message in ipairs { { "b", 100 }, { "z", 999 }, { "c" }, { "a", 0 }, { "d", 100 } } do
      put(ann, message[1], { priority = message[2] })
    end

    assert.are.same({ "a", "b", "c", "d", "z" }, data_of(take(bob, { count = 10 })))
  end)

  it("gives a delayed message to nobody before its time, and then to whoever waits", function()
    put(ann, "later", { delay = "5s" })
    local call = start_take(bob)

    world:advance("4900ms")
    local in_time = call:waiting()
    world:advance("200ms")

    assert.is_true(in_time)
    assert.are.same({ "later" }, data_of(call:result()))
  end)

  it("orders delayed messages by the log's time, not by when they were put (defect 25)", function()
    put(ann, "late", { delay = "3s" })
    put(ann, "soon", { delay = "1s" })
    put(ann, "between", { delay = "2s" })

    world:advance("10s")

    assert.are.same({ "soon", "between", "late" }, data_of(take(bob, { count = 10 })))
  end)

  it("orders what becomes due behind what is ready, and by its priority", function()
    put(ann, "delayed", { delay = "1s" })
    put(ann, "urgent", { delay = "1s", priority = 1 })
    put(ann, "ready")

    world:advance("2s")

    assert.are.same({ "urgent", "ready", "delayed" }, data_of(take(bob, { count = 10 })))
  end)

  it("lets no second message in with a key that is there", function()
    local first = put(ann, "once", { key = "order/17" })

    local second = put(bob, "twice", { key = "order/17" })

    assert.are.same({ id = first.id, duplicate = true }, second)
    assert.are.same({ "once" }, data_of(take(cid, { count = 10 })))
  end)

  it("keeps a key while the message is ready, delayed, taken and given back", function()
    local function is_duplicate() return put(ann, "", { key = "k" }).duplicate end
    put(ann, "", { key = "k", delay = "1s" })
    local delayed = is_duplicate()
    world:advance("2s")
    local message = take_one(bob)
    local taken = put(ann, "", { key = "k" })
    answer(bob, "nack", message)
    local back = is_duplicate()
    local again = take_one(bob)

    assert.is_true(delayed)
    assert.are.same({ id = message.id, duplicate = true }, taken)
    assert.is_true(back)
    assert.are.equal("k", again.key)
    answer(bob, "ack", again)
    assert.is_nil(is_duplicate())
  end)

  it("tells keys apart that only look alike", function()
    for _, key in ipairs { "a/b", "a%2Fb", "a_b", ".", "..", "\195\188" } do
      assert.is_nil(put(ann, key, { key = key }).duplicate)
    end
    assert.are.equal(6, stats().ready)
    assert.are.equal("BadArguments", refused(ann, "queue.put", { data = "", key = "" }))
    assert.are.equal("BadArguments", refused(ann, "queue.put", { data = "", key = ("k"):rep(129) }))
  end)

  it("frees the key of a message that a client without recipes has taken", function()
    put(ann, "mine", { key = "k" })
    bob:delete(PATH .. "/entries/" .. bob:children(PATH .. "/entries")[1])

    assert.is_nil(put(ann, "again", { key = "k" }).duplicate)
  end)

  it("takes up to 48 KB, as JSON writes it", function()
    put(ann, ("x"):rep(48 * 1024 - 2))

    assert.are.equal("Limit", refused(ann, "queue.put", { data = ("x"):rep(48 * 1024 - 1) }))
    assert.are.equal("Limit", refused(ann, "queue.put", { data = ('"'):rep(25 * 1024) }))
    assert.are.equal(48 * 1024 - 2, #take_one(bob).data)
  end)

  it("fails with NoAuth where the caller may not create", function()
    ann:create("/queues", "", { acl = "world:anyone:r" })

    assert.are.equal("NoAuth", refused(bob, "queue.put", { data = "" }))
  end)

  it("keeps a message when its producer's session ends", function()
    put(ann, "hello")

    world:expire(ann)

    assert.are.same({ "hello" }, data_of(take(bob)))
  end)

  it("refuses a priority beyond 0 to 999", function()
    assert.are.equal("BadArguments", refused(ann, "queue.put", { data = "", priority = 1000 }))
    assert.are.equal("BadArguments", refused(ann, "queue.put", { data = "", priority = -1 }))
  end)
end)

describe("queue.put into a queue with a capacity", function()
  before_each(function()
    new_world()
    ann:call("queue.configure", with { capacity = 2 })
    put(ann, "one")
    put(ann, "two", { delay = "1h" })
  end)

  it("fails with Limit if it shall not wait", function()
    assert.are.equal("Limit", refused(bob, "queue.put", { data = "three", wait = false }))
    assert.are.equal(1, stats().ready)
  end)

  it("waits until a message is done, not only taken", function()
    local call = start_put(bob, "three")
    local message = take_one(cid)
    local waited = call:waiting()

    answer(cid, "ack", message)

    assert.is_true(waited)
    assert.are.equal("three", take_one(cid).data)
    assert.is_string(call:result().id)
  end)

  it("lets putters in in the order of asking, one for each message that goes", function()
    local first, second, third =
      start_put(bob, "b"), start_put(cid, "c"), start_put(bob, "d")

    answer(ann, "ack", take_one(ann))
    assert.is_string(first:result().id)
    assert.is_true(second:waiting())
    answer(ann, "ack", take_one(ann))

    assert.is_string(second:result().id)
    assert.is_true(third:waiting())
    assert.are.equal(1, stats().putters)
  end)

  it("lets nobody pass those who wait", function()
    local first = start_put(bob, "b")
    local second = start_put(cid, "c")
    first:cancel()
    ann:call("queue.configure", with { capacity = 3 })

    assert.is_string(second:result().id)
    assert.are.equal("Limit", refused(ann, "queue.put", { data = "d", wait = false }))
  end)

  it("lets all in when the bound goes", function()
    local first, second = start_put(bob, "b"), start_put(cid, "c")

    ann:call("queue.configure", with {})

    assert.is_string(first:result().id)
    assert.is_string(second:result().id)
    assert.are.equal(0, stats().putters)
  end)

  it("makes room when a message is removed, and when one dies", function()
    ann:call("queue.configure", with { capacity = 2, deliveries_max = 1 })
    local first, second = start_put(bob, "b"), start_put(cid, "c")

    answer(ann, "nack", take_one(ann))
    assert.is_string(first:result().id)
    ann:call("queue.remove", with { id = first:result().id })

    assert.is_string(second:result().id)
  end)

  it("makes room when a client without recipes consumes one", function()
    local call = start_put(bob, "three")
    local name = ann:children(PATH .. "/entries")[1]
    ann:create(PATH .. "/taken")
    ann:create(PATH .. "/taken/" .. name, "", { ephemeral = true })
    ann:delete(PATH .. "/entries/" .. name)
    local waited = call:waiting()

    ann:delete(PATH .. "/taken/" .. name)

    assert.is_true(waited)
    assert.is_string(call:result().id)
  end)

  it("is told of a duplicate as soon as there is one, and leaves the line", function()
    local first = start_put(bob, "b", { key = "k" })
    local second = start_put(cid, "c", { key = "k" })
    local third = start_put(bob, "d")

    ann:call("queue.configure", with { capacity = 3 })

    assert.are.same({ id = first:result().id, duplicate = true }, second:result())
    assert.is_true(third:waiting())
    assert.are.equal(1, stats().putters)
  end)

  it("fails with Timeout if there was no room in time, and leaves nothing behind", function()
    local before = world:znodes()
    local call = start_put(bob, "three", { timeout = "5s" })

    world:advance("6s")

    assert.are.equal("Timeout", (call:error()))
    before[#before + 1] = PATH .. "/putters"
    assert.are.equal(#before, #world:znodes())
  end)

  it("fails with Lost if somebody deletes its ticket", function()
    local call = start_put(bob, "three")

    cid:delete(PATH .. "/putters/t-0000000000")

    assert.are.equal("Lost", (call:error()))
  end)
end)

describe("queue.take", function()
  before_each(new_world)

  it("waits for ever without a timeout", function()
    local call = start_take(bob)

    world:advance("2h")
    local waited = call:waiting()
    put(ann, "hello")

    assert.is_true(waited)
    assert.are.same({ "hello" }, data_of(call:result()))
  end)

  it("returns an empty list if there is none and it shall not wait", function()
    assert.are.same({}, take(bob))
    assert.are.same({}, take(bob, { count = 10 }))
  end)

  it("takes as many as it is told, and not more than there are", function()
    for i = 1, 5 do put(ann, tostring(i)) end

    assert.are.same({ "1", "2", "3" }, data_of(take(bob, { count = 3 })))
    assert.are.same({ "4", "5" }, data_of(take(bob, { count = 3 })))
  end)

  it("takes no more than 8 KB, unless one message alone has more", function()
    put(ann, ("a"):rep(9000))
    for _ = 1, 3 do put(ann, ("b"):rep(4000)) end

    assert.are.equal(1, #take(bob, { count = 10 }))
    assert.are.equal(2, #take(bob, { count = 10 }))
    assert.are.equal(1, #take(bob, { count = 10 }))
  end)

  it("gives every delivery a larger fence", function()
    put(ann, "hello")
    local first = take_one(bob)
    answer(bob, "nack", first)

    assert.is_true(take_one(cid).fence > first.fence)
  end)

  it("gives a message back at the session's end, at the head (defect 24)", function()
    put(ann, "one")
    put(ann, "two")
    local first = take_one(bob)

    world:expire(bob)
    local again = take(cid, { count = 10 })

    assert.are.equal(first.id, again[1].id)
    assert.are.same({ "one", "two" }, data_of(again))
    assert.are.equal(2, again[1].deliveries)
    assert.are.equal(1, again[2].deliveries)
  end)

  it("gives it to a taker that waits when the session ends", function()
    put(ann, "one")
    take_one(bob)
    local call = start_take(cid)
    local waited = call:waiting()

    bob:close()

    assert.is_true(waited)
    assert.are.equal(2, call:result()[1].deliveries)
  end)

  it("gives all of a session's messages back, in their order, 64 in one take", function()
    for i = 1, 100 do put(ann, string.format("%03d", i)) end
    assert.are.equal(100, #take(bob, { count = 100 }))

    world:expire(bob)
    local first, second = take(ann, { count = 100 }), take(ann, { count = 100 })

    assert.are.equal(64, #first)
    assert.are.equal(36, #second)
    for i = 1, 100 do
      local message = i <= 64 and first[i] or second[i - 64]
      assert.are.equal(string.format("%03d", i), message.data)
      assert.are.equal(2, message.deliveries)
    end
  end)

  it("gives large messages back, in several takes, and large ones that become due", function()
    for i = 1, 20 do put(ann, string.format("%02d", i):rep(20000), { delay = "1s" }) end
    world:advance("2s")
    for i = 1, 20 do
      local message = take_one(bob, { visibility = i > 10 and "5s" or nil })
      assert.are.equal(string.format("%02d", i), message.data:sub(1, 2))
    end

    world:expire(bob)

    for i = 1, 20 do
      local message = take_one(cid)
      assert.are.equal(string.format("%02d", i), message.data:sub(1, 2))
      answer(cid, "ack", message)
    end
    assert.are.equal(0, stats().in_flight)
  end)

  it("leaves the messages of others alone when a session ends", function()
    put(ann, "bob's")
    put(ann, "cid's")
    take_one(bob)
    local kept = take_one(cid)

    world:expire(bob)

    assert.are.same({ "bob's" }, data_of(take(ann, { count = 10 })))
    assert.is_true(answer(cid, "ack", kept))
  end)

  it("notices the end of a session that was away while others came", function()
    put(ann, "one")
    take_one(bob)
    put(ann, "two")
    take_one(cid)
    put(ann, "three")
    take_one(ann)

    world:expire(bob)

    assert.are.same({ "one" }, data_of(take(cid, { count = 10 })))
  end)

  it("gives a message back after its visibility, to whoever waits", function()
    put(ann, "one")
    take_one(bob, { visibility = "10s" })
    local call = start_take(cid)

    world:advance("9900ms")
    local in_time = call:waiting()
    world:advance("200ms")

    assert.is_true(in_time)
    assert.are.equal(2, call:result()[1].deliveries)
  end)

  it("gives a message back after its visibility to the very session that had it", function()
    put(ann, "one")
    local first = take_one(bob, { visibility = "1s" })
    world:advance("2s")

    local second = take_one(bob, { visibility = "1s" })

    not_owner(bob, "ack", first)
    assert.is_true(answer(bob, "ack", second))
  end)

  it("gives a message of a session that has ended back once, even if its visibility is over, too",
    function()
      put(ann, "one")
      take_one(bob, { visibility = "1s" })

      world:expire(bob)

      assert.are.same({ "one" }, data_of(take(cid, { count = 10 })))
      assert.are.equal(0, #(world:children(PATH .. "/due")))
    end)

  it("keeps a message without visibility for as long as the session lives", function()
    put(ann, "one")
    take_one(bob)

    world:advance("2h")

    assert.are.same({}, take(cid))
  end)

  it("serves those who wait in the order of asking, one for each message", function()
    local first, second, third = start_take(bob), start_take(cid), start_take(bob)

    put(ann, "a")
    local others_waited = second:waiting() and third:waiting()
    put(ann, "b")

    assert.are.same({ "a" }, data_of(first:result()))
    assert.is_true(others_waited)
    assert.are.same({ "b" }, data_of(second:result()))
    assert.is_true(third:waiting())
  end)

  it("closes the gap of a taker that gives up", function()
    local first, second = start_take(bob), start_take(cid)

    first:cancel()
    put(ann, "a")

    assert.are.same({ "a" }, data_of(second:result()))
    assert.are.equal(0, stats().takers)
  end)

  it("closes the gap of a taker whose session ends", function()
    start_take(bob)
    local second = start_take(cid)

    world:expire(bob)
    put(ann, "a")

    assert.are.same({ "a" }, data_of(second:result()))
  end)

  it("wakes, per message, who gets it and who moves up, however many wait", function()
    local calls = {}
    for i = 1, 20 do calls[i] = start_take(bob) end
    local before = world:stats().woken

    put(ann, "a")

    assert.are.equal(before + 2, world:stats().woken)
    assert.are.equal(19, world:waiting())
  end)

  it("wakes nobody for an acknowledgement", function()
    put(ann, "a")
    local message = take_one(ann)
    start_take(bob)
    start_take(cid)
    local before = world:stats().woken

    answer(ann, "ack", message)

    assert.are.equal(before, world:stats().woken)
  end)

  it("fails with Timeout if there was no message in time, and leaves nothing behind", function()
    put(ann, "a")
    answer(ann, "ack", take_one(ann))
    local call = start_take(bob, { timeout = "5s" })

    world:advance("6s")

    assert.are.equal("Timeout", (call:error()))
    assert.are.same({}, world:children(PATH .. "/takers"))
    assert.are.equal(0, world:waiting())
  end)

  it("fails with Lost if somebody deletes its ticket", function()
    local call = start_take(bob)

    cid:delete(PATH .. "/takers/t-0000000000")

    assert.are.equal("Lost", (call:error()))
  end)

  it("gives the first answer to who asks again", function()
    put(ann, "a")
    put(ann, "b")
    local first = start_take(bob)

    local again = bob:retry(first)

    assert.are.same(first:result(), again:result())
    assert.are.equal(1, stats().in_flight)
  end)
end)

describe("queue.ack", function()
  before_each(new_world)

  it("ends a message", function()
    put(ann, "a")

    assert.is_true(answer(bob, "ack", take_one(bob)))
    world:expire(bob)

    assert.are.same({}, take(cid))
    assert.are.equal(0, stats().in_flight)
  end)

  it("counts once", function()
    put(ann, "a")
    local message = take_one(bob)
    answer(bob, "ack", message)

    not_owner(bob, "ack", message)
  end)

  it("does not count in another session", function()
    put(ann, "a")

    not_owner(cid, "ack", take_one(bob))
  end)

  it("does not count for who was away when the message was given to another (defect 23)", function()
    put(ann, "a")
    local first = take_one(bob, { visibility = "1s" })
    world:advance("2s")
    local second = take_one(cid)

    not_owner(bob, "ack", first)
    assert.is_true(answer(cid, "ack", second))
  end)

  it("does not count with the fence of an earlier delivery", function()
    put(ann, "a")
    local first = take_one(bob)
    answer(bob, "nack", first)
    local second = take_one(bob)

    not_owner(bob, "ack", { id = second.id, fence = first.fence })
  end)

  it("does not count for what is no id", function()
    put(ann, "a")
    local message = take_one(bob)

    for _, id in ipairs { "", "/", "../" .. message.id, "x/y" } do
      not_owner(bob, "ack", { id = id, fence = message.fence })
    end
  end)

  it("of one session's dead entries blocks nobody (defect 29)", function()
    for i = 1, 3 do put(ann, tostring(i)) end
    take(bob, { count = 3 })
    local calls = { start_take(cid), start_take(cid), start_take(cid) }

    world:expire(bob)

    for i, call in ipairs(calls) do
      assert.are.same({ tostring(i) }, data_of(call:result()))
      assert.is_true(answer(cid, "ack", call:result()[1]))
    end
    assert.are.equal(0, stats().in_flight + stats().ready)
  end)
end)

describe("queue.nack", function()
  before_each(new_world)

  it("gives a message back at the head", function()
    put(ann, "one")
    put(ann, "two")

    answer(bob, "nack", take_one(bob))

    local messages = take(cid, { count = 2 })
    assert.are.same({ "one", "two" }, data_of(messages))
    assert.are.equal(2, messages[1].deliveries)
  end)

  it("does not make a message's name grow, however often it comes back (defect 24)", function()
    local id = put(ann, "one").id

    for _ = 1, 10 do
      local message = take_one(bob)
      assert.are.equal(id, message.id)
      answer(bob, "nack", message)
    end

    assert.are.equal(11, take_one(bob).deliveries)
  end)

  it("gives it to who waits", function()
    put(ann, "one")
    local message = take_one(bob)
    local call = start_take(cid)

    answer(bob, "nack", message)

    assert.are.same({ "one" }, data_of(call:result()))
  end)

  it("can keep it back for a time, after which it is at the head", function()
    put(ann, "one")
    put(ann, "two")
    answer(bob, "nack", take_one(bob), { delay = "5s" })

    local meanwhile = data_of(take(cid))
    put(ann, "three")
    world:advance("6s")
    local then_ = data_of(take(cid, { count = 10 }))

    assert.are.same({ "two" }, meanwhile)
    assert.are.same({ "one", "three" }, then_)
  end)

  it("fails with NotOwner after the message was given to another", function()
    put(ann, "one")
    local message = take_one(bob, { visibility = "1s" })
    world:advance("2s")
    take_one(cid)

    not_owner(bob, "nack", message)
  end)
end)

describe("queue.extend", function()
  before_each(new_world)

  it("begins the visibility anew", function()
    put(ann, "one")
    local message = take_one(bob, { visibility = "10s" })

    world:advance("8s")
    assert.is_true(answer(bob, "extend", message, { visibility = "10s" }))
    world:advance("8s")
    local meanwhile = take(cid)
    world:advance("3s")

    assert.are.same({}, meanwhile)
    assert.are.same({ "one" }, data_of(take(cid)))
  end)

  it("gives a visibility to a message that had none", function()
    put(ann, "one")
    answer(bob, "extend", take_one(bob), { visibility = "1s" })

    world:advance("2s")

    assert.are.same({ "one" }, data_of(take(cid)))
  end)

  it("keeps the fence: what was extended is acknowledged as before", function()
    put(ann, "one")
    local message = take_one(bob, { visibility = "10s" })
    answer(bob, "extend", message, { visibility = "20s" })

    assert.is_true(answer(bob, "ack", message))
    assert.are.same({}, world:children(PATH .. "/due"))
  end)

  it("fails with NotOwner for a message that came back", function()
    put(ann, "one")
    local message = take_one(bob, { visibility = "1s" })
    world:advance("2s")
    take_one(cid)

    not_owner(bob, "extend", message, { visibility = "1s" })
  end)

  it("wakes a taker for the new time", function()
    put(ann, "one")
    local message = take_one(bob, { visibility = "5s" })
    local call = start_take(cid)
    answer(bob, "extend", message, { visibility = "20s" })

    world:advance("19s")
    local in_time = call:waiting()
    world:advance("2s")

    assert.is_true(in_time)
    assert.are.same({ "one" }, data_of(call:result()))
  end)
end)

describe("queue.remove", function()
  before_each(new_world)

  it("removes a message that nobody has taken, once", function()
    local id = put(ann, "one").id

    assert.is_true(bob:call("queue.remove", with { id = id }))
    assert.is_false(bob:call("queue.remove", with { id = id }))
    assert.are.same({}, take(cid))
  end)

  it("removes a delayed message", function()
    local id = put(ann, "one", { delay = "1s" }).id

    assert.is_true(bob:call("queue.remove", with { id = id }))
    world:advance("2s")

    assert.are.same({}, take(cid))
  end)

  it("removes by key, wherever the message is, and frees the key", function()
    put(ann, "one", { key = "k", delay = "1s" })
    world:advance("2s")
    answer(bob, "nack", take_one(bob))

    assert.is_true(bob:call("queue.remove", with { key = "k" }))
    assert.is_nil(put(ann, "one", { key = "k" }).duplicate)
    assert.are.equal(1, take_one(bob).deliveries)
  end)

  it("does not remove what somebody has taken", function()
    put(ann, "one", { key = "k" })
    local message = take_one(bob)

    assert.is_false(ann:call("queue.remove", with { id = message.id }))
    assert.is_false(ann:call("queue.remove", with { key = "k" }))
    assert.is_true(answer(bob, "ack", message))
  end)

  it("does not remove what a client without recipes has taken", function()
    local id = put(ann, "one").id
    bob:create(PATH .. "/taken")
    bob:create(PATH .. "/taken/" .. id, "", { ephemeral = true })

    assert.is_false(ann:call("queue.remove", with { id = id }))
  end)

  it("removes nothing for what is no id", function()
    put(ann, "one")

    for _, id in ipairs { "", "x", "../entries", "entries/x" } do
      assert.is_false(ann:call("queue.remove", with { id = id }))
    end
    assert.is_false(ann:call("queue.remove", with { key = "x" }))
    assert.are.equal(1, stats().ready)
  end)
end)

describe("dead messages", function()
  before_each(function()
    new_world()
    ann:call("queue.configure", with { deliveries_max = 2 })
    put(ann, "poison", { key = "k", priority = 7 })
    answer(bob, "nack", take_one(bob))
  end)

  it("are those that come back from their last delivery", function()
    answer(bob, "nack", take_one(bob))

    assert.are.same({}, take(cid))
    local dead = ann:call("queue.dead", with())
    assert.are.same({ { id = dead[1].id, data = "poison", deliveries = 2, key = "k" } }, dead)
  end)

  it("are those, too, whose consumer dies, or is too slow", function()
    take_one(bob)
    put(ann, "slow")
    answer(cid, "nack", take_one(cid))
    take_one(cid, { visibility = "1s" })

    world:expire(bob)
    local ready = take(ann)

    assert.are.same({}, ready)
    assert.are.equal(2, stats().dead)
  end)

  it("keep nobody from what is behind them", function()
    take_one(bob)
    local call = start_take(cid)
    world:expire(bob)
    local waited = call:waiting()

    put(ann, "next")

    assert.is_true(waited)
    assert.are.same({ "next" }, data_of(call:result()))
    assert.are.equal(1, stats().dead)
  end)

  it("have given their key back", function()
    answer(bob, "nack", take_one(bob))

    assert.is_nil(put(ann, "good", { key = "k" }).duplicate)
  end)

  it("can be revived: put again, with their priority and no deliveries", function()
    answer(bob, "nack", take_one(bob))
    put(ann, "other", { priority = 8 })

    local id = ann:call("queue.revive", with { id = ann:call("queue.dead", with())[1].id }).id
    local message = take_one(cid)

    assert.are.same({ id, "poison", 1 }, { message.id, message.data, message.deliveries })
    assert.are.equal(0, stats().dead)
  end)

  it("can be revived once", function()
    answer(bob, "nack", take_one(bob))
    local id = ann:call("queue.dead", with())[1].id
    ann:call("queue.revive", with { id = id })

    assert.are.equal("NoNode", refused(ann, "queue.revive", { id = id }))
    assert.are.equal("NoNode", refused(ann, "queue.revive", { id = "" }))
    assert.are.equal("NoNode", refused(ann, "queue.revive", { id = "../entries" }))
  end)

  it("can be removed", function()
    answer(bob, "nack", take_one(bob))

    assert.is_true(ann:call("queue.remove", with { id = ann:call("queue.dead", with())[1].id }))
    assert.are.same({}, ann:call("queue.dead", with()))
  end)

  it("never are without a maximum of deliveries", function()
    ann:call("queue.configure", with())

    for _ = 1, 20 do answer(bob, "nack", take_one(bob)) end

    assert.are.equal(22, take_one(bob).deliveries)
  end)
end)

describe("queue.peek", function()
  before_each(new_world)

  it("shows the next messages and takes none", function()
    for i = 1, 12 do put(ann, tostring(i)) end
    local first = put(ann, "first", { priority = 1, key = "k" }).id

    local messages = bob:call("queue.peek", with { limit = 3 })

    assert.are.same({ "first", "1", "2" }, data_of(messages))
    assert.are.same({ id = first, data = "first", deliveries = 0, key = "k" }, messages[1])
    assert.are.equal(10, #bob:call("queue.peek", with()))
    assert.are.equal(13, stats().ready)
  end)

  it("shows nothing of an empty queue", function()
    assert.are.same({}, bob:call("queue.peek", with()))
  end)
end)

describe("queue.stats", function()
  before_each(new_world)

  it("counts every message in one place", function()
    ann:call("queue.configure", with { capacity = 5, deliveries_max = 1 })
    for i = 1, 4 do put(ann, tostring(i)) end
    put(ann, "later", { delay = "1h" })
    answer(bob, "nack", take_one(bob))
    take_one(bob)
    put(ann, "5")
    start_put(cid, "6")

    assert.are.same({ ready = 3, delayed = 1, in_flight = 1, dead = 1, takers = 0, putters = 1,
      capacity = 5, deliveries_max = 1 }, stats())
  end)

  it("counts those who wait", function()
    start_take(bob)
    start_take(cid)

    assert.are.equal(2, stats().takers)
  end)

  it("counts what has become due where it was, until the next take", function()
    put(ann, "later", { delay = "1s" })
    world:advance("2s")
    local before = stats().delayed

    take(bob)

    assert.are.equal(1, before)
    assert.are.equal(0, stats().delayed)
  end)
end)

describe("a queue that kazoo's LockingQueue shares", function()
  before_each(new_world)

  it("gives what kazoo has put, in one order with ours", function()
    ann:create("/queues")
    ann:create(PATH)
    ann:create(PATH .. "/entries")
    ann:create(PATH .. "/entries/entry-100-", "kazoo's", { sequential = true })
    put(ann, "ours")
    ann:create(PATH .. "/entries/entry-050-", "urgent", { sequential = true })

    assert.are.same({ "urgent", "kazoo's", "ours" }, data_of(take(bob, { count = 10 })))
  end)

  it("wakes a taker for what kazoo has put", function()
    put(ann, "")
    answer(ann, "ack", take_one(ann))
    local call = start_take(bob)

    ann:create(PATH .. "/entries/entry-100-", "kazoo's", { sequential = true })

    assert.are.same({ "kazoo's" }, data_of(call:result()))
  end)

  it("leaves alone what kazoo has taken, until it releases it or dies", function()
    local one, two = put(ann, "one").id, put(ann, "two").id
    ann:create(PATH .. "/taken")
    ann:create(PATH .. "/taken/" .. one, "", { ephemeral = true })
    local second = take_one(bob)
    local call = start_take(cid)
    local waited = call:waiting()

    world:expire(ann)

    assert.are.equal(two, second.id)
    assert.is_true(waited)
    assert.are.same({ "one" }, data_of(call:result()))
  end)

  it("waits for what comes back while kazoo has it, and gives it then", function()
    put(ann, "one")
    local message = take_one(bob)
    ann:create(PATH .. "/taken")
    ann:create(PATH .. "/taken/" .. message.id, "", { ephemeral = true })
    local call = start_take(cid)

    world:expire(bob)
    local waited = call:waiting()
    ann:delete(PATH .. "/taken/" .. message.id)

    assert.is_true(waited)
    assert.are.equal(2, call:result()[1].deliveries)
  end)

  it("hides from kazoo what it has given, and shows it again when it comes back", function()
    local id = put(ann, "one").id
    local message = take_one(bob)
    local hidden = ann:children(PATH .. "/entries")

    answer(bob, "nack", message)

    assert.are.same({}, hidden)
    assert.are.same({ id }, ann:children(PATH .. "/entries"))
    assert.are.equal("one", (ann:get(PATH .. "/entries/" .. id)))
  end)

  it("leaves to kazoo what is larger than 48 KB", function()
    put(ann, "small")
    ann:create(PATH .. "/entries/entry-001-", ("x"):rep(60 * 1024), { sequential = true })

    assert.are.same({ "small" }, data_of(take(bob, { count = 10 })))
  end)
end)

describe("a queue's numbers", function()
  it("begin anew when it is empty and half of them are used", function()
    local file = assert(io.open("recipes/queue.lua"))
    local source, count = file:read("*a"):gsub("RENUMBER = 1000000000", "RENUMBER = 20")
    file:close()
    assert.are.equal(1, count)
    local folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder)
    local copy = assert(io.open(folder .. "/queue.lua", "w"))
    copy:write(source)
    copy:close()
    new_world { recipes = folder }
    os.execute("rm -r " .. folder)

    local ids = {}
    for i = 1, 15 do
      ids[i] = put(ann, tostring(i)).id
      if i ~= 14 then answer(bob, "ack", take_one(bob)) end
    end

    assert.are.equal("entry-100-0000000010", ids[11])
    assert.are.equal("entry-100-0000000000", ids[12])
    assert.are.equal("entry-100-0000000003", ids[15])
  end)
end)

describe("a queue after the leader's death", function()
  it("has put a message once, at every proposal", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local call
      local cut = world:fail_over_during(proposals, function() call = start_put(ann, "a") end)

      assert.is_string(call:result().id)
      assert.are.equal(1, #take(bob, { count = 10 }))
      return cut
    end)

    assert.are.equal(1, cuts)
  end)

  it("has given a message to one taker, in order, at every proposal of a put", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local first, second = start_take(bob), start_take(cid)
      local call
      local cut = world:fail_over_during(proposals, function() call = start_put(ann, "a") end)

      assert.is_string(call:result().id)
      assert.are.same({ "a" }, data_of(first:result()))
      assert.is_true(second:waiting())
      return cut
    end)

    assert.is_true(cuts >= 2)
  end)

  it("has ended a message once, at every proposal", function()
    testkit.at_every_proposal(function(proposals)
      new_world()
      put(ann, "a")
      local message = take_one(bob)
      local call
      local cut = world:fail_over_during(proposals, function()
        call = bob:start("queue.ack", with { id = message.id, fence = message.fence })
      end)

      assert.is_true(call:result())
      assert.are.same({}, take(cid))
      return cut
    end)
  end)

  it("gives a dead consumer's message to one other, at every proposal of its end", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      put(ann, "a")
      take_one(bob)
      local first, second = start_take(cid), start_take(cid)
      local cut = world:fail_over_during(proposals, function() world:expire(bob) end)
      world:expire(bob)

      assert.are.equal(2, first:result()[1].deliveries)
      assert.is_true(second:waiting())
      return cut
    end)

    assert.is_true(cuts >= 2)
  end)

  it("gives a message back after its visibility, at every proposal", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      put(ann, "a")
      take_one(bob, { visibility = "5s" })
      local call = start_take(cid)
      local cut = world:fail_over_during(proposals, function() world:advance("6s") end)
      world:advance("6s")

      assert.are.equal(2, call:result()[1].deliveries)
      return cut
    end)

    assert.is_true(cuts >= 1)
  end)

  it("lets the first of those in who wait for room, at every proposal of an ack", function()
    testkit.at_every_proposal(function(proposals)
      new_world()
      ann:call("queue.configure", with { capacity = 1 })
      put(ann, "a")
      local message = take_one(bob)
      local first, second = start_put(ann, "b"), start_put(cid, "c")
      local ack
      local cut = world:fail_over_during(proposals, function()
        ack = bob:start("queue.ack", with { id = message.id, fence = message.fence })
      end)

      assert.is_true(ack:result())
      assert.is_string(first:result().id)
      assert.is_true(second:waiting())
      return cut
    end)
  end)
end)
