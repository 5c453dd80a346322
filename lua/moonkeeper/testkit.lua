--- A world for the specs of recipes: a real server, its log, clients and clock, in this process.
--
--   local world = testkit.world { recipes = "recipes" }
--   local ann, bob = world:session(), world:session("30s")
--   local held = ann:call("lock.acquire", { path = "/locks/printer" })
--   local next = bob:start("lock.acquire", { path = "/locks/printer" })
--
-- Nothing happens by itself: whatever is asked is done when the function returns, time passes in
-- world:advance() alone, and the same steps give the same world every time.
--
-- What a server refuses is raised as a table { error = "NoNode", message = "..." } that prints
-- well; session:try(), session:reconnect() and pending:error() return it instead. Misuse raises a
-- sentence.
local native = require "moonkeeper_testkit"

local testkit = {}

-- Results of finished calls that the server keeps for each session, should one be asked again.
local RESULTS_KEPT = 500

-- ---- Failures and arguments ----

local failure_metatable = {
  __tostring = function(failure) return failure.error .. ": " .. failure.message end,
}

local function failure(name, message)
  return setmetatable({ error = name, message = message or "" }, failure_metatable)
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

-- Ask, with paths as the server has them, and return the answer.
local function request_whole(session, level, method, kind, ...)
  check_connected(session, level + 1)
  local xid = session.native[method](session.native, session.client, ...)
  local name, value, stat
  if xid then name, value, stat = session.native:answer(session.client, xid, kind) end
  if name == nil then error(connection_lost(), level + 1) end
  if name then error(failure(name, value), level + 1) end
  return value, stat
end

-- ---- Calls ----

--- A call that was started: it waits, or has ended with a result or an error.
local Pending = {}
Pending.__index = Pending

local function settle(pending)
  if pending.ended then return end
  local session = pending.session
  if pending.newer then -- asked again with the same id: the newest asker is told
    settle(pending.newer)
    pending.ended, pending.value = pending.newer.ended, pending.newer.value
    pending.failure = pending.newer.failure
    return
  end
  local name, value
  if pending.xid then
    name, value = session.native:answer(session.client, pending.xid, "call")
  end
  if name then
    pending.ended, pending.failure = true, failure(name, value)
  elseif name == false then
    pending.ended, pending.value = true, native.decode(value)
  elseif session.ended then
    pending.ended = true
    pending.failure = failure("SessionExpired", "the session has ended; the outcome is unknown")
  end
end

local function ask(pending)
  local session = pending.session
  pending.xid = session.native:call(session.client, pending.operation, pending.id,
    math.max(0, session.last_id - RESULTS_KEPT), native.encode(pending.arguments), session.chroot)
end

--- True while the call has neither returned nor failed.
function Pending:waiting()
  settle(self)
  return not self.ended
end

-- Raises unless the call has ended.
local function check_ended(pending, level)
  settle(pending)
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
  settle(self)
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
  local sent = first and path_sent(session, first)
  local value, stat = request_whole(session, 3, method, kind, sent, ...)
  return kind == "path" and path_shown(session, value) or value, stat
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
  ask(pending)
  settle(pending)
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
    options.acl or "world:anyone:cdrwa")
end

--- Returns data and stat.
function Session:get(path)
  return request(self, "get", "data", path)
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

--- The names of its children, sorted.
function Session:children(path)
  local names = request(self, "children", "names", path)
  table.sort(names)
  return names
end

--- The znode's stat; nil if there is none.
function Session:exists(path)
  local ok, stat = pcall(request, self, "exists", "stat", path)
  if ok then return stat end
  if is_failure(stat, "NoNode") then return nil end
  error(stat, 2)
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

local function attach(session)
  local id = session.native:attach(session.client, session.timeout_ms)
  if id == false then error(connection_lost(), 3) end
  session.attached = id ~= nil
  session.ended = id == nil
  for _, auth in ipairs(id and session.auths or {}) do
    request(session, "auth", "none", auth[1], auth[2])
  end
  return session.attached
end

--- Connect again and ask again for what was waiting. True; or nil, "SessionExpired".
function Session:reconnect()
  if self.ended or not attach(self) then return nil, "SessionExpired", "the session has ended" end
  self.world:ask_again(self)
  return true
end

-- ---- Worlds ----

local World = {}
World.__index = World

--- Open a session. timeout: how long it outlives its connection; default "10s". Or a table, of
-- timeout and chroot: "/tenant", below which all of its paths and calls are, as a client's is that
-- connects to "host:port/tenant".
function World:session(timeout)
  local options = type(timeout) == "table" and timeout or { timeout = timeout }
  timeout = options.timeout
  local session = setmetatable({
    chroot = options.chroot,
    world = self, native = self.native, client = self.native:client(), calls = {}, last_id = 0,
    auths = {},
  }, Session)
  session.timeout_ms = duration_ms(timeout or "10s")
  local id, timeout_ms = self.native:attach(session.client, session.timeout_ms)
  if not id then error(connection_lost(), 2) end
  session.id, session.timeout_ms, session.attached = id, timeout_ms, true
  table.insert(self.sessions, session)
  return session
end

-- Take the answers that have come.
function World:settle()
  for _, pending in ipairs(self.pendings) do settle(pending) end
end

