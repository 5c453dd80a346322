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
local sessions = require "moonkeeper.testkit.session"

local testkit = {}

-- ---- Worlds ----

local World = {}
World.__index = World

--- Open a session. timeout: how long it outlives its connection; default "10s". Or a table, of
-- timeout and chroot: "/tenant", below which all of its paths and calls are, as a client's is that
-- connects to "host:port/tenant".
function World:session(timeout)
  local options = type(timeout) == "table" and timeout or { timeout = timeout }
  local session = sessions.open(self, options)
  table.insert(self.sessions, session)
  return session
end

-- Take the answers that have come.
function World:settle()
  for _, pending in ipairs(self.pendings) do pending:settle() end
end

-- Call the watchers of what has happened. What they ask may make others be told, after them.
function World:tell()
  if self.telling or not self.watched then return end
  self.telling = true
  local ok, problem = pcall(function()
    local some
    repeat
      some = false
      for _, session in ipairs(self.sessions) do some = session:tell() or some end
    until not some
  end)
  self.telling = false
  if not ok then error(problem, 0) end
end

-- Ask for the waiting calls again, those of `session` or of all, in the order of first asking.
function World:ask_again(session)
  local waiting = {}
  for _, pending in ipairs(self.pendings) do
    if pending:waiting() then table.insert(waiting, pending) end
  end
  self.pendings = waiting
  for _, pending in ipairs(waiting) do
    if not pending.newer and pending.session:connected() and
      (session == nil or session == pending.session) then
      pending:ask()
    end
  end
end

--- Let time pass: "5s" or milliseconds. Connected sessions stay alive.
function World:advance(duration)
  self.native:advance(sessions.duration_ms(duration))
  self:tell()
  if self.native:dark() then error(sessions.connection_lost(), 2) end
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
  self.telling = true -- who is told may ask, and so everybody connects first
  self.native:fail_over()
  for _, session in ipairs(self.sessions) do
    if session.attached and not session.ended then session:attach() end
  end
  self:ask_again()
  self.telling = false
  self:tell()
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
  if not ok and not (cut and sessions.is_connection_lost(problem)) then error(problem, 0) end
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

--- Numbers: now_ms; log_time_ms, what call.now would be; zxid, the last one, or of several servers
-- that of the last change; and since the server (of several, the one that leads) began: proposals,
-- and woken, how often waiting calls were run again.
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
-- text, by name; default: Moonkeeper's own. options.servers: an ensemble of so many, up to 5; who
-- connects is connected to the next of them each time. Raises if a recipe does not load, with its
-- file and line.
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
  return setmetatable({ native = native.world(recipes, options and options.servers), sessions = {}, pendings = {} }, World)
end

-- ---- Scenarios ----

--- Cut the power everywhere: `scenario(proposals)` from 0 on, each time on a world of its own, until it
-- returns false, as world:fail_over_during(proposals, action) does when it was through before. How often
-- it was cut: a spec says how often it has to be, lest it cuts nothing.
function testkit.at_every_proposal(scenario)
  local proposals = 0
  while scenario(proposals) do
    proposals = proposals + 1
  end
  return proposals
end

return testkit
