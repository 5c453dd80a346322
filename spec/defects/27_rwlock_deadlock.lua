--- Defect 27: a reader and a writer wait for each other.
-- Readers let every writer pass, also one who asked later; and writers wait for whoever asked before.
local rwlock = {}
local READ, WRITE = "__READ__", "__WRIT__"

local function ticket_of(call, mode)
  return call:once("ticket", function()
    return znode.create(call.args.path .. "/" .. mode,
      { ephemeral = true, sequential = true, parents = true })
  end)
end

rwlock.read = operation {
  doc  = "Wait until there is no writer.",
  args = { path = "path", timeout = "duration?" },
  run  = function(call)
    local ticket = ticket_of(call, READ)
    local writer = znode.first_child(call.args.path, { by = "creation", like = WRITE })
    if writer then call:wait { deleted = writer } end
    return { ticket = ticket, fence = call.zxid }
  end,
}

rwlock.write = operation {
  doc  = "Wait for all who asked before.",
  args = { path = "path", timeout = "duration?" },
  run  = function(call)
    local ticket = ticket_of(call, WRITE)
    local ahead = znode.sibling_before(ticket, { by = "creation", like = { READ, WRITE } })
    if ahead then call:wait { deleted = ahead } end
    return { ticket = ticket, fence = call.zxid }
  end,
}

rwlock.release = operation {
  doc  = "Delete the ticket.",
  args = { ticket = "path", fence = "integer" },
  run  = function(call)
    local stat = znode.stat(call.args.ticket)
    if not stat or stat.owner ~= call.session then fail("NotOwner") end
    return znode.delete(call.args.ticket)
  end,
}

rwlock.downgrade = operation {
  doc  = "Not in this one.",
  args = { ticket = "path", fence = "integer" },
  run  = function() fail("NotOwner") end,
}

return rwlock