-- Ask for the waiting calls again, those of `session` or of all, in the order of first asking.
function World:ask_again(session)
  local waiting = {}
  for _, pending in ipairs(self.pendings) do
    if pending:waiting() then table.insert(waiting, pending) end
  end
  self.pendings = waiting
  for _, pending in ipairs(waiting) do
    if not pending.newer and connected(pending.session) and
      (session == nil or session == pending.session) then
      ask(pending)
    end
  end
end

--- Let time pass: "5s" or milliseconds. Connected sessions stay alive.
function World:advance(duration)
  self.native:advance(duration_ms(duration))
  if self.native:dark() then error(connection_lost(), 2) end
end

--- The session's client goes silent until its session has expired; all others stay alive.
function World:expire(session)
  session:disconnect()
  for _ = 1, session.timeout_ms + 1000, 100 do
    if not self.native:alive(session.client) then break end
    self:advance(100)
  end
  assert(not self.native:alive(session.client), "the session should have expired")
  session.ended = true
end

--- The server dies, and a successor goes on from its log, a millisecond later. Sessions that were
-- connected connect again, and what waited is asked again.
function World:fail_over()
  self:settle()
  self.native:fail_over()
  for _, session in ipairs(self.sessions) do
    if session.attached and not session.ended then attach(session) end
  end
  self:ask_again()
end

--- Do `action`, with the power going when `proposals` of its proposals have reached the log: what
-- the server proposes after those is lost, and nobody hears about it. Then fail over. Returns true
-- if the power went before the action was through: a loop from 0 until false cuts it everywhere.
-- Inside, what gets no answer raises ConnectionLoss, which ends the action quietly.
function World:fail_over_during(proposals, action)
  self.native:cut(proposals)
  local ok, problem = pcall(action)
  local cut = self.native:dark()
  self:fail_over()
  if not ok and not (cut and is_failure(problem, "ConnectionLoss")) then error(problem, 0) end
  return cut
end

--- The names of a znode's children, sorted, whoever may read them; nil if there is no such znode.
function World:children(path)
  local names = self.native:children_of(path)
  if names then table.sort(names) end
  return names
end

--- A znode as it is kept: data, version, czxid, mzxid, children (how many), container, and if it
-- is ephemeral its owner; nil if there is none.
function World:znode(path)
  return self.native:znode(path)
end

--- The paths of all znodes, or of those below `path`; parents first, then by name. The server's
-- own, below /zookeeper, are left out unless asked for.
function World:znodes(path)
  local paths = {}
  local function visit(parent)
    for _, name in ipairs(self:children(parent) or {}) do
      local child = (parent == "/" and "" or parent) .. "/" .. name
      if child ~= "/zookeeper" then
        table.insert(paths, child)
        visit(child)
      end
    end
  end
  visit(path or "/")
  return paths
end

--- How many calls are waiting, of all sessions.
function World:waiting()
  return self.native:stats().waiting
end

--- Numbers: now_ms; zxid, the last one; and since the server began: proposals, and woken, how often
-- waiting calls were run again.
function World:stats()
  return self.native:stats()
end

--- What the server and the recipes logged, as one text.
function World:log()
  return self.native:log()
end

--- True from the moment at which the power went, in world:fail_over_during(), until it is through.
function World:dark()
  return self.native:dark()
end

--- Check every invariant of the server's. It does so by itself after each step.
function World:check()
  self.native:check()
end

--- Give its memory back now, and not when the collector, which does not know how much it is, finds
-- it. The world and its sessions are of no use afterwards.
function World:free()
  self.native:free()
end

-- ---- Recipes ----

local function recipe_read(path)
  local file, problem = io.open(path, "rb")
  if not file then error("a recipe cannot be opened: " .. problem, 0) end
  local source = file:read("*a")
  file:close()
  return { path:match("([^/]+)%.lua$"), source }
end

local function recipes_add(recipes, path)
  if path:match("%.lua$") then
    table.insert(recipes, recipe_read(path))
    return
  end
  local names = native.recipes(path)
  if not names then error(path .. " is neither a recipe (.lua) nor a folder of them", 0) end
  for _, name in ipairs(names) do
    table.insert(recipes, recipe_read(path .. "/" .. name))
  end
end

-- The environment's; else those of the checkout, or of the installation, that this file belongs to.
local function recipes_default()
  local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]+$") or "."
  local named = os.getenv("MOONKEEPER_RECIPES")
  local beside = { here .. "/../../recipes", here .. "/../../../moonkeeper/recipes" }
  for _, folder in ipairs(named and { named } or beside) do
    if native.recipes(folder) then return folder end
  end
  error("where are the recipes? Say testkit.world { recipes = \"folder\" }, or set"
    .. " MOONKEEPER_RECIPES", 0)
end

--- Make a world. options.recipes: a folder, a file, or a list of such; options.sources: recipes as
-- text, by name; default: Moonkeeper's own. Raises if one of them does not load, with its file and
-- line.
function testkit.world(options)
  local sources = options and options.sources
  local wanted = options and options.recipes or (sources and {} or recipes_default())
  local recipes = {}
  for name, source in pairs(sources or {}) do
    table.insert(recipes, { name, source })
  end
  table.sort(recipes, function(a, b) return a[1] < b[1] end) -- the order of the zxids
  for _, path in ipairs(type(wanted) == "table" and wanted or { wanted }) do
    recipes_add(recipes, path)
  end
  return setmetatable({ native = native.world(recipes), sessions = {}, pendings = {} }, World)
end

return testkit
