--- A number that many change: every addition counts, once, and bounds are never crossed.
-- counter.add
-- Arguments  path     the znode that holds the number; created, with those above it, if missing
--            by       what to add, may be negative; default: 1
--            floor, ceiling  what the number may not fall below or rise above; default: none
--            layout   how a new znode is written: "text" (kazoo's Counter, the default) or "long"
--                     (the 8 bytes of Curator's DistributedAtomicLong); an old one stays as it is
-- Result     before   the number as it was
--            after    the number as it is now
-- Errors     Limit    the sum is beyond a bound, or beyond 2^53; nothing has changed
--            Conflict the znode holds something else than a whole number
--            NoAuth   the caller may not read, write or create there
--
-- counter.add_all
-- Arguments  by       a map of 1 to 100 paths to what is added to each; as above otherwise
-- Result     a map of the paths to the numbers as they are now
-- Errors     as counter.add: then none of them has changed
--
-- counter.compare_and_set
-- Arguments  path, layout  as above
--            expect   the number that must be there; 0 also stands for no znode
--            value    the number to put in its place
-- Result     before, after
-- Errors     Conflict another number is there, or something that is none; NoAuth
--
-- counter.raise, counter.lower
-- Arguments  path, layout  as above
--            to       what the number shall at least be (raise), or at most (lower)
-- Result     before, after
-- Errors     Conflict, NoAuth
--
-- counter.get
-- Arguments  path
-- Result     the number; 0 if there is no znode
-- Errors     Conflict, NoAuth
--
-- Retries    the same call asked again gives the first answer and adds nothing
-- Survives   the leader's death: an addition that was acknowledged is there, one that was not is
--            there once when it has been asked for again
-- Limits     whole numbers from -2^53 to 2^53. SharedCount's 4 bytes and kazoo's floats: Conflict
local counter = {}
local LIMIT = 2 ^ 53
local TOP = 2 ^ 32

-- Eight bytes, big-endian, two's complement. Within the limits the first byte is 0 or 255, so that
-- no text of eight characters is taken for them.
local function is_long(data)
  return #data == 8 and (data:byte(1) == 0 or data:byte(1) == 255)
end

local function of_long(data)
  local number = 0
  for i = 1, 8 do number = number * 256 + data:byte(i) end
  -- Of a negative one the doubles above are rounded; each half is exact.
  if data:byte(1) == 255 then
    local high, low = 0, 0
    for i = 1, 4 do high, low = high * 256 + data:byte(i), low * 256 + data:byte(i + 4) end
    number = (high - TOP) * TOP + low
  end
  return number
end

local function to_long(number)
  local high, bytes = math.floor(number / TOP), {}
  for half, value in ipairs { high % TOP, number - high * TOP } do
    for i = 4, 1, -1 do
      bytes[half * 4 - 4 + i] = string.char(value % 256)
      value = math.floor(value / 256)
    end
  end
  return table.concat(bytes)
end

-- The number at `path`, whether there is a znode, and how it is written; an empty one, as kazoo
-- makes it, is 0.
local function read(path)
  local data = znode.get(path)
  if not data or data == "" then return 0, data ~= nil end
  local long = is_long(data)
  local number = long and of_long(data) or data:match("^-?%d+$") and tonumber(data)
  if not number or math.abs(number) > LIMIT then
    fail("Conflict", path .. " holds no whole number within 2^53")
  end
  return number, true, long and "long" or "text"
end

local function write(path, number, layout, exists)
  if math.abs(number) > LIMIT then fail("Limit", path .. ": beyond 2^53") end
  local data = layout == "long" and to_long(number) or string.format("%.0f", number)
  if exists then
    znode.set(path, data)
  else
    znode.create(path, { data = data, parents = true })
  end
end

-- Replace the number at `path` by what `change` makes of it.
local function update(path, args, change)
  local before, exists, layout = read(path)
  local after = change(before)
  if args.floor and after < args.floor then fail("Limit", path .. ": below the floor") end
  if args.ceiling and after > args.ceiling then fail("Limit", path .. ": above the ceiling") end
  if after ~= before or not layout then write(path, after, layout or args.layout, exists) end
  return { before = before, after = after }
end

local layout = { type = "string", default = "text", one_of = { "text", "long" } }

counter.add = operation {
  doc  = "Add `by` to the number at `path`.",
  args = { path = "path", by = { type = "integer", default = 1 }, floor = "integer?",
           ceiling = "integer?", layout = layout },
  run  = function(call)
    return update(call.args.path, call.args, function(number) return number + call.args.by end)
  end,
}

counter.add_all = operation {
  doc  = "Add to several numbers, or to none of them.",
  args = { by = { type = "map", items = "integer", min = 1, max = 100 }, floor = "integer?",
           ceiling = "integer?", layout = layout },
  run  = function(call)
    local after = {}
    for path, by in pairs(call.args.by) do
      after[path] = update(path, call.args, function(number) return number + by end).after
    end
    return after
  end,
}

counter.compare_and_set = operation {
  doc  = "Set the number at `path` if it is `expect`.",
  args = { path = "path", expect = "integer", value = "integer", layout = layout },
  run  = function(call)
    return update(call.args.path, call.args, function(number)
      if number ~= call.args.expect then
        fail("Conflict", string.format("the number is %.0f", number))
      end
      return call.args.value
    end)
  end,
}

counter.raise = operation {
  doc  = "Make the number at `path` at least `to`.",
  args = { path = "path", to = "integer", layout = layout },
  run  = function(call)
    return update(call.args.path, call.args, function(number)
      return math.max(number, call.args.to)
    end)
  end,
}

counter.lower = operation {
  doc  = "Make the number at `path` at most `to`.",
  args = { path = "path", to = "integer", layout = layout },
  run  = function(call)
    return update(call.args.path, call.args, function(number)
      return math.min(number, call.args.to)
    end)
  end,
}

counter.get = operation {
  doc  = "The number at `path`.",
  args = { path = "path" },
  reads_only = true,
  run  = function(call) return (read(call.args.path)) end,
}

return counter
