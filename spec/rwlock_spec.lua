--- The promises of recipes/rwlock.lua, each line of its header.
local testkit = require "moonkeeper.testkit"

-- As Curator and kazoo name their znodes, up to the sequence number.
local UUID = "/shared/_c_6f9c1b1e-8f4b-4c0e-9d5e-0f8a5b8c2d11-"
local CURATOR = { read = UUID .. "__READ__", write = UUID .. "__WRIT__" }
local LOW = "/shared/0a1b2c3d4e5f40718293a4b5c6d7e8f9"
local HIGH = "/shared/fa1b2c3d4e5f40718293a4b5c6d7e8f9"
local KAZOO = { read = LOW .. "__rlock__", write = HIGH .. "__lock__" }

local world, ann, bob, cid, dan

local function new_world()
  world = testkit.world()
  ann, bob = world:session("10s"), world:session("10s")
  cid, dan = world:session("10s"), world:session("10s")
end

local function read(session, timeout)
  return session:start("rwlock.read", { path = "/shared", timeout = timeout })
end

local function write(session, timeout)
  return session:start("rwlock.write", { path = "/shared", timeout = timeout })
end

-- `what` is "release", "downgrade" or "upgrade"; of what `held` returned.
local function with(held, what)
  return held.session:call("rwlock." .. what, held:result())
end

local function error_with(session, grant, what)
  local _, name = session:try("rwlock." .. what, grant)
  return name
end

