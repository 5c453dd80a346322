--- A value that many read and replace: compared by its content or by a version that never repeats.
-- value.get
-- Arguments  path     the znode that holds the value
-- Result     data     its bytes
--            version  the zxid that wrote them: larger with every write, even after the znode was
--                     deleted and made anew; 64 bits, where a znode's own version has 32
--            or null if there is no znode
-- Errors     NoAuth   the caller may not read it
--
-- value.set
-- Arguments  path     created, with those above it, if missing
--            data     the new bytes
-- Result     version  as value.get will give it
-- Errors     NoAuth   the caller may not write, or create, there
--
-- value.compare_and_set
-- Arguments  path, data  as above
--            expect   the bytes that must be there
--            version  the version that must be there; 0: there must be no znode
--                     (at least one of both)
-- Result     version  as value.get will give it
-- Errors     Conflict something else is there; its version is in the message, nothing has changed
--            BadArguments  neither `expect` nor `version`
--            NoAuth   as value.set
--
-- Order      reads and writes of one value take place one after the other, between the moments when
--            they were asked for and answered
-- Retries    the same call asked again gives the first answer and writes nothing
-- Survives   the leader's death at every step
-- Limits     a value has at most 64 KB, less what its result is wrapped in; one that is not UTF-8
--            needs a caller that speaks MessagePack, because JSON cannot hold it: RecipeError
-- The znode holds the bare bytes: those of Curator's SharedValue and DistributedAtomicValue.
local value = {}

-- `stat` of what is there, or nil. A write gives it the zxid of this run.
local function write(call, stat)
  if stat then
    znode.set(call.args.path, call.args.data)
  else
    znode.create(call.args.path, { data = call.args.data, parents = true })
  end
  return { version = call.zxid }
end

value.get = operation {
  doc  = "The value at `path`, and its version.",
  args = { path = "path" },
  reads_only = true,
  run  = function(call)
    local data, stat = znode.get(call.args.path)
    if not data then return nil end
    return { data = data, version = stat.mzxid }
  end,
}

value.set = operation {
  doc  = "Replace the value at `path`, whatever it is.",
  args = { path = "path", data = "bytes" },
  run  = function(call) return write(call, znode.stat(call.args.path)) end,
}

value.compare_and_set = operation {
  doc  = "Replace the value at `path` if it is what the caller thinks.",
  args = { path = "path", data = "bytes", expect = "bytes?",
           version = { type = "integer", optional = true, min = 0 } },
  run  = function(call)
    local expect, version = call.args.expect, call.args.version
    if not expect and not version then fail("BadArguments", "neither expect nor version") end
    local data, stat = znode.get(call.args.path)
    local now = stat and stat.mzxid or 0
    if expect and expect ~= data or version and version ~= now then
      fail("Conflict", string.format("version %.0f is there", now))
    end
    return write(call, stat)
  end,
}

return value
