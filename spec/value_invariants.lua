--- What holds of recipes/value.lua whatever happens.
local PATH = "/value"

local function writes(run)
  local list = {}
  for _, call in ipairs(run.calls) do
    if call.operation ~= "value.get" and not call:waiting() and not call:error() then
      table.insert(list, call)
    end
  end
  return list
end

local function data(run)
  run.state.number = (run.state.number or 0) + 1
  return "v" .. run.state.number
end

local function write(run, operation, more)
  local arguments = { path = PATH, data = data(run) }
  for name, value in pairs(more or {}) do arguments[name] = value end
  run:start(run:session(), operation, arguments)
end

return {
  sessions = 3,
  actions = {
    { name = "set", weight = 2, run = function(run) write(run, "value.set") end },
    {
      name = "set what is not there", weight = 1,
      run = function(run) write(run, "value.compare_and_set", { version = 0 }) end,
    },
    {
      name = "compare the version", weight = 4,
      run = function(run)
        local call = run:one_of(run:returned("value.get"))
        if not call:result() then run:skip() end
        write(run, "value.compare_and_set", { version = call:result().version })
      end,
    },
    {
      name = "compare the content", weight = 3,
      run = function(run)
        local znode = run.world:znode(PATH)
        if not znode then run:skip() end
        write(run, "value.compare_and_set", { expect = znode.data })
      end,
    },
    {
      name = "get", weight = 5,
      run = function(run) run:start(run:session(), "value.get", { path = PATH }) end,
    },
    {
      name = "delete", weight = 1,
      run = function(run)
        local session = run:session()
        if not session:exists(PATH) then run:skip() end
        run:note("the value is deleted")
        session:delete(PATH)
      end,
    },
  },
  -- One register: every version has one content; between what a comparison saw and what it wrote
  -- there is no other write.
  check = function(run)
    local content, versions = {}, {}
    for _, call in ipairs(writes(run)) do
      local version = call:result().version
      if content[version] then error("two writes have one version") end
      content[version] = call.arguments.data
      table.insert(versions, version)
    end
    for _, call in ipairs(run:returned("value.get")) do
      local got = call:result()
      if got and content[got.version] and content[got.version] ~= got.data then
        error(got.data .. " was read where " .. content[got.version] .. " was written")
      end
    end
    for _, call in ipairs(writes(run)) do
      local from, to = call.arguments.version, call:result().version
      for _, version in ipairs(from and from > 0 and versions or {}) do
        if version > from and version < to then error("a write in between was overwritten") end
      end
    end
    local znode = run.world:znode(PATH)
    for _, version in ipairs(znode and versions or {}) do
      if version > znode.mzxid then error("a write that was acknowledged is lost") end
    end
  end,
}
