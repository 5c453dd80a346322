--- Work queue: every message is taken by one consumer at a time, until one says that it is done.
-- queue.put
-- Arguments  path     the znode that stands for the queue; created if missing
--            data     the message, up to 48 KB as JSON writes it
--            priority 0 to 999, smaller ones are taken first; default: 100
--            delay    nobody gets it before so much log time has passed; default: none
--            key      while a message with this key is in the queue, no second one gets in
--            wait     whether to wait for room in a full queue; default: true
--            timeout  how long to wait, "250ms" or "10s"; default: for ever
-- Result     id       of the message; of a delayed one, until it is due
--            duplicate  true if `key` was there: `id` is that message's, and nothing was put
-- Errors     Limit    the queue is full, and `wait` is false; or the message is too large
--            Timeout  there was no room in time; Lost: somebody deleted the ticket; NoAuth
--
-- queue.take
-- Arguments  path
--            count    at most so many messages, 1 to 100, and 8 KB unless one alone has more;
--                     default: 1
--            visibility  who has not acknowledged a message in so much log time loses it; default:
--                     only who loses the session
--            wait     whether to wait for a message; default: true
--            timeout  how long to wait, "250ms" or "10s"; default: for ever
-- Result     a list of { id, fence, data, deliveries, key }; deliveries: 1 for who is the first to
--                     get it. Empty if there is none and `wait` is false
-- Errors     Timeout, Lost, NoAuth
--
-- queue.ack           the message is done and goes
-- queue.nack          it goes back to its old place, at the head, or with `delay` behind that time
-- queue.extend        `visibility` begins anew
-- Arguments  path, id, fence  as queue.take returned them
--            delay (nack), visibility (extend)  as above
-- Result     true
-- Errors     NotOwner the message is not the caller's (any more)
--
-- queue.remove
-- Arguments  path
--            id       of a message that nobody has taken, or of a dead one; or
--            key      the key of a message that nobody has taken
-- Result     true; false if there is no such message, or somebody has taken it
--
-- queue.peek, queue.dead
-- Arguments  path, limit  1 to 100; default: 10
-- Result     a list of { id, data, deliveries, key }: the next that would be taken; the dead ones
--
-- queue.revive
-- Arguments  path, id  of a dead message: it is put again, with no deliveries
-- Result     id       its new one
-- Errors     NoNode   there is no such dead message
--
-- queue.stats
-- Result     ready, delayed, in_flight, dead, takers and putters that wait, capacity,
--            deliveries_max. What has become due since the last take is counted where it was
--
-- queue.configure
-- Arguments  path
--            capacity how many messages the queue holds, dead ones apart; 0: no bound
--            deliveries_max  who was delivered so often and comes back is dead; 0: never
-- Result     true
--
-- Order      by priority, then first in, first out, delayed ones as of when they are due; what
--            comes back goes to its old place
-- Fairness   takers, and putters that wait for room, are served in the order of asking
-- Fencing    an acknowledgement counts only with the fence of the last delivery, in its session
-- Wakes      per message the first taker, who gets it, and the next, who moves up
-- Survives   the leader's death; a consumer's: the end of its session gives back what it had
-- Limits     64 messages, or 64 KB, come back and as much becomes due in one take, the rest in the
--            next. A message that is not UTF-8 needs a consumer that speaks MessagePack. The work
--            of a request does not depend on the queue's length
-- kazoo's LockingQueue puts into and takes from the same znodes: `entries` and `taken` are its.
-- What it has taken nobody else gets; its entries beyond 48 KB are left to its clients. What comes
-- back from a session that has ended, or is due, they see when somebody calls queue.take.
local queue = {}
local DATA_MAX, BATCH_BYTES, MOVES_MAX = 48 * 1024, 8 * 1024, 64
-- Of what comes back, and of what becomes due, in one take: a transaction has an end.
local MOVES_BYTES = 64 * 1024
-- Sequence numbers end at 2^31: an empty queue begins them anew when half of that is used.
local RENUMBER = 1000000000

