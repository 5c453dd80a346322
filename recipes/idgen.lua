--- Identifiers: blocks of numbers that are never given twice, and small numbers for live workers.
-- idgen.next_block
-- Arguments  path     the znode that stands for the sequence; created if missing
--            size     how many numbers, 1 to 1000000; default: 1
-- Result     first, last  the caller's numbers, both included: larger than all before; one block
--                     follows the other without a gap for as long as one leader leads
-- Errors     Overload more than 1,000 numbers for each ms since the sequence began, and 1,000,000
--                     more: ask again later
--            Conflict the znode holds something else; NoAuth
-- Restores   under a new leader, after a start or with a restored backup, the numbers go on above
--            all that can have been given by a second before: above 1,000 for each ms of log time
--            since the year 2020. Nobody has to know how many were given after the backup was made
--
-- idgen.snowflake
-- Arguments  path     the znode that stands for the sequence, another one than that of blocks
--            count    how many, 1 to 1000; default: 1
-- Result     ids      a list of texts of 19 digits, each a number of 63 bits: in the upper 41 the ms
--                     since the year 2020, by the server's log time, in the lower 22 a count. They
--                     are in order, and larger than all before: as numbers and as texts
-- Errors     Overload more than 4,194,304 in one ms; Conflict, NoAuth as above
-- Restores   ids are never ahead of the log's time, so what was given before is smaller
--
-- idgen.worker
-- Arguments  path     the znode below which workers are listed; created if missing
--            max      numbers are 0 to max - 1; 1 to 1024, default: 1024
-- Result     worker   a number that no other live session has from this path
--            ticket   its znode, released by idgen.release or the end of the session
--            fence    larger with every grant
-- Errors     Limit    all are in use; NoAuth
-- Reuse      numbers are given in turn, so that one that was released comes again as late as
--            possible: who slept through the end of their session meets nobody for long
--
-- idgen.release
-- Arguments  path, worker, fence  as returned by idgen.worker
-- Result     true
-- Errors     NotOwner the number is not the caller's (any more)
--
-- Retries    the same call asked again gives the first answer, and takes no more numbers
-- Survives   the leader's death: the numbers of a call that got no answer are given to who asks
--            again with it, or to nobody
-- Limits     numbers stay below 2^53, which they reach about the year 2300, and snowflakes have time
--            until 2089. A server that a backup is restored on must not have a clock that is behind
--            that of the one before it; a znode that is deleted, not be made anew within a second
local idgen = {}
local YEAR_2020_MS, PER_MS, AHEAD = 1577836800000, 1000, 1000000
local EPOCH = 2 ^ 32 -- what is above it in a zxid is new with every leader and every start

-- Numbers are given below `floor` + AHEAD. So what is restored a second later, and begins at its
-- own floor, is above all of them. The znode holds "NEXT EPOCH".
local function floor(now) return (now - YEAR_2020_MS) * PER_MS end

local function read(call, data)
  local epoch = math.floor(call.zxid / EPOCH)
  if not data then return floor(call.now), epoch end
  local number, known = data:match("^(%d+) (%d+)$")
  if not number then fail("Conflict", call.args.path .. " holds no sequence") end
  number = tonumber(number)
  if tonumber(known) ~= epoch then number = math.max(number, floor(call.now)) end
  return number, epoch
end

idgen.next_block = operation {
  doc  = "Give numbers that nobody was given before.",
  args = { path = "path", size = { type = "integer", default = 1, min = 1, max = 1000000 } },
  run  = function(call)
    local data = znode.get(call.args.path)
    local first, epoch = read(call, data)
    local behind = first + call.args.size
    if behind > floor(call.now) + AHEAD then fail("Overload", "more than 1,000 numbers per ms") end
    local text = string.format("%.0f %.0f", behind, epoch)
    if data then
      znode.set(call.args.path, text)
    else
      znode.create(call.args.path, { data = text, parents = true })
    end
    return { first = first, last = behind - 1 }
  end,
}

local COUNTS = 2 ^ 22 -- of snowflakes in one ms

-- ms * COUNTS + count, of which a double holds no more than 53 bits: in two halves of decimals.
local function snowflake_text(ms, count)
  local low = (ms % 1e9) * COUNTS + count
  local high = math.floor(ms / 1e9) * COUNTS + math.floor(low / 1e9)
  return string.format("%010.0f%09.0f", high, low % 1e9)
end

-- The znode holds "MS COUNT", of the last one that was given.
idgen.snowflake = operation {
  doc  = "Give identifiers that nobody was given before, and that sort by time.",
  args = { path = "path", count = { type = "integer", default = 1, min = 1, max = 1000 } },
  run  = function(call)
    local path, data = call.args.path, znode.get(call.args.path)
    local ms, count = (data or "0 0"):match("^(%d+) (%d+)$")
    if not ms or tonumber(count) >= COUNTS then fail("Conflict", path .. " holds no snowflakes") end
    ms, count = tonumber(ms), tonumber(count)
    local now = call.now - YEAR_2020_MS
    if now > ms then ms, count = now, -1 end
    if count + call.args.count >= COUNTS then fail("Overload", "more than a ms has room for") end

    local ids = json.list()
    for i = 1, call.args.count do ids[i] = snowflake_text(ms, count + i) end
    local text = string.format("%.0f %.0f", ms, count + call.args.count)
    if data then
      znode.set(path, text)
    else
      znode.create(path, { data = text, parents = true })
    end
    return { ids = ids }
  end,
}

local function ticket_of(path, worker) return string.format("%s/worker-%04d", path, worker) end

-- The first number behind `last` that has no ticket, going round; nil: all are in use.
local function free_behind(path, last, max)
  local names = znode.children(path, { like = "worker-", limit = 1024 })
  local used = {}
  for _, name in ipairs(names) do used[tonumber(name:match("%d+$"))] = true end
  for i = 1, max do
    local number = (last + i) % max
    if not used[number] then return number end
  end
end

-- The znode holds the number that was given last.
idgen.worker = operation {
  doc  = "Give the session a small number for as long as it lives.",
  args = { path = "path", max = { type = "integer", default = 1024, min = 1, max = 1024 } },
  run  = function(call)
    local path, max = call.args.path, call.args.max
    local data = znode.get(path)
    local worker = free_behind(path, tonumber(data) or -1, max)
    if not worker then fail("Limit", "all numbers are in use") end
    local ticket = znode.create(ticket_of(path, worker), { ephemeral = true, parents = true })
    znode.set(path, string.format("%d", worker))
    return { worker = worker, ticket = ticket, fence = call.zxid }
  end,
}

idgen.release = operation {
  doc  = "Give a worker's number back.",
  args = { path = "path", worker = { type = "integer", min = 0, max = 1023 }, fence = "integer" },
  run  = function(call)
    local ticket = ticket_of(call.args.path, call.args.worker)
    local stat = znode.stat(ticket)
    if not stat or stat.owner ~= call.session or stat.czxid ~= call.args.fence then
      fail("NotOwner", "the number is not the caller's")
    end
    return znode.delete(ticket)
  end,
}

return idgen
