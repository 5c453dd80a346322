--- What the server's own recipe, `recipe`, promises: deploying, rolling back, removing, upgrading.
local testkit = require "moonkeeper.testkit"

local ROOT = "/zookeeper/recipes"

-- A recipe whose operation `answer` returns `value`, and `pass` waits for `path`.
local function gate(value, options)
  options = options or {}
  return ([[
local gate = {}
gate.answer = operation { doc = "Answer.", run = function(call) return %q end }
gate.pass = operation {
  doc  = "Wait until there is a znode at `path`.",
  args = { path = "path" },
  run  = function(call)
    call:once("asked", function() return znode.create("/asked-", { sequential = true }) end)
    if not znode.exists(call.args.path) then call:wait { created = call.args.path } end
    return %q
  end,
  cancel = function(call)
    local count = znode.get("/cancelled")
    if count then znode.set("/cancelled", tostring(tonumber(count) + 1)) end
    %s
  end,
}
%s
return gate
]]):format(value, value, options.cancel or "", options.override and "gate.override = true" or "")
end

local world, admin, ann, bob

local function new_world()
  world = testkit.world { recipes = "recipes/lock.lua" }
  admin, ann, bob = world:session(), world:session(), world:session()
  admin:auth("digest", "super:secret")
end

-- The error's name and message.
local function refused(session, operation, arguments)
  local result, name, message = session:try(operation, arguments)
  assert.is_nil(result)
  return name, message
end

local function listed(name)
  return ann:call("recipe.list", { name = name }).recipes[1]
end

local function history(name)
  local text = world:znode(ROOT .. "/" .. name .. "/.history").data
  return require "moonkeeper_testkit".decode(text)
end