-- A message is a child of exactly one of these, below `path`:
--   entries   entry-PPP-N, ready. The bare data; what else there is to know, in `meta` if need be
--   delayed   T-new-PPP-N, put with a delay, or T-entry-PPP-N, given back with one
--   inflight  S-entry-PPP-N, taken by session S
--   dead      entry-PPP-N-M
-- The last three begin with a line of JSON. Indexes, which make nothing slower that is longer:
--   due       T-S-entry-PPP-N: when it comes back; sessions: who has taken anything, ephemeral;
--   keys      k-KEY: the path of the message that has it; takers, putters: who waits, ephemeral

local function wrapped(head, data) return json.encode(head) .. "\n" .. data end

local function unwrapped(text)
  local head, data = text:match("^([^\n]*)\n(.*)$")
  return json.decode(head), data
end

local function time_name(time, name) return string.format("%016.0f-%s", time, name) end

local function key_path(path, key)
  return path .. "/keys/k-" .. key:gsub("[^%w_.-]", function(c)
    return string.format("%%%02X", c:byte())
  end)
end

local function settings(path)
  local data = znode.get(path .. "/settings")
  return data and json.decode(data) or { capacity = 0, deliveries_max = 0 }
end

local function length(path)
  return znode.count(path .. "/entries") + znode.count(path .. "/delayed")
    + znode.count(path .. "/inflight")
end

-- There is room: the first of those who wait for it runs again, and looks.
local function make_room(path)
  local first = znode.first_child(path .. "/putters", { by = "creation" })
  if first then znode.set(first, "") end
end

-- ---- From one place to another ----

-- The message is at `to` now; nil: it is not in the queue any more.
local function key_follows(path, key, to)
  if not key then return end
  if not to then
    znode.delete(key_path(path, key))
  elseif znode.exists(key_path(path, key)) then
    znode.set(key_path(path, key), to)
  else
    znode.create(key_path(path, key), { data = to, parents = true })
  end
end

local function entries_make(path)
  local entries, stat = path .. "/entries", znode.stat(path .. "/entries")
  if stat and stat.cversion > RENUMBER and length(path) == 0 then
    for _, name in ipairs(znode.children(path .. "/meta", { limit = 1000 })) do
      znode.delete(path .. "/meta/" .. name) -- of messages that kazoo's consumers have taken
    end
    znode.delete(entries)
    stat = nil
  end
  if not stat then znode.create(entries, { parents = true }) end
end

-- Make a message ready: under `name`, or behind all others of its priority.
local function make_ready(path, name, priority, head, data)
  entries_make(path)
  local made = znode.create(path .. "/entries/" .. (name or string.format("entry-%03d-", priority)),
    { data = data, sequential = not name })
  local id = made:match("[^/]+$")
  if head.key or head.deliveries > 0 then
    znode.create(path .. "/meta/" .. id, {
      data = json.encode({ key = head.key, deliveries = head.deliveries }), parents = true })
  end
  key_follows(path, head.key, made)
  return id
end

-- Take what is known of a ready message out of `meta`.
local function meta_take(path, id)
  local data = znode.count(path .. "/meta") > 0 and znode.get(path .. "/meta/" .. id)
  if not data then return { deliveries = 0 } end
  znode.delete(path .. "/meta/" .. id)
  return json.decode(data)
end

-- Take a message from its consumer: S-ID, by the session and the id.
local function inflight_remove(path, name, head)
  znode.delete(path .. "/inflight/" .. name)
  if head.due then znode.delete(path .. "/due/" .. time_name(head.due, name)) end
end

local function dies(head, limits)
  return limits.deliveries_max > 0 and head.deliveries >= limits.deliveries_max
end

