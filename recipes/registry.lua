--- Service registry: which instances there are, how they are, and which one to ask.
-- registry.register
-- Arguments  path     the znode that stands for the service; created, as a container, if missing
--            id       the instance's name, 1 to 100 bytes without "/"
--            data     what callers need to reach it, a string of up to 1,000 bytes
--            weight   its share of the picks by weight, 0 to 1,000; default: 1
--            zone     where it is; default: nowhere
--            ttl      it stays for this long after each heartbeat, whatever becomes of sessions,
--                     1 s to 1 day; default: as long as the session
-- Result     ticket   the instance's znode
--            fence    to be given with what is said of this registration
-- Errors     Conflict another lives under that id
--            Limit    1,000 instances are there
--            NoAuth   the caller may not create below path
--
-- registry.heartbeat
-- Arguments  path, id, fence  as given to registry.register, and as returned
--            status   "up" or "down"; default: as it was, at first "up"
--            load     any number, the same kind for all instances; default: as it was, at first 0
-- Result     expires  the log time until which it lives, in ms, if it was registered with a ttl
-- Errors     NotOwner it is of another session, or was registered anew, or its time is over
--
-- registry.drain
-- Arguments  path, id as given to registry.register
--            draining default: true; false puts it back
-- Result     true     it lives on, and is not picked any more
-- Errors     NoNode   there is no such instance
--            NoAuth   the caller may not change it
--
-- registry.deregister
-- Arguments  path, id, fence  as given to registry.heartbeat
-- Result     true     it is gone
-- Errors     NotOwner as of registry.heartbeat
--
-- registry.pick
-- Arguments  path     as given to registry.register
--            policy   "round_robin" (the default), "weight" or "least_load"
--            zone     instances of this zone first, and others only if it has none
-- Result     id, data, weight, zone, load, fence   of an instance that is up and not drained
-- Errors     NoNode   there is none
--            NoAuth   the caller may not read or change the service's znode
--
-- registry.instances
-- Arguments  path     as given to registry.register
--            from     the id after which to begin; default: the first one
--            limit    how many at most, 1 to 40; default: 40
-- Result     instances, a list in the order of ids, as registry.pick shows them, with status,
--            draining and expires besides; next, the id to go on after, if there may be more;
--            and version, for registry.watch
--
-- registry.watch
-- Arguments  path, version  as returned by registry.instances
--            timeout  how long to wait; default: for ever
-- Result     version  instances have come or gone since
-- Errors     Timeout  none has
-- Fairness   by turns; by weight as exactly as whole picks allow; of equal loads by turns
-- Fencing    the zxid of the registration: what is said of an earlier one is refused
-- Wakes      everybody who watches, when an instance comes or goes
-- Survives   the leader's death, at every step
--
-- An instance is picked from the moment of its registration until its session has ended, or its
-- time is over, and never afterwards. What ran out of time is removed when another registers.
local registry = {}
local INSTANCES_MAX = 1000
local SWEEP_MAX = 100 -- of those whose time is over, removed by one registration

-- The invariant: an instance is a child of the service's znode, and what it says is all there is
-- to say of it; the service's own data only remembers who was picked last.

local function instance_path(path, id)
  if id:find("/", 1, true) then fail("BadArguments", "an id is part of a znode's name") end
  return path .. "/" .. id
end

-- Whoever may create znodes here may write anything into them: what is no instance is passed over.
local function is_instance(value)
  return type(value) == "table" and type(value.weight) == "number" and value.weight >= 0
    and type(value.load) == "number" and type(value.status) == "string"
    and type(value.expires or 0) == "number"
end

-- The instance at `path`, or nil if there is none, it is something else, or its time is over.
local function read(call, path)
  local data, stat = znode.get(path)
  if not data then return nil end
  local decoded, instance = pcall(json.decode, data)
  if not decoded or not is_instance(instance) then return nil end
  if instance.expires and instance.expires <= call.now then return nil end
  instance.fence, instance.owner = stat.czxid, stat.owner
  return instance
end

local function write(path, instance)
  local owner, fence = instance.owner, instance.fence
  instance.owner, instance.fence = nil, nil
  znode.set(path, json.encode(instance))
  instance.owner, instance.fence = owner, fence
end

local function read_own(call)
  local path = instance_path(call.args.path, call.args.id)
  local instance = read(call, path)
  if not instance or instance.fence ~= call.args.fence
    or (instance.owner and instance.owner ~= call.session) then
    fail("NotOwner")
  end
  return instance, path
end

local function sweep(call)
  local swept = 0
  for _, id in ipairs(znode.children(call.args.path)) do
    local path = call.args.path .. "/" .. id
    if swept < SWEEP_MAX and not read(call, path) and not znode.stat(path).owner then
      swept = swept + (pcall(znode.delete, path) and 1 or 0) -- somebody else may own it
    end
  end
end

registry.register = operation {
  doc  = "Add an instance to the service at `path`.",
  args = {
    path = "path",
    id = { type = "string", min = 1, max = 100 },
    data = { type = "string", max = 1000 },
    weight = { type = "integer", default = 1, min = 0, max = 1000 },
    zone = { type = "string", optional = true, min = 1, max = 100 },
    ttl = { type = "duration", optional = true, min = 1000, max = 86400000 },
  },
  run  = function(call)
    local args = call.args
    local path = instance_path(args.path, args.id)
    if read(call, path) then fail("Conflict", "another lives under the id " .. args.id) end
    sweep(call)
    if znode.count(args.path) >= INSTANCES_MAX then fail("Limit", "too many instances") end
    znode.create(path, { parents = true, ephemeral = not args.ttl, data = json.encode {
      data = args.data, weight = args.weight, zone = args.zone, load = 0, status = "up",
      draining = false, ttl = args.ttl, expires = args.ttl and call.now + args.ttl,
    } })
    return { ticket = path, fence = call.zxid }
  end,
}

