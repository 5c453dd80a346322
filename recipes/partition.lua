--- Partitions: work that is shared out among members, and handed over when they come and go.
-- partition.join
-- Arguments  path     the znode that stands for the work; created, as a container, if missing
--            id       the member's name, 1 to 100 bytes without "/"
--            partitions  how many there are, 1 to 1,000; the same for all members
--            weight   the member's share, 1 to 1,000; default: 1
--            grace    how long a member may take to let go of a partition before another gets it,
--                     up to 1 h; the same for all members; default: 30 s
-- Result     ticket   the member's znode; gone with partition.leave or the end of the session
--            fence    the zxid at which it joined
--            version, assigned, revoked   as of partition.changes
-- Errors     Conflict somebody has the id, the members said another `partitions` or `grace`, or
--                     the znode holds something else
--            Limit    100 members are there
--            NoAuth   the caller may not create below path
--
-- partition.changes
-- Arguments  path, id as given to partition.join
--            since    the version of the last answer
--            timeout  how long to wait for a change; default: for ever
-- Result     version  for the next call
--            assigned what the member owns since then: partitions (0 to partitions - 1, as text)
--                     with a fence each
--            revoked  a list of those that it has to let go of: no longer its own, and to be
--                     acknowledged when it is done with them
--                     both may be empty, when the call has shared out what others get
-- Errors     Timeout  nothing has changed for this member
--            NotOwner the id is another's, or gone with its session
--
-- partition.acknowledge
-- Arguments  path, id as given to partition.join
--            partitions  a list of those that it has let go of
-- Result     true     others may have them now
-- Errors     NotOwner as of partition.changes
--
-- partition.leave
-- Arguments  path, id as given to partition.join
-- Result     true     others have all that it owned
-- Errors     NotOwner as of partition.changes
--
-- partition.check
-- Arguments  path, id as given to partition.join
--            partition, fence  what is about to be worked on, and its fence
-- Result     true     it is the member's own
-- Errors     NotOwner it is not, or not any more
-- Fairness   each has its weight's share, give or take one; no more partitions move than must
-- Fencing    a fence for each partition, larger than any of its former owners
-- Wakes      those alone for whom something has changed; one of them for each who goes
-- Survives   the leader's death, at every step; a parked call goes on under its successor
--
-- A partition goes from one live member to another in two steps: it is revoked, which ends the
-- owner's right to it at once, and assigned when the owner has acknowledged, or `grace` is over,
-- or its session has ended. Nobody but the two members is told. Whoever calls shares out what the
-- dead have left: at once if a member waits for changes, and else with the next call.
local partition = {}
local MEMBERS_MAX = 100
local OURS = "member-"

-- The invariant: what a member owns is what its znode says, `owned` with fences; so it goes with
-- its session. A partition is in `owned` of one member at most. `revoked` is what it has owned and
-- not acknowledged, with the zxid `at` which it was revoked and the time `till` which nobody else
-- gets it. What is in neither, of anybody, is free.

local function ticket_of(call)
  if call.args.id:find("/", 1, true) then
    fail("BadArguments", "an id is part of a znode's name")
  end
  return call.args.path .. "/" .. OURS .. call.args.id
end

local function read_own(call)
  local ticket = ticket_of(call)
  local data, stat = znode.get(ticket)
  if not data or stat.owner ~= call.session then fail("NotOwner") end
  return json.decode(data), ticket
end

-- What the members have agreed on: { partitions, grace }; nil if there is nobody yet.
local function terms_at(path)
  local data = znode.get(path)
  if not data or data == "" then return nil end
  local decoded, terms = pcall(json.decode, data)
  if not decoded or type(terms) ~= "table" or type(terms.partitions) ~= "number"
    or type(terms.grace) ~= "number" then
    fail("Conflict", path .. " holds something else")
  end
  return terms
end

-- All members; a znode that some other client has made is none.
local function members_at(path)
  local members = {}
  for _, name in ipairs(znode.children(path, { like = OURS })) do
    local data, stat = znode.get(path .. "/" .. name)
    local decoded, member = pcall(json.decode, data)
    if stat.owner and decoded and type(member) == "table" and type(member.weight) == "number"
      and type(member.owned) == "table" and type(member.revoked) == "table" then
      member.name, member.before, member.count = name, data, 0
      for _ in pairs(member.owned) do member.count = member.count + 1 end
      table.insert(members, member)
    end
  end
  return members
end

-- ---- Sharing out ----

-- How many each should own: its weight's share, rounded down, and one more for those who have the
-- largest remainders; of equals for those who own more already, so that fewer move.
local function set_targets(members, partitions)
  local weight, left = 0, partitions
  for _, member in ipairs(members) do weight = weight + member.weight end
  local order = {}
  for i, member in ipairs(members) do
    local share = partitions * member.weight
    member.target = math.floor(share / weight)
    member.remainder = share % weight
    left = left - member.target
    order[i] = member
  end
  table.sort(order, function(one, other)
    if one.remainder ~= other.remainder then return one.remainder > other.remainder end
    if one.count ~= other.count then return one.count > other.count end
    return one.name < other.name
  end)
  for i = 1, left do order[i].target = order[i].target + 1 end
end

local function assign(call, member, name)
  member.owned[name] = call.zxid
  member.revoked[name] = nil
  member.count = member.count + 1
  member.version = call.zxid
end

local function revoke_surplus(call, member, terms)
  local owned = {}
  for name in pairs(member.owned) do table.insert(owned, tonumber(name)) end
  table.sort(owned)
  for i = member.target + 1, #owned do
    local name = tostring(owned[i])
    member.owned[name] = nil
    member.revoked[name] = { at = call.zxid, till = call.now + terms.grace }
    member.version = call.zxid
  end
  member.count = math.min(member.count, member.target)
