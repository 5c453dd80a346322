--- What holds of recipes/config.lua whatever happens.
local PATH = "/app/config"
local KEYS = { "a", "b", "c", "d" }

local function text_of(values)
  local keys = {}
  for key in pairs(values) do table.insert(keys, key) end
  table.sort(keys)
  for i, key in ipairs(keys) do keys[i] = key .. "=" .. values[key] end
  return table.concat(keys, " ")
end

local function copy(values)
  local other = {}
  for key, value in pairs(values) do other[key] = value end
  return other
end

-- Whatever two callers learn of one revision is the same, be it as a whole or from differences.
local function learn(run, revision, values)
  local known = run.state.known[revision]
  if known and text_of(known) ~= text_of(values) then
    error(string.format("revision %.0f is %s and %s", revision, text_of(known), text_of(values)))
  end
  run.state.known[revision] = copy(values)
end

local function learn_changes(run, since, result)
  local values, last = run.state.known[since], since
  for _, change in ipairs(result.changes) do
    if change.revision <= last then error("changes that are not in order") end
    last = change.revision
    if values then
      values = copy(values)
      for key, value in pairs(change.set) do values[key] = value end
      for _, key in ipairs(change.removed) do values[key] = nil end
      learn(run, last, values)
    end
  end
  if last ~= result.revision then error("the last change is missing") end
end

local function a_revision(run)
  return run:one_of(run:returned("config.fetch")):result().revision
end

return {
  sessions = 3,
  begin = function(run) run.state.known, run.state.seen = {}, {} end,
  actions = {
    {
      name = "publish", weight = 4,
      run = function(run)
        local set, remove = {}, {}
        run.state.number = (run.state.number or 0) + 1
        for i, key in ipairs(KEYS) do
          if run:chance(0.4) then
            set[key] = "v" .. run.state.number % 3
          elseif run:chance(0.3) then
            table.insert(remove, KEYS[i])
          end
        end
        run:start(run:session(), "config.publish", { path = PATH, set = set, remove = remove })
      end,
    },
    {
      name = "publish what should be next", weight = 2,
      run = function(run)
        run:start(run:session(), "config.publish",
          { path = PATH, set = { a = "next" }, expect = a_revision(run) })
      end,
    },
    {
      name = "stage", weight = 2,
      run = function(run)
        run.state.number = (run.state.number or 0) + 1
        run:start(run:session(), "config.stage", { path = PATH, percent = run:one_of { 20, 80 },
          set = { a = "s" .. run.state.number % 3, b = "s" .. run.state.number % 2 } })
      end,
    },
    {
      name = "spread", weight = 4,
      run = function(run)
        local staged = run:one_of(run:returned("config.stage")):result().revision
        run:start(run:session(), "config.spread",
          { path = PATH, revision = staged, percent = run:one_of { 0, 50, 100, 100 } })
      end,
    },
    {
      name = "fetch", weight = 3,
      run = function(run) run:start(run:session(), "config.fetch", { path = PATH }) end,
    },
    {
      name = "fetch by name", weight = 4,
      run = function(run)
        run:start(run:session(), "config.fetch", { path = PATH, as = run:one_of { "x", "y", "z" } })
      end,
    },
    {
      name = "wait by name", weight = 2,
      run = function(run)
        run:start(run:session(), "config.wait",
          { path = PATH, since = a_revision(run), as = run:one_of { "x", "y", "z" } })
      end,
    },
    {
      name = "fetch what came since", weight = 4,
      run = function(run)
        run:start(run:session(), "config.fetch", { path = PATH, since = a_revision(run) })
      end,
    },
    {
      name = "wait", weight = 2,
      run = function(run)
        run:start(run:session(), "config.wait", { path = PATH, since = a_revision(run) })
      end,
    },
    {
      name = "roll back", weight = 2,
      run = function(run)
        run:start(run:session(), "config.rollback", { path = PATH, to = a_revision(run) })
      end,
    },
  },
  check = function(run)
    for _, call in ipairs(run.calls) do
      local result = not run.state.seen[call] and not call:waiting() and not call:error() and
        call:result()
      if result then
        run.state.seen[call] = true
        if result.values then learn(run, result.revision, result.values) end
        if call.operation == "config.wait" and result.revision == call.arguments.since then
          error("a caller was told what it knew")
        end
        if result.changes then learn_changes(run, call.arguments.since, result) end
        local to = run.state.known[call.operation == "config.rollback" and call.arguments.to]
        if to then learn(run, result.revision, to) end
      end
    end
    local znode = run.world:znode(PATH)
    local revision = znode and tonumber(znode.data:match('"revision":(%d+)')) or 0
    for _, call in ipairs(run:returned("config.publish")) do
      if call:result().revision > revision then error("a revision is lost") end
    end
    for _, call in ipairs(run:waiting("config.wait")) do
      if call.session:connected() and not call.arguments.as and call.arguments.since ~= revision then
        error("a caller waits, though there is another revision")
      end
    end
  end,
  finally = function(run)
    local staged = run.world:znode(PATH .. "/staged")
    if staged then
      run:session():call("config.spread",
        { path = PATH, revision = tonumber(staged.data:match('"revision":(%d+)')), percent = 0 })
    end
    run:session():call("config.publish", { path = PATH, set = { last = tostring(#run.calls) } })
  end,
}
