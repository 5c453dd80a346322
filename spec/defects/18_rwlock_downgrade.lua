--- Defect 18: a writer gets in while a reader holds the lock that was a writer before.
-- The downgrade gives the lock back and asks for it anew, behind whoever waits, and does not wait.
local rwlock = {}
local READ, WRITE = "__READ__", "__WRIT__"

local function acquire(mode)
  return function(call)
    local ticket = call:once("ticket", function()
      return znode.create(call.args.path .. "/" .. mode,
        { ephemeral = true, sequential = true, parents = true })
    end)
    local ahead = znode.sibling_before(ticket,
      { by = "creation", like = mode == READ and WRITE or { READ, WRITE } })
    if ahead then call:wait { deleted = ahead } end
    return { ticket = ticket, fence = call.zxid }
  end
end

local ARGUMENTS = { path = "path", timeout = "duration?" }
rwlock.read = operation { doc = "Wait for writers.", args = ARGUMENTS, run = acquire(READ) }
rwlock.write = operation { doc = "Wait for all.", args = ARGUMENTS, run = acquire(WRITE) }

local function check_owned(call)
  local stat = znode.stat(call.args.ticket)
  if not stat or stat.owner ~= call.session then fail("NotOwner") end
end

rwlock.release = operation {
  doc  = "Delete the ticket.",
  args = { ticket = "path", fence = "integer" },
  run  = function(call)
    check_owned(call)
    return znode.delete(call.args.ticket)
  end,
}

rwlock.downgrade = operation {
  doc  = "Release, and read.",
  args = { ticket = "path", fence = "integer" },
  run  = function(call)
    check_owned(call)
    local path = call.args.ticket:match("^(.+)/")
    znode.delete(call.args.ticket)
    local ticket = znode.create(path .. "/" .. READ, { ephemeral = true, sequential = true })
    return { ticket = ticket, fence = call.zxid }
  end,
}

return rwlock
