--- Barrier: whoever waits is held as long as its znode exists.
-- barrier.set
-- Arguments  path     the znode that is the barrier; those above it are created if missing
-- Result     set      true; false if it stood already
--            fence    the zxid at which it was set
-- Errors     NoAuth   the caller may not create it
--
-- barrier.remove
-- Arguments  path     as given to barrier.set
-- Result     true     it stood, and everybody who waited passes; false: there was none
-- Errors     NoAuth   the caller may not delete it
--            NotEmpty somebody has created znodes below it
--
-- barrier.wait
-- Arguments  path     as given to barrier.set
--            timeout  how long to wait, "250ms" or "10s"; default: for ever
-- Result     fence    the zxid at which the caller passed
-- Errors     Timeout  it was not removed in time; nothing is left behind
--            NoAuth   the caller may not see it
-- Fairness   all pass, in the order in which they began to wait
-- Fencing    who waited passes with a larger fence than the barrier's
-- Wakes      everybody who waits, once, when it is removed
-- Survives   the leader's death, at every step; the parked call goes on under its successor
--
-- Who waits passes when the barrier that it met goes, even if another is set in its place at once.
-- It belongs to no session: it stands until somebody removes it.
-- Curator's DistributedBarrier and kazoo's Barrier are the same znode: they may set, remove and
-- wait for ours, and we for theirs.
local barrier = {}

-- The invariant: the barrier stands if and only if its znode exists; the znode's czxid tells the
-- barriers apart that stand there one after another.

barrier.set = operation {
  doc  = "Set the barrier at `path`.",
  args = { path = "path" },
  run  = function(call)
    local stat = znode.stat(call.args.path)
    if stat then return { set = false, fence = stat.czxid } end
    znode.create(call.args.path, { parents = true })
    return { set = true, fence = call.zxid }
  end,
}

barrier.remove = operation {
  doc  = "Remove the barrier at `path`, and let everybody pass.",
  args = { path = "path" },
  run  = function(call) return znode.delete(call.args.path) end,
}

barrier.wait = operation {
  doc  = "Wait until the barrier at `path` is removed.",
  args = { path = "path", timeout = "duration?" },
  run  = function(call)
    local stat = znode.stat(call.args.path)
    local met = call:once("met", function() return stat and stat.czxid or 0 end)
    if stat and stat.czxid == met then call:wait { deleted = call.args.path } end
    return { fence = call.zxid }
  end,
}

return barrier
