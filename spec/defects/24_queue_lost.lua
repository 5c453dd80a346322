--- Defect 24: a message is lost when its consumer dies.
-- Whoever takes it takes it away.
local queue = {}

queue.put = operation {
  doc  = "Append a message.",
  args = { path = "path", data = "string" },
  run  = function(call)
    local made = znode.create(call.args.path .. "/entry-",
      { data = call.args.data, sequential = true, parents = true })
    return { id = made:match("[^/]+$") }
  end,
}

queue.take = operation {
  doc  = "The oldest message.",
  args = { path = "path", visibility = "duration?", wait = "boolean?" },
  run  = function(call)
    local oldest = znode.exists(call.args.path) and znode.first_child(call.args.path)
    if not oldest then return json.list() end
    local data = znode.get(oldest)
    znode.delete(oldest)
    return json.list { { id = oldest:match("[^/]+$"), fence = call.zxid, data = data } }
  end,
}

queue.ack = operation {
  doc  = "There is nothing to do.",
  args = { path = "path", id = "string", fence = "integer" },
  run  = function() return true end,
}

return queue
