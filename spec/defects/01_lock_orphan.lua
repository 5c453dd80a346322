--- Defect 1: whoever gives up leaves its place in the queue, and everybody waits for it for ever.
-- The queue is a list in the lock's data, so no znode goes with the waiter that it stands for.
local lock = {}

local function queue_of(path)
  return json.decode((znode.get(path)))
end

lock.acquire = operation {
  doc  = "Wait until one's number is the first in the list.",
  args = { path = "path", timeout = "duration?" },
  run  = function(call)
    local path = call.args.path
    local number = call:once("number", function()
      if not znode.exists(path) then
        znode.create(path, { parents = true, data = json.encode { next = 1, queue = json.list() } })
      end
      local state = queue_of(path)
      local mine = state.next
      state.next = mine + 1
      table.insert(state.queue, mine)
      znode.set(path, json.encode(state))
      return mine
    end)

    if queue_of(path).queue[1] ~= number then call:wait { changed = path } end
    return { ticket = path .. "/" .. number, fence = call.zxid }
  end,
}

lock.release = operation {
  doc  = "Take one's number out of the list.",
  args = { path = "path", ticket = "path" },
  run  = function(call)
    local state = queue_of(call.args.path)
    if call.args.ticket ~= call.args.path .. "/" .. tostring(state.queue[1]) then fail("NotOwner") end
    table.remove(state.queue, 1)
    znode.set(call.args.path, json.encode(state))
    return true
  end,
}

return lock
