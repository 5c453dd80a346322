--- What holds of recipes/idgen.lua whatever happens.
local IDS, WORKERS, FLAKES = "/ids", "/workers", "/flakes"

-- Blocks do not overlap, and a later one is larger than one that was known before it was asked for.
local function blocks_disjoint(run)
  local blocks = {}
  for _, call in ipairs(run:returned("idgen.next_block")) do table.insert(blocks, call:result()) end
  table.sort(blocks, function(one, other) return one.first < other.first end)
  for i = 2, #blocks do
    if blocks[i].first <= blocks[i - 1].last then
      error(string.format("%.0f was given twice", blocks[i].first))
    end
  end
end

local function snowflakes_once(run)
  local given = {}
  for _, call in ipairs(run:returned("idgen.snowflake")) do
    for _, id in ipairs(call:result().ids) do
      if given[id] then error(id .. " was given twice") end
      given[id] = true
    end
  end
end

local function was_released(run, held)
  for _, call in ipairs(run.calls) do
    if call.operation == "idgen.release" and call.arguments.fence == held:result().fence and
      call.session == held.session and not call:error() then
      return true
    end
  end
end

local function workers_unique(run)
  local holders = {}
  for _, call in ipairs(run:returned("idgen.worker")) do
    local worker = call:result().worker
    if not call.session.ended and not was_released(run, call) then
      if holders[worker] then error("two live sessions have the number " .. worker) end
      holders[worker] = call.session
    end
  end
end

return {
  sessions = 4,
  actions = {
    {
      name = "next block", weight = 4,
      run = function(run)
        run:start(run:session(), "idgen.next_block",
          { path = IDS, size = run:one_of { 1, 10, 1000, 400000 } })
      end,
    },
    {
      name = "snowflakes", weight = 4,
      run = function(run)
        run:start(run:session(), "idgen.snowflake", { path = FLAKES, count = run:one_of { 1, 2, 9 } })
      end,
    },
    {
      name = "worker", weight = 4,
      run = function(run) run:start(run:session(), "idgen.worker", { path = WORKERS, max = 5 }) end,
    },
    {
      name = "release", weight = 3,
      run = function(run)
        local held = run:one_of(run:returned("idgen.worker"))
        local session = held.session
        if not session:connected() or run:chance(0.3) then session = run:session() end
        run:start(session, "idgen.release",
          { path = WORKERS, worker = held:result().worker, fence = held:result().fence })
      end,
    },
    {
      -- What a backup knows is older, by a second at least; then the server starts.
      name = "a backup is restored", weight = 1,
      run = function(run)
        local old, session = run.state.backup, run:session()
        local function data_of(path) return (run.world:znode(path) or {}).data end
        run.state.backup = { [IDS] = data_of(IDS), [FLAKES] = data_of(FLAKES) }
        if not old or not next(old) then run:skip() end
        run:note("a backup is restored")
        run.world:advance("1s")
        for _, path in ipairs { IDS, FLAKES } do
          if old[path] then session:set(path, old[path]) end
        end
        run.world:fail_over()
      end,
    },
  },
  check = function(run)
    blocks_disjoint(run)
    snowflakes_once(run)
    workers_unique(run)
  end,
}
