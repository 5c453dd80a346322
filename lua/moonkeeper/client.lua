--- A client of Moonkeeper, and of ZooKeeper: sessions, znodes, watches, calls of recipes.
--
--   local moonkeeper = require "moonkeeper.client"
--   local client = assert(moonkeeper.connect("127.0.0.1:2181"))
--   local grant, err, message = client:call("lock.acquire", { path = "/locks/a", timeout = "5s" })
--
-- Functions return what they are asked for, or nil, the error's name and a sentence. A client belongs to
-- one coroutine: everything happens while one of its functions runs, and nothing in between. So whoever
-- holds something calls at least client:poll() every third of the session timeout; other functions do
-- as well. There is no global state.
--
-- When the connection breaks, what was asked ends as ConnectionLoss: it may have been done or not. The
-- next function connects again; session, ephemerals and watches live on. Calls do not end by that: they
-- are asked again under the same number, keep their places in queues, and are carried out once.
-- SessionExpired is final, and what became of a call that was not answered is then not known.
local json = require "moonkeeper.json"
local jute = require "moonkeeper.jute"

local moonkeeper = {}
local Client = {}
Client.__index = Client
local Pending = {}
Pending.__index = Pending

local JSON = { format = 0, encode = json.encode, decode = json.decode }
local CALLS = "/zookeeper/calls"
local OPEN = { { 31, "world", "anyone" } }
local TIMEOUT = 10                  -- of a session, in seconds
local PAUSE_MIN, PAUSE_MAX = 0.1, 1 -- between two rounds over the servers
local ATTEMPT_MIN = 1               -- for one server
local FRAME_MAX = 256 * 1024 * 1024 -- a server that announces more is none
local POLL_MIN = 0.001              -- 0 would mean "the default" to OpenResty's sockets

-- ---- What the world is made of ----

--- LuaSocket's; it is required when it is needed.
function moonkeeper.luasocket()
  local socket = require "socket"
  return {
    tcp = socket.tcp, now = socket.gettime, sleep = socket.sleep,
    settimeout = function(connection, seconds) connection:settimeout(seconds) end,
  }
end

--- OpenResty's cosockets, for the `io` of connect(): pass the global `ngx`. Like all cosockets a client
-- lives no longer than the request, timer or thread that made it.
function moonkeeper.openresty(ngx)
  return {
    tcp = ngx.socket.tcp, sleep = ngx.sleep,
    now = function() ngx.update_time() return ngx.now() end,
    settimeout = function(connection, seconds) connection:settimeout(seconds * 1000) end,
  }
end

-- ---- Opening ----

