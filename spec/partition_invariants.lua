--- What holds of recipes/partition.lua whatever happens.
local PATH, PARTITIONS = "/work/shards", 5
local IDS = { "a", "b", "c" }

-- { id, owner, version, owned, revoked } of each member; maps of partition to fence, or zxid.
local function members(run)
  local list = {}
  for _, name in ipairs(run.world:children(PATH) or {}) do
    local znode = run.world:znode(PATH .. "/" .. name)
    local member = { id = name:match("^member%-(.+)$"), owner = znode.owner, owned = {},
      revoked = {}, fence = znode.czxid }
    for partition, fence in znode.data:match('"owned":(%b{})'):gmatch('"(%d+)":(%d+)') do
      member.owned[partition] = tonumber(fence)
    end
    for partition, at in znode.data:match('"revoked":(%b{})'):gmatch('"(%d+)":{"at":(%d+)') do
      member.revoked[partition] = tonumber(at)
    end
    member.version = tonumber(znode.data:match('"version":(%d+)'))
    table.insert(list, member)
  end
  return list
end

local function one_owner(run, list)
  local owners = {}
  for _, member in ipairs(list) do
    for partition, fence in pairs(member.owned) do
      if owners[partition] then
        error(("%s is owned by %s and %s"):format(partition, owners[partition], member.id))
      end
      owners[partition] = member.id
      local key = "fence of " .. partition
      if fence < (run.state[key] or 0) then
        error(partition .. " has a smaller fence than before")
      end
      if fence == run.state[key] and run.state[key .. " owner"] ~= member.fence then
        error(partition .. " has another owner, with the same fence")
      end
      run.state[key], run.state[key .. " owner"] = fence, member.fence
    end
  end
  return owners
end

-- Who waits has been told all: nothing was assigned or revoked since. And with somebody there to
-- do it, whatever is not held back is shared out.
local function nothing_untold(run, list, owners)
  local held_back, waits = {}, false
  for _, member in ipairs(list) do
    for partition in pairs(member.revoked) do held_back[partition] = true end
    for _, call in ipairs(run:waiting("partition.changes")) do
      if call.session.id == member.owner and call.arguments.id == member.id and
        call.session:connected() then
        waits = true
        if member.version > call.arguments.since then
          error(member.id .. " waits, and something has changed for it")
        end
      end
    end
  end
  if not waits then return end
  for number = 0, PARTITIONS - 1 do
    local partition = tostring(number)
    if not owners[partition] and not held_back[partition] then
      error(partition .. " is nobody's, and somebody waits")
    end
  end
end

-- What the members were told, one answer after another, is what they own.
local function told(run, session, id)
  local view, since, joined = {}, nil, nil
  for _, call in ipairs(run.calls) do
    local mine = call.session == session and call.arguments.id == id
    local ended = mine and not call:waiting() and not call:error()
    if ended and call.operation == "partition.join" then
      view, since, joined = {}, call:result().version, call:result().fence
    end
    if ended and (call.operation == "partition.join" or
      (call.operation == "partition.changes" and call.arguments.since == since)) then
      for partition, fence in pairs(call:result().assigned) do view[partition] = fence end
      for _, number in ipairs(call:result().revoked) do view[tostring(number)] = nil end
      since = call:result().version
    end
  end
  return view, since, joined
end

-- The session of a member, if it is connected.
local function session_of(run, member)
  for _, session in ipairs(run.sessions) do
    if session.id == member.owner and session:connected() then return session end
  end
end

local function told_what_is(run, list)
  for _, member in ipairs(list) do
    local session = session_of(run, member)
    local view, since, joined = {}, nil, nil
    if session then view, since, joined = told(run, session, member.id) end
    if joined == member.fence and since == member.version then
      for partition, fence in pairs(member.owned) do
        if view[partition] ~= fence then error(member.id .. " was not told of a partition") end
      end
      for partition in pairs(view) do
        if not member.owned[partition] then
          error(member.id .. " was not told that it has lost a partition")
        end
      end
    end
  end
end

-- One of the members whose sessions are connected, with its session.
local function member_of(run)
  local found = {}
  for _, member in ipairs(members(run)) do
    local session = session_of(run, member)
    if session then table.insert(found, { session = session, member = member }) end
  end
  return run:one_of(found)
end

return {
  sessions = 4,
  actions = {
    {
      name = "join", weight = 4,
      run = function(run)
        run:start(run:session(), "partition.join", { path = PATH, id = run:one_of(IDS),
          partitions = PARTITIONS, weight = run:random(3), grace = "10s" })
      end,
    },
    {
      name = "ask for changes", weight = 8,
      run = function(run)
        local one = member_of(run)
        local _, since = told(run, one.session, one.member.id)
        run:start(one.session, "partition.changes", { path = PATH, id = one.member.id,
          since = since or 0, timeout = run:one_of { "1s", "30s", "1h" } })
      end,
    },
    {
      name = "acknowledge", weight = 5,
      run = function(run)
        local one, list = member_of(run), {}
        local _, since = told(run, one.session, one.member.id)
        for partition, at in pairs(one.member.revoked) do
          if at <= (since or 0) then table.insert(list, tonumber(partition)) end
        end
        if #list == 0 then run:skip() end
        table.sort(list)
        run:start(one.session, "partition.acknowledge",
          { path = PATH, id = one.member.id, partitions = list })
      end,
    },
    {
      name = "leave", weight = 2,
      run = function(run)
        local one = member_of(run)
        run:start(one.session, "partition.leave", { path = PATH, id = one.member.id })
      end,
    },
  },
  times = { "100ms", "1s", "9s", "11s" },
  check = function(run)
    local list = members(run)
    local owners = one_owner(run, list)
    nothing_untold(run, list, owners)
    told_what_is(run, list)
  end,
  may_wait = function(_, call) return call.operation == "partition.changes" end,
}
