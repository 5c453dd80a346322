--- What recipes do that should not: the server is unharmed, nothing is committed, and the caller is
-- told what it was.
local testkit = require "moonkeeper.testkit"

-- Bodies of `run`, by what the call ends with. Each has made an effect before.
local ENDLESS = {
  ["in a plain loop"] = "while true do end",
  ["in a loop of calls"] = "local function f() end while true do f() end",
  ["inside pcall, again and again"] = [[
    while true do pcall(function() while true do end end) end]],
  ["in the handler of xpcall"] = [[
    xpcall(function() error("x") end, function() while true do end end)
    return "survived"]],
  ["in xpcall, and again in its handler"] = [[
    local function forever() while true do end end
    while true do xpcall(forever, forever) end]],
  ["in goto"] = "::top:: goto top",
  ["in recursion that returns"] = [[
    local function f(n) if n > 0 then f(n - 1) f(n - 1) end end f(60)]],
  ["in a comparator of sort"] = [[
    local list = {} for i = 1, 100 do list[i] = i end
    table.sort(list, function() while true do end end)]],
  ["in a comparator that is no order"] = [[
    while true do
      local list = {} for i = 1, 1000 do list[i] = i end
      pcall(table.sort, list, function() return true end)
    end]],
  ["in a callback of gsub"] = [[
    return (("x"):gsub("x", function() while true do end end))]],
  ["in a callback of gsub, caught"] = [[
    while true do pcall(string.gsub, "x", "x", function() while true do end end) end]],
  ["in a pattern that goes back and back"] = [[
    return (("a"):rep(40000)):find((".-"):rep(20) .. "b")]],
  ["in a pattern of balanced brackets"] = [[
    return (("("):rep(60000)):gsub("%b()", "")]],
  ["in patterns, one after the other"] = [[
    local text = ("a"):rep(60000) while true do text:find("b") end]],
  ["in call:run"] = [[
    while true do pcall(function() call:run("bad.nothing") end) end]],
  ["in comparisons of long strings"] = [[
    local a, b = ("x"):rep(65000) .. "a", ("x"):rep(65000) .. "b"
    local n = 0 while true do if a < b then n = n + 1 end end]],
  ["in concatenations"] = [[
    local text = ("x"):rep(30000) local s while true do s = text .. text end]],
  ["in reads"] = [[
    while true do znode.get("/") end]],
  ["in listings"] = [[
    while true do znode.children("/") end]],
  ["in logging"] = [[
    while true do log.error("again") end]],
  ["in encoding"] = [[
    local list = {} for i = 1, 1000 do list[i] = i end while true do json.encode(list) end]],
  ["in unpack"] = [[
    local list = {} for i = 1, 200 do list[i] = i end while true do select("#", unpack(list)) end]],
  ["in errors"] = [[
    while true do pcall(error, { "x" }) end]],
  ["in format"] = [[
    while true do string.format("%099.99f", 1 / 3) end]],
}

