--- JSON as recipes have it, in plain Lua: for arguments and results.
-- A table with the keys 1 to n is a list, one whose keys are strings is a map, any other mixture is
-- refused. The empty table is a map, unless it was decoded from a list or comes from json.list(). null
-- is json.null within a value. Numbers beyond ±2^53, NaN and infinity are refused, never rounded. Maps
-- are written in the order of their keys. What is refused raises a sentence.
local json = {}

local DEPTH_MAX = 32 -- as the server has it
local EXACT = 2 ^ 53

json.null = setmetatable({}, { __tostring = function() return "null" end })
local List = {}

--- `table`, or a new one, as a list even if it is empty.
function json.list(table)
  return setmetatable(table or {}, List)
end

-- ---- Writing ----

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n",
  ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(c)
  return escapes[c] or ("\\u%04x"):format(c:byte())
end

local function write_string(text)
  return '"' .. text:gsub('[%z\1-\31"\\]', escape) .. '"'
end

local function write_number(value)
  if value ~= value or value > EXACT or value < -EXACT then
    error("a number that is not exact, or none: " .. tostring(value), 0)
  end
  return value % 1 == 0 and ("%.0f"):format(value) or ("%.17g"):format(value)
end

local write

local function write_list(list, count, depth)
  local parts = {}
  for i = 1, count do parts[i] = write(list[i], depth) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function write_map(map, depth)
  local names, parts = {}, {}
  for name in pairs(map) do
    if type(name) ~= "string" then error("a table that is neither a list nor a map", 0) end
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = write_string(name) .. ":" .. write(map[name], depth) end
  return "{" .. table.concat(parts, ",") .. "}"
end

function write(value, depth)
  local kind = type(value)
  if value == json.null then return "null" end
  if kind == "string" then return write_string(value) end
  if kind == "number" then return write_number(value) end
  if kind == "boolean" then return tostring(value) end
  if kind ~= "table" then error("a " .. kind .. " is not data", 0) end
  if depth == DEPTH_MAX then error("tables are nested too deeply", 0) end
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  if getmetatable(value) == List or (count > 0 and value[count] ~= nil) then
    if #value ~= count then error("a list with holes, or other keys", 0) end
    return write_list(value, count, depth + 1)
  end
  return write_map(value, depth + 1)
end

function json.encode(value)
  return write(value, 0)
end

-- ---- Reading ----

local unescapes = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\",
  ["/"] = "/" }

local function malformed(at)
  error("malformed JSON at byte " .. at, 0)
end

local function utf8_of(code)
  local char, floor = string.char, math.floor
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(0xc0 + floor(code / 64), 0x80 + code % 64) end
  if code < 0x10000 then
    return char(0xe0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
  end
  return char(0xf0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64,
    0x80 + floor(code / 64) % 64, 0x80 + code % 64)
end

--- Behind "\u" at `at`: the character, and where it goes on. Beyond 0xffff there are two of them.
local function read_unicode(text, at)
  local code = tonumber(text:match("^%x%x%x%x", at) or malformed(at), 16)
  local low = text:match("^\\u(%x%x%x%x)", at + 4)
  if code >= 0xd800 and code < 0xdc00 and low and tonumber(low, 16) >= 0xdc00 then
    return utf8_of(0x10000 + (code - 0xd800) * 1024 + tonumber(low, 16) - 0xdc00), at + 10
  end
  return utf8_of(code), at + 4
end

--- Behind the first quote.
local function read_string(text, at)
  local parts = {}
  while true do
    local stop = text:find('["\\]', at) or malformed(at)
    parts[#parts + 1] = text:sub(at, stop - 1)
    if text:byte(stop) == 34 then return table.concat(parts), stop + 1 end
    local escaped = text:sub(stop + 1, stop + 1)
    if escaped == "u" then
      parts[#parts + 1], at = read_unicode(text, stop + 2)
    else
      parts[#parts + 1], at = unescapes[escaped] or malformed(stop), stop + 2
    end
  end
end

local function skip(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

local read

--- Behind the bracket: elements, each read by `element`, to the closing one.
local function read_elements(text, at, closing, element)
  at = skip(text, at)
  if text:sub(at, at) == closing then return at + 1 end
  while true do
    at = skip(text, element(at))
    local c = text:sub(at, at)
    if c == closing then return at + 1 end
    if c ~= "," then malformed(at) end
    at = skip(text, at + 1)
  end
end

local function read_table(text, at, depth)
  if depth == DEPTH_MAX then malformed(at) end
  local count, value = 0, {}
  if text:sub(at, at) == "[" then
    return json.list(value), read_elements(text, at + 1, "]", function(from)
      count = count + 1
      value[count], from = read(text, from, depth + 1)
      return from
    end)
  end
  return value, read_elements(text, at + 1, "}", function(from)
    if text:sub(from, from) ~= '"' then malformed(from) end
    local name
    name, from = read_string(text, from + 1)
    from = skip(text, from)
    if text:sub(from, from) ~= ":" then malformed(from) end
    value[name], from = read(text, from + 1, depth + 1)
    return from
  end)
end

local words = { ["true"] = true, ["false"] = false, null = json.null }

function read(text, at, depth)
  at = skip(text, at)
  local c = text:sub(at, at)
  if c == '"' then return read_string(text, at + 1) end
  if c == "{" or c == "[" then return read_table(text, at, depth) end
  local word = text:match("^%l+", at)
  if word then
    if words[word] == nil then malformed(at) end
    return words[word], at + #word
  end
  local digits = text:match("^%-?%d+%.?%d*[eE]?[+-]?%d*", at)
  return digits and tonumber(digits) or malformed(at), at + #(digits or "")
end

function json.decode(text)
  local value, at = read(text, 1, 0)
  if skip(text, at) <= #text then malformed(at) end
  return value
end

return json
