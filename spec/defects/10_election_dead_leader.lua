--- Defect 10: the leader's znode outlives the leader, and nobody leads.
-- It is not ephemeral: what is written about a session has to go with it.
local election = {}
local candidate = { by = "creation", like = "latch-" }

election.campaign = operation {
  doc  = "Wait until one's znode is the oldest.",
  args = { path = "path", value = "string?", timeout = "duration?" },
  run  = function(call)
    local ticket = call:once("ticket", function()
      return znode.create(call.args.path .. "/latch-",
        { data = call.session, sequential = true, parents = true })
    end)

    local ahead = znode.sibling_before(ticket, candidate)
    if ahead then call:wait { deleted = ahead } end
    return { ticket = ticket, fence = call.zxid }
  end,
}

election.resign = operation {
  doc  = "Delete the leader's znode.",
  args = { ticket = "path", fence = "integer" },
  run  = function(call)
    if znode.get(call.args.ticket) ~= call.session then fail("NotOwner") end
    return znode.delete(call.args.ticket)
  end,
}

return election
