--- Defect 28: more holders than permits.
-- What is looked at and what is written are two things: who was woken takes its permit without
-- looking whether somebody else was faster.
local semaphore = {}

local function leases(path)
  return path .. "/leases"
end

semaphore.set_limit = operation {
  doc  = "Let `limit` permits be held.",
  args = { path = "path", limit = "integer" },
  run  = function(call)
    znode.create(call.args.path, { data = tostring(call.args.limit), parents = true })
    znode.create(leases(call.args.path))
  end,
}

semaphore.acquire = operation {
  doc  = "Wait once until fewer than the limit are held.",
  args = { path = "path", timeout = "duration?" },
  run  = function(call)
    local path = call.args.path
    local full = znode.count(leases(path)) >= tonumber((znode.get(path)))
    if full and not call:recall("waited") then
      call:once("waited", function() return true end)
      call:wait { children = leases(path), all = true }
    end
    local permit = znode.create(leases(path) .. "/lease-", { ephemeral = true, sequential = true })
    return { permits = json.list { permit }, fence = call.zxid }
  end,
}

semaphore.release = operation {
  doc  = "Delete the permit.",
  args = { permits = "list", fence = "integer" },
  run  = function(call)
    local stat = znode.stat(call.args.permits[1])
    if not stat or stat.owner ~= call.session then fail("NotOwner") end
    znode.delete(call.args.permits[1])
  end,
}

return semaphore