local function servers_of(text)
  local hosts, chroot = text:match("^([^/]+)(.*)$")
  local list = {}
  if not hosts or chroot == "/" or chroot:find("//") or chroot:match("./$") then return nil end
  for one in hosts:gmatch("[^,]+") do
    local host, port = one:match("^%[(.+)%]:(%d+)$")
    if not host then host, port = one:match("^([^:]+):(%d+)$") end
    if not host then host, port = one:match("^%[(.+)%]$") or one:match("^[^:]+$"), 2181 end
    if not host then return nil end
    list[#list + 1] = { host = host, port = tonumber(port) }
  end
  return list, chroot
end

--- Begin a session with one of `servers`, "host:port,host:port/chroot".
-- options  timeout   of the session, in seconds (10); the server adjusts it
--          wait      how long to wait for an answer, in seconds; default: the timeout
--          session   attach to the one that detach() returned, rather than begin a new one
--          io        luasocket() (the default), openresty(ngx), or a table like theirs
--          codec     of arguments and results: JSON, as moonkeeper.json has it, or for MessagePack
--                    { format = 1, encode = a function, decode = a function }
function moonkeeper.connect(servers, options)
  options = options or {}
  local list, chroot = servers_of(servers)
  if not list or #list == 0 then return nil, "BadArguments", "not a list of servers: " .. servers end
  local session = options.session or {}
  local client = setmetatable({
    servers = list, server = 0, chroot = chroot,
    io = options.io or moonkeeper.luasocket(), codec = options.codec or JSON,
    timeout = options.timeout or TIMEOUT, asked_timeout = options.timeout or TIMEOUT,
    session_id = session.id or ("\0"):rep(8), password = session.password or ("\0"):rep(16),
    call_id = session.calls or 0, zxid = 0, xid = 0,
    pending = {},  -- calls that have not ended, in the order of their ids
    watches = { data = {}, exists = {}, children = {} }, -- path -> list of functions
    events = {}, auths = {}, ignored = {},
  }, Client)
  client.wait = options.wait
  local connected, err, message = client:_connect(client:_deadline())
  if not connected then return nil, err, message end
  return client
end

--- Seconds from now, as a time; nil: never. `seconds` false: never, nil: the client's own.
function Client:_deadline(seconds)
  if seconds == nil then seconds = self.wait or self.timeout end
  return seconds and self.io.now() + seconds
end

-- ---- Connecting ----

--- The connection is over. What was asked over it has no answer.
function Client:_break(why)
  if self.socket then self.socket:close() end
  self.socket, self.buffer, self.trouble = nil, "", why
  self.ignored = {}
  return nil, "ConnectionLoss", why
end

--- The session is over, and with it all calls.
function Client:_over(err, message)
  self:_break(message)
  self.final, self.final_message = err, message
  for _, call in ipairs(self.pending) do call.ended, call.err, call.message = true, err, message end
  self.pending = {}
  return nil, err, message
end

function Client:_send(xid, op, record)
  local payload = jute.i32(xid) .. (op and jute.i32(op) or "") .. record
  self.io.settimeout(self.socket, self.timeout / 3)
  local sent, err = self.socket:send(jute.i32(#payload) .. payload)
  if not sent then return self:_break(err) end
  self.sent_at = self.io.now()
  return true
end

--- One frame, or nil and "timeout" when `deadline` has come, or what _break() says. Pings meanwhile.
function Client:_receive(deadline)
  local began = self.io.now()
  -- Whoever has not listened for long cannot say that the server was silent.
  if began >= self.listened_at + self.timeout / 3 then self.heard_at = began end
  while true do
    local length = #self.buffer >= 4 and jute.reader(self.buffer):i32()
    if length and (length < 0 or length > FRAME_MAX) then
      return self:_break("the server sent a frame that is none")
    end
    if length and #self.buffer >= 4 + length then
      local frame = self.buffer:sub(5, 4 + length)
      self.buffer = self.buffer:sub(5 + length)
      return frame
    end
    local now = self.io.now()
    local due = math.min(deadline or math.huge, self.sent_at + self.timeout / 3,
      self.heard_at + self.timeout * 2 / 3)
    self.io.settimeout(self.socket, math.max(due - now, POLL_MIN))
    local data, err, partial = self.socket:receive((length or 0) + 4 - #self.buffer)
    data = data or partial or ""
    now = self.io.now()
    self.listened_at = now
    if data ~= "" then
      self.buffer, self.heard_at = self.buffer .. data, now
    elseif err ~= "timeout" then
      return self:_break(err == "closed" and "the server closed the connection" or err)
    elseif now >= self.heard_at + self.timeout * 2 / 3 then
      return self:_break("the server has fallen silent")
    elseif deadline and now >= deadline then
      return nil, "timeout"
    end
    if self.attached and now >= self.sent_at + self.timeout / 3 then
      local sent, why, message = self:_send(jute.xid.ping, jute.op.ping, "")
      if not sent then return nil, why, message end
    end
  end
end

--- true; nil and why: another server may do better, unless the session is over.
function Client:_attach(server)
  local attempt = math.max(ATTEMPT_MIN, self.timeout * 2 / 3 / #self.servers)
  local connection, why = self.io.tcp()
  if not connection then return self:_break(why) end
  self.socket, self.buffer, self.sent_at = connection, "", self.io.now()
  self.attached = false
  self.io.settimeout(connection, attempt)
  local connected, err = connection:connect(server.host, server.port)
  if not connected then return self:_break(err) end
  if connection.setoption then connection:setoption("tcp-nodelay", true) end
  self.heard_at, self.listened_at = self.io.now(), self.io.now()
  local request = jute.i32(0) .. jute.i64(self.zxid) ..
    jute.i32(math.floor(self.asked_timeout * 1000)) .. self.session_id ..
    jute.field(self.password) .. jute.boolean(false)
  self.io.settimeout(connection, attempt)
  local sent, send_err = connection:send(jute.i32(#request) .. request)
  if not sent then return self:_break(send_err) end
  return self:_attached(self:_receive(self.io.now() + attempt))
end

--- A ConnectResponse; then what the connection before had: identities, watches, calls.
function Client:_attached(frame)
  if not frame then return self:_break(self.trouble or "it grants no session") end
  local good, granted, id, password = pcall(function()
    local reader = jute.reader(frame)
    reader:i32()
    return reader:i32(), reader:take(8), reader:field()
  end)
  if not good then return self:_break("what answers is not a ZooKeeper server") end
  local other = self.session_id ~= ("\0"):rep(8) and id ~= self.session_id
  if granted <= 0 or other then
    return self:_over("SessionExpired", "the session has expired")
  end
  self.timeout, self.session_id, self.password = granted / 1000, id, password
  self.attached = true
  self.auths_due = #self.auths
  for _, auth in ipairs(self.auths) do
    if not self:_send(jute.xid.auth, jute.op.auth, auth) then return nil end
  end
  if not self:_set_watches() then return nil end
  for _, call in ipairs(self.pending) do
    if not call:_send() then return nil end
  end
  return true
end

--- Until there is a connection. nil, err, message: not in time, or never again.
function Client:_connect(deadline)
  local pause, tried = PAUSE_MIN, 0
  while not self.socket do
    if self.final then return nil, self.final, self.final_message end
    if tried == #self.servers then
      if deadline and self.io.now() + pause >= deadline then
        return nil, "ConnectionLoss", self.trouble
      end
      self.io.sleep(pause)
      pause, tried = math.min(2 * pause, PAUSE_MAX), 0
    end
    self.server, tried = self.server % #self.servers + 1, tried + 1
    self:_attach(self.servers[self.server])
  end
  return true
end

-- ---- Watches ----

local function keys(map)
  local list = {}
  for key in pairs(map) do list[#list + 1] = key end
  return list
end

function Client:_set_watches()
  local watches = self.watches
  if not (next(watches.data) or next(watches.exists) or next(watches.children)) then return true end
  return self:_send(jute.xid.set_watches, jute.op.set_watches, jute.i64(self.zxid) ..
    jute.strings(keys(watches.data)) .. jute.strings(keys(watches.exists)) ..
    jute.strings(keys(watches.children)))
end

function Client:_watch(kind, path, watcher)
  if not watcher then return end
  local list = self.watches[kind][path] or {}
  self.watches[kind][path] = list
  for _, known in ipairs(list) do
    if known == watcher then return end
  end
  list[#list + 1] = watcher
end

local concerned = { created = { "data", "exists" }, deleted = { "data", "exists", "children" },
  changed = { "data", "exists" }, children = { "children" } }

function Client:_event(reader)
  local event = jute.events[reader:i32()]
  reader:i32()
  local path = reader:field()
  if not event or not path then error("malformed", 0) end
  for _, kind in ipairs(concerned[event]) do
    for _, watcher in ipairs(self.watches[kind][path] or {}) do
      self.events[#self.events + 1] = { watcher = watcher, event = event, path = self:_below(path) }
    end
    self.watches[kind][path] = nil
  end
end

--- Call watchers, which may use the client: only when nothing of its own is half done.
function Client:_deliver()
  if self.delivering then return end
  self.delivering = true
  while self.events[1] do
    local one = table.remove(self.events, 1)
    local good, err = pcall(one.watcher, one.event, one.path)
    if not good then
      self.delivering = false
      error(err, 0)
    end
  end
  self.delivering = false
end

-- ---- Asking ----

--- What comes between the answers; for any other reply: its xid, error and reader.
function Client:_dispatch(frame)
  local reader = jute.reader(frame)
  local xid, zxid, err = reader:i32(), reader:i64(), reader:i32()
  if xid == jute.xid.event then return self:_event(reader) end
  self.zxid = math.max(self.zxid, zxid)
  if xid == jute.xid.ping or xid == jute.xid.set_watches then return end
  if xid == jute.xid.auth and self.auths_due > 0 then
    self.auths_due = self.auths_due - 1
    if err ~= 0 then self:_over("AuthFailed", "the server refused an identity") end
    return
  end
  for i, call in ipairs(self.pending) do
    if call.xid == xid then
      call:_answered(err, reader)
      table.remove(self.pending, i)
      return
    end
  end
  if self.ignored[xid] then
    self.ignored[xid] = nil
    return
  end
  return xid, err, reader
end

--- Take one frame. true; or nil, err, message. A reply is given to `answered`.
function Client:_pump(deadline, answered)
  local frame, err, message = self:_receive(deadline)
  if not frame then return nil, err, message end
  local good, xid, code, reader = pcall(self._dispatch, self, frame)
  if good and xid then good = answered and answered(xid, code, reader) end
  if not good then return self:_break("the server sent what makes no sense") end
  return true
end

--- What `decode` makes of the reply; nil, err, message. xid: one of those that are not counted.
function Client:_ask(op, record, decode, seconds, fixed_xid)
  local deadline = self:_deadline(seconds)
  local connected, err, message = self:_connect(deadline)
  if not connected then return nil, err, message end
  if not fixed_xid then self.xid = self.xid % 2147483647 + 1 end
  local xid, outcome = fixed_xid or self.xid, nil
  local sent, why, text = self:_send(xid, op, record)
  if not sent then return nil, why, text end
  while not outcome do
    local good, pump_err, pump_message = self:_pump(deadline, function(reply_xid, code, reader)
      if reply_xid ~= xid then return false end
      if code ~= 0 then
        local name = jute.errors[code] or ("error " .. code)
        outcome = { nil, name, name .. " from the server" }
        return true
      end
      local read, first, second = pcall(decode, reader)
      outcome = { first, second }
      return read
    end)
    if not good and pump_err == "timeout" then
      self.ignored[xid] = true
      return nil, "OperationTimeout", "no answer in time: whether it was done is not known"
    elseif not good then
      return nil, pump_err, pump_message
    end
  end
  self:_deliver()
  return outcome[1], outcome[2], outcome[3]
end

function Client:_above(path)
  return self.chroot ~= "" and (path == "/" and self.chroot or self.chroot .. path) or path
end

function Client:_below(path)
  if self.chroot == "" or path:sub(1, #self.chroot) ~= self.chroot then return path end
  local below = path:sub(#self.chroot + 1)
  return below == "" and "/" or below
end

-- ---- Znodes ----

--- The path made, and its stat. options: ephemeral, sequential, container, ttl (seconds), acl (a list of
-- { permissions, scheme, id }; default: anyone may do anything).
function Client:create(path, data, options)
  options = options or {}
  local flags = (options.ephemeral and 1 or 0) + (options.sequential and 2 or 0)
  local op, ttl = jute.op.create2, ""
  if options.container then op, flags = jute.op.create_container, 4 end
  if options.ttl then
    op, flags, ttl = jute.op.create_ttl, options.sequential and 6 or 5, jute.i64(options.ttl * 1000)
  end
  local record = jute.field(self:_above(path)) .. jute.field(data or "") ..
    jute.acl(options.acl or OPEN) .. jute.i32(flags) .. ttl
  return self:_ask(op, record, function(reader)
    return self:_below(reader:field()), reader:stat()
  end)
end

function Client:_delete(above, version)
  return self:_ask(jute.op.delete, jute.field(above) .. jute.i32(version),
    function() return true end)
end

--- true. Without a version: whatever it is.
function Client:delete(path, version)
  return self:_delete(self:_above(path), version or -1)
end

--- The new stat.
function Client:set(path, data, version)
  local record = jute.field(self:_above(path)) .. jute.field(data) .. jute.i32(version or -1)
  return self:_ask(jute.op.set, record, function(reader) return reader:stat() end)
end

--- Data (nil is null, and comes as ""), stat. watcher(event, path) is called once, by a later function
-- of the client, when the data changes ("changed") or the znode goes ("deleted").
function Client:get(path, watcher)
  local above = self:_above(path)
  return self:_ask(jute.op.get, jute.field(above) .. jute.boolean(watcher),
    function(reader)
      local data, stat = reader:field() or "", reader:stat()
      self:_watch("data", above, watcher)
      return data, stat
    end)
end

--- The stat; nil, "NoNode". watcher: as for get, also when the znode comes ("created").
function Client:exists(path, watcher)
  local above = self:_above(path)
  local stat, err, message = self:_ask(jute.op.exists, jute.field(above) .. jute.boolean(watcher),
    function(reader) return reader:stat() end)
  if stat then self:_watch("data", above, watcher) end
  if err == "NoNode" then self:_watch("exists", above, watcher) end
  return stat, err, message
end

function Client:_children(above, watcher)
  return self:_ask(jute.op.children2, jute.field(above) .. jute.boolean(watcher), function(reader)
    local names, stat = reader:strings(), reader:stat()
    self:_watch("children", above, watcher)
    return names, stat
  end)
end

--- Names, in no order; stat. watcher: when children come or go ("children"), or the znode ("deleted").
function Client:children(path, watcher)
  return self:_children(self:_above(path), watcher)
end

--- true, once the server has caught up with its leader.
function Client:sync(path)
  return self:_ask(jute.op.sync, jute.field(self:_above(path or "/")), function() return true end)
end

--- Add an identity, now and to every connection to come: true. A refusal ends the client.
function Client:auth(scheme, credentials)
  local record = jute.i32(0) .. jute.field(scheme) .. jute.field(credentials)
  local good, err, message = self:_ask(jute.op.auth, record, function() return true end, nil,
    jute.xid.auth)
  if good then
    self.auths[#self.auths + 1] = record
  elseif err == "AuthFailed" then
    self:_over(err, message)
  end
  return good, err, message
end

-- ---- Calls ----

--- Make a call, and wait for its result, for `seconds` at most; default: as long as it takes. Whoever
-- has waited in vain gets nil, "OperationTimeout", and the call is cancelled. Arguments and results are
-- what JSON can say.
function Client:call(operation, arguments, seconds)
  local call, err, message = self:start(operation, arguments)
  if not call then return nil, err, message end
  local result, why, text = call:result(seconds)
  if why == "OperationTimeout" then call:cancel() end
  return result, why, text
end

--- Make a call; a pending one: result(seconds), cancel(), done().
function Client:start(operation, arguments)
  if self.final then return nil, self.final, self.final_message end
  local good, text = pcall(self.codec.encode, arguments or {})
  if not good then return nil, "BadArguments", tostring(text) end
  self.call_id = self.call_id + 1
  local call = setmetatable({ client = self, id = self.call_id, operation = operation,
    arguments = text }, Pending)
  self.pending[#self.pending + 1] = call
  if self.socket then call:_send() end -- what is not sent now, is with the next connection
  return call
end

--- All that ended before the oldest that goes on need not be kept by the server any longer.
function Pending:_send()
  local client = self.client
  client.xid = client.xid % 2147483647 + 1
  self.xid = client.xid
  self.done_through = self.done_through or client.pending[1].id - 1
  return client:_send(self.xid, jute.op.call, jute.field(self.operation) .. jute.i64(self.id) ..
    jute.i64(self.done_through) .. jute.field(client.chroot ~= "" and client.chroot or nil) ..
    string.char(client.codec.format) .. jute.field(self.arguments))
end

function Pending:_answered(code, reader)
  self.ended = true
  if code ~= 0 then
    self.err = jute.errors[code] or ("error " .. code)
    self.message = self.err .. " from the server"
    return
  end
  local err, message, result = reader:field(), reader:field(), reader:field()
  self.err, self.message = err, message
  if err then return end
  local good, value = pcall(self.client.codec.decode, result)
  if good then
    self.value = value
  else
    self.err, self.message = "MarshallingError", tostring(value)
  end
end

--- Whether it has ended; looks at what has come, and does not wait.
function Pending:done()
  if not self.ended then self.client:poll(0) end
  return self.ended == true
end

--- Wait for the end, `seconds` at most; without them, as long as it takes. The result; nil, err, message.
-- OperationTimeout: it goes on, and may be asked for again.
function Pending:result(seconds)
  local client = self.client
  local deadline = client:_deadline(seconds or false)
  while not self.ended do
    local good, err = client:_connect(deadline)
    if good then good, err = client:_pump(deadline) end
    local late = deadline and client.io.now() >= deadline
    if not good and not self.ended and (err == "timeout" or late) then
      return nil, "OperationTimeout", "the call has not ended in time; it goes on"
    end
  end
  client:_deliver()
  if self.err then return nil, self.err, self.message end
  return self.value
end

--- The names of the znodes of this session's calls of `operation` that wait, in the order of asking. A
-- call that had ended before has been answered before.
local function waiting(names, operation)
  local found = {}
  for _, name in ipairs(names) do
    local of, number = name:match("^(.*)%-(%x+)$")
    if of == operation and #number == 16 then found[#found + 1] = name end
  end
  table.sort(found)
  return found
end

--- true: it is cancelled. nil, "BadVersion": it has ended by itself; result() says how.
function Pending:cancel()
  local client, place = self.client, 0
  local names, err, message = client:_children(CALLS) -- whatever the chroot
  if not names then return nil, err, message end
  if self.ended then return nil, "BadVersion", "the call has ended" end
  for _, call in ipairs(client.pending) do
    if call.operation == self.operation then place = place + 1 end
    if call == self then break end
  end
  local name = waiting(names, self.operation)[place]
  if not name then return nil, "NoNode", "the call cannot be found" end
  return client:_delete(CALLS .. "/" .. name, 0)
end

-- ---- The session ----

--- Send pings, take what has come, call watchers; for `seconds`, or as long as there is something.
function Client:poll(seconds)
  local deadline = self:_deadline(seconds or 0)
  repeat
    local good, err, message = self:_connect(deadline)
    if good then good, err, message = self:_pump(deadline) end
    if not good and err ~= "timeout" and self.io.now() >= deadline then return nil, err, message end
    if self.final then return nil, self.final, self.final_message end
    self:_deliver()
  until err == "timeout"
  return true
end

--- Leave the connection, but not the session: what connect() takes as `session`.
function Client:detach()
  self:_over("ConnectionLoss", "the client has left its session")
  return { id = self.session_id, password = self.password, calls = self.call_id }
end

--- End the session, its ephemerals, and its calls. true, or nil, err, message: it ends by itself, later.
function Client:close()
  if self.final then return nil, self.final, self.final_message end
  local good, err, message = self:_ask(jute.op.close, "", function() return true end)
  self:_over("SessionExpired", "the client was closed")
  return good, err, message
end

return moonkeeper