describe("recipe.deploy", function()
  before_each(new_world)

  it("makes a recipe callable", function()
    admin:deploy("gate", gate "one")

    assert.are.equal("one", ann:call("gate.answer"))
  end)

  it("keeps the active version's hash and each version's source in the tree, for all to read", function()
    local made = admin:deploy("gate", gate "one")

    assert.are.equal(made.version, (ann:get(ROOT .. "/gate")))
    assert.are.equal(gate "one", (ann:get(ROOT .. "/gate/" .. made.version)))
    assert.are.equal(64, #made.version)
  end)

  it("is visible as a whole, at one zxid", function()
    local before = world:stats().zxid

    local made = admin:deploy("gate", gate "one")

    assert.are.equal(before + 1, world:stats().zxid)
    assert.are.equal(made.zxid, world:znode(ROOT .. "/gate/" .. made.version).czxid)
    assert.are.equal(made.zxid, world:znode(ROOT .. "/gate").czxid)
  end)

  it("replaces what was active, and says what that was", function()
    local first = admin:deploy("gate", gate "one")

    local second = admin:deploy("gate", gate "two")

    assert.are.equal(first.version, second.was)
    assert.are.equal("two", ann:call("gate.answer"))
  end)

  it("of what is active already changes nothing", function()
    local first = admin:deploy("gate", gate "one")

    local again = admin:deploy("gate", gate "one")

    assert.is_true(first.changed)
    assert.is_false(again.changed)
    assert.are.equal(1, #history("gate").entries)
  end)

  it("lets a call finish on the version that it started with", function()
    admin:deploy("gate", gate "one")
    local old = ann:start("gate.pass", { path = "/open" })
    admin:deploy("gate", gate "two")
    local new = bob:start("gate.pass", { path = "/open" })

    ann:create("/open")

    assert.are.equal("one", old:result())
    assert.are.equal("two", new:result())
  end)

  it("gives the first answer to whoever asks again with the same call id", function()
    local first = admin:start("recipe.deploy", { name = "gate", source = gate "one" })
    admin:deploy("gate", gate "two")

    local again = admin:retry(first)

    assert.are.same(first:result(), again:result())
    assert.are.equal("two", ann:call("gate.answer"))
  end)

  for what, case in pairs {
    ["that does not compile"] = { "local gate = {\nreturn gate", "gate%.lua:2: " },
    ["whose chunk fails"] = { "local t\nlocal x = t.y\nreturn t", "gate%.lua:2: " },
    ["that returns no table"] = { "return 7", "gate%.lua: a recipe returns a table" },
    ["without operations"] = { "return {}", "gate%.lua: a recipe has" },
    ["that holds nothing but override"] = { "return { override = true }", "at least one operation" },
    ["whose operation has no doc"] = {
      "return {\n  a = operation { run = function() end } }", "gate%.lua:2: operation: 'doc'",
    },
    ["whose argument has no type"] = {
      "return {\n\n  a = operation { doc = '', args = { x = 'thing' }, run = function() end } }",
      "gate%.lua:3: operation: ",
    },
    ["that never ends"] = { "while true do end", "gate%.lua" },
    ["in bytecode"] = { "\27LJ\2", "bytecode" },
    ["that is empty"] = { "", "gate%.lua" },
    ["that reaches for what it may not have"] = { "\nos.exit()", "gate%.lua:2: there is no 'os'" },
  } do
    it("refuses a source " .. what .. ", says where, and changes nothing", function()
      admin:deploy("gate", gate "one")
      local before = world:znodes(ROOT)

      local name, message = refused(admin, "recipe.deploy", { name = "gate", source = case[1] })

      assert.are.equal("BadArguments", name)
      assert.is_truthy(message:find(case[2]), message)
      assert.are.same(before, world:znodes(ROOT))
      assert.are.equal("one", ann:call("gate.answer"))
    end)
  end

  it("refuses a source of more than 256 KB", function()
    local name, message = refused(admin, "recipe.deploy",
      { name = "gate", source = "--" .. ("x"):rep(256 * 1024) .. "\n" .. gate "one" })

    assert.are.equal("BadArguments", name)
    assert.is_truthy(message:find "more than 262144 bytes")
  end)

  it("takes a source of 200 KB", function()
    admin:deploy("gate", "--" .. ("\"\\"):rep(100 * 1024) .. "\n" .. gate "one")

    assert.are.equal("one", ann:call("gate.answer"))
  end)

  for _, name in ipairs { "Gate", "7up", ".ending", "a/b", "gate.lua", ("g"):rep(65), "" } do
    it("refuses the name \"" .. name .. "\"", function()
      assert.are.equal("BadArguments",
        (refused(admin, "recipe.deploy", { name = name, source = gate "one" })))
    end)
  end

  it("does not replace the recipe that deploys", function()
    assert.are.equal("Conflict",
      (refused(admin, "recipe.deploy", { name = "recipe", source = gate "one" })))
  end)

  it("is refused to whoever may not write /zookeeper/recipes", function()
    local before = world:znodes(ROOT)

    assert.are.equal("NoAuth",
      (refused(ann, "recipe.deploy", { name = "gate", source = gate "one" })))
    assert.are.same(before, world:znodes(ROOT))
  end)

  it("is refused to whoever is confined to a chroot, super included", function()
    admin:create("/tenant", "")
    local tenant = world:session { chroot = "/tenant" }
    tenant:auth("digest", "super:secret")

    assert.are.equal("NoAuth",
      (refused(tenant, "recipe.deploy", { name = "gate", source = gate "one" })))
    assert.are.equal("NoAuth", (refused(tenant, "recipe.remove", { name = "lock" })))
    assert.are.equal("same", listed("lock").catalogue)
  end)

  it("is allowed to whom the ACL of /zookeeper/recipes gives WRITE", function()
    ann:auth("digest", "ann:ann")
    local before = (refused(ann, "recipe.deploy", { name = "gate", source = gate "one" }))
    -- base64(sha1("ann:ann")), as zkCli's addauth makes it
    admin:set_acl(ROOT, "digest:ann:NBxn6wU5X1dBYfxVeNvNbrkF8EE=:rw")

    assert.are.equal("NoAuth", before)
    assert.are.equal("one", ann:deploy("gate", gate "one") and ann:call("gate.answer"))
  end)

  it("takes `expect`: what must be active, or none, when two deploy at once", function()
    local first = admin:deploy("gate", gate "one", { expect = "none" })
    admin:deploy("gate", gate "two", { expect = first.version:sub(1, 12) })

    local name, message = refused(admin, "recipe.deploy",
      { name = "gate", source = gate "three", expect = first.version })

    assert.are.equal("Conflict", name)
    assert.is_truthy(message:find "is active")
    assert.are.equal("Conflict", (refused(admin, "recipe.deploy",
      { name = "gate", source = gate "three", expect = "none" })))
    assert.are.equal("two", ann:call("gate.answer"))
  end)

  it("takes no fewer than eight digits for what `expect` says, and no version for none", function()
    local first = admin:deploy("gate", gate "one")

    assert.are.equal("Conflict", (refused(admin, "recipe.deploy",
      { name = "gate", source = gate "two", expect = first.version:sub(1, 7) })))
    assert.are.equal("Conflict", (refused(admin, "recipe.deploy",
      { name = "other", source = gate "two", expect = first.version })))
    assert.are.equal("one", ann:call("gate.answer"))
  end)

  it("replaces one of the catalogue only if the source says override = true", function()
    local name, message = refused(admin, "recipe.deploy", { name = "lock", source = gate "one" })
    admin:deploy("lock", gate("two", { override = true }))

    assert.are.equal("Conflict", name)
    assert.is_truthy(message:find "override = true")
    assert.are.equal("two", ann:call("lock.answer"))
  end)

  it("keeps sixteen versions; the oldest goes, unless calls wait on it", function()
    local first = admin:deploy("gate", gate "v1")
    local waiting = ann:start("gate.pass", { path = "/open" })
    local second = admin:deploy("gate", gate "v2")

    for i = 3, 17 do admin:deploy("gate", gate("v" .. i)) end

    assert.are.equal(16, listed("gate").versions)
    assert.is_not_nil(world:znode(ROOT .. "/gate/" .. first.version))
    assert.is_nil(world:znode(ROOT .. "/gate/" .. second.version))
    ann:create("/open")
    assert.are.equal("v1", waiting:result())
  end)

  it("keeps the active version, however old it is", function()
    local first = admin:deploy("gate", gate "v1")
    for i = 2, 16 do admin:deploy("gate", gate("v" .. i)) end
    admin:call("recipe.rollback", { name = "gate", version = first.version })

    admin:deploy("gate", gate "v17")

    assert.is_not_nil(world:znode(ROOT .. "/gate/" .. first.version))
    assert.are.equal(16, listed("gate").versions)
  end)

  it("is refused with Limit when calls wait on all sixteen", function()
    for i = 1, 16 do
      admin:deploy("gate", gate("v" .. i))
      ann:start("gate.pass", { path = "/open" })
    end

    assert.are.equal("Limit",
      (refused(admin, "recipe.deploy", { name = "gate", source = gate "v17" })))
    assert.are.equal("v16", ann:call("gate.answer"))
  end)

  it("is refused with Limit beyond 256 recipes", function()
    for i = 2, 256 do admin:deploy("gate" .. i, gate "one") end

    assert.are.equal("Limit", (refused(admin, "recipe.deploy", { name = "more", source = gate "x" })))
    assert.is_true(admin:deploy("gate2", gate "two").changed)
  end)

  it("logs who, what and when, once it has committed", function()
    local made = admin:deploy("gate", gate "one")

    local line = world:log():match("[^\n]*recipe=gate[^\n]*")
    assert.is_truthy(line:find("recipe deploy", 1, true))
    assert.is_truthy(line:find("version=" .. made.version, 1, true))
    assert.is_truthy(line:find("who=ip:127.0.0.1,super,digest:super", 1, true), line)
    assert.is_truthy(line:find("session=0x" .. admin.id, 1, true))
    assert.is_truthy(line:find(("zxid=0x%x"):format(made.zxid), 1, true))
  end)

  it("is whole or not there, wherever the leader dies", function()
    local proposals, cut = 0, true
    while cut do
      new_world()
      admin:deploy("gate", gate "one")
      cut = world:fail_over_during(proposals, function()
        admin:deploy("gate", gate "two")
      end)
      local active = ann:call("gate.answer")

      assert.is_true(active == "one" or active == "two")
      assert.are.equal(active == "one" and 1 or 2, listed("gate").versions)
      assert.are.equal(listed("gate").versions, #history("gate").entries)
      proposals = proposals + 1
    end
    assert.is_true(proposals >= 2)
  end)
end)

describe("what lies below /zookeeper/recipes", function()
  before_each(new_world)

  it("is not to be written by anybody, super included", function()
    local made = admin:deploy("gate", gate "one")

    for _, attempt in ipairs {
      function() admin:create(ROOT .. "/other", "x") end,
      function() admin:set(ROOT .. "/gate", "x") end,
      function() admin:delete(ROOT .. "/gate/" .. made.version) end,
      function() admin:create(ROOT .. "/gate/x", "x") end,
      function() admin:set(ROOT, "installing") end,
    } do
      local ok, problem = pcall(attempt)
      assert.is_false(ok)
      assert.are.equal("NoAuth", problem.error)
    end
  end)

  it("is not to be written by a recipe on its behalf", function()
    admin:deploy("evil", [[return { set = operation { doc = "", run = function(call)
      znode.set("/zookeeper/recipes/lock", "x") end } }]])

    assert.are.equal("NoAuth", (refused(admin, "evil.set", {})))
  end)

  it("is not to be changed by a recipe that calls the one that deploys", function()
    admin:deploy("evil", [[return { set = operation { doc = "", run = function(call)
      return call:run("recipe.remove", { name = "lock" }) end } }]])

    assert.are.equal("Unimplemented", (refused(admin, "evil.set", {})))
    assert.are.equal("active", listed("lock").state)
  end)

  it("does not offer the library of the recipe that deploys to others", function()
    local _, message = refused(admin, "recipe.deploy",
      { name = "evil", source = "deployment.audit('x')" })

    assert.is_truthy(message:find "there is no 'deployment'")
  end)
end)

describe("recipe.rollback", function()
  before_each(new_world)

  it("makes the version active that the last change replaced", function()
    local first = admin:deploy("gate", gate "one")
    local second = admin:deploy("gate", gate "two")

    local back = admin:call("recipe.rollback", { name = "gate" })

    assert.are.equal(first.version, back.version)
    assert.are.equal(second.version, back.was)
    assert.are.equal("one", ann:call("gate.answer"))
  end)

  it("makes any version active that is kept, by the beginning of its hash", function()
    local first = admin:deploy("gate", gate "one")
    admin:deploy("gate", gate "two")
    admin:deploy("gate", gate "three")

    admin:call("recipe.rollback", { name = "gate", version = first.version:sub(1, 8) })

    assert.are.equal("one", ann:call("gate.answer"))
  end)

  it("is refused with NoNode when there is nothing to go back to", function()
    admin:deploy("gate", gate "one")

    assert.are.equal("NoNode", (refused(admin, "recipe.rollback", { name = "gate" })))
    assert.are.equal("NoNode", (refused(admin, "recipe.rollback", { name = "nothing" })))
    assert.are.equal("NoNode",
      (refused(admin, "recipe.rollback", { name = "gate", version = ("0"):rep(64) })))
  end)

  it("is refused to whoever may not deploy", function()
    admin:deploy("gate", gate "one")
    admin:deploy("gate", gate "two")

    assert.are.equal("NoAuth", (refused(ann, "recipe.rollback", { name = "gate" })))
  end)

  it("takes `expect`", function()
    local first = admin:deploy("gate", gate "one")
    admin:deploy("gate", gate "two")

    assert.are.equal("Conflict",
      (refused(admin, "recipe.rollback", { name = "gate", expect = first.version })))
  end)

  it("looks past removals for what the last change replaced", function()
    local first = admin:deploy("gate", gate "one")
    admin:deploy("gate", gate "two")
    admin:deploy("gate", gate "three")
    admin:call("recipe.remove", { name = "gate", version = first.version })

    admin:call("recipe.rollback", { name = "gate" })

    assert.are.equal("two", ann:call("gate.answer"))
  end)

  it("to the active version changes nothing", function()
    admin:deploy("gate", gate "one")
    local second = admin:deploy("gate", gate "two")

    local back = admin:call("recipe.rollback", { name = "gate", version = second.version })

    assert.is_false(back.changed)
    assert.are.equal(2, #history("gate").entries)
  end)

  it("takes no fewer than eight digits for a version", function()
    local first = admin:deploy("gate", gate "one")
    admin:deploy("gate", gate "two")

    assert.are.equal("NoNode",
      (refused(admin, "recipe.rollback", { name = "gate", version = first.version:sub(1, 7) })))
  end)

  it("is refused for digits that two versions begin with", function()
    -- Their SHA-256 begin with e2b2f3d5, both of them.
    local function twin(number)
      return ('return { answer = operation { doc = "", run = function() return %d end } }'):format(number)
    end
    admin:deploy("gate", twin(118742))
    admin:deploy("gate", twin(120709))
    admin:deploy("gate", gate "one")

    assert.are.equal("BadArguments",
      (refused(admin, "recipe.rollback", { name = "gate", version = "e2b2f3d5" })))
    assert.are.equal("one", ann:call("gate.answer"))
  end)

  it("does not take what the server keeps beside the recipes for one", function()
    admin:deploy("gate", gate "one")
    ann:start("gate.pass", { path = "/open" })
    admin:call("recipe.remove", { name = "gate", fail_waiting = true }) -- leaves .ending

    for _, operation in ipairs { "recipe.rollback", "recipe.remove" } do
      assert.are.equal("NoNode", (refused(admin, operation, { name = ".ending" })))
    end
  end)
end)

describe("the history of a recipe", function()
  before_each(new_world)

  it("says who did what, when, with which version in place of which, and why", function()
    local first = admin:deploy("gate", gate "one")
    local second = admin:deploy("gate", gate "two", { comment = "waits less" })

    local entries = history("gate").entries

    assert.are.same({ action = "deploy", version = second.version, was = first.version,
      comment = "waits less", zxid = second.zxid, who = "ip:127.0.0.1,super,digest:super",
      time_ms = entries[2].time_ms }, entries[2])
  end)

  it("keeps the last hundred changes", function()
    local first = admin:deploy("gate", gate "one")
    admin:deploy("gate", gate "two")
    for _ = 1, 120 do admin:call("recipe.rollback", { name = "gate" }) end

    local entries = history("gate").entries

    assert.are.equal(100, #entries)
    assert.are.equal("rollback", entries[1].action)
    assert.are.equal(first.version, entries[#entries].was)
  end)
end)

describe("recipe.remove", function()
  before_each(new_world)

  it("removes a recipe with all that belongs to it", function()
    local before = world:znodes(ROOT)
    admin:deploy("gate", gate "one")
    admin:deploy("gate", gate "two")

    admin:call("recipe.remove", { name = "gate" })

    assert.are.same(before, world:znodes(ROOT))
    assert.are.equal("Unimplemented", (refused(ann, "gate.answer")))
  end)

  it("removes one version, but not the active one", function()
    local first = admin:deploy("gate", gate "one")
    local second = admin:deploy("gate", gate "two")

    admin:call("recipe.remove", { name = "gate", version = first.version })

    assert.is_nil(world:znode(ROOT .. "/gate/" .. first.version))
    assert.are.equal("Conflict",
      (refused(admin, "recipe.remove", { name = "gate", version = second.version })))
    assert.are.equal("two", ann:call("gate.answer"))
  end)

  it("is refused while calls wait on what is to go", function()
    local first = admin:deploy("gate", gate "one")
    local waiting = ann:start("gate.pass", { path = "/open" })
    admin:deploy("gate", gate "two")

    local name, message = refused(admin, "recipe.remove", { name = "gate", version = first.version })

    assert.are.equal("Conflict", name)
    assert.is_truthy(message:find "^1 calls wait")
    ann:create("/open")
    assert.are.equal("one", waiting:result())
    assert.is_true(admin:call("recipe.remove", { name = "gate", version = first.version }).changed)
  end)

  it("with fail_waiting ends those calls, runs their cancel, and is over when all have ended", function()
    admin:deploy("gate", gate "one")
    ann:create("/cancelled", "0")
    local calls = {}
    for i = 1, 200 do calls[i] = ann:start("gate.pass", { path = "/open" }) end

    local removal = admin:start("recipe.remove", { name = "gate", fail_waiting = true })

    assert.is_true(removal:result().changed)
    for _, call in ipairs(calls) do assert.are.equal("Cancelled", (call:error())) end
    assert.are.equal(0, world:waiting())
    assert.is_nil(world:znode(ROOT .. "/gate"))
    assert.is_nil(world:znode("/asked-0000000000"))
    assert.are.equal("200", world:znode("/cancelled").data)
  end)

  it("with fail_waiting leaves the calls of other versions and recipes alone", function()
    local first = admin:deploy("gate", gate "one")
    local doomed = ann:start("gate.pass", { path = "/open" })
    admin:deploy("gate", gate "two")
    local other = bob:start("gate.pass", { path = "/open" })
    local held = ann:call("lock.acquire", { path = "/lock" })
    local lock = bob:start("lock.acquire", { path = "/lock" })

    admin:start("recipe.remove", { name = "gate", version = first.version, fail_waiting = true })

    assert.are.equal("Cancelled", (doomed:error()))
    assert.is_true(other:waiting())
    assert.is_true(lock:waiting())
    ann:call("lock.release", { path = "/lock", ticket = held.ticket })
    assert.is_false(lock:waiting())
  end)

  it("with fail_waiting leaves the calls of a recipe with the same source alone", function()
    admin:deploy("gate", gate "one")
    admin:deploy("door", gate "one")
    local other = ann:start("door.pass", { path = "/open" })
    local doomed = ann:start("gate.pass", { path = "/open" })

    admin:start("recipe.remove", { name = "gate", fail_waiting = true })

    assert.are.equal("Cancelled", (doomed:error()))
    assert.is_true(other:waiting())
    ann:create("/open")
    assert.are.equal("one", other:result())
  end)

  it("with fail_waiting ends calls whose cancel fails, too", function()
    admin:deploy("gate", gate("one", { cancel = "error('no')" }))
    local call = ann:start("gate.pass", { path = "/open" })

    admin:start("recipe.remove", { name = "gate", fail_waiting = true })

    assert.are.equal("Cancelled", (call:error()))
    assert.is_nil(world:znode(ROOT .. "/gate"))
    assert.is_nil(world:znode("/asked-0000000000"))
  end)

  it("goes on under a successor, wherever the leader dies", function()
    local proposals, cut = 0, true
    while cut do
      new_world()
      local before = world:znodes(ROOT)
      admin:deploy("gate", gate "one")
      local calls = {}
      for i = 1, 3 do calls[i] = ann:start("gate.pass", { path = "/open" }) end
      local removal
      cut = world:fail_over_during(proposals, function()
        removal = admin:start("recipe.remove", { name = "gate", fail_waiting = true })
      end)
      removal = removal or admin:start("recipe.remove", { name = "gate", fail_waiting = true })
      world:advance("1s")

      assert.is_true(removal:result().changed)
      for _, call in ipairs(calls) do assert.are.equal("Cancelled", (call:error())) end
      local after = world:znodes(ROOT)
      if after[1] == ROOT .. "/.ending" then table.remove(after, 1) end
      assert.are.same(before, after)
      proposals = proposals + 1
    end
    assert.is_true(proposals >= 5)
  end)

  it("takes `expect`", function()
    local first = admin:deploy("gate", gate "one")
    admin:deploy("gate", gate "two")

    assert.are.equal("Conflict",
      (refused(admin, "recipe.remove", { name = "gate", expect = first.version })))
    assert.are.equal("two", ann:call("gate.answer"))
  end)

  it("with fail_waiting removes a recipe on several versions of which calls wait", function()
    local before = world:znodes(ROOT)
    local calls = {}
    for i = 1, 3 do
      admin:deploy("gate", gate("v" .. i))
      calls[i] = ann:start("gate.pass", { path = "/open" })
    end

    local removal = admin:start("recipe.remove", { name = "gate", fail_waiting = true })

    assert.is_true(removal:result().changed)
    for _, call in ipairs(calls) do assert.are.equal("Cancelled", (call:error())) end
    local after = world:znodes(ROOT)
    assert.are.equal(ROOT .. "/.ending", table.remove(after, 1))
    assert.are.same(before, after)
  end)

  it("with fail_waiting finds calls wherever they stand among those of others", function()
    admin:deploy("gate", gate "one")
    admin:deploy("door", gate "one")
    admin:deploy("other", gate "one")
    local first = ann:start("gate.pass", { path = "/open" })
    for _ = 1, 300 do bob:start("other.pass", { path = "/open" }) end
    local last = ann:start("door.pass", { path = "/open" })

    local one = admin:start("recipe.remove", { name = "door", fail_waiting = true })
    local two = admin:start("recipe.remove", { name = "gate", fail_waiting = true })
    world:advance("1s") -- 256 are looked at in a turn

    assert.is_true(one:result().changed)
    assert.is_true(two:result().changed)
    assert.are.equal("Cancelled", (last:error()))
    assert.are.equal("Cancelled", (first:error()))
    assert.are.equal(300, world:waiting())
  end)

  it("is not brought to its end by hand, where nothing is being removed", function()
    local made = admin:deploy("gate", gate "one")

    assert.are.equal("NoNode",
      (refused(admin, "recipe.ended", { marker = "gate." .. made.version })))
    assert.are.equal("one", ann:call("gate.answer"))
  end)

  it("goes on when who asked for it is gone", function()
    admin:deploy("gate", gate "one")
    ann:start("gate.pass", { path = "/open" })

    world:fail_over_during(1, function()
      admin:start("recipe.remove", { name = "gate", fail_waiting = true })
    end)
    world:expire(admin)

    assert.is_nil(world:znode(ROOT .. "/gate"))
  end)

  it("is refused to whoever may not deploy", function()
    admin:deploy("gate", gate "one")

    assert.are.equal("NoAuth", (refused(ann, "recipe.remove", { name = "gate" })))
    assert.are.equal("NoAuth", (refused(ann, "recipe.ended", { marker = "gate.00" })))
  end)
end)

describe("the catalogue", function()
  before_each(new_world)

  it("enters the tree when recipes are switched on", function()
    local entries = history("lock").entries

    assert.are.equal(1, #entries)
    assert.are.equal("upgrade", entries[1].action)
    assert.are.equal("super", entries[1].who)
    assert.are.equal("same", listed("lock").catalogue)
    assert.are.equal("", world:znode(ROOT).data)
  end)

  it("is not entered again by a server that is started anew", function()
    admin:call("recipe.remove", { name = "lock" })

    world:fail_over()

    assert.is_nil(world:znode(ROOT .. "/lock"))
    assert.are.equal("newer", ann:call("recipe.list").recipes[1].catalogue)
  end)

  it("is entered by recipe.upgrade", function()
    admin:call("recipe.remove", { name = "lock" })

    local made = admin:call("recipe.upgrade", { name = "lock" })

    assert.is_true(made.changed)
    assert.is_not_nil(ann:call("lock.acquire", { path = "/lock" }).fence)
  end)

  it("does not take the place of what was deployed instead", function()
    admin:deploy("lock", gate("two", { override = true }))

    local made = admin:call("recipe.upgrade", { name = "lock" })

    assert.is_false(made.changed)
    assert.are.equal("overridden", listed("lock").catalogue)
    assert.are.equal("two", ann:call("lock.answer"))
  end)

  it("is taken back by whoever deploys its very source, which need not say override", function()
    local source = world:znode(ROOT .. "/lock/" .. world:znode(ROOT .. "/lock").data).data
    admin:deploy("lock", gate("two", { override = true }))

    admin:deploy("lock", source)

    assert.are.equal("same", listed("lock").catalogue)
    assert.is_truthy(ann:call("lock.acquire", { path = "/lock" }).fence)
  end)

  it("can be gone back to", function()
    admin:deploy("lock", gate("two", { override = true }))

    admin:call("recipe.rollback", { name = "lock" })

    assert.are.equal("same", listed("lock").catalogue)
  end)

  it("is refused to whoever may not deploy, and for a name that it has not", function()
    assert.are.equal("NoAuth", (refused(ann, "recipe.upgrade", { name = "lock" })))
    assert.are.equal("NoNode", (refused(admin, "recipe.upgrade", { name = "gate" })))
  end)
end)

describe("recipe.list", function()
  before_each(new_world)

  it("shows each recipe's operations, and how many calls wait on them, on whatever version", function()
    admin:deploy("gate", gate "one")
    ann:start("gate.pass", { path = "/open" })
    admin:deploy("gate", gate "two")
    bob:start("gate.pass", { path = "/open" })

    local operations = listed("gate").operations

    assert.are.equal("answer", operations[1].name)
    assert.are.equal(0, operations[1].waiting)
    assert.are.equal("pass", operations[2].name)
    assert.are.equal(2, operations[2].waiting)
  end)

  it("counts calls, failures, instructions, effects, and how long calls took", function()
    admin:deploy("gate", gate "one")
    local pass = ann:start("gate.pass", { path = "/open" })
    world:advance("5s")
    ann:create("/open")
    ann:call("gate.answer")
    local doomed = bob:start("gate.pass", { path = "/never" })
    doomed:cancel()

    local answer, passed = unpack(listed("gate").operations)

    assert.are.equal("one", pass:result())
    assert.are.equal(1, answer.calls)
    assert.are.equal(0, answer.failures)
    assert.are.equal(0, answer.effects)
    assert.are.equal(2, passed.calls)
    assert.are.equal(1, passed.failures)
    assert.are.equal(2, passed.effects)
    assert.are.equal(5000, passed.latency_max_ms)
    assert.are.equal(2500, passed.latency_avg_ms)
    assert.are.equal(0, passed.waiting)
  end)

  it("counts instructions in whole hundreds, also of runs that failed", function()
    admin:deploy("gate", [[return { spin = operation { doc = "", run = function()
      while true do end end } }]])
    ann:try("gate.spin")

    local spin = listed("gate").operations[1]

    assert.is_true(spin.instructions >= 1000000)
    assert.are.equal(1, spin.failures)
  end)

  it("goes page by page through all of them, in the order of their names", function()
    for i = 1, 120 do admin:deploy(("g%03d"):format(i), gate "one") end
    local names, from = {}, nil
    repeat
      local page = ann:call("recipe.list", { from = from })
      for _, each in ipairs(page.recipes) do table.insert(names, each.name) end
      from = page.next
    until not from

    assert.are.equal(121, #names)
    assert.are.equal("g001", names[1])
    assert.are.equal("lock", names[121])
  end)

  it("fails with NoNode for a recipe that there is not", function()
    assert.are.equal("NoNode", (refused(ann, "recipe.list", { name = "gate" })))
  end)
end)
