--- A configuration: keys and values that change together, with revisions, differences and rollback.
-- config.publish
-- Arguments  path     the znode that stands for it; created, with those above it, if missing
--            set      a map of keys to the strings that they shall have
--            remove   a list of keys that shall go; those that are not there do not matter
--            expect   the revision that it must have; 0: it must not exist yet; default: any
-- Result     revision larger with every change and never used twice, even if the configuration is
--                     deleted and made anew; the old one, if nothing has changed
-- Errors     Conflict it has another revision, named in the message; nothing has changed
--            BadArguments  a key is both set and removed
--            Limit    more than 500 keys, or 24 KB of keys and values as JSON
--            NoAuth   the caller may not write, or create, there
--
-- config.fetch
-- Arguments  path
--            since    a revision that the caller has: only what came after it
-- Result     revision the current one
--            changes  if `since` is still known: a list of { revision, set, removed }, in order,
--                     none missing; empty if `since` is the current one
--            values   otherwise: everything, as of `revision`; with `resync` = true if `since` was
--                     given and is not known (any more): forget what you have, take this
-- Errors     NoNode   nothing has been published there
--            NoAuth   the caller may not read it
--
-- config.wait
-- Arguments  path, since  as above; since 0: wait until there is anything
--            timeout  how long to wait, "250ms" or "10s"; default: for ever
-- Result     as config.fetch, as soon as the revision is another than `since`
-- Errors     Timeout  it has not changed in time; NoAuth
--
-- config.rollback
-- Arguments  path
--            to       a revision that is still known
-- Result     revision a new one, whose values are those of `to`
-- Errors     NoNode   nothing has been published; or `to` is not known (any more)
--            NoAuth
--
-- Mixtures   nobody ever sees a part of one revision and a part of another
-- Wakes      all who wait, once per revision that they had not seen
-- History    the last 100 changes; as many as fit into 24 KB are told at once, else it is a resync
-- Survives   the leader's death: a revision has been published as a whole or not at all
-- Limits     all of it is one znode, the history one znode per change below it
local config = {}
local KEYS_MAX, BYTES_MAX, HISTORY_MAX = 500, 24 * 1024, 100

local function change_path(path, revision) return string.format("%s/r-%016.0f", path, revision) end

-- The znode holds { revision, values }; its child r-R, how revision R came about: { from, set,
-- removed, undo = { set, removed } }, `from` being the revision before.
local function read(path)
  local data = znode.get(path)
  return data and data ~= "" and json.decode(data) or { revision = 0, values = {} }, data
end

local function apply(values, change)
  for key, value in pairs(change.set) do values[key] = value end
  for _, key in ipairs(change.removed) do values[key] = nil end
end

local function size(map)
  local count = 0
  for _ in pairs(map) do count = count + 1 end
  return count
end

-- What turns the values `old` into `new`.
local function difference(old, new)
  local change = { set = {}, removed = json.list() }
  for key, value in pairs(new) do
    if old[key] ~= value then change.set[key] = value end
  end
  for key in pairs(old) do
    if new[key] == nil then table.insert(change.removed, key) end
  end
  return change
end

-- Make `new` the values, as the revision of this run; if they are that already, nothing happens.
local function publish(call, current, exists, new)
  local path = call.args.path
  local change = difference(current.values, new)
  if exists and current.revision > 0 and size(change.set) + #change.removed == 0 then
    return { revision = current.revision }
  end
  local data = json.encode({ revision = call.zxid, values = new })
  if size(new) > KEYS_MAX or #data > BYTES_MAX then fail("Limit", "more than a revision holds") end
  if exists then
    znode.set(path, data)
  else
    znode.create(path, { data = data, parents = true })
  end
  change.from, change.undo = current.revision, difference(new, current.values)
  znode.create(change_path(path, call.zxid), { data = json.encode(change) })
  if znode.count(path) > HISTORY_MAX then znode.delete(znode.first_child(path, { like = "r-" })) end
  return { revision = call.zxid }
end

-- The changes behind revision `since`, in order; nil if one of them is not known any more, or if
-- they are too long to be told.
local function changes_since(path, since, current)
  local list, bytes, from, last = json.list(), 0, nil, since
  if since == current then return list end
  repeat
    local names = znode.children(path, { like = "r-", limit = 10, from = from or
      string.format("r-%016.0f", since) })
    for _, name in ipairs(names) do
      local data = znode.get(path .. "/" .. name)
      local change = json.decode(data)
      bytes, from = bytes + #data, name
      if change.from ~= last or bytes > 2 * BYTES_MAX then return nil end
      last = tonumber(name:match("%d+"))
      table.insert(list, { revision = last, set = change.set, removed = change.removed })
    end
  until #names < 10
  return last == current and list or nil
end

local function told(path, since, current)
  local changes = since and since > 0 and changes_since(path, since, current.revision)
  if changes then return { revision = current.revision, changes = changes } end
  return { revision = current.revision, values = current.values,
           resync = since and since > 0 or nil }
end

config.publish = operation {
  doc  = "Set and remove keys of the configuration at `path`, as one revision.",
  args = { path = "path", set = { type = "map", items = "string", default = {} },
           remove = { type = "list", items = "string", default = json.list() },
           expect = { type = "integer", optional = true, min = 0 } },
  run  = function(call)
    local args, current, exists = call.args, read(call.args.path)
    if args.expect and args.expect ~= current.revision then
      fail("Conflict", string.format("its revision is %.0f", current.revision))
    end
    local new = {}
    for key, value in pairs(current.values) do new[key] = value end
    for _, key in ipairs(args.remove) do
      if args.set[key] then fail("BadArguments", "both set and removed: " .. key) end
    end
    apply(new, { set = args.set, removed = args.remove })
    return publish(call, current, exists, new)
  end,
}

config.fetch = operation {
  doc  = "The configuration at `path`, or what has changed since a revision.",
  args = { path = "path", since = { type = "integer", optional = true, min = 0 } },
  reads_only = true,
  run  = function(call)
    local current = read(call.args.path)
    if current.revision == 0 then fail("NoNode", call.args.path) end
    return told(call.args.path, call.args.since, current)
  end,
}

config.wait = operation {
  doc  = "What has changed at `path` since a revision, as soon as something has.",
  args = { path = "path", since = { type = "integer", min = 0 }, timeout = "duration?" },
  run  = function(call)
    local path, since = call.args.path, call.args.since
    local current = read(path)
    if current.revision == since or current.revision == 0 then
      call:wait { changed = path }
    end
    return told(path, since, current)
  end,
}

config.rollback = operation {
  doc  = "Publish the values of an earlier revision again.",
  args = { path = "path", to = { type = "integer", min = 1 } },
  run  = function(call)
    local path, to = call.args.path, call.args.to
    local current, exists = read(path)
    local values, revision = json.decode(json.encode(current.values)), current.revision
    while revision > to do
      local data = znode.get(change_path(path, revision))
      if not data then break end
      local change = json.decode(data)
      apply(values, change.undo)
      revision = change.from
    end
    if revision ~= to then fail("NoNode", "that revision is not known") end
    return publish(call, current, exists, values)
  end,
}

return config
