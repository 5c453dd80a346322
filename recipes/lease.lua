--- Leases: held for a time, by whoever keeps them alive; what is attached to one goes with it.
-- lease.grant
-- Arguments  path     the znode that stands for the lease; created if missing
--            ttl      how long it lasts without a keepalive, from 1 ms
--            holder   shown to who asks, up to 1 KB; default: nothing
-- Result     fence    grows with every grant; whoever knows it holds the lease, in any session
--            ends     when it is over, in ms of the server's log time
-- Errors     Conflict the lease is held; one that is over is ended, and granted anew
--            NoAuth   the caller may not create the znode
--
-- lease.keepalive     path, fence: it lasts its whole ttl again
-- Result     ends
--
-- lease.attach
-- Arguments  path fence
--            znode    to be deleted when the lease ends; a later one of that name is not
-- Result     true
-- Errors     NoNode   there is no such znode
--            Limit    256 are attached
--
-- lease.revoke        path, fence: end it now
-- Result     true
--
-- Errors of these     NotOwner: the lease is not of this fence any more, or is over (to revoke one
--                     that is over is no mistake)
--
-- lease.wait
-- Arguments  path     wait until the lease that is there ends, and end it when it is over, whether
--                     or not the caller's session lives on
--            timeout
-- Result     true     it has ended, and what was attached is gone
--
-- lease.remaining     path: holder, fence, ends, and remaining, in ms; 0 if nobody holds it; reads
--                     only
--
-- Fencing    the zxid of the grant
-- Time       is the server's log time: no client's clock counts, it does not run while no server
--            does, and without a keepalive what remains only shrinks
-- Survives   the server's death, at every step
-- Limits     A lease that is over is nobody's at once; its znodes go when somebody waits for that,
--            or else with the next grant or a revoke. Of the znodes that are attached those stay
--            which have children, or which whoever ends the lease may not delete.
local lease = {}
local ATTACHED_MAX = 256

local function held_at(path)
  local data = znode.get(path)
  local ok, said = pcall(json.decode, data or "")
  return ok and type(said) == "table" and said.ends and said or nil
end

local function check_holds(call)
  local said = held_at(call.args.path)
  if not said or said.fence ~= call.args.fence or said.ends <= call.now then
    fail("NotOwner", "the lease is over, or of another fence")
  end
  return said
end

-- A child of the lease's for each znode that is attached: its path, and which one of that name.
local function finish(path)
  for _, name in ipairs(znode.children(path, { limit = ATTACHED_MAX })) do
    local record = path .. "/" .. name
    local attached = json.decode((znode.get(record)))
    local stat = znode.stat(attached.path)
    if stat and stat.czxid == attached.czxid then pcall(znode.delete, attached.path) end
    znode.delete(record)
  end
  znode.delete(path)
end

-- The invariant: the lease is held until `ends`, which is in its znode, and by nobody afterwards.
lease.grant = operation {
  doc  = "Hold the lease at `path` for `ttl`.",
  args = { path = "path", ttl = { type = "duration", min = 1 },
    holder = { type = "string", default = "", max = 1024 } },
  run  = function(call)
    local path, ttl = call.args.path, call.args.ttl
    local held = held_at(path)
    if held and held.ends > call.now then
      fail("Conflict", ("held for another %d ms"):format(held.ends - call.now))
    end
    if held then finish(path) end
    local said = { fence = call.zxid, ends = call.now + ttl, ttl = ttl, holder = call.args.holder }
    znode.create(path, { data = json.encode(said), parents = true })
    return { fence = said.fence, ends = said.ends }
  end,
}

lease.keepalive = operation {
  doc  = "Hold the lease at `path` for its ttl from now.",
  args = { path = "path", fence = "integer" },
  run  = function(call)
    local said = check_holds(call)
    said.ends = call.now + said.ttl
    znode.set(call.args.path, json.encode(said))
    return { ends = said.ends }
  end,
}

lease.attach = operation {
  doc  = "Delete `znode` when the lease at `path` ends.",
  args = { path = "path", fence = "integer", znode = "path" },
  run  = function(call)
    local path, attached = call.args.path, call.args.znode
    check_holds(call)
    local stat = znode.stat(attached)
    if not stat then fail("NoNode", "there is no " .. attached) end
    if znode.count(path) >= ATTACHED_MAX then fail("Limit", ATTACHED_MAX .. " are attached") end
    znode.create(path .. "/attached-", { sequential = true,
      data = json.encode { path = attached, czxid = stat.czxid } })
    return true
  end,
}

lease.revoke = operation {
  doc  = "End the lease at `path`.",
  args = { path = "path", fence = "integer" },
  run  = function(call)
    local said = held_at(call.args.path)
    if not said or said.fence ~= call.args.fence then fail("NotOwner") end
    finish(call.args.path)
    return true
  end,
}

lease.wait = operation {
  doc  = "Wait until the lease at `path` ends; end it in time.",
  args = { path = "path", timeout = "duration?" },
  outlives_session = true,
  run  = function(call)
    local path = call.args.path
    local said = held_at(path)
    local fence = call:once("fence", function() return said and said.fence or 0 end)
    if not said or said.fence ~= fence then return true end
    if said.ends > call.now then call:wait { deleted = path, at = said.ends } end
    finish(path)
    return true
  end,
}

lease.remaining = operation {
  doc  = "Who holds the lease at `path`, and for how long.",
  args = { path = "path" },
  reads_only = true,
  run  = function(call)
    local said = held_at(call.args.path)
    if not said or said.ends <= call.now then return { remaining = 0 } end
    return { holder = said.holder, fence = said.fence, ends = said.ends,
      remaining = said.ends - call.now }
  end,
}

return lease
