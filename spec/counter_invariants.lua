--- What holds of recipes/counter.lua whatever happens.
local SUM, TICKETS, SEATS = "/counters/sum", "/counters/tickets", "/counters/seats"
local FLOOR, CEILING = 0, 7

local function number_at(run, path)
  local znode = run.world:znode(path)
  return znode and tonumber(znode.data) or 0
end

-- What is known to have been added to `path`, and what of which nobody knows: at least, at most.
local function added(run, path)
  local sum, least, most = 0, 0, 0
  for _, call in ipairs(run.calls) do
    local by = call.arguments.by
    if call.operation == "counter.add_all" then by = by[path] or 0 end
    if call.operation == "counter.add_all" or call.arguments.path == path then
      if call:waiting() or call:error() == "SessionExpired" then
        least, most = least + math.min(by, 0), most + math.max(by, 0)
      elseif not call:error() then
        sum = sum + by
      end
    end
  end
  return sum, least, most
end

local function check_sum(run, path)
  local number, sum, least, most = number_at(run, path), added(run, path)
  if number < sum + least or number > sum + most then
    error(path .. " is " .. number .. ", though " .. sum .. " were added")
  end
end

local function add(run, path, by, more)
  local arguments = { path = path, by = by }
  for name, value in pairs(more or {}) do arguments[name] = value end
  run:start(run:session(), "counter.add", arguments)
end

return {
  sessions = 3,
  actions = {
    { name = "add", weight = 3, run = function(run) add(run, SUM, run:random(9) - 5) end },
    { name = "take a number", weight = 3, run = function(run) add(run, TICKETS, 1) end },
    {
      name = "take or free seats", weight = 3,
      run = function(run)
        add(run, SEATS, run:random(9) - 5, { floor = FLOOR, ceiling = CEILING })
      end,
    },
    {
      name = "add to two", weight = 2,
      run = function(run)
        local by = run:random(9) - 5
        run:start(run:session(), "counter.add_all",
          { by = { [SUM] = by, ["/counters/other"] = -by } })
      end,
    },
  },
  check = function(run)
    for _, path in ipairs { SUM, TICKETS, SEATS } do check_sum(run, path) end
    local seats, seen = number_at(run, SEATS), {}
    if seats < FLOOR or seats > CEILING then error("there are " .. seats .. " seats") end
    for _, call in ipairs(run:returned("counter.add")) do
      local result = call:result()
      if result.after - result.before ~= call.arguments.by then error("it was not added") end
      if call.arguments.path == TICKETS then
        if seen[result.after] then error("number " .. result.after .. " was given twice") end
        seen[result.after] = true
      end
    end
  end,
}
