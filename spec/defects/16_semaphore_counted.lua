--- Defect 16: the permits of a session that has ended are never free again.
-- They are a number, which release makes smaller and the end of a session does not.
local semaphore = {}

local function numbers(path)
  return json.decode((znode.get(path)))
end

semaphore.set_limit = operation {
  doc  = "Let `limit` permits be held.",
  args = { path = "path", limit = "integer" },
  run  = function(call)
    znode.create(call.args.path,
      { data = json.encode { limit = call.args.limit, held = 0 }, parents = true })
  end,
}

semaphore.acquire = operation {
  doc  = "Wait until fewer than the limit are held.",
  args = { path = "path", timeout = "duration?" },
  run  = function(call)
    local state = numbers(call.args.path)
    if state.held >= state.limit then call:wait { changed = call.args.path } end
    state.held = state.held + 1
    znode.set(call.args.path, json.encode(state))
    return { permits = json.list { call.args.path }, fence = call.zxid }
  end,
}

semaphore.release = operation {
  doc  = "Count one down.",
  args = { permits = "list", fence = "integer" },
  run  = function(call)
    local path = call.args.permits[1]
    local state = numbers(path)
    state.held = state.held - 1
    znode.set(path, json.encode(state))
  end,
}

return semaphore
