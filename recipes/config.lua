--- A configuration: keys and values that change together, with revisions, differences and rollback.
-- config.publish
-- Arguments  path     the znode that stands for it; created, with those above it, if missing
--            set      a map of keys to the strings that they shall have
--            remove   a list of keys that shall go; those that are not there do not matter
--            expect   the revision that it must have; 0: it must not exist yet; default: any
-- Result     revision larger with every change and never used twice, even if the configuration is
--                     deleted and made anew; the old one, if nothing has changed
-- Errors     Conflict it has another revision, named in the message, or one is staged; nothing has
--                     changed
--            BadArguments  a key is both set and removed; or the validator refuses the values: its
--                     words are the message. If it fails, so does this, with its error
--            Limit    more than 500 keys, or 24 KB of keys and values as JSON
--            NoAuth   the caller may not write, or create, there
--
-- config.fetch
-- Arguments  path
--            since    a revision that the caller has: only what came after it
--            as       who asks, such as a host's name: only who says so is shown a staged revision
-- Result     revision the current one
--            changes  if `since` is still known: a list of { revision, set, removed }, in order,
--                     none missing; empty if `since` is the current one
--            values   otherwise: everything, as of `revision`; with `resync` = true if `since` was
--                     given and is not known (any more): forget what you have, take this
--            staged   true if `revision` is the staged one, of which there are no differences
-- Errors     NoNode   nothing has been published there
--            NoAuth   the caller may not read it
--
-- config.wait
-- Arguments  path, since, as  as above; since 0: wait until there is anything
--            timeout  how long to wait, "250ms" or "10s"; default: for ever
-- Result     as config.fetch, as soon as the revision is another than `since`; 0, without values,
--            if nothing is published any more
-- Errors     Timeout  it has not changed in time; NoAuth
--
-- config.rollback
-- Arguments  path
--            to       a revision that is still known
-- Result     revision a new one, whose values are those of `to`
-- Errors     NoNode   nothing has been published; or `to` is not known (any more)
--            Conflict, BadArguments, NoAuth  as of config.publish
--
-- config.stage        as config.publish, but shown to some at first. One at a time can be staged
-- Arguments  path, set, remove, expect  as above
--            percent  of the names that ask (`as`) so many are shown it, 1 to 99: the same names
--                     each time, other names for another revision
-- Result     revision as of config.publish
--
-- config.spread
-- Arguments  path
--            revision the staged one
--            percent  who is shown it: more or fewer, those who were among fewer are among more.
--                     100: it is published, and keeps its number; 0: it is gone
-- Result     revision the staged one, or the current one if that is gone
-- Errors     NoNode   that revision is not staged; BadArguments, NoAuth  as of config.publish
--
-- config.set_validator
-- Arguments  path     created, with those above it, if missing
--            operation  of a recipe, which is called with `path` and the whole new `values` (a map)
--                     before anything is staged or published, in the same transaction, with the
--                     rights of who publishes; absent: none any more
-- Result     true     it returns true if the values are good, or a text that says what is wrong
-- Errors     NoAuth
--
-- Mixtures   nobody ever sees a part of one revision and a part of another
-- Wakes      all who wait, once per revision that they had not seen
-- History    the last 100 changes; as many as fit into 24 KB are told at once, else it is a resync
-- Survives   the leader's death: a revision has been published as a whole or not at all
-- Limits     all of it is one znode, the history one znode per change below it, what is staged one
local config = {}
local KEYS_MAX, BYTES_MAX, HISTORY_MAX = 500, 24 * 1024, 100

local function change_path(path, revision) return string.format("%s/r-%016.0f", path, revision) end

local function staged_path(path) return path .. "/staged" end

-- The znode holds { revision, values, validator }; its child r-R, how revision R came about: { from,
-- set, removed, undo = { set, removed } }, `from` being the revision before; its child `staged`, if
-- it is there, { revision, values, percent }. While that is there nothing else is published, so its
-- revision is the next.
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

-- How the values `new` are kept as `revision`; what may not be published fails here.
local function record(call, current, revision, new)
  local data = json.encode({ revision = revision, values = new, validator = current.validator })
  if size(new) > KEYS_MAX or #data > BYTES_MAX then fail("Limit", "more than a revision holds") end
  if current.validator then
    local good = call:run(current.validator, { path = call.args.path, values = new })
    if good ~= true then fail("BadArguments", "the values are refused: " .. tostring(good)) end
  end
  return data
end

local function same(change) return size(change.set) + #change.removed == 0 end

-- Make `new` the values, as `revision`; if they are that already, nothing happens.
local function publish(call, current, exists, revision, new)
  local path = call.args.path
  local change = difference(current.values, new)
  if current.revision > 0 and same(change) then return { revision = current.revision } end
  local data = record(call, current, revision, new)
  if exists then
    znode.set(path, data)
  else
    znode.create(path, { data = data, parents = true })
  end
  change.from, change.undo = current.revision, difference(new, current.values)
  znode.create(change_path(path, revision), { data = json.encode(change) })
  if znode.count(path) > HISTORY_MAX then znode.delete(znode.first_child(path, { like = "r-" })) end
  return { revision = revision }
end

local function staged_at(path)
  local data = znode.get(staged_path(path))
  return data and json.decode(data)
end

local function check_nothing_staged(path)
  local staged = staged_at(path)
  if staged then fail("Conflict", string.format("revision %.0f is staged", staged.revision)) end
end

