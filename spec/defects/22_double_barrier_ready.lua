--- Defect 22: one member too few is enough, since the znode that says "ready" is counted as well.
-- It stays when a round is over; the next one finds it among its members.
local double_barrier = {}

double_barrier.enter = operation {
  doc  = "Wait until `count` children are there.",
  args = { path = "path", count = "integer", timeout = "duration?" },
  run  = function(call)
    local path = call.args.path
    local ticket = call:once("ticket", function()
      return znode.create(path .. "/member-",
        { ephemeral = true, sequential = true, parents = true })
    end)
    if not znode.exists(ticket) then -- those of a round that is complete have been taken away
      return { ticket = ticket, round = tonumber((znode.get(path .. "/ready"))), fence = call.zxid }
    end

    if znode.count(path) < call.args.count then call:wait { deleted = ticket, children = path } end
    for _, name in ipairs(znode.children(path, { like = "member-" })) do
      znode.delete(path .. "/" .. name)
    end
    znode.delete(path .. "/ready")
    znode.create(path .. "/ready", { data = tostring(call.zxid) })
    return { ticket = ticket, round = call.zxid, fence = call.zxid }
  end,
}

return double_barrier
