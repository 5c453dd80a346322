-- moonkeeper.client against a server: each case is a function, run by lua_client_test.py, which cuts the
-- connection and kills the server when a case asks for it.
--
--   luajit lua_client.lua CASE RELAY SERVER      addresses; what goes through RELAY can be cut
local moonkeeper = require "moonkeeper.client"
local socket = require "socket"

local relay, server = arg[2], arg[3]
local cases = {}

local function please(what)
  io.write("please ", what, "\n")
  io.flush()
  assert(io.read("*l") == "done", "the driver is gone")
end

local function show(value)
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for key, one in pairs(value) do parts[#parts + 1] = tostring(key) .. "=" .. show(one) end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

local function equal(actual, expected, what)
  if show(actual) ~= show(expected) then
    error(("%s: %s is not %s"):format(what or "", show(actual), show(expected)), 2)
  end
end

--- nil and this error's name.
local function fails(name, result, err, message)
  if result ~= nil or err ~= name or type(message) ~= "string" then
    error(("%s, %s, %s: not %s"):format(show(result), show(err), show(message), name), 2)
  end
end

local function connect(address, options)
  return assert(moonkeeper.connect(address, options))
end

--- What `condition` returns, once it is true.
local function eventually(condition, what, client)
  local deadline = socket.gettime() + 30
  while true do
    local value = condition()
    if value then return value end
    assert(socket.gettime() < deadline, "never: " .. what)
    if client then client:poll(0.02) else socket.sleep(0.02) end
  end
end

local names = 0
local function number(client)
  names = names + 1
  local path = ("/%s-%d-%d"):format(arg[1], names, math.floor(socket.gettime() * 1000))
  assert(client:create(path, "0"))
  return path
end

function cases.znodes()
  local one = connect(server)
  local path, stat = one:create("/z", "data")
  equal({ path, stat.version, stat.owner, stat.data_length }, { "/z", 0, nil, 4 })
  equal(one:create("/z/s-", "", { sequential = true }), "/z/s-0000000000")
  local owned, owner = one:create("/z/e", nil, { ephemeral = true })
  assert(owned == "/z/e" and owner.owner:match("^%x+$") and #owner.owner == 16)
  assert(one:create("/z/c", "", { container = true }))
  fails("NodeExists", one:create("/z", ""))
  fails("NoNode", one:create("/no/such", ""))
  fails("BadArguments", one:create("relative", ""))
  local data, read = one:get("/z")
  equal({ data, read.children_count, read.czxid == stat.czxid }, { "data", 3, true })
  equal(one:set("/z", "more", 0).version, 1)
  fails("BadVersion", one:set("/z", "x", 0))
  equal(one:get("/z"), "more")
  local children = one:children("/z")
  table.sort(children)
  equal(children, { "c", "e", "s-0000000000" })
  fails("NotEmpty", one:delete("/z"))
  fails("BadVersion", one:delete("/z/s-0000000000", 3))
  equal(one:delete("/z/s-0000000000", 0), true)
  fails("NoNode", one:delete("/z/s-0000000000"))
  fails("NoNode", one:get("/nope"))
  fails("NoNode", one:exists("/nope"))
  equal(one:sync("/"), true)
  local binary = ("\0\255\128\r\n"):rep(30000)
  assert(one:create("/z/b", binary))
  assert(one:get("/z/b") == binary)
  equal(one:close(), true)
  fails("SessionExpired", one:get("/z"))
  fails("NoNode", connect(server):get("/z/e"))
end

function cases.permissions()
  local bob, eve = connect(relay), connect(server)
  equal(bob:auth("digest", "bob:secret"), true)
  assert(bob:create("/bob", "x", { acl = { { 31, "auth", "" } } }))
  fails("NoAuth", eve:get("/bob"))
  please "cut"
  local data
  eventually(function() data = bob:get("/bob") return data end, "it connects again")
  equal(data, "x", "who it is, is told to the next connection, too")
end

function cases.watches()
  local one, two, told = connect(relay), connect(server), {}
  local function watcher(event, path) told[#told + 1] = event .. " " .. path end
  local function after(change, expected)
    change()
    eventually(function() return told[#told] == expected end, expected, one)
  end
  one:exists("/w", watcher)
  after(function() two:create("/w", "") end, "created /w")
  one:get("/w", watcher)
  one:get("/w", watcher)
  after(function() two:set("/w", "x") end, "changed /w")
  one:children("/w", watcher)
  after(function() two:create("/w/c", "") end, "children /w")
  equal(#told, 3, "each once")
  one:exists("/w/c", watcher)
  please "cut"
  after(function() two:delete("/w/c") end, "deleted /w/c")
  local nested
  one:get("/w", function(_, path) nested = one:get(path) end)
  two:set("/w", "new")
  eventually(function() return nested end, "a watcher uses the client", one)
  equal(nested, "new")
end

function cases.chroot()
  local plain = connect(server)
  plain:create("/root", "")
  local one, told = connect(server .. "/root"), nil
  equal(one:create("/a", "x"), "/a")
  equal(plain:get("/root/a"), "x")
  equal(one:children("/"), { "a" })
  one:get("/a", function(event, path) told = event .. " " .. path end)
  plain:set("/root/a", "y")
  eventually(function() return told end, "it is told", one)
  equal(told, "changed /a")
  local grant = assert(one:call("lock.acquire", { path = "/l" }))
  equal(grant.ticket, "/l/lock-0000000000")
  assert(plain:exists("/root/l/lock-0000000000"))
  fails("OperationTimeout", one:call("lock.acquire", { path = "/l" }, 0.05))
  equal(#one:children("/l"), 1, "it was cancelled")
end

function cases.json()
  local json = require "moonkeeper.json"
  for _, text in ipairs { "{}", "[]", "null", "true", '"\\u0001\\"\\\\"', "[1,-2.5,[{}]]", "9007199254740992",
                          '{"a":{"b":[null,false]},"c":"\\n"}' } do
    equal(json.encode(json.decode(text)), text)
  end
  equal(json.decode(' { "a" : [ 1e3 , "\\u00e4\\ud83d\\ude00\\/" ] } ').a, { 1000, "ä😀/" })
  for _, text in ipairs { "", "{", "[1", "[1,]", '{"a"}', '{"a":}', "{a:1}", "tru", "nil", '"', '"\\x"',
                          '"\\u12"', "1 2", ("["):rep(40) .. ("]"):rep(40) } do
    assert(not pcall(json.decode, text), text)
  end
  local self = {}
  self.self = self
  for _, value in ipairs { self, { 1, x = 2 }, { [2] = 1 }, { [true] = 1 }, print, 2 ^ 54, 0 / 0, 1 / 0 } do
    assert(not pcall(json.encode, value), show(type(value)))
  end
  -- Whatever Lua data survives here and there, in the server and back.
  local one, value = connect(server), { list = json.list(), null = json.null, map = {}, big = 2 ^ 53,
    third = 1 / 3, text = "ä\n\"\\" }
  equal(json.encode(one:call("tally.echo", { value = value }).value), json.encode(value))
end

function cases.calls()
  local one, two = connect(server), connect(server)
  local path = number(one)
  equal(one:call("tally.add", { path = path }), 1)
  equal(one:call("tally.add", { path = path }), 2)
  local value = { list = { 1, 2.5, true }, big = 2 ^ 53, text = "ä\n" }
  equal(one:call("tally.echo", { value = value, text = "x" }), { value = value, text = "x" })
  fails("BadArguments", one:call("tally.add"))
  fails("Unimplemented", one:call("no.such", {}))
  fails("BadArguments", one:start("tally.echo", { value = { [print] = 1 } }))
  local grant = assert(one:call("lock.acquire", { path = "/l" }))
  local pending = assert(two:start("lock.acquire", { path = "/l" }))
  equal(pending:done(), false)
  fails("OperationTimeout", pending:result(0.05))
  fails("Timeout", two:call("lock.acquire", { path = "/l", timeout = "50ms" }))
  equal(two:get(path), "2", "others are answered while it waits")
  equal(one:call("lock.release", { path = "/l", ticket = grant.ticket }), true)
  assert(pending:result().fence > grant.fence)
  equal(pending:done(), true)
end

function cases.cancel()
  local holder, one = connect(server), connect(server)
  local gate = number(holder) .. "-gate"
  local path = number(holder)
  assert(holder:call("lock.acquire", { path = "/cancel" }))
  local calls = {}
  for i = 1, 3 do
    calls[i] = one:start("lock.acquire", { path = "/cancel" })
    calls[i + 3] = one:start("tally.await", { path = path, gate = gate })
  end
  equal(calls[2]:cancel(), true)
  fails("Cancelled", calls[2]:result())
  equal(calls[3]:cancel(), true)
  fails("Cancelled", calls[3]:result())
  equal(calls[1]:done(), false)
  equal(#holder:children("/cancel"), 2)
  holder:create(gate, "")
  eventually(function() return calls[6]:done() end, "the other calls end", one)
  fails("BadVersion", calls[5]:cancel())
  equal({ calls[4]:result(), calls[5]:result(), calls[6]:result() }, { 1, 2, 3 })
  fails("OperationTimeout", one:call("lock.acquire", { path = "/cancel" }, 0.05))
  equal(#holder:children("/cancel"), 2, "who gives up leaves no place behind")
end

function cases.exactly_once()
  local one = connect(relay)
  local path = number(connect(server))
  for expected = 1, 1000 do
    if expected % 20 == 0 then please(expected % 40 == 0 and "lose_reply" or "lose_request") end
    equal(one:call("tally.add", { path = path }), expected)
  end
  equal(connect(server):get(path), "1000") -- the first witness may have slept for too long
end

function cases.many_at_once()
  local witness, one = connect(server), connect(relay)
  local path, calls, sum = number(witness), {}, 0
  for i = 1, 200 do
    calls[i] = one:start("tally.add", { path = path })
    if i % 50 == 0 then please(i % 100 == 0 and "lose_reply" or "lose_request") end
  end
  for i = 1, 200 do sum = sum + calls[i]:result() end
  equal(sum, 200 * 201 / 2, "each has a number of its own")
  equal(witness:get(path), "200")
end

function cases.killed_server()
  local one, two = connect(relay), connect(server)
  local path = number(two)
  local gate = path .. "-gate"
  local pending = one:start("tally.await", { path = path, gate = gate })
  equal(pending:done(), false)
  please "cut"
  fails("OperationTimeout", pending:result(0.5))
  please "kill"
  eventually(function() return two:get(path) end, "the witness is back")
  equal(two:get(path), "0")
  two:create(gate, "")
  equal(pending:result(), 1)
  equal(two:get(path), "1")
end

function cases.expiry()
  local one, two = connect(relay), connect(server)
  local path = number(two)
  local pending = one:start("tally.await", { path = path, gate = path .. "-gate" })
  equal(pending:done(), false)
  -- Somebody else attaches to the session, and ends it.
  local other = connect(server, { session = { id = one.session_id, password = one.password } })
  other:close()
  fails("SessionExpired", pending:result())
  fails("SessionExpired", one:get(path))
  fails("SessionExpired", one:start("tally.add", { path = path }))
  two:create(path .. "-gate", "")
  equal(two:get(path), "0")
end

function cases.attach()
  local one, two = connect(server), connect(server)
  local path = number(two)
  assert(one:create(path .. "/mine", "", { ephemeral = true }))
  equal(one:call("tally.add", { path = path }), 1)
  local session = one:detach()
  fails("ConnectionLoss", one:get(path))
  local again = connect(server, { session = session })
  assert(two:exists(path .. "/mine"))
  equal(again:call("tally.add", { path = path }), 2, "a number of its own, not an old one again")
  again:close()
  fails("NoNode", two:exists(path .. "/mine"))
  fails("SessionExpired", moonkeeper.connect(server, { session = session }))
end

function cases.pings()
  local one, two = connect(server, { timeout = 1 }), connect(server)
  local path = number(two)
  assert(one:create(path .. "/mine", "", { ephemeral = true }))
  equal(one.timeout, 1)
  equal(one:poll(3), true)
  assert(two:exists(path .. "/mine"))
end

--- Nobody listens for longer than a server may be silent, but not for as long as a session lives.
function cases.idle()
  local one = connect(server, { timeout = 10 })
  equal(one.timeout, 10)
  socket.sleep(7.5)
  equal(one:get("/"), "", "the connection is as good as before")
end

function cases.silence()
  local one = connect(relay, { timeout = 2 })
  please "freeze"
  local result, err = one:get("/")
  equal({ result, err == "ConnectionLoss" or err == "OperationTimeout" }, { nil, true })
  please "flow"
  eventually(function() return one:get("/") end, "it comes back")
end

function cases.nonsense()
  local nowhere = "127.0.0.1:1"
  fails("ConnectionLoss", moonkeeper.connect(nowhere, { timeout = 0.3 }))
  for _, servers in ipairs { "", "/a", "a:b", "a:1/", "a:1/b/", "a:1//b" } do
    fails("BadArguments", moonkeeper.connect(servers))
  end
  local one = connect(nowhere .. "," .. server)
  equal(one:get("/"), "", "the next of the list is tried")
end

--- The same with sockets that behave as OpenResty's: milliseconds, and no timeout of 0.
function cases.cosockets()
  local function tcp()
    local inner = socket.tcp()
    local outer = {}
    function outer.settimeout(_, ms)
      assert(ms >= 1, "a cosocket would take its default")
      inner:settimeout(ms / 1000)
    end
    function outer.connect(_, host, port) return inner:connect(host, port) end
    function outer.send(_, data) return inner:send(data) end
    function outer.receive(_, count) return inner:receive(count) end
    function outer.close() return inner:close() end
    function outer.setoption(_, name, value) return inner:setoption(name, value) end
    return outer
  end
  local updated = 0
  local ngx = { socket = { tcp = tcp }, sleep = socket.sleep, now = socket.gettime,
    update_time = function() updated = updated + 1 end }
  local one = connect(relay, { io = moonkeeper.openresty(ngx) })
  local path = number(one)
  please "cut"
  equal(one:call("tally.add", { path = path }), 1)
  assert(updated > 0)
end

local good, trace = xpcall(cases[arg[1]], debug.traceback)
if not good then
  print(trace)
  os.exit(1)
end