registry.heartbeat = operation {
  doc  = "Say that an instance lives, and how it is.",
  args = {
    path = "path",
    id = { type = "string", min = 1, max = 100 },
    fence = "integer",
    status = { type = "string", optional = true, one_of = { "up", "down" } },
    load = "number?",
  },
  run  = function(call)
    local instance, path = read_own(call)
    instance.status = call.args.status or instance.status
    instance.load = call.args.load or instance.load
    instance.expires = instance.ttl and call.now + instance.ttl
    write(path, instance)
    return { expires = instance.expires }
  end,
}

registry.drain = operation {
  doc  = "Take an instance out of the picks, or put it back.",
  args = {
    path = "path",
    id = { type = "string", min = 1, max = 100 },
    draining = { type = "boolean", default = true },
  },
  run  = function(call)
    local path = instance_path(call.args.path, call.args.id)
    local instance = read(call, path)
    if not instance then fail("NoNode", "there is no instance " .. call.args.id) end
    instance.draining = call.args.draining
    write(path, instance)
    return true
  end,
}

registry.deregister = operation {
  doc  = "Take an instance away.",
  args = { path = "path", id = { type = "string", min = 1, max = 100 }, fence = "integer" },
  run  = function(call)
    local _, path = read_own(call)
    return znode.delete(path)
  end,
}

-- ---- Picking ----

-- Those that can be picked, in the order of ids; those of the zone alone, if it has any.
local function candidates(call)
  local all, near = {}, {}
  for _, id in ipairs(znode.children(call.args.path)) do
    local instance = read(call, call.args.path .. "/" .. id)
    if instance and instance.status == "up" and not instance.draining then
      instance.id = id
      table.insert(all, instance)
      if instance.zone and instance.zone == call.args.zone then table.insert(near, instance) end
    end
  end
  return #near > 0 and near or all
end

local policies = {}

-- The one behind the last one picked, in the order of ids.
function policies.round_robin(list, cursor)
  for _, instance in ipairs(list) do
    if instance.id > cursor.last then return instance end
  end
  return list[1]
end

-- Multiples of the golden ratio, cut to their fraction, cover the line evenly however many there
-- are: a share of the line is hit as often as it is long, give or take a few.
function policies.weight(list, cursor)
  local total = 0
  for _, instance in ipairs(list) do total = total + instance.weight end
  local at = (cursor.picks * 0.6180339887498949) % 1 * total
  for _, instance in ipairs(list) do
    at = at - instance.weight
    if at < 0 then return instance end
  end
  return nil -- all have weight 0
end

function policies.least_load(list, cursor)
  local least, equals = math.huge, {}
  for _, instance in ipairs(list) do least = math.min(least, instance.load) end
  for _, instance in ipairs(list) do
    if instance.load == least then table.insert(equals, instance) end
  end
  return policies.round_robin(equals, cursor)
end

registry.pick = operation {
  doc  = "Choose an instance of the service at `path`.",
  args = {
    path = "path",
    policy = { type = "string", default = "round_robin",
      one_of = { "round_robin", "weight", "least_load" } },
    zone = { type = "string", optional = true, min = 1, max = 100 },
  },
  run  = function(call)
    local list = candidates(call)
    local decoded, cursor = pcall(json.decode, (znode.get(call.args.path)))
    if not decoded or type(cursor) ~= "table" or not (cursor.last and cursor.picks) then
      cursor = { last = "", picks = 0 }
    end
    local picked = list[1] and policies[call.args.policy](list, cursor)
    if not picked then fail("NoNode", "there is no instance to pick") end
    -- Small enough for its fraction to stay exact.
    cursor = { last = picked.id, picks = (cursor.picks + 1) % 1000000 }
    znode.set(call.args.path, json.encode(cursor))
    return { id = picked.id, data = picked.data, weight = picked.weight, zone = picked.zone,
      load = picked.load, fence = picked.fence }
  end,
}

-- ---- Looking ----

registry.instances = operation {
  doc  = "The instances of the service at `path`.",
  args = {
    path = "path",
    from = { type = "string", optional = true, min = 1, max = 100 },
    limit = { type = "integer", default = 40, min = 1, max = 40 },
  },
  reads_only = true,
  run  = function(call)
    local path, list = call.args.path, json.list()
    local stat = znode.stat(path)
    local page = znode.children(path, { from = call.args.from, limit = call.args.limit })
    for _, id in ipairs(page) do
      local instance = read(call, path .. "/" .. id)
      if instance then
        instance.id, instance.owner, instance.ttl = id, nil, nil
        table.insert(list, instance)
      end
    end
    return { instances = list, version = stat and stat.pzxid or 0,
      next = #page == call.args.limit and page[#page] or nil }
  end,
}

registry.watch = operation {
  doc  = "Wait until instances have come to the service at `path`, or gone.",
  args = { path = "path", version = "integer", timeout = "duration?" },
  run  = function(call)
    local stat = znode.stat(call.args.path)
    local version = stat and stat.pzxid or 0
    if version == call.args.version then call:wait { children = call.args.path, all = true } end
    return { version = version }
  end,
}

return registry
