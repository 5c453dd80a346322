--- Records of ZooKeeper's protocol, as bytes: what moonkeeper.client sends and reads.
-- Works in LuaJIT and Lua 5.1 to 5.4. Sixty-four bits are more than a number holds: session ids are
-- strings of eight bytes; zxids and times are numbers, which servers keep below 2^53.
local jute = {}

local char, byte, floor = string.char, string.byte, math.floor

-- Operations, by their numbers.
jute.op = {
  create = 1, delete = 2, exists = 3, get = 4, set = 5, children = 8, sync = 9, ping = 11,
  children2 = 12, create2 = 15, create_container = 19, create_ttl = 21, auth = 100,
  set_watches = 101, call = 700, close = -11,
}

-- xids that are not a request's.
jute.xid = { event = -1, ping = -2, auth = -4, set_watches = -8 }

-- What a reply's error is called.
jute.errors = {
  [-1] = "SystemError", [-2] = "RuntimeInconsistency", [-4] = "ConnectionLoss",
  [-5] = "MarshallingError", [-6] = "Unimplemented", [-7] = "OperationTimeout",
  [-8] = "BadArguments", [-101] = "NoNode", [-102] = "NoAuth", [-103] = "BadVersion",
  [-108] = "NoChildrenForEphemerals", [-110] = "NodeExists", [-111] = "NotEmpty",
  [-112] = "SessionExpired", [-113] = "InvalidCallback", [-114] = "InvalidACL",
  [-115] = "AuthFailed", [-118] = "SessionMoved", [-119] = "NotReadOnly",
  [-120] = "EphemeralOnLocalSession", [-121] = "NoWatcher", [-124] = "SessionClosedRequireSaslAuth",
  [-125] = "QuotaExceeded", [-127] = "Overload",
}

jute.events = { [1] = "created", [2] = "deleted", [3] = "changed", [4] = "children" }

-- ---- Writing ----

function jute.i32(value)
  if value < 0 then value = value + 4294967296 end
  return char(floor(value / 16777216) % 256, floor(value / 65536) % 256, floor(value / 256) % 256,
    value % 256)
end

--- Of whole numbers from -2^53 to 2^53.
function jute.i64(value)
  local high = floor(value / 4294967296)
  return jute.i32(high) .. jute.i32(value - high * 4294967296)
end

function jute.boolean(value)
  return value and "\1" or "\0"
end

--- A string or buffer; nil is null.
function jute.field(text)
  return text == nil and "\255\255\255\255" or jute.i32(#text) .. text
end

--- A vector of strings.
function jute.strings(list)
  local parts = { jute.i32(#list) }
  for _, text in ipairs(list) do parts[#parts + 1] = jute.field(text) end
  return table.concat(parts)
end

--- An ACL: a list of { permissions, scheme, id }.
function jute.acl(entries)
  local parts = { jute.i32(#entries) }
  for _, entry in ipairs(entries) do
    parts[#parts + 1] = jute.i32(entry[1]) .. jute.field(entry[2]) .. jute.field(entry[3])
  end
  return table.concat(parts)
end

-- ---- Reading. A record that is too short, or makes no sense, raises "malformed". ----

local Reader = {}
Reader.__index = Reader

function jute.reader(text)
  return setmetatable({ text = text, at = 1 }, Reader)
end

function Reader:take(count)
  if count < 0 or self.at + count - 1 > #self.text then error("malformed", 0) end
  self.at = self.at + count
  return self.text:sub(self.at - count, self.at - 1)
end

local function unsigned(text)
  local a, b, c, d = byte(text, 1, 4)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

function Reader:i32()
  local value = unsigned(self:take(4))
  return value < 2147483648 and value or value - 4294967296
end

function Reader:i64()
  local high = self:i32()
  return high * 4294967296 + unsigned(self:take(4))
end

function Reader:boolean()
  return self:take(1) ~= "\0"
end

function Reader:field()
  local length = self:i32()
  if length == -1 then return nil end
  return self:take(length)
end

function Reader:strings()
  local list = {}
  for i = 1, self:i32() do list[i] = self:field() or "" end
  return list
end

--- A session id, as sixteen hexadecimal digits: how recipes see it.
function jute.hex(id)
  return (id:gsub(".", function(c) return ("%02x"):format(byte(c)) end))
end

--- A Stat. `owner` is a session, or absent if the znode is not an ephemeral.
function Reader:stat()
  local stat = { czxid = self:i64(), mzxid = self:i64(), ctime = self:i64(), mtime = self:i64(),
    version = self:i32(), cversion = self:i32(), aversion = self:i32() }
  local owner = self:take(8)
  stat.data_length, stat.children_count, stat.pzxid = self:i32(), self:i32(), self:i64()
  if owner ~= ("\0"):rep(8) then stat.owner = jute.hex(owner) end
  return stat
end

return jute