-- The consumer S has not acknowledged S-ID: to the head, behind `time`, or to the dead.
local function give_back(path, name, limits, time)
  local head, data = unwrapped((znode.get(path .. "/inflight/" .. name)))
  local id = name:sub(18)
  inflight_remove(path, name, head)
  head.due, head.fence = nil, nil
  if dies(head, limits) then
    znode.create(path .. "/dead/" .. id .. "-",
      { data = wrapped(head, data), sequential = true, parents = true })
    key_follows(path, head.key, nil)
    make_room(path)
  elseif time then
    local to = path .. "/delayed/" .. time_name(time, id)
    znode.create(to, { data = wrapped(head, data), parents = true })
    key_follows(path, head.key, to)
  else
    make_ready(path, id, nil, head, data)
  end
end

local function become_ready(path, name)
  local head, data = unwrapped((znode.get(path .. "/delayed/" .. name)))
  znode.delete(path .. "/delayed/" .. name)
  local kind, priority = name:match("^%d+%-(%l+)%-(%d+)")
  make_ready(path, kind == "entry" and name:sub(18) or nil, tonumber(priority), head, data)
end

-- ---- What time and death have brought ----

-- Children of an index by time that are due.
local function ripe(parent, now)
  local names, limit = {}, time_name(now, "~")
  local first = znode.children(parent, { limit = 1 })[1]
  if not first or first > limit then return names end
  for _, name in ipairs(znode.children(parent, { limit = MOVES_MAX })) do
    if name < limit then table.insert(names, name) end
  end
  return names
end

-- Whether a session that takes messages has begun or ended since the dead ones were last looked
-- for: the data of `sessions` is its pzxid as of then.
local function sessions_changed(path)
  local data, stat = znode.get(path .. "/sessions")
  return not stat or data ~= string.format("%.0f", stat.pzxid)
end

