--- Defect 23: a message is done by two consumers, since the first may still acknowledge what has
-- been given to the second.
-- The acknowledgement names the message, and not the delivery.
local queue = {}

queue.put = operation {
  doc  = "Append a message.",
  args = { path = "path", data = "string" },
  run  = function(call)
    local made = znode.create(call.args.path .. "/entry-",
      { data = json.encode { data = call.args.data, until_ms = 0 }, sequential = true,
        parents = true })
    return { id = made:match("[^/]+$") }
  end,
}

queue.take = operation {
  doc  = "The oldest message that nobody has, or has had for too long.",
  args = { path = "path", visibility = "duration", wait = "boolean?" },
  run  = function(call)
    local path = call.args.path
    for _, name in ipairs(znode.exists(path) and znode.children(path) or {}) do
      local message = json.decode((znode.get(path .. "/" .. name)))
      if message.until_ms <= call.now then
        message.until_ms = call.now + call.args.visibility
        znode.set(path .. "/" .. name, json.encode(message))
        return json.list { { id = name, fence = call.zxid, data = message.data } }
      end
    end
    return json.list()
  end,
}

queue.ack = operation {
  doc  = "The message is done.",
  args = { path = "path", id = "string", fence = "integer" },
  run  = function(call)
    if not znode.delete(call.args.path .. "/" .. call.args.id) then fail("NotOwner") end
    return true
  end,
}

return queue
