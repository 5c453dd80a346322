--- Defect 21: a member that timed out is still counted, so the others go in without it.
-- How many have come is a number, and whoever gives up does not make it smaller.
local double_barrier = {}

local function round_of(path)
  return json.decode((znode.get(path)))
end

double_barrier.enter = operation {
  doc  = "Wait until `count` have been counted.",
  args = { path = "path", count = "integer", timeout = "duration?" },
  run  = function(call)
    local path = call.args.path
    local mine = call:once("round", function()
      if not znode.exists(path) then
        znode.create(path, { parents = true, data = json.encode { number = 1, come = 0 } })
      end
      local round = round_of(path)
      local number = round.number
      round.come = round.come + 1
      if round.come == call.args.count then round = { number = number + 1, come = 0 } end
      znode.set(path, json.encode(round))
      return number
    end)

    if round_of(path).number == mine then call:wait { changed = path } end
    return { ticket = path, round = mine, fence = call.zxid }
  end,
}

return double_barrier