local BOMBS = {
  ["by rep"] = [[return ("x"):rep(2 ^ 31)]],
  ["by rep of rep"] = [[local s = ("x"):rep(60000) return s:rep(60000)]],
  ["by doubling"] = [[local s = "x" while true do s = s .. s end]],
  ["by table.concat"] = [[
    local list = {} for i = 1, 1000 do list[i] = ("x"):rep(1000) end return table.concat(list)]],
  ["by gsub"] = [[return (("x"):rep(60000):gsub("x", "xx"))]],
  ["by format"] = [[return string.format("%s%s", ("x"):rep(60000), ("x"):rep(60000))]],
  ["by a growing list"] = [[local list = {} while true do list[#list + 1] = true end]],
  ["by a growing map"] = [[local map = {} for i = 1, 1e9 do map["k" .. i] = true end]],
  ["by tables in tables"] = [[local list = {} while true do list = { list } end]],
  ["by closures"] = [[
    local list = {} for i = 1, 1e9 do list[i] = function() return i end end]],
  ["by strings that are kept"] = [[
    local list = {} for i = 1, 1e9 do list[i] = ("x"):rep(10000) .. i end]],
  ["of garbage at the cap"] = [[
    local kept = {}
    for i = 1, 1200 do kept[i] = ("x"):rep(10000) .. i end
    for i = 1, 1e9 do local garbage = ("y"):rep(10000) .. i end]],
  ["caught, again and again"] = [[
    while true do pcall(function() local s = "x" while true do s = s .. s end end) end]],
  ["by unpacking"] = [[
    local list = {} for i = 1, 1000 do list[i] = i end
    while true do list = { unpack(list) } end]],
  ["of what it decodes"] = [=[
    local list = {} while true do
      list[#list + 1] = json.decode("[" .. ("[],"):rep(9999) .. "[]]")
    end]=],
}

-- What must fail with RecipeError, and what its message says.
local REACHES = {
  ["debug"] = { "return debug.getinfo(1)", "there is no 'debug' here" },
  ["ffi"] = { "return require('ffi')", "there is no 'require' here" },
  ["load"] = { "return load('return 1')()", "there is no 'load' here" },
  ["loadstring"] = { "return loadstring('return 1')()", "there is no 'loadstring' here" },
  ["dofile"] = { "return dofile('/etc/passwd')", "there is no 'dofile' here" },
  ["getfenv"] = { "return getfenv(1)", "there is no 'getfenv' here" },
  ["setfenv"] = { "return setfenv(1, {})", "there is no 'setfenv' here" },
  ["_G"] = { "return _G.znode", "there is no '_G' here" },
  ["os"] = { "return os.time()", "there is no 'os' here" },
  ["io"] = { "return io.open('/etc/passwd')", "there is no 'io' here" },
  ["jit"] = { "return jit.version", "there is no 'jit' here" },
  ["coroutine"] = { "return coroutine.create(print)", "there is no 'coroutine' here" },
  ["package"] = { "return package.loaded", "there is no 'package' here" },
  ["newproxy"] = { "return newproxy(true)", "there is no 'newproxy' here" },
  ["setmetatable"] = { "return setmetatable({}, { __gc = 1 })", "there is no 'setmetatable' here" },
  ["rawset"] = { "rawset(string, 'rep', 1)", "there is no 'rawset' here" },
  ["collectgarbage"] = { "collectgarbage('stop')", "there is no 'collectgarbage' here" },
  ["chance"] = { "return math.random()", "attempt to call field 'random'" },
  ["bytecode, to write it"] = { "return string.dump(function() end)", "attempt to call field 'dump'" },
  ["a global, to write it"] = { "shared = 1", "'shared' cannot be assigned to" },
  ["a library, to change it"] = { "string.rep = nil", "'rep' cannot be assigned to" },
  ["a library, by table.insert"] = { "table.insert(string, 1)", "this table cannot be changed" },
  ["the string metatable"] = {
    "local s = '' s.__index.rep = nil", "attempt to index field '__index'",
  },
  ["fields of a string"] = { "local s = 'x' s.y = 1", "attempt to index" },
}

local function source_of(body)
  return [[
    local bad = {}
    bad.nothing = operation { doc = "", run = function() return 1 end }
    bad.go = operation {
      doc  = "",
      args = { timeout = "duration?" },
      run  = function(call)
        znode.create("/made", { data = "by a bad script" })
        ]] .. body .. [[

      end,
    }
    bad.cancel = operation {
      doc    = "",
      run    = function(call)
        call:once("made", function() return znode.create("/made") end)
        call:wait { created = "/never" }
      end,
      cancel = function(call)
        znode.create("/cancelled")
        ]] .. body .. [[

      end,
    }
    return bad]]
end

local GOOD = [[
  local good = {}
  good.add = operation {
    doc = "", args = { path = "path" },
    run = function(call)
      local data = znode.get(call.args.path)
      znode.set(call.args.path, tostring(tonumber(data) + 1))
      return tonumber(data) + 1
    end,
  }
  good.wait = operation {
    doc = "", run = function(call)
      if not znode.exists("/door") then call:wait { created = "/door" } end
      return true
    end,
  }
  return good]]

local world, ann, bob

local function open(body)
  world = testkit.world { sources = { bad = source_of(body), good = GOOD } }
  ann, bob = world:session(), world:session()
  bob:create("/count", "0")
end

-- The bad call fails with `name`; before, while a good one waits, and after, all is well.
local function fails(body, name, pattern)
  open(body)
  local waiting = bob:start("good.wait")
  local before = world:znodes()

  local result, error_name, message = ann:try("bad.go")
  assert.is_nil(result)
  assert.are.equal(name, error_name)
  assert.matches(pattern or "", message)
  assert.are.same(before, world:znodes())

  assert.are.equal(1, bob:call("good.add", { path = "/count" }))
  assert.is_true(waiting:waiting())
  bob:create("/door")
  assert.is_true(waiting:result())
  return before
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do table.insert(list, name) end
  table.sort(list)
  return list
end

describe("a recipe that never ends", function()
  for _, name in ipairs(sorted(ENDLESS)) do
    it("spends its budget " .. name, function() fails(ENDLESS[name], "Budget") end)
  end

  it("spends the budget of cancel, and what the call made goes all the same", function()
    open("while true do end")
    local call = ann:start("bad.cancel")

    call:cancel()

    assert.are.equal("Cancelled", (call:error()))
    assert.is_nil(world:znode("/made"))
    assert.is_nil(world:znode("/cancelled"))
    assert.are.equal(1, bob:call("good.add", { path = "/count" }))
  end)

  it("is stopped while it is loaded", function()
    for _, source in ipairs {
      "while true do end return {}",
      "local s = 'x' while true do s = s .. s end",
      "return (('a'):rep(40000)):find(('.-'):rep(20) .. 'b')",
    } do
      local ok, problem = pcall(testkit.world, { sources = { bad = source } })
      assert.is_false(ok)
      assert.matches("bad", tostring(problem))
    end
  end)
end)

describe("a recipe that takes all memory", function()
  for _, name in ipairs(sorted(BOMBS)) do
    it("spends its budget " .. name, function() fails(BOMBS[name], "Budget") end)
  end

  it("spends that of cancel, too", function()
    open("local list = {} while true do list = { list } end")
    local call = ann:start("bad.cancel")

    world:expire(ann)

    assert.are.equal("SessionExpired", (call:error()))
    assert.is_nil(world:znode("/made"))
    assert.are.equal(1, bob:call("good.add", { path = "/count" }))
  end)
end)

describe("a recipe that goes too deep", function()
  it("overflows its own stack, and nothing else", function()
    fails("local function f() return 1 + f() end return f()", "RecipeError", "stack overflow")
  end)

  it("overflows it through library functions", function()
    fails("local function f() return (('x'):gsub('x', f)) end return f()", "RecipeError",
      "stack overflow")
    fails("local function f() table.sort({ 2, 1, 3 }, f) end return f()", "RecipeError",
      "stack overflow")
    fails("local function f() local ok, why = pcall(f) if not ok then error(why, 0) end end f()",
      "RecipeError", "stack overflow")
  end)

  it("overflows it in a handler", function()
    fails("local function f() local ok, why = xpcall(f, f) error(why, 0) end f()", "Budget")
  end)

  it("nests values no deeper than they may be", function()
    fails("local t = {} for i = 1, 100 do t = { t } end return t", "RecipeError", "nested")
    fails("local t = {} t.t = t return t", "RecipeError", "nested")
    fails("return json.decode(('['):rep(1000) .. (']'):rep(1000))", "BadArguments")
  end)

  it("cannot be written that deep", function()
    local ok, problem = pcall(testkit.world, { sources = {
      bad = "return " .. ("("):rep(100000) .. "1" .. (")"):rep(100000),
    } })
    assert.is_false(ok)
    assert.matches("bad.lua:1", tostring(problem))
  end)
end)

describe("a recipe with too much to say", function()
  it("spends its budget on a result that is too long", function()
    fails("local text = ('x'):rep(60000) return { text, text }", "Budget")
    fails("local t = {} for i = 1, 30000 do t[i] = i end return t", "Budget")
  end)

  it("has no result that cannot be told", function()
    fails("return 0/0", "RecipeError")
    fails("return 2^60", "RecipeError")
    fails("return function() end", "RecipeError")
    fails("return '\\255'", "RecipeError")
    fails("return { 1, x = 2 }", "RecipeError")
  end)

  it("spends its budget on what it remembers", function()
    fails("call:once('x', function() return ('x'):rep(64000) end)\n"
      .. "call:once('y', function() return ('x'):rep(64000) end)", "Budget")
    fails("for i = 1, 100 do call:once('s' .. i, function() return i end) end", "RecipeError",
      "more than 64 steps")
  end)

  it("fails with an error that is too long, cut short", function()
    local message = ("x"):rep(60000)

    fails("error(('x'):rep(60000) .. ('x'):rep(5000), 0)", "RecipeError", "^xxx")
    fails("fail('Conflict', ('x'):rep(60000))", "Conflict", message)
  end)

  it("cannot invent the names of errors", function()
    fails("fail('not a name')", "RecipeError", "an error's name is like")
    fails("error({ error = 'NoAuth', message = 'forged' })", "RecipeError")
  end)
end)

describe("a recipe with too many effects", function()
  it("spends its budget", function()
    fails("for i = 1, 5000 do znode.set('/count', tostring(i)) end", "Budget",
      "more than 4096 effects")
    fails("while true do pcall(znode.create, '/made') znode.delete('/made') znode.create('/made') end",
      "Budget")
  end)

  it("makes no transaction that is larger than the log takes", function()
    open("for i = 1, 100 do znode.create('/b' .. i, { data = ('x'):rep(60000) }) end")

    local result, name = ann:try("bad.go")

    assert.is_nil(result)
    assert.is_true(name == "Limit" or name == "Overload")
    assert.are.same({ "/count" }, world:znodes())
  end)

  it("waits for no more than it may", function()
    fails("local t = {} for i = 1, 17 do t[i] = '/a' .. i end call:wait { deleted = t }",
      "RecipeError")
  end)
end)

describe("a recipe that reaches for what it may not have", function()
  for _, name in ipairs(sorted(REACHES)) do
    it("reaches in vain for " .. name, function()
      fails(REACHES[name][1], "RecipeError", REACHES[name][2])
    end)
  end

  it("sees no metatables", function()
    open("return { getmetatable and 1 or 2 }")
    local _, name = ann:try("bad.go")
    assert.are.equal("RecipeError", name)
  end)

  it("is source, and no bytecode", function()
    local ok, problem = pcall(testkit.world, { sources = { bad = string.dump(function() end) } })
    assert.is_false(ok)
    assert.matches("bytecode is not accepted", tostring(problem))
  end)

  it("has no literals of the FFI", function()
    local ok, problem = pcall(testkit.world, { sources = { bad = "return { 1LL }" } })
    assert.is_false(ok)
    assert.matches("1LL", tostring(problem))
  end)

  it("leaves nothing for the next run, nor for another recipe", function()
    world = testkit.world { sources = {
      one = [[
        local kept = { count = 0 }
        return { add = operation { doc = "", run = function()
          kept.count = kept.count + 1
          return kept.count
        end } }]],
      two = [[return { look = operation { doc = "", run = function() return kept end } }]],
    } }
    ann = world:session()

    assert.are.equal(1, ann:call("one.add"))
    assert.are.equal(1, ann:call("one.add"))
    assert.matches("there is no 'kept' here", (select(3, ann:try("two.look"))))
  end)

  it("may not touch what is the server's own", function()
    for _, path in ipairs { "/zookeeper/calls/x", "/zookeeper/recipes/x", "/zookeeper/recipes/good/x" } do
      fails(("return znode.create(%q)"):format(path), "NoAuth")
    end
    fails("znode.set('/zookeeper/recipes/good', 'x')", "NoAuth")
    fails("return znode.delete('/zookeeper/recipes/good')", "NoAuth")
  end)

  it("makes no znode with a path that is none", function()
    for _, path in ipairs { "", "a", "/count/", "//a", "/count/..", "/a\\0b", "/." } do
      fails(("return znode.create('%s')"):format(path), "BadArguments")
    end
  end)
end)
