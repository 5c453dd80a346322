--- A world's clients: sessions, their requests and calls. Private to moonkeeper.testkit, which makes
-- them, and documents what a spec's author needs to know first.
--
-- A request is sent and settled in one; what it is answered with is there when it returns. A call may
-- wait: a Pending looks for its answer whenever somebody asks how it stands.
local native = require "moonkeeper_testkit"

-- Results of finished calls that the server keeps for each session, should one be asked again.
local RESULTS_KEPT = 500

local OPEN = "world:anyone:cdrwa" -- the ACL of a znode, unless told

-- ---- Failures and arguments ----

local failure_metatable = {
  __tostring = function(failure) return failure.error .. ": " .. failure.message end,
}

-- at: the place of the operation that failed, in a multi.
local function failure(name, message, at)
  return setmetatable({ error = name, message = message or "", at = at }, failure_metatable)
end

local function is_failure(value, name)
  return getmetatable(value) == failure_metatable and value.error == name
end

local function connection_lost()
  return failure("ConnectionLoss", "the server died before it answered")
end

local units_ms = { ms = 1, s = 1000, m = 60000, h = 3600000 }

local function duration_ms(duration)
  if type(duration) == "number" then return duration end
  local count, unit = tostring(duration):match("^(%d+)(%a+)$")
  if not units_ms[unit] then
    error("a duration is \"250ms\", \"10s\", \"5m\", \"1h\" or milliseconds", 3)
  end
  return tonumber(count) * units_ms[unit]
end

-- ---- Requests ----

local function connected(session)
  return session.native:connected(session.client)
end

local function check_connected(session, level)
  if session.ended then error(failure("SessionExpired", "the session has ended"), level + 1) end
  if not connected(session) then
    error(failure("ConnectionLoss", "the session is not connected"), level + 1)
  end
end

-- Ask, with paths as the server has them, and return the answer. What others watch for, they are
-- told before that.
local function request_whole(session, level, method, kind, ...)
  check_connected(session, level + 1)
  local xid = session.native[method](session.native, session.client, ...)
  local name, value, more
  if xid then name, value, more = session.native:answer(session.client, xid, kind) end
  session.world:tell()
  if name == nil then error(connection_lost(), level + 1) end
  if name then error(failure(name, value, more), level + 1) end
  return value, more
end

-- ---- Calls ----

--- A call that was started: it waits, or has ended with a result or an error.
local Pending = {}
Pending.__index = Pending

--- Take the answer, if it has come.
function Pending:settle()
  if self.ended then return end
  local session = self.session
  if self.newer then -- asked again with the same id: the newest asker is told
    self.newer:settle()
    self.ended, self.value = self.newer.ended, self.newer.value
    self.failure = self.newer.failure
    return
  end
  local name, value
  if self.xid then
    name, value = session.native:answer(session.client, self.xid, "call")
  end
  if name then
    self.ended, self.failure = true, failure(name, value)
  elseif name == false then
    self.ended, self.value = true, native.decode(value)
  elseif session.ended then
    self.ended = true
    self.failure = failure("SessionExpired", "the session has ended; the outcome is unknown")
  end
end

--- Send it, for the first time or again.
function Pending:ask()
  local session = self.session
  self.xid = session.native:call(session.client, self.operation, self.id,
    math.max(0, session.last_id - RESULTS_KEPT), native.encode(self.arguments), session.chroot)
end

--- True while the call has neither returned nor failed.
function Pending:waiting()
  self:settle()
  return not self.ended
end

-- Raises unless the call has ended.
local function check_ended(pending, level)
  pending:settle()
  if pending.ended then return end
  if pending.session.native:dark() then error(connection_lost(), level + 1) end
  error(pending.operation .. " is waiting, so it has no result yet: begin it with session:start()"
    .. " and let happen what it waits for", level + 1)
end

--- What the call returned. Raises if it waits, or has failed.
function Pending:result()
  check_ended(self, 2)
  if self.failure then error(self.failure, 2) end
  return self.value
end

--- How it failed: name, message. nil if it waits or has returned.
function Pending:error()
  self:settle()
  if self.failure then return self.failure.error, self.failure.message end
end

--- Cancel a waiting call, as any client does: by deleting its call node.
function Pending:cancel()
  local session = self.session
  local node = session.native:call_node(session.client, self.id)
  if not node then error(self.operation .. " is not waiting, so it cannot be cancelled", 2) end
  request_whole(session, 2, "delete", "none", node, 0)
end

-- ---- Sessions ----

--- A client's session: calls, and plain requests of ZooKeeper's.
-- session.id is the id as recipes see it, in `call.session` and in a znode's `owner`.
local Session = {}
Session.__index = Session

