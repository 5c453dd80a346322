--- Counting semaphore: at most `limit` permits per path are held; the limit is state, not a habit.
-- semaphore.set_limit
-- Arguments  path       the znode that stands for the semaphore; created if missing
--            limit      0 to 4,000 permits; 0 closes it
-- Result     limit held remaining: below 0 is a debt, which releases pay: nobody is deprived
--
-- semaphore.add
-- Arguments  path permits  how many more, or fewer if below 0
-- Result     as of set_limit
-- Errors     NoNode     nobody has set a limit
--            Limit      it would be below 0 or above 4,000
--
-- semaphore.acquire
-- Arguments  path
--            permits    how many, 1 to 64; default: 1
--            lease      after which they are free if nobody has released them; default: never
--            barge      true: if so many are left, take them at once, past who waits for more;
--                       default: false
--            timeout    how long to wait, "250ms" or "10s"; default: for ever
-- Result     permits    a list of znodes, a permit each: until semaphore.release, the end of the
--                       session or of the lease
--            fence      grows with every grant; give it to whatever is limited
--            remaining  permits that are left
-- Errors     Timeout    not granted in time; nothing is left behind
--            NoNode     nobody has set a limit
--            Limit      more permits than the limit, now or while it waits
--            NoAuth     the caller may not create below path
--            Lost       somebody deleted its place in the queue
--
-- semaphore.release
-- Arguments  permits    some or all of what one acquire returned
--            fence      as returned with them
-- Result     remaining
-- Errors     NotOwner   one of them is not the caller's, or was released, or its lease is over;
--                       none was released
--
-- semaphore.available   limit, held and remaining at `path`; reads only
--
-- Fairness   first asked, first granted: who wants many is not passed by who wants few, except by
--            those who barge; and these, too, wait in the queue if they do not find what they want
-- Fencing    the zxid of the grant, and the czxid of the permits
-- Wakes      one waiter per change, the one who asked first
-- Survives   the server's death, at every step
-- Limits     64 permits per call, 4,000 in all; one znode per permit and per waiter
--
-- Curator's InterProcessSemaphoreV2 shares queue and permits with ours, if its maximum is the
-- limit: it, too, queues in `path`/locks and keeps permits in `path`/leases. (kazoo's Semaphore
-- keeps no queue, so nobody can be fair to it.)
local semaphore = {}
local LIMIT_MAX = 4000
local contender = { by = "creation", like = "lock-" }

local function limit_of(path)
  local limit = znode.get(path .. "/limit")
  if not limit then fail("NoNode", "nobody has set a limit: semaphore.set_limit") end
  return tonumber(limit)
end

-- The names of permits that have a lease, the first to end first, up to `count`; and their ends.
local function leased(path, count)
  if not znode.exists(path .. "/leases") then return {}, {} end
  local names, ends = znode.children(path .. "/leases", { from = "until-", limit = count }), {}
  for i, name in ipairs(names) do ends[i] = tonumber(name:match("^until%-(%d+)%-")) end
  return names, ends
end

-- Permits whose lease is over stay until the next grant takes their place; they are not held.
local function state(call, path, limit)
  local over = 0
  repeat
    local asked = 2 * over + 16
    local _, ends = leased(path, asked)
    while ends[over + 1] and ends[over + 1] <= call.now do over = over + 1 end
  until over < asked
  local held = znode.count(path .. "/leases") - over
  return { limit = limit, held = held, remaining = limit - held }
end

semaphore.set_limit = operation {
  doc  = "Let `limit` permits of `path` be held.",
  args = { path = "path", limit = { type = "integer", min = 0, max = LIMIT_MAX } },
  run  = function(call)
    local path, limit = call.args.path, call.args.limit
    if znode.exists(path .. "/limit") then
      znode.set(path .. "/limit", tostring(limit))
    else
      znode.create(path .. "/limit", { data = tostring(limit), parents = true })
    end
    return state(call, path, limit)
  end,
}