-- Messages of sessions that have ended: one look per session that has any, however many it has.
local function left_behind(path)
  local names, from = {}, nil
  if not sessions_changed(path) then return names end
  repeat
    local page = znode.children(path .. "/inflight", { limit = 1, from = from })
    local owner = page[1] and page[1]:sub(1, 16)
    if owner and not session.alive(owner) then
      page = znode.children(path .. "/inflight", { limit = MOVES_MAX - #names, from = from })
      for _, name in ipairs(page) do
        if name:sub(1, 16) == owner then table.insert(names, name) end
      end
    end
    from = owner and owner .. "." -- behind all that begin with owner .. "-"
  until not owner or #names == MOVES_MAX
  return names
end

-- As many of the first of `names` as one take can move: at least one.
local function movable(parent, names)
  local list, bytes = {}, 0
  for i, name in ipairs(names) do
    bytes = bytes + znode.stat(parent .. "/" .. name).data_length
    if i > MOVES_MAX or i > 1 and bytes > MOVES_BYTES then break end
    list[i] = name
  end
  return list
end

-- What comes back, or becomes ready, by now. `live`: some of it can be taken then. `all`: nothing
-- will be left behind by sessions that have ended.
local function returns(path, now)
  local delayed = path .. "/delayed"
  local found = { back = left_behind(path), delayed = movable(delayed, ripe(delayed, now)) }
  local seen, left = {}, #found.back
  for _, name in ipairs(found.back) do seen[name] = true end
  for _, name in ipairs(ripe(path .. "/due", now)) do
    if not seen[name:sub(18)] then table.insert(found.back, name:sub(18)) end
  end
  found.back = movable(path .. "/inflight", found.back)
  found.all = left < MOVES_MAX and #found.back >= left
  found.live, found.limits = #found.delayed > 0, #found.back > 0 and settings(path)
  for _, name in ipairs(found.back) do
    if found.live then break end
    found.live = not dies(unwrapped((znode.get(path .. "/inflight/" .. name))), found.limits)
      and not znode.exists(path .. "/taken/" .. name:sub(18))
  end
  return found
end

local function settle(path, found)
  for _, name in ipairs(found.back) do give_back(path, name, found.limits) end
  for _, name in ipairs(found.delayed) do become_ready(path, name) end
end

-- When the next message comes back or becomes ready; nil: none does.
local function next_time(path, now)
  local first
  for _, index in ipairs { "/delayed", "/due" } do
    local name = znode.exists(path .. index)
      and znode.children(path .. index, { limit = 1, from = time_name(now, "~") })[1]
    local time = name and tonumber(name:sub(1, 16))
    if time and (not first or time < first) then first = time end
  end
  return first
end

-- ---- Taking ----

-- Up to `count` ready messages that no client of kazoo's has taken: a list of { id, data }.
local function ready(path, count)
  local entries, found, bytes, from = path .. "/entries", {}, 0, nil
  local theirs = znode.count(path .. "/taken") > 0
  repeat
    local names = znode.children(entries, { limit = count, from = from })
    for _, name in ipairs(names) do
      local size = znode.stat(entries .. "/" .. name).data_length
      if size <= DATA_MAX and not (theirs and znode.exists(path .. "/taken/" .. name)) then
        bytes = bytes + size
        if #found == count or #found > 0 and bytes > BATCH_BYTES then return found end
        table.insert(found, { id = name, data = (znode.get(entries .. "/" .. name)) })
      end
      from = name
    end
  until #found == count or #names < count
  return found
end

-- Mark the session as one that takes messages, so that its end will be noticed. `all`: nobody's
-- messages are left behind now.
local function session_mark(call, all)
  local path = call.args.path .. "/sessions"
  if not znode.exists(path .. "/" .. call.session) then
    znode.create(path .. "/" .. call.session, { ephemeral = true, parents = true })
  end
  if all and sessions_changed(call.args.path) then
    znode.set(path, string.format("%.0f", znode.stat(path).pzxid))
  end
end

local function serve(call, messages)
  local path, visibility = call.args.path, call.args.visibility
  local result, due = json.list(), visibility and call.now + visibility
  for _, message in ipairs(messages) do
    local id, name = message.id, call.session .. "-" .. message.id
    local head = meta_take(path, id)
    head.deliveries, head.fence, head.due = head.deliveries + 1, call.zxid, due
    znode.delete(path .. "/entries/" .. id)
    znode.create(path .. "/inflight/" .. name,
      { data = wrapped(head, message.data), parents = true })
    if due then znode.create(path .. "/due/" .. time_name(due, name), { parents = true }) end
    key_follows(path, head.key, path .. "/inflight/" .. name)
    table.insert(result, { id = id, fence = call.zxid, data = message.data,
                           deliveries = head.deliveries, key = head.key })
  end
  return result
end

-- Where the caller stands among those who wait in `line`: its ticket if it has one; who is ahead.
local function place(call, line)
  local ticket = call:recall("ticket")
  if not ticket then return nil, znode.first_child(line, { by = "creation" }) end
  local stat = znode.stat(ticket)
  if not stat or stat.owner ~= call.session then fail("Lost", ticket .. " was deleted") end
  return ticket, znode.sibling_before(ticket, { by = "creation" })
end

local function stand_in_line(call, line)
  local ticket = call:once("ticket", function()
    return znode.create(line .. "/t-", { ephemeral = true, sequential = true, parents = true })
  end)
  return ticket, znode.sibling_before(ticket, { by = "creation" })
end

queue.take = operation {
  doc  = "Take messages from the queue at `path`.",
  args = { path = "path", count = { type = "integer", default = 1, min = 1, max = 100 },
           visibility = { type = "duration", optional = true, min = 1 },
           wait = { type = "boolean", default = true }, timeout = "duration?" },
  run  = function(call)
    local path = call.args.path
    local line = path .. "/takers"
    local ticket, ahead = place(call, line)
    if not ahead then
      local found = returns(path, call.now)
      -- A run that waits may have no effects: the dead alone stay where they are, for the next one.
      if found.live then settle(path, found) end
      local messages = ready(path, call.args.count)
      if #messages > 0 or not call.args.wait then
        if not found.live then settle(path, found) end
        znode.delete(ticket)
        if #messages > 0 then session_mark(call, found.all) end
        return serve(call, messages)
      end
    elseif not call.args.wait then
      return json.list()
    end
    ticket, ahead = stand_in_line(call, line)
    if ahead then call:wait { deleted = { ahead, ticket } } end
    call:wait { children = { path .. "/entries", path .. "/sessions", path .. "/taken" },
                deleted = ticket, at = next_time(path, call.now) }
  end,
}

-- ---- Putting ----

queue.put = operation {
  doc  = "Put a message into the queue at `path`.",
  args = { path = "path", data = "bytes", delay = "duration?", timeout = "duration?",
           priority = { type = "integer", default = 100, min = 0, max = 999 },
           key = { type = "string", optional = true, min = 1, max = 128 },
           wait = { type = "boolean", default = true } },
  run  = function(call)
    local args, path = call.args, call.args.path
    local text, encoded = pcall(json.encode, args.data)
    if math.max(#args.data, text and #encoded or 0) > DATA_MAX then fail("Limit", "too large") end

    local other = args.key and znode.get(key_path(path, args.key))
    if other and znode.exists(other) then
      znode.delete(call:recall("ticket"))
      local id = other:match("[^/]+$")
      return { id = other:match("/inflight/") and id:sub(18) or id, duplicate = true }
    end

    local capacity, line = settings(path).capacity, path .. "/putters"
    if capacity > 0 then
      local ticket, ahead = place(call, line)
      if ahead or length(path) >= capacity then
        if not args.wait then fail("Limit", "the queue is full") end
        ticket, ahead = stand_in_line(call, line)
        if ahead then call:wait { deleted = { ahead, ticket } } end
        call:wait { changed = ticket, children = path .. "/taken" }
      end
    end
    znode.delete(call:recall("ticket"))

    local head = { key = args.key, deliveries = 0 }
    if not args.delay or args.delay == 0 then
      return { id = make_ready(path, nil, args.priority, head, args.data) }
    end
    local name = time_name(call.now + args.delay, string.format("new-%03d-", args.priority))
    local made = znode.create(path .. "/delayed/" .. name,
      { data = wrapped(head, args.data), sequential = true, parents = true })
    key_follows(path, args.key, made)
    return { id = made:match("[^/]+$") }
  end,
}

-- ---- Answering for what was taken ----

local function owned(call)
  local path, name = call.args.path, call.session .. "-" .. call.args.id
  local text = not name:find("/", 1, true) and znode.get(path .. "/inflight/" .. name)
  if not text then fail("NotOwner", "the message is not the caller's") end
  local head, data = unwrapped(text)
  if head.fence ~= call.args.fence then fail("NotOwner", "it was delivered again since") end
  return name, head, data
end

queue.ack = operation {
  doc  = "A message that was taken is done.",
  args = { path = "path", id = "string", fence = "integer" },
  run  = function(call)
    local name, head = owned(call)
    inflight_remove(call.args.path, name, head)
    key_follows(call.args.path, head.key, nil)
    make_room(call.args.path)
    return true
  end,
}

queue.nack = operation {
  doc  = "Give a message that was taken back.",
  args = { path = "path", id = "string", fence = "integer", delay = "duration?" },
  run  = function(call)
    local delay = call.args.delay or 0
    give_back(call.args.path, (owned(call)), settings(call.args.path),
      delay > 0 and call.now + delay or nil)
    return true
  end,
}

queue.extend = operation {
  doc  = "Keep a message that was taken for another `visibility`.",
  args = { path = "path", id = "string", fence = "integer",
           visibility = { type = "duration", min = 1 } },
  run  = function(call)
    local path, name, head, data = call.args.path, owned(call)
    inflight_remove(path, name, head)
    head.due = call.now + call.args.visibility
    znode.create(path .. "/inflight/" .. name, { data = wrapped(head, data), parents = true })
    znode.create(path .. "/due/" .. time_name(head.due, name), { parents = true })
    return true
  end,
}

-- ---- Looking, and looking after ----

-- The path of a message that nobody has taken, or that is dead; nil if there is none.
local function at_rest(path, id)
  if id:find("/", 1, true) then return nil end
  for _, place_name in ipairs { "/entries/", "/delayed/", "/dead/" } do
    if id ~= "" and znode.exists(path .. place_name .. id) then return path .. place_name .. id end
  end
end

queue.remove = operation {
  doc  = "Remove a message that nobody has taken, by its id or its key.",
  args = { path = "path", id = "string?", key = "string?" },
  run  = function(call)
    local path, key, at = call.args.path, call.args.key, nil
    if call.args.id then at = at_rest(path, call.args.id) end
    if key then
      at = znode.get(key_path(path, key))
      at = at and not at:find("/inflight/", #path, true) and znode.exists(at) and at
    end
    local id = at and at:match("[^/]+$")
    if not at or znode.exists(path .. "/taken/" .. id) then return false end
    local head = at:find("/entries/", #path, true) and meta_take(path, id)
      or unwrapped((znode.get(at)))
    znode.delete(at)
    if not at:find("/dead/", #path, true) then
      key_follows(path, head.key, nil)
      make_room(path)
    end
    return true
  end,
}

local page = { type = "integer", default = 10, min = 1, max = 100 }

queue.peek = operation {
  doc  = "The next messages of the queue at `path`; they stay there.",
  args = { path = "path", limit = page },
  reads_only = true,
  run  = function(call)
    local messages, result = ready(call.args.path, call.args.limit), json.list()
    for _, message in ipairs(messages) do
      local meta = znode.get(call.args.path .. "/meta/" .. message.id)
      local head = meta and json.decode(meta) or { deliveries = 0 }
      table.insert(result, { id = message.id, data = message.data, key = head.key,
                             deliveries = head.deliveries })
    end
    return result
  end,
}

queue.dead = operation {
  doc  = "The dead messages of the queue at `path`.",
  args = { path = "path", limit = page },
  reads_only = true,
  run  = function(call)
    local dead, result, bytes = call.args.path .. "/dead", json.list(), 0
    for _, id in ipairs(znode.children(dead, { limit = call.args.limit })) do
      local head, data = unwrapped((znode.get(dead .. "/" .. id)))
      bytes = bytes + #data
      if #result > 0 and bytes > BATCH_BYTES then break end
      table.insert(result, { id = id, data = data, deliveries = head.deliveries, key = head.key })
    end
    return result
  end,
}

queue.revive = operation {
  doc  = "Put a dead message into the queue again.",
  args = { path = "path", id = "string" },
  run  = function(call)
    local path, id = call.args.path, call.args.id
    local at = path .. "/dead/" .. id
    if id == "" or id:find("/", 1, true) or not znode.exists(at) then fail("NoNode", id) end
    local _, data = unwrapped((znode.get(at)))
    znode.delete(at)
    local priority = tonumber(id:match("^entry%-(%d+)"))
    return { id = make_ready(path, nil, priority, { deliveries = 0 }, data) }
  end,
}

queue.stats = operation {
  doc  = "How many messages there are, and who waits.",
  args = { path = "path" },
  reads_only = true,
  run  = function(call)
    local path, limits = call.args.path, settings(call.args.path)
    local function count(name) return znode.count(path .. "/" .. name) end
    return {
      ready = count("entries") - count("taken"), delayed = count("delayed"),
      in_flight = count("inflight"), dead = count("dead"),
      takers = count("takers"), putters = count("putters"),
      capacity = limits.capacity, deliveries_max = limits.deliveries_max,
    }
  end,
}

queue.configure = operation {
  doc  = "Bound the queue, and how often a message is delivered.",
  args = { path = "path", capacity = { type = "integer", default = 0, min = 0 },
           deliveries_max = { type = "integer", default = 0, min = 0 } },
  run  = function(call)
    local at = call.args.path .. "/settings"
    local data = json.encode({ capacity = call.args.capacity,
                               deliveries_max = call.args.deliveries_max })
    if znode.exists(at) then
      znode.set(at, data)
    else
      znode.create(at, { data = data, parents = true })
    end
    make_room(call.args.path)
    return true
  end,
}

return queue
