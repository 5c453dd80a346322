--- Party: who is here, by id, and what has changed since.
-- party.join
-- Arguments  path     the znode that stands for the party; created, as a container, if missing
--            id       the member's name, 1 to 100 bytes without "/"
--            data     what others shall read of it, up to 1,000 bytes; default: the id
--            takeover whoever has the id loses it to the caller; default: Conflict
-- Result     ticket   the member's znode; gone with party.leave or the end of the session
--            fence    the zxid at which it joined
--            party, version   the party as it is now; see party.changes
-- Errors     Conflict somebody has the id, or the znode holds something else than a party
--            Limit    the ids of all members fill 45 KB: some 900 of 32 bytes
--            NoAuth   the caller may not create below path
--
-- party.leave
-- Arguments  path, id as given to party.join
-- Result     true     it is gone, and will not come back by itself
-- Errors     NotOwner the id is another's, or has left already, or is gone with its session
--
-- party.members
-- Arguments  path     as given to party.join
--            from     the id after which to begin; default: the first one
--            limit    how many at most, 1 to 100; default: 100
-- Result     a list in the order of ids, of id, fence, session and data
-- Errors     NoAuth   the caller may not read it
--
-- party.changes
-- Arguments  path     as given to party.join
--            party, since   `party` and `version` of the last answer; default: answer at once
--            timeout  how long to wait for a change; default: for ever
-- Result     party, version   to be given with the next call
--            changes  a list, in the order in which they happened, of version, event ("joined",
--                     "left", "replaced"), id, fence; a version for each, without gaps; or
--            members  what the caller knows is too old, or of a party that is gone: all ids, with
--                     their fences, to begin anew with
-- Errors     Timeout  nothing has changed
--            Limit    as of party.join, by members of kazoo's
--            Conflict the znode holds something else than a party
--            NoAuth   the caller may not read or change it
-- Fairness   all who wait are told
-- Fencing    an id that was taken over has a larger fence; the former member's is refused
-- Wakes      everybody who waits for changes, at each of them
-- Survives   the leader's death, at every step; a parked call goes on under its successor
--
-- A takeover is one change: nobody ever sees the id missing, or twice.
-- 100 changes are kept, and all of them go, as the party does, when nobody was there for a while.
-- kazoo's Party is the same znodes: its members are members here, and ours there.
local party = {}
local MARK = "__party__"
local CHANGES_KEPT = 100
local MEMBERS_BYTES_MAX = 45000

-- The invariant: the members are the znodes named ID__party__, and nothing else says so. The
-- party's znode has a record of them that may be behind, as sessions end without a word: whoever
-- looks for changes brings it up to date first, with a version for each.

local function ticket_of(path, id)
  if id:find("/", 1, true) then fail("BadArguments", "an id is part of a znode's name") end
  return path .. "/" .. id .. MARK
end

local function id_of(name)
  return name:match("^(.+)" .. MARK .. "$")
end

local function recorded(path, data)
  if data == "" then return { version = 0, members = {}, changes = json.list() } end
  local decoded, record = pcall(json.decode, data)
  if not decoded or type(record) ~= "table" or not (record.version and record.members) then
    fail("Conflict", path .. " holds something else than a party")
  end
  return record
end

local function fences_at(path)
  local fences = {}
  for _, name in ipairs(znode.children(path, { like = MARK })) do
    local id = id_of(name)
    if id then fences[id] = znode.stat(path .. "/" .. name).czxid end
  end
  return fences
end

local function note(record, event, id, fence)
  record.version = record.version + 1
  table.insert(record.changes,
    { version = record.version, event = event, id = id, fence = fence })
  if #record.changes > CHANGES_KEPT then table.remove(record.changes, 1) end
end

-- The record, brought up to date, and the party's czxid, which tells it from those before it; nil
-- if there is no party. Nothing is written if nothing has changed.
local function census(path)
  local data, stat = znode.get(path)
  if not data then return nil end
  local record = recorded(path, data)
  if record.cversion == stat.cversion then return record, stat.czxid end

  local version, here = record.version, fences_at(path)
  for id, fence in pairs(record.members) do
    if not here[id] then note(record, "left", id, fence) end
  end
  for id, fence in pairs(here) do
    local before = record.members[id]
    if before ~= fence then note(record, before and "replaced" or "joined", id, fence) end
  end
  if record.version ~= version then
    record.members, record.cversion = here, stat.cversion
    if #json.encode(here) > MEMBERS_BYTES_MAX then fail("Limit", "too many members") end
    znode.set(path, json.encode(record))
  end
  return record, stat.czxid
end

party.join = operation {
  doc  = "Become a member of the party at `path`.",
  args = {
    path = "path",
    id = { type = "string", min = 1, max = 100 },
    data = { type = "bytes", optional = true, max = 1000 },
    takeover = "boolean?",
  },
  run  = function(call)
    local path, id = call.args.path, call.args.id
    local ticket = ticket_of(path, id)
    if znode.exists(ticket) then
      if not call.args.takeover then fail("Conflict", "somebody has the id " .. id) end
      znode.delete(ticket)
    end
    znode.create(ticket, { ephemeral = true, parents = true, data = call.args.data or id })
    local record, czxid = census(path)
    return { ticket = ticket, fence = call.zxid, party = czxid, version = record.version }
  end,
}

party.leave = operation {
  doc  = "Leave the party at `path`.",
  args = { path = "path", id = { type = "string", min = 1, max = 100 } },
  run  = function(call)
    local ticket = ticket_of(call.args.path, call.args.id)
    local stat = znode.stat(ticket)
    if not stat or stat.owner ~= call.session then fail("NotOwner") end
    znode.delete(ticket)
    census(call.args.path)
    return true
  end,
}

party.members = operation {
  doc  = "Who is in the party at `path`.",
  args = {
    path = "path",
    from = { type = "string", optional = true, min = 1, max = 100 },
    limit = { type = "integer", default = 100, min = 1, max = 100 },
  },
  reads_only = true,
  run  = function(call)
    local path, members = call.args.path, json.list()
    local page = { like = MARK, limit = call.args.limit }
    page.from = call.args.from and call.args.from .. MARK
    for _, name in ipairs(znode.children(path, page)) do
      local data, stat = znode.get(path .. "/" .. name)
      table.insert(members,
        { id = id_of(name), fence = stat.czxid, session = stat.owner, data = data })
    end
    return members
  end,
}

party.changes = operation {
  doc  = "Wait until the party at `path` is another than the caller knows.",
  args = { path = "path", party = "integer?", since = "integer?", timeout = "duration?" },
  run  = function(call)
    local path, since = call.args.path, call.args.since
    local record, czxid = census(path)
    record, czxid = record or { version = 0, members = {}, changes = json.list() }, czxid or 0
    if call.args.party == czxid and since == record.version then
      call:wait { children = path, all = true }
    end

    local answer = { party = czxid, version = record.version }
    local oldest = record.version - #record.changes
    if call.args.party ~= czxid or not since or since < oldest or since > record.version then
      answer.members = record.members
      return answer
    end
    answer.changes = json.list()
    for i = since - oldest + 1, #record.changes do
      table.insert(answer.changes, record.changes[i])
    end
    return answer
  end,
}

return party