end

-- Who needs more has its own back first, of what nobody else can have yet.
local function take_back(call, member)
  for name, revoked in pairs(member.revoked) do
    if member.count < member.target and revoked.till > call.now then assign(call, member, name) end
  end
end

-- The names of the free ones, in order, and when the next of those that are held back is free.
local function find_free(call, members, partitions)
  local taken, next_free, free = {}, nil, {}
  for _, member in ipairs(members) do
    for name in pairs(member.owned) do taken[name] = true end
    for name, revoked in pairs(member.revoked) do
      if revoked.till > call.now then
        taken[name] = true
        next_free = math.min(next_free or revoked.till, revoked.till)
      end
    end
  end
  for number = 0, partitions - 1 do
    local name = tostring(number)
    if not taken[name] then table.insert(free, name) end
  end
  return free, next_free
end

local function write(path, member)
  local data = json.encode { weight = member.weight, owned = member.owned,
    revoked = member.revoked, retry = member.retry, version = member.version }
  if data == member.before then return false end
  znode.set(path .. "/" .. member.name, data)
  return true
end

-- Share out what is free, revoke what somebody has too much of. True if that changed anything.
local function balance(call)
  local path = call.args.path
  local terms, members = terms_at(path), members_at(path)
  if not terms or #members == 0 then return false end
  set_targets(members, terms.partitions)
  for _, member in ipairs(members) do
    revoke_surplus(call, member, terms)
    take_back(call, member)
  end
  local free, next_free = find_free(call, members, terms.partitions)
  local given, changed = 0, false
  for _, member in ipairs(members) do
    while member.count < member.target and given < #free do
      given = given + 1
      assign(call, member, free[given])
    end
    -- Who has too little wakes when the next one that is held back is free.
    member.retry = member.count < member.target and next_free or nil
    changed = write(path, member) or changed
  end
  return changed
end

-- What has changed for a member since it was last told.
local function news(member, since)
  local answer = { version = member.version, assigned = {}, revoked = json.list() }
  for name, fence in pairs(member.owned) do
    if fence > since then answer.assigned[name] = fence end
  end
  for name, revoked in pairs(member.revoked) do
    if revoked.at > since then table.insert(answer.revoked, tonumber(name)) end
  end
  table.sort(answer.revoked)
  return answer
end

-- ---- The operations ----

partition.join = operation {
  doc  = "Take a share of the work at `path`.",
  args = {
    path = "path",
    id = { type = "string", min = 1, max = 100 },
    partitions = { type = "integer", min = 1, max = 1000 },
    weight = { type = "integer", default = 1, min = 1, max = 1000 },
    grace = { type = "duration", default = 30000, max = 3600000 },
  },
  run  = function(call)
    local path, ticket = call.args.path, ticket_of(call)
    local terms = terms_at(path)
    if znode.count(path) == 0 then terms = nil end -- of those who have left
    if znode.exists(ticket) then fail("Conflict", "somebody has the id " .. call.args.id) end
    if terms and (terms.partitions ~= call.args.partitions or terms.grace ~= call.args.grace) then
      fail("Conflict", "the others have " .. terms.partitions .. " partitions and a grace of "
        .. terms.grace .. " ms")
    end
    if znode.count(path) >= MEMBERS_MAX then fail("Limit", "too many members") end

    znode.create(ticket, { ephemeral = true, parents = true, data = json.encode {
      weight = call.args.weight, owned = {}, revoked = {}, version = 0 } })
    if not terms then
      znode.set(path, json.encode { partitions = call.args.partitions, grace = call.args.grace })
    end
    balance(call)
    local answer = news(read_own(call), 0)
    answer.ticket, answer.fence = ticket, call.zxid
    return answer
  end,
}

partition.changes = operation {
  doc  = "Wait for what changes for the member `id`.",
  args = {
    path = "path",
    id = { type = "string", min = 1, max = 100 },
    since = "integer",
    timeout = "duration?",
  },
  run  = function(call)
    local member, ticket = read_own(call)
    if member.version <= call.args.since then
      local shared = balance(call)
      member = read_own(call)
      if member.version <= call.args.since and not shared then
        call:wait { changed = ticket, children = call.args.path, at = member.retry }
      end
    end
    return news(member, call.args.since)
  end,
}

partition.acknowledge = operation {
  doc  = "Say that the member `id` has let go of `partitions`.",
  args = {
    path = "path",
    id = { type = "string", min = 1, max = 100 },
    partitions = { type = "list", items = "integer", max = 1000 },
  },
  run  = function(call)
    local member, ticket = read_own(call)
    for _, number in ipairs(call.args.partitions) do member.revoked[tostring(number)] = nil end
    znode.set(ticket, json.encode(member))
    balance(call)
    return true
  end,
}

partition.leave = operation {
  doc  = "Give up the member `id`, and all that it owns.",
  args = { path = "path", id = { type = "string", min = 1, max = 100 } },
  run  = function(call)
    local _, ticket = read_own(call)
    znode.delete(ticket)
    balance(call)
    return true
  end,
}

partition.check = operation {
  doc  = "Whether a partition is the member's own.",
  args = {
    path = "path",
    id = { type = "string", min = 1, max = 100 },
    partition = "integer",
    fence = "integer",
  },
  reads_only = true,
  run  = function(call)
    local data = znode.get(ticket_of(call))
    local owned = data and json.decode(data).owned or {}
    if owned[tostring(call.args.partition)] ~= call.args.fence then fail("NotOwner") end
    return true
  end,
}

return partition