-- 0 to 99, evenly: which percent this name is among, for this revision.
local function percentile(name, revision)
  local hash = 0
  for _, byte in ipairs { string.format("%s@%.0f", name, revision):byte(1, -1) } do
    hash = (hash * 131071 + byte) % 67108859 -- a prime below 2^26: products stay below 2^53
  end
  return math.floor(hash / 67108859 * 100)
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

-- What is shown to who asks: the staged revision, or the current one.
local function shown(args, current)
  local staged = args.as and staged_at(args.path)
  if staged and percentile(args.as, staged.revision) < staged.percent then return staged, true end
  return current
end

local function told(args, shown_one, is_staged)
  local since, revision = args.since or 0, shown_one.revision
  local changes = is_staged and since == revision and json.list()
    or not is_staged and since > 0 and changes_since(args.path, since, revision)
  local answer = { revision = revision, staged = is_staged }
  if changes then
    answer.changes = changes
  else
    answer.values, answer.resync = shown_one.values, since > 0 or nil
  end
  return answer
end

-- The values as they would be, if the current revision is the one that is expected.
local function changed(args, current)
  if args.expect and args.expect ~= current.revision then
    fail("Conflict", string.format("its revision is %.0f", current.revision))
  end
  local new = {}
  for key, value in pairs(current.values) do new[key] = value end
  for _, key in ipairs(args.remove) do
    if args.set[key] then fail("BadArguments", "both set and removed: " .. key) end
  end
  apply(new, { set = args.set, removed = args.remove })
  return new
end

local function change_arguments(more)
  local args = { path = "path", set = { type = "map", items = "string", default = {} },
    remove = { type = "list", items = "string", default = json.list() },
    expect = { type = "integer", optional = true, min = 0 } }
  for name, schema in pairs(more) do args[name] = schema end
  return args
end

local AS = { type = "string", optional = true, min = 1, max = 256 }

config.publish = operation {
  doc  = "Set and remove keys of the configuration at `path`, as one revision.",
  args = change_arguments {},
  run  = function(call)
    local current, exists = read(call.args.path)
    check_nothing_staged(call.args.path)
    return publish(call, current, exists, call.zxid, changed(call.args, current))
  end,
}

config.fetch = operation {
  doc  = "The configuration at `path`, or what has changed since a revision.",
  args = { path = "path", since = { type = "integer", optional = true, min = 0 }, as = AS },
  reads_only = true,
  run  = function(call)
    local one, is_staged = shown(call.args, (read(call.args.path)))
    if one.revision == 0 then fail("NoNode", call.args.path) end
    return told(call.args, one, is_staged)
  end,
}

config.wait = operation {
  doc  = "What has changed at `path` since a revision, as soon as something has.",
  args = { path = "path", since = { type = "integer", min = 0 }, as = AS, timeout = "duration?" },
  run  = function(call)
    local args = call.args
    local one, is_staged = shown(args, (read(args.path)))
    if one.revision == args.since then
      call:wait { changed = { args.path, args.as and staged_path(args.path) } }
    end
    return told(args, one, is_staged)
  end,
}

config.rollback = operation {
  doc  = "Publish the values of an earlier revision again.",
  args = { path = "path", to = { type = "integer", min = 1 } },
  run  = function(call)
    local path, to = call.args.path, call.args.to
    local current, exists = read(path)
    check_nothing_staged(path)
    local values, revision = json.decode(json.encode(current.values)), current.revision
    while revision > to do
      local data = znode.get(change_path(path, revision))
      if not data then break end
      local change = json.decode(data)
      apply(values, change.undo)
      revision = change.from
    end
    if revision ~= to then fail("NoNode", "that revision is not known") end
    return publish(call, current, exists, call.zxid, values)
  end,
}

config.stage = operation {
  doc  = "Show a revision to `percent` of those who ask, before it is published.",
  args = change_arguments { percent = { type = "integer", min = 1, max = 99 } },
  run  = function(call)
    local path, current, exists = call.args.path, read(call.args.path)
    check_nothing_staged(path)
    local new = changed(call.args, current)
    if current.revision > 0 and same(difference(current.values, new)) then
      return { revision = current.revision }
    end
    record(call, current, call.zxid, new)
    if not exists then znode.create(path, { parents = true }) end
    znode.create(staged_path(path), { data = json.encode({ revision = call.zxid, values = new,
      percent = call.args.percent }) })
    return { revision = call.zxid }
  end,
}

config.spread = operation {
  doc  = "Show the staged revision to more or fewer; to all, or to nobody any more.",
  args = { path = "path", revision = { type = "integer", min = 1 },
    percent = { type = "integer", min = 0, max = 100 } },
  run  = function(call)
    local path, percent = call.args.path, call.args.percent
    local current, exists = read(path)
    local staged = staged_at(path)
    if not staged or staged.revision ~= call.args.revision then
      fail("NoNode", "that revision is not staged")
    end
    if percent > 0 and percent < 100 then
      staged.percent = percent
      znode.set(staged_path(path), json.encode(staged))
      return { revision = staged.revision }
    end
    znode.delete(staged_path(path))
    if percent == 0 then return { revision = current.revision } end
    return publish(call, current, exists, staged.revision, staged.values)
  end,
}

config.set_validator = operation {
  doc  = "Have an operation judge all that is published at `path`.",
  args = { path = "path",
    operation = { type = "string", optional = true, min = 1, max = 256 } },
  run  = function(call)
    local path, current, exists = call.args.path, read(call.args.path)
    current.validator = call.args.operation
    local data = json.encode(current)
    if exists then
      znode.set(path, data)
    else
      znode.create(path, { data = data, parents = true })
    end
    return true
  end,
}

return config
