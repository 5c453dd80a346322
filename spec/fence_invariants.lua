--- What holds of recipes/fence.lua whatever happens: what is written in the shadow of a newer fence
-- is refused, whoever asks, and in whatever order.
local PATH, TARGET = "/guards/disk", "/disk"

local function largest_accepted(run)
  local largest = 0
  for _, operation in ipairs { "fence.check", "fence.write" } do
    for _, call in ipairs(run:returned(operation)) do
      largest = math.max(largest, call.arguments.fence)
    end
  end
  return largest
end

local function fence(run)
  return math.max(1, largest_accepted(run) + run:random(5) - 3)
end

return {
  sessions = 3,
  actions = {
    {
      name = "check", weight = 2,
      run = function(run)
        run:start(run:session(), "fence.check", { path = PATH, fence = fence(run) })
      end,
    },
    {
      name = "write", weight = 3,
      run = function(run)
        local own = fence(run)
        run:start(run:session(), "fence.write",
          { path = PATH, fence = own, target = TARGET, data = tostring(own) })
      end,
    },
  },
  check = function(run)
    local guard, target = run.world:znode(PATH), run.world:znode(TARGET)
    local newest = guard and tonumber(guard.data) or 0
    local written = target and tonumber(target.data) or 0
    if newest < (run.state.newest or 0) then error("the newest fence has fallen to " .. newest) end
    if written < (run.state.written or 0) then error("an older holder wrote: " .. written) end
    if written > newest then error("a write went past the fence") end
    if newest < largest_accepted(run) then error("a fence that was accepted is forgotten") end
    run.state.newest, run.state.written = newest, written
  end,
}