semaphore.add = operation {
  doc  = "Let `permits` more of `path` be held.",
  args = { path = "path", permits = { type = "integer", min = -LIMIT_MAX, max = LIMIT_MAX } },
  run  = function(call)
    local path = call.args.path
    local limit = limit_of(path) + call.args.permits
    if limit < 0 or limit > LIMIT_MAX then fail("Limit", "the limit would be " .. limit) end
    znode.set(path .. "/limit", tostring(limit))
    return state(call, path, limit)
  end,
}

-- The ended leases whose place `wanted` permits need to take, as names; nil if even these do not
-- make room, and then when one more lease ends.
local function room_for(call, path, wanted, limit)
  local excess = znode.count(path .. "/leases") + wanted - limit
  if excess <= 0 then return {} end
  local names, ends = leased(path, excess)
  if (ends[excess] or math.huge) > call.now then return nil, ends[excess] end
  return names
end

local function grant(call, limit, over)
  local path, lease, permits = call.args.path, call.args.lease, {}
  for _, name in ipairs(over) do znode.delete(path .. "/leases/" .. name) end
  local name = lease and ("until-%016d-lease-"):format(call.now + lease) or "lease-"
  for i = 1, call.args.permits do
    permits[i] = znode.create(path .. "/leases/" .. name,
      { ephemeral = true, sequential = true, parents = true })
  end
  return { permits = permits, fence = call.zxid, remaining = state(call, path, limit).remaining }
end

-- The invariant: permits are the znodes in `leases`, and never more than the limit are added to.
-- Who is first in `locks` adds, so there is one who waits for permits; and who barges, if it finds
-- them.
semaphore.acquire = operation {
  doc  = "Wait for permits of `path`.",
  args = { path = "path", permits = { type = "integer", default = 1, min = 1, max = 64 },
    lease = { type = "duration", optional = true, min = 1 },
    barge = { type = "boolean", default = false }, timeout = "duration?" },
  run  = function(call)
    local path, wanted = call.args.path, call.args.permits
    local limit = limit_of(path)
    if wanted > limit then fail("Limit", wanted .. " of " .. limit .. " permits") end
    local over, ends
    if call.args.barge and not call:recall("ticket") then
      over = room_for(call, path, wanted, limit)
      if over then return grant(call, limit, over) end
    end

    local ticket = call:once("ticket", function()
      return znode.create(path .. "/locks/lock-",
        { ephemeral = true, sequential = true, parents = true })
    end)
    local stat = znode.stat(ticket)
    if not stat or stat.owner ~= call.session then
      fail("Lost", ticket .. " was deleted by somebody else")
    end
    local ahead = znode.sibling_before(ticket, contender)
    if ahead then call:wait { deleted = { ahead, ticket } } end

    over, ends = room_for(call, path, wanted, limit)
    if not over then
      call:wait { children = path .. "/leases", changed = path .. "/limit", deleted = ticket,
        at = ends }
    end
    znode.delete(ticket)
    return grant(call, limit, over)
  end,
  cancel = function(call) znode.delete(call:recall("ticket")) end,
}

semaphore.release = operation {
  doc  = "Give permits back.",
  args = { permits = { type = "list", items = "path", min = 1, max = 64 }, fence = "integer" },
  run  = function(call)
    local path
    for _, permit in ipairs(call.args.permits) do
      local of, name = permit:match("^(.+)/leases/([^/]+)$")
      local stat = of and (path or of) == of and znode.stat(permit)
      local ends = name and tonumber(name:match("^until%-(%d+)%-")) or math.huge
      if not stat or stat.owner ~= call.session or stat.czxid ~= call.args.fence
        or ends <= call.now then
        fail("NotOwner", permit .. " is not the caller's with this fence")
      end
      path = of
      znode.delete(permit)
    end
    return { remaining = state(call, path, limit_of(path)).remaining }
  end,
}

semaphore.available = operation {
  doc  = "The limit of `path`, and how many permits are held and left.",
  args = { path = "path" },
  reads_only = true,
  run  = function(call) return state(call, call.args.path, limit_of(call.args.path)) end,
}

return semaphore
