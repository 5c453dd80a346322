--- What holds of recipes/registry.lua whatever happens.
local PATH = "/services/web"
local IDS = { "a", "b", "c", "d" }

local function instance(run, id)
  local znode = run.world:znode(PATH .. "/" .. id)
  if not znode then return nil end
  return {
    fence = znode.czxid, ephemeral = znode.owner ~= nil,
    up = znode.data:find('"status":"up"', 1, true) ~= nil,
    drained = znode.data:find('"draining":true', 1, true) ~= nil,
  }
end

-- The answer that came just now, to who was connected all the time: the world is still as it was.
local function picked_well(run)
  local call = run.calls[#run.calls]
  if not call or call.operation ~= "registry.pick" or call:waiting() or call:error() or
    run.state[call] then
    return
  end
  run.state[call] = true
  local picked = call:result()
  local found = instance(run, picked.id)
  if not found or found.fence ~= picked.fence then
    error(picked.id .. " was picked, and is not there")
  end
  if not found.up then error(picked.id .. " was picked, and is down") end
  if found.drained then error(picked.id .. " was picked, and is drained") end
end

-- Whoever is told has the newest of the registrations that it could know of.
local function fences_grow(run)
  for _, call in ipairs(run:returned("registry.register")) do
    if not run.state[call] then
      run.state[call] = true
      local key = "fence of " .. call.arguments.id
      local fences = run.state[key] or {}
      if fences[call:result().fence] then error("two registrations have one fence") end
      fences[call:result().fence] = true
      run.state[key] = fences
    end
  end
end

local function watches_in_vain(run)
  for _, call in ipairs(run:waiting("registry.watch")) do
    local ids = table.concat(run.world:children(PATH) or {}, " ")
    for _, id in ipairs(run.world:children(PATH) or {}) do
      ids = ids .. (" %.0f"):format(run.world:znode(PATH .. "/" .. id).czxid)
    end
    local known = run.state[call] or ids
    if call.session:connected() and known ~= ids then
      error(call.session.name .. " watches, and was not told")
    end
    run.state[call] = known
  end
end

local function own(run)
  local list = {}
  for _, call in ipairs(run:returned("registry.register")) do
    if not call.session.ended then table.insert(list, call) end
  end
  return run:one_of(list)
end

local function say(run, operation, more)
  local call = own(run)
  local arguments = { path = PATH, id = call.arguments.id, fence = call:result().fence }
  for name, value in pairs(more or {}) do arguments[name] = value end
  run:start(call.session, operation, arguments)
end

return {
  sessions = 4,
  actions = {
    {
      name = "register", weight = 5,
      run = function(run)
        run:start(run:session(), "registry.register", { path = PATH, id = run:one_of(IDS),
          data = "x", weight = run:random(3) - 1, zone = run:one_of { "east", "west" } })
      end,
    },
    {
      name = "register for a time", weight = 2,
      run = function(run)
        run:start(run:session(), "registry.register",
          { path = PATH, id = run:one_of(IDS), data = "x", ttl = "5s" })
      end,
    },
    {
      name = "heartbeat", weight = 5,
      run = function(run)
        say(run, "registry.heartbeat",
          { status = run:one_of { "up", "up", "down" }, load = run:random(3) })
      end,
    },
    {
      name = "drain", weight = 2,
      run = function(run)
        run:start(run:session(), "registry.drain",
          { path = PATH, id = run:one_of(IDS), draining = run:chance(0.5) })
      end,
    },
    { name = "deregister", weight = 2, run = function(run) say(run, "registry.deregister") end },
    {
      name = "pick", weight = 8,
      run = function(run)
        run:start(run:session(), "registry.pick", { path = PATH,
          policy = run:one_of { "round_robin", "weight", "least_load" },
          zone = run:one_of { "east", "west" } })
      end,
    },
    {
      name = "watch", weight = 2,
      run = function(run)
        local session = run:session()
        local known = run:returned("registry.instances", session)
        if #known == 0 then
          run:start(session, "registry.instances", { path = PATH })
        else
          run:start(session, "registry.watch",
            { path = PATH, version = known[#known]:result().version, timeout = "30s" })
        end
      end,
    },
    {
      name = "look", weight = 1,
      run = function(run) run:start(run:session(), "registry.instances", { path = PATH }) end,
    },
  },
  times = { "100ms", "1s", "5s", "6s", "61s" },
  check = function(run)
    picked_well(run)
    fences_grow(run)
    watches_in_vain(run)
  end,
  finally = function(run)
    for _, id in ipairs(IDS) do
      local found = instance(run, id)
      if found and not found.ephemeral then run:session():delete(PATH .. "/" .. id) end
    end
  end,
  may_wait = function(_, call) return call.operation == "registry.watch" end,
}
