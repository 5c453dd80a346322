--- Defect 5: two leaders, since a candidate believes what it saw before it waited.
-- It waits for its predecessor to go, and leads when that has gone; but a predecessor that gave up
-- never led, and whoever does lead is still there.
local election = {}
local candidate = { by = "creation", like = "latch-" }

election.campaign = operation {
  doc  = "Wait until the candidate before has gone.",
  args = { path = "path", value = "string?", timeout = "duration?" },
  run  = function(call)
    local ticket = call:once("ticket", function()
      return znode.create(call.args.path .. "/latch-",
        { ephemeral = true, sequential = true, parents = true })
    end)
    local ahead = call:once("ahead", function()
      return { path = znode.sibling_before(ticket, candidate) }
    end)

    if ahead.path and znode.exists(ahead.path) then call:wait { deleted = ahead.path } end
    return { ticket = ticket, fence = call.zxid }
  end,
}

election.resign = operation {
  doc  = "Delete the leader's znode.",
  args = { ticket = "path", fence = "integer" },
  run  = function(call)
    local stat = znode.stat(call.args.ticket)
    if not stat or stat.owner ~= call.session then fail("NotOwner") end
    return znode.delete(call.args.ticket)
  end,
}

return election