-- A client in a chroot sends whole paths, and shows those that it gets without their beginning.
local function path_sent(session, path)
  if not session.chroot or path:sub(1, 1) ~= "/" then return path end
  return path == "/" and session.chroot or session.chroot .. path
end

local function path_shown(session, path)
  if not session.chroot or path:sub(1, #session.chroot) ~= session.chroot then return path end
  return #path == #session.chroot and "/" or path:sub(#session.chroot + 1)
end

-- Make a plain request, of a path if it has one first; raises what the server refuses.
local function request(session, method, kind, first, ...)
  local sent = type(first) == "string" and path_sent(session, first) or first
  local value, stat = request_whole(session, 3, method, kind, sent, ...)
  return kind == "path" and path_shown(session, value) or value, stat
end

-- ---- Watches ----

local concerned = { created = { "data", "exists" }, deleted = { "data", "exists", "children" },
  changed = { "data", "exists" }, children = { "children" } }

local function watch(session, kind, path, watcher)
  if not watcher then return end
  local whole = path_sent(session, path)
  local list = session.watches[kind][whole] or {}
  session.watches[kind][whole] = list
  table.insert(list, watcher)
  session.watching, session.world.watched = true, true
end

-- Who watches is forgotten before it is told, and so may watch again.
local function tell(session, event, whole)
  local told = {}
  for _, kind in ipairs(concerned[event]) do
    for _, watcher in ipairs(session.watches[kind][whole] or {}) do table.insert(told, watcher) end
    session.watches[kind][whole] = nil
  end
  for _, watcher in ipairs(told) do watcher(event, path_shown(session, whole)) end
end

--- Call the watchers of the events that have come; true if there were any.
function Session:tell()
  local some = false
  while self.watching and not self.ended do
    local event, whole = self.native:event(self.client)
    if not event then break end
    some = true
    tell(self, event, whole)
  end
  return some
end

-- As clients do that connect again: what has happened meanwhile, they are told at once.
local function set_watches(session)
  if not session.watching then return end
  local lists = {}
  for _, kind in ipairs { "data", "exists", "children" } do
    local paths = {}
    for whole in pairs(session.watches[kind]) do table.insert(paths, whole) end
    table.sort(paths) -- the same steps give the same world
    table.insert(lists, paths)
  end
  request_whole(session, 3, "set_watches", "none", unpack(lists))
end

--- Ask for a call and return without waiting for it.
-- options.id: its call id; by default the session's next one. The same id again is the same call.
function Session:start(operation, arguments, options)
  check_connected(self, 2)
  local id = options and options.id or self.last_id + 1
  local pending = setmetatable({
    session = self, operation = operation, arguments = arguments or {}, id = id,
  }, Pending)
  local older = self.calls[id]
  self.last_id = math.max(self.last_id, id)
  if older and older:waiting() then older.newer = pending end
  self.calls[id] = pending
  table.insert(self.world.pendings, pending)
  pending:ask()
  pending:settle()
  self.world:tell()
  return pending
end

--- Make a call and return its result. Raises if it fails, and if it would have to wait.
function Session:call(operation, arguments, options)
  local pending = self:start(operation, arguments, options)
  check_ended(pending, 2)
  if pending.failure then error(pending.failure, 2) end
  return pending.value
end

--- As session:call(), but a call that fails returns nil, name, message.
function Session:try(operation, arguments, options)
  local pending = self:start(operation, arguments, options)
  check_ended(pending, 2)
  if pending.failure then return nil, pending:error() end
  return pending.value
end

--- As session:call() of a call that has to fail: the name of its error. Raises if it returns.
function Session:refused(operation, arguments)
  local pending = self:start(operation, arguments)
  check_ended(pending, 2)
  if not pending.failure then error(operation .. " has returned, and should have failed", 2) end
  return pending.failure.error
end

--- Ask for a call again with its own id, as a client does that lost the answer. A new pending.
function Session:retry(pending)
  return self:start(pending.operation, pending.arguments, { id = pending.id })
end

local function create_kind(options)
  if options.container then return 4 end
  return (options.ephemeral and 1 or 0) + (options.sequential and 2 or 0)
end

--- Create a znode and return its path. options: ephemeral, sequential, container, and acl as zkCli
-- writes it, one entry such as "world:anyone:r".
function Session:create(path, data, options)
  options = options or {}
  return request(self, "create", "path", path, data or "", create_kind(options),
    options.acl or OPEN)
end

--- Returns data and stat. watcher(event, path), if there is one, is called once: when the data changes
-- ("changed") or the znode goes ("deleted"), before the function that brings that about returns. It is
-- kept over a lost connection, and told late.
function Session:get(path, watcher)
  local data, stat = request(self, "get", "data", path, watcher ~= nil)
  watch(self, "data", path, watcher)
  return data, stat
end

function Session:set(path, data, version)
  return request(self, "set", "stat", path, data, version or -1)
end

function Session:delete(path, version)
  request(self, "delete", "none", path, version or -1)
end

--- Replace the znode's ACL by one entry, as in create().
function Session:set_acl(path, acl)
  return request(self, "set_acl", "stat", path, acl)
end

--- The names of its children, sorted. watcher: when children come or go ("children"), or the znode
-- ("deleted").
function Session:children(path, watcher)
  local names = request(self, "children", "names", path, watcher ~= nil)
  watch(self, "children", path, watcher)
  table.sort(names)
  return names
end

--- The znode's stat; nil if there is none. watcher: as for get(), also when the znode comes ("created").
function Session:exists(path, watcher)
  local ok, stat = pcall(request, self, "exists", "stat", path, watcher ~= nil)
  if not ok and not is_failure(stat, "NoNode") then error(stat, 2) end
  watch(self, ok and "data" or "exists", path, watcher)
  return ok and stat or nil
end

-- An operation of a multi as native has it: its name and arguments, in order.
local function operation_of(session, one)
  if one.create then
    return { "create", path_sent(session, one.create), one.data or "", create_kind(one),
      one.acl or OPEN }
  end
  local path = path_sent(session, one.delete or one.set or one.check or "")
  if one.delete then return { "delete", path, one.version or -1 } end
  if one.set then return { "set", path, one.data or "", one.version or -1 } end
  if one.check then return { "check", path, one.version or -1 } end
  error("an operation of a multi is { create = path }, or delete, set or check", 3)
end

--- All of `operations` or none, in one transaction: { create = path, data = , ... } with the options of
-- create(), { set = path, data = , version = }, { delete = path, version = }, { check = path, version = }.
-- Returns a list: the path made, the new stat, true, true. What is raised says `at`, which one it was.
function Session:multi(operations)
  local asked = {}
  for i, one in ipairs(operations) do asked[i] = operation_of(self, one) end
  local results = request(self, "multi", "multi", asked)
  for i, one in ipairs(operations) do
    if one.create then results[i] = path_shown(self, results[i]) end
  end
  return results
end

--- True while it has a connection.
function Session:connected()
  return not self.ended and connected(self)
end

--- True until the server has ended it, whether its client knows or not.
function Session:alive()
  return self.native:alive(self.client)
end

--- Become somebody more, as a client does with an auth packet: "digest", "ann:secret". It is sent
-- again whenever the session connects. As "digest", "super:secret" the session may do everything.
function Session:auth(scheme, credentials)
  request(self, "auth", "none", scheme, credentials)
  table.insert(self.auths, { scheme, credentials })
end

--- Make `source` the active version of recipe `name`. options: expect, comment. Raises what is wrong
-- with it, with its line.
function Session:deploy(name, source, options)
  options = options or {}
  return self:call("recipe.deploy",
    { name = name, source = source, expect = options.expect, comment = options.comment })
end

--- End the session.
function Session:close()
  request(self, "close", "none")
  self.ended = true
end

--- Lose the connection; the session lives on until its timeout.
function Session:disconnect()
  self.world:settle()
  self.native:detach(self.client)
  self.attached = false
end

--- Connect; true if the session is still there. What waited is not asked again by this.
function Session:attach()
  local id = self.native:attach(self.client, self.timeout_ms)
  if id == false then error(connection_lost(), 3) end
  self.attached = id ~= nil
  self.ended = id == nil
  if not id then return false end
  for _, auth in ipairs(self.auths) do
    request(self, "auth", "none", auth[1], auth[2])
  end
  set_watches(self)
  return true
end

--- Connect again and ask again for what was waiting. True; or nil, "SessionExpired".
function Session:reconnect()
  if self.ended or not self:attach() then return nil, "SessionExpired", "the session has ended" end
  self.world:ask_again(self)
  return true
end

return {
  --- A session of `world` with options timeout and chroot, connected.
  open = function(world, options)
    local session = setmetatable({
      chroot = options.chroot,
      world = world, native = world.native, client = world.native:client(), calls = {}, last_id = 0,
      auths = {}, watches = { data = {}, exists = {}, children = {} },
    }, Session)
    session.timeout_ms = duration_ms(options.timeout or "10s")
    local id, timeout_ms = world.native:attach(session.client, session.timeout_ms)
    if not id then error(connection_lost(), 3) end
    session.id, session.timeout_ms, session.attached = id, timeout_ms, true
    return session
  end,
  duration_ms = duration_ms,
  connection_lost = connection_lost,
  is_connection_lost = function(problem) return is_failure(problem, "ConnectionLoss") end,
}