-- Who holds the lock for a client that sorts by number, as Curator and kazoo do: names.
local function holders_for_others()
  local names, holders = world:children("/shared"), {}
  if names[#names] == "policy" then table.remove(names) end
  table.sort(names, function(a, b) return a:match("%d+$") < b:match("%d+$") end)
  for _, name in ipairs(names) do
    local writes = name:find("__WRIT__", 1, true) or name:find("__lock__", 1, true)
    if writes and #holders > 0 then break end
    table.insert(holders, "/shared/" .. name)
    if writes then break end
  end
  return holders
end

describe("rwlock.read and rwlock.write", function()
  before_each(new_world)

  it("let readers share", function()
    local one, two = read(ann), read(bob)

    assert.are.equal(ann.id, world:znode(one:result().ticket).owner)
    assert.are.equal(bob.id, world:znode(two:result().ticket).owner)
  end)

  it("let a writer be alone", function()
    write(ann):result()

    assert.is_true(write(bob):waiting())
    assert.is_true(read(cid):waiting())
  end)

  it("have a writer wait for every reader", function()
    local one, two, three = read(ann), read(bob), write(cid)

    with(two, "release")
    local waited = three:waiting()
    with(one, "release")

    assert.is_true(waited)
    assert.is_false(three:waiting())
  end)

  it("have a reader not pass a writer who waits", function()
    local one, two, three = read(ann), write(bob), read(cid)
    local three_waited = three:waiting()

    with(one, "release")
    local writer_alone = not two:waiting() and three:waiting()
    with(two, "release")

    assert.is_true(three_waited)
    assert.is_true(writer_alone)
    assert.is_false(three:waiting())
  end)

  it("grant readers who are next to each other together, and no others", function()
    local writer, batch = write(ann), { read(bob), read(cid) }
    local next_writer, last = write(dan), read(ann)

    with(writer, "release")

    assert.is_false(batch[1]:waiting() or batch[2]:waiting())
    assert.is_true(next_writer:waiting() and last:waiting())
  end)

  it("create the lock's znode as a container", function()
    ann:call("rwlock.read", { path = "/deep/shared" })

    assert.is_true(world:znode("/deep/shared").container)
  end)

  for name, ask in pairs { read = read, write = write } do
    it("fail with Timeout when not granted in time, and leave nothing: " .. name, function()
      local held = write(ann):result()
      local second = ask(bob, "5s")

      world:advance("6s")

      assert.are.equal("Timeout", (second:error()))
      assert.are.same({ held.ticket }, world:znodes("/shared"))
    end)

    it("fail with Lost when somebody deletes the ticket of who waits: " .. name, function()
      write(ann)
      local second = ask(bob)

      cid:delete(world:znodes("/shared")[name == "read" and 1 or 2])

      assert.are.equal("Lost", (second:error()))
    end)

    it("fail with NoAuth where the caller may not create: " .. name, function()
      ann:create("/shared", "", { acl = "world:anyone:r" })

      assert.are.equal("NoAuth", (ask(bob):error()))
    end)

    it("give one ticket to who asks twice with one call id (defect 19): " .. name, function()
      write(ann)
      local second = ask(bob)

      bob:disconnect()
      bob:reconnect()
      bob:retry(second)

      assert.are.equal(2, #world:znodes("/shared"))
    end)
  end

  it("close the gap of a writer who gives up: readers behind it join those before", function()
    read(ann)
    local writer, reader = write(bob), read(cid)

    writer:cancel()

    assert.is_false(reader:waiting())
  end)

  it("never leave a reader and a second writer waiting for each other (defect 27)", function()
    local writer = write(ann)
    local reader, second = read(bob), write(cid)

    with(writer, "release")
    local reader_holds, second_waits = not reader:waiting(), second:waiting()
    with(reader, "release")

    assert.is_true(reader_holds and second_waits)
    assert.is_false(second:waiting())
  end)

  it("pass on when a holder's session expires, with a larger fence", function()
    local first, second = write(ann), write(bob)

    world:expire(ann)

    assert.is_true(second:result().fence > first:result().fence)
  end)

  it("wake one waiter per release when a writer is next", function()
    local first = write(ann)
    for _ = 1, 5 do write(bob) end
    local before = world:stats().woken

    with(first, "release")

    assert.are.equal(before + 1, world:stats().woken)
  end)

  it("wake the readers who are next, and nobody else", function()
    local first = write(ann)
    for _ = 1, 3 do read(bob) end
    for _ = 1, 3 do write(cid) end
    local before = world:stats().woken

    with(first, "release")

    assert.are.equal(before + 3, world:stats().woken)
  end)
end)

describe("rwlock.set_policy", function()
  before_each(new_world)

  local function policy(which)
    return ann:call("rwlock.set_policy", { path = "/shared", policy = which })
  end

  it("lets a writer go before the readers who came first, if writers are", function()
    policy "writer-first"
    local first = write(ann)
    local reader, second = read(bob), write(cid)

    with(first, "release")
    local reader_waited = reader:waiting()
    local fence = second:result().fence
    with(second, "release")

    assert.is_true(reader_waited)
    assert.is_true(reader:result().fence > fence)
  end)

  it("has readers and writers in the order of asking if it is fair, as it is untold", function()
    policy "writer-first"
    policy "fair"
    local first = write(ann)
    local reader, second = read(bob), write(cid)

    with(first, "release")

    assert.is_false(reader:waiting())
    assert.is_true(second:waiting())
    assert.is_nil(world:znode("/shared/policy"))
  end)

  it("holds for who waits already", function()
    local first = write(ann)
    local reader, second = read(bob), write(cid)

    policy "writer-first"
    with(first, "release")

    assert.is_true(reader:waiting())
    assert.is_false(second:waiting())
  end)

  it("takes the lock from no reader who holds it", function()
    policy "writer-first"
    local reader, writer = read(ann), write(bob)
    local waited = writer:waiting()

    with(reader, "release")

    assert.is_true(waited)
    assert.is_false(writer:waiting())
  end)

  it("has readers who gave way granted together", function()
    policy "writer-first"
    local first = write(ann)
    local one, two, second = read(bob), read(dan), write(cid)

    with(first, "release")
    with(second, "release")

    assert.is_false(one:waiting())
    assert.is_false(two:waiting())
  end)

  it("has a reader give way 16 times and no more", function()
    policy "writer-first"
    local holder = write(ann)
    local reader, passed = read(bob), 0

    repeat
      local other = holder.session == ann and cid or ann
      local following = write(other)
      with(holder, "release")
      if not following:waiting() then passed = passed + 1 end
      holder = following
    until following:waiting() or passed > 20

    assert.are.equal(16, passed)
    assert.is_false(reader:waiting())
  end)

  it("leaves nothing of a reader who gave way and then gives up", function()
    policy "writer-first"
    local first = write(ann)
    local reader, second = read(bob), write(cid)
    with(first, "release")

    reader:cancel()

    assert.are.same({ second:result().ticket, "/shared/policy" }, world:znodes("/shared"))
    assert.are.equal(0, world:waiting())
  end)

  it("is kept when nobody wants the lock, and makes it if it is missing", function()
    policy "writer-first"

    world:advance("10m")

    assert.are.equal("writer-first", world:znode("/shared/policy").data)
    assert.is_true(world:znode("/shared").container)
  end)

  it("lets Curator's and kazoo's clients still see who holds the lock", function()
    policy "writer-first"
    local first = write(ann)
    local reader, second = read(bob), write(cid)
    with(first, "release")

    assert.are.same({ second:result().ticket }, holders_for_others())
    assert.is_true(reader:waiting())
  end)

  it("fails with NoAuth where the caller may not create", function()
    ann:create("/shared", "", { acl = "world:anyone:r" })

    assert.are.equal("NoAuth", ann:refused("rwlock.set_policy",
      { path = "/shared", policy = "writer-first" }))
  end)

  it("keeps the writer first and the reader in the queue, at every proposal", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      policy "writer-first"
      local first = write(ann)
      local reader, second = read(bob), write(cid)

      local cut = world:fail_over_during(proposals, function() with(first, "release") end)
      ann:try("rwlock.release", first:result())

      assert.is_true(reader:waiting())
      local fence = second:result().fence
      with(second, "release")
      assert.is_true(reader:result().fence > fence)
      return cut
    end)

    assert.is_true(cuts >= 2)
  end)
end)

describe("rwlock.release", function()
  before_each(new_world)

  it("returns true and removes the ticket", function()
    local held = read(ann)

    assert.is_true(with(held, "release"))

    assert.are.same({}, world:znodes("/shared"))
  end)

  it("fails with NotOwner for another session, and for who has released before", function()
    local held = write(ann)

    assert.are.equal("NotOwner", error_with(bob, held:result(), "release"))
    with(held, "release")
    assert.are.equal("NotOwner", error_with(ann, held:result(), "release"))
  end)

  it("fails with NotOwner for an old fence, though the ticket's name is the same", function()
    local old = write(ann)
    with(old, "release")
    world:advance("3m")
    local new = write(ann)
    assert.are.equal(old:result().ticket, new:result().ticket)

    assert.are.equal("NotOwner", error_with(ann, old:result(), "release"))
    assert.are.same({ new:result().ticket }, world:znodes("/shared"))
  end)

  it("fails with NotOwner for a ticket that waits", function()
    local held = write(ann):result()
    read(ann)

    assert.are.equal("NotOwner",
      error_with(ann, { ticket = "/shared/__READ__0000000001", fence = held.fence + 9 }, "release"))
  end)

  it("fails with NotOwner for what is no ticket", function()
    ann:create("/mine", "", { ephemeral = true })

    assert.are.equal("NotOwner", error_with(ann, { ticket = "/mine", fence = 2 ^ 50 }, "release"))
    assert.is_not_nil(world:znode("/mine"))
  end)
end)

describe("rwlock.downgrade", function()
  before_each(new_world)

  it("lets no writer in while the downgraded reader holds the lock (defect 18)", function()
    local held, second = write(ann), write(bob)

    local reader = with(held, "downgrade")
    local second_waited = second:waiting()
    ann:call("rwlock.release", reader)

    assert.is_true(second_waited)
    assert.is_true(second:result().fence > reader.fence)
    assert.is_true(reader.fence > held:result().fence)
  end)

  it("lets in the readers who asked before the next writer, and no others", function()
    local held, beside, second, last = write(ann), read(bob), write(cid), read(dan)

    with(held, "downgrade")

    assert.is_false(beside:waiting())
    assert.is_true(second:waiting() and last:waiting())
  end)

  it("has who asks afterwards find the reader", function()
    local held = write(ann)
    local reader = with(held, "downgrade")

    local beside, second = read(bob), write(cid)
    ann:call("rwlock.release", reader)

    assert.is_false(beside:waiting())
    assert.is_true(second:waiting())
  end)

  it("has other clients find the same holders", function()
    local held = write(ann)
    cid:create(CURATOR.write, "", { ephemeral = true, sequential = true })

    local reader = with(held, "downgrade")

    assert.are.same({ reader.ticket }, holders_for_others())
  end)

  it("fails with NotOwner for a reader, another session, and the old ticket", function()
    local held = write(ann)
    assert.are.equal("NotOwner", error_with(bob, held:result(), "downgrade"))
    local reader = with(held, "downgrade")

    assert.are.equal("NotOwner", error_with(ann, reader, "downgrade"))
    assert.are.equal("NotOwner", error_with(ann, held:result(), "downgrade"))
  end)
end)

describe("rwlock.upgrade", function()
  before_each(new_world)

  it("makes the only reader the writer, before the writers who wait", function()
    local held, second, third = read(ann), write(bob), read(cid)

    local writer = with(held, "upgrade")
    local both_waited = second:waiting() and third:waiting()
    ann:call("rwlock.release", writer)

    assert.is_true(both_waited)
    assert.is_true(second:result().fence > writer.fence)
    assert.is_true(third:waiting())
  end)

  it("keeps readers out who waited behind a writer that gave up", function()
    local held, second, third = read(ann), write(bob), read(cid)
    local writer = with(held, "upgrade")

    second:cancel()
    local third_waited = third:waiting()
    ann:call("rwlock.release", writer)

    assert.is_true(third_waited)
    assert.is_false(third:waiting())
  end)

  it("fails with Conflict if another reader holds the lock, older or younger", function()
    local older, younger = read(ann), read(bob)

    assert.are.equal("Conflict", error_with(ann, older:result(), "upgrade"))
    assert.are.equal("Conflict", error_with(bob, younger:result(), "upgrade"))
    with(younger, "release")
    assert.are.equal(ann.id, world:znode(with(older, "upgrade").ticket).owner)
  end)

  for client, names in pairs { Curator = CURATOR, kazoo = KAZOO } do
    it("fails with Conflict if a reader of " .. client .. "'s holds the lock", function()
      local held = read(ann)
      local theirs = bob:create(names.read, "", { ephemeral = true, sequential = true })

      assert.are.equal("Conflict", error_with(ann, held:result(), "upgrade"))
      bob:delete(theirs)
      assert.are.equal(ann.id, world:znode(with(held, "upgrade").ticket).owner)
    end)
  end

  it("is no conflict with a reader who waits behind a writer", function()
    local held = read(ann)
    write(bob)
    read(cid)

    assert.are.equal(ann.id, world:znode(with(held, "upgrade").ticket).owner)
  end)

  it("and downgrade may follow each other", function()
    local held, second = write(ann), write(bob)
    local reader = with(held, "downgrade")

    local writer = ann:call("rwlock.upgrade", reader)
    local again = ann:call("rwlock.downgrade", writer)

    assert.is_true(second:waiting())
    assert.are.same({ again.ticket }, holders_for_others())
    assert.is_true(again.fence > writer.fence and writer.fence > reader.fence)
  end)
end)

describe("a read/write lock among client-side ones", function()
  before_each(new_world)

  for client, names in pairs { Curator = CURATOR, kazoo = KAZOO } do
    it("waits for a writer of " .. client .. "'s that came before", function()
      ann:create("/shared")
      local theirs = ann:create(names.write, "", { ephemeral = true, sequential = true })
      local reader, writer = read(bob), write(cid)
      local both_waited = reader:waiting() and writer:waiting()

      ann:delete(theirs)

      assert.is_true(both_waited)
      assert.is_false(reader:waiting())
      assert.is_true(writer:waiting())
    end)

    it("waits to write, not to read, for a reader of " .. client .. "'s", function()
      ann:create("/shared")
      local theirs = ann:create(names.read, "", { ephemeral = true, sequential = true })
      local reader, writer = read(bob), write(cid)
      with(reader, "release")
      local writer_waited = writer:waiting()

      ann:delete(theirs)

      assert.is_true(writer_waited)
      assert.is_false(writer:waiting())
    end)

    it("goes before those of " .. client .. "'s that came later", function()
      local first = write(ann)
      local second = write(bob)
      cid:create(names.write, "", { ephemeral = true, sequential = true })
      cid:create(names.read, "", { ephemeral = true, sequential = true })

      with(first, "release")

      assert.are.same({ second:result().ticket }, holders_for_others())
    end)
  end

  it("sees that a writer of Curator's has become a reader, with its number", function()
    ann:create("/shared")
    local theirs = ann:create(CURATOR.write, "", { ephemeral = true, sequential = true })
    local writer = write(bob)
    local downgraded = ann:create(CURATOR.read .. theirs:match("%d+$"), "", { ephemeral = true })

    ann:delete(theirs)
    local writer_waited = writer:waiting()
    ann:delete(downgraded)

    assert.is_true(writer_waited)
    assert.is_false(writer:waiting())
  end)
end)

describe("a read/write lock and the server's death", function()
  it("passes to the next readers together, at every proposal of a writer's end", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local first, second, third, last = write(ann), read(bob), read(cid), write(dan)

      local cut = world:fail_over_during(proposals, function() world:expire(ann) end)
      if not ann.ended then world:expire(ann) end

      assert.is_true(second:result().fence > first:result().fence)
      assert.is_true(third:result().fence > first:result().fence)
      assert.is_true(last:waiting())
      return cut
    end)

    assert.is_true(cuts >= 2)
  end)

  it("lets no writer between, at every proposal of a downgrade", function()
    local cuts = testkit.at_every_proposal(function(proposals)
      new_world()
      local first, second = write(ann), write(bob)
      local reader

      local cut = world:fail_over_during(proposals, function()
        reader = ann:start("rwlock.downgrade", first:result())
      end)

      assert.are.same({ reader:result().ticket }, holders_for_others())
      assert.is_true(second:waiting())
      return cut
    end)

    assert.is_true(cuts >= 1)
  end)
end)
