--- What holds of recipes/queue.lua whatever happens: `moonkeeper recipe explore recipes/queue.lua`.
local PATH = "/queues/mail"
local CAPACITY, DELIVERIES_MAX = 8, 4
local KEYS = { "k1", "k2", "k/3" }

local function is_answered(call) return not call:waiting() and not call:error() end

-- Everything that is in the queue: data to { kind, name, head }. Twice the same is an error.
local function messages(run)
  local found = {}
  for _, kind in ipairs { "entries", "delayed", "inflight", "dead" } do
    local parent = PATH .. "/" .. kind
    for _, name in ipairs(run.world:children(parent) or {}) do
      local data = run.world:znode(parent .. "/" .. name).data
      local head = "{}"
      if kind ~= "entries" then head, data = data:match("^([^\n]*)\n(.*)$") end
      if found[data] then error(data .. " is in " .. found[data].kind .. " and in " .. kind) end
      found[data] = { kind = kind, name = name, head = head }
    end
  end
  return found
end

-- Every delivery: { call, message }, in the order of their fences.
local function deliveries(run)
  local list = {}
  for _, call in ipairs(run:returned("queue.take")) do
    for i, message in ipairs(call:result()) do
      table.insert(list, { call = call, message = message, position = i })
    end
  end
  table.sort(list, function(one, other)
    if one.message.fence ~= other.message.fence then
      return one.message.fence < other.message.fence
    end
    return one.position < other.position
  end)
  return list
end

-- The calls of an operation that speak of a delivery, whatever became of them, but for those that
-- are known to have failed.
local function spoken(run, delivery, operation)
  for _, call in ipairs(run.calls) do
    if call.operation == operation and call.arguments.fence == delivery.message.fence and
      call.arguments.id == delivery.message.id and
      (call:waiting() or not call:error() or call:error() == "SessionExpired") then
      return call
    end
  end
end

-- What was put is there until it is done; what is done stays away.
local function nothing_lost(run, found, all)
  local done, may_be_done = {}, {}
  for _, delivery in ipairs(all) do
    local ack, data = spoken(run, delivery, "queue.ack"), delivery.message.data
    if ack then
      may_be_done[data] = true
      if is_answered(ack) then
        if done[data] then error(data .. " was acknowledged twice") end
        done[data] = true
      end
    end
  end
  for _, call in ipairs(run:returned("queue.put")) do
    local data = call.arguments.data
    if not call:result().duplicate then
      if done[data] and found[data] then error(data .. " is done, and there") end
      if not found[data] and not may_be_done[data] and not run.state.removed[data] then
        error(data .. " is lost")
      end
    elseif found[data] then
      error(data .. " is there, and was refused as a duplicate")
    end
  end
end

-- Deliveries of one message have growing fences and counts; first ones follow the order of the ids.
local function in_order(all)
  local last, first = {}, {}
  for _, delivery in ipairs(all) do
    local message = delivery.message
    local before = last[message.data]
    if before and (message.fence <= before.fence or message.deliveries <= before.deliveries) then
      error(message.data .. ": a later delivery has no larger fence and count")
    end
    last[message.data] = message
    if message.deliveries == 1 then
      local priority = message.id:match("^entry%-(%d+)")
      if first[priority] and message.id <= first[priority] then
        error(message.id .. " was taken behind " .. first[priority])
      end
      first[priority] = message.id
    end
  end
end

-- Who was given a message without a visibility has it until it lets go, or its session ends.
local function still_held(run, all)
  for _, delivery in ipairs(all) do
    local session, message = delivery.call.session, delivery.message
    if not session.ended and not delivery.call.arguments.visibility and
      not spoken(run, delivery, "queue.ack") and not spoken(run, delivery, "queue.nack") and
      not spoken(run, delivery, "queue.extend") then
      local znode = run.world:znode(PATH .. "/inflight/" .. session.id .. "-" .. message.id)
      local fence = string.format('"fence":%.0f', message.fence)
      if not znode or not znode.data:find(fence, 1, true) then
        if run.world.native:alive(session.client) then
          error(message.data .. " was taken from " .. session.name .. ", which lives")
        end
      end
    end
  end
end

-- Nobody waits for what is there.
local function nobody_waits_in_vain(run)
  local function count(name) return #(run.world:children(PATH .. "/" .. name) or {}) end
  local length = count("entries") + count("delayed") + count("inflight")
  if length > CAPACITY then error(length .. " messages in a queue of " .. CAPACITY) end
  if count("takers") > 0 and count("entries") > 0 then error("a taker waits for what is there") end
  if count("putters") > 0 and length < CAPACITY then error("a putter waits, and there is room") end
end

-- The indexes say what the messages say.
local function indexes_agree(run, found)
  local due, keys = {}, {}
  for _, message in pairs(found) do
    local time = message.head:match('"due":(%d+)')
    if time then due[string.format("%016d-%s", time, message.name)] = true end
    local key = message.head:match('"key":"([^"]*)"')
    local meta = run.world:znode(PATH .. "/meta/" .. message.name)
    if message.kind == "entries" and meta then key = meta.data:match('"key":"([^"]*)"') end
    if key and message.kind ~= "dead" then
      if keys[key] then error("two messages have the key " .. key) end
      keys[key] = PATH .. "/" .. message.kind .. "/" .. message.name
    end
  end
  for _, name in ipairs(run.world:children(PATH .. "/due") or {}) do
    if not due[name] then error("due/" .. name .. " is of no message") end
    due[name] = nil
  end
  if next(due) then error(next(due) .. " is missing in due") end
  for _, name in ipairs(run.world:children(PATH .. "/keys") or {}) do
    local key = name:sub(3):gsub("%%2F", "/")
    if keys[key] ~= run.world:znode(PATH .. "/keys/" .. name).data then
      error("the key " .. key .. " is not where its message is")
    end
    keys[key] = nil
  end
  if next(keys) then error("the key " .. next(keys) .. " is not known") end
  for _, name in ipairs(run.world:children(PATH .. "/meta") or {}) do
    local message = run.world:znode(PATH .. "/entries/" .. name)
    if not message then error("meta/" .. name .. " is of no message") end
  end
end

local function put(run, more)
  run.state.number = run.state.number + 1
  local arguments = { path = PATH, data = "m" .. run.state.number }
  for name, value in pairs(more or {}) do arguments[name] = value end
  run:start(run:session(), "queue.put", arguments)
end

local function take(run, more)
  local arguments = { path = PATH }
  for name, value in pairs(more or {}) do arguments[name] = value end
  run:start(run:session(), "queue.take", arguments)
end

-- Answer for one of the deliveries: mostly in its session, now and then in another.
local function answer(run, operation, more)
  local delivery = run:one_of(deliveries(run))
  local session = delivery.call.session
  if not session:connected() or run:chance(0.1) then session = run:session() end
  local arguments = { path = PATH, id = delivery.message.id, fence = delivery.message.fence }
  for name, value in pairs(more or {}) do arguments[name] = value end
  run:start(session, operation, arguments)
end

local TIMES = { "1ms", "2s", "20s" }

return {
  sessions = 4,
  begin = function(run)
    run.state.number, run.state.removed = 0, {}
    run:start(run:session(), "queue.configure",
      { path = PATH, capacity = CAPACITY, deliveries_max = DELIVERIES_MAX })
  end,
  actions = {
    { name = "put", weight = 6, run = function(run) put(run) end },
    {
      name = "put with a priority, or a delay", weight = 2,
      run = function(run)
        put(run, { priority = 50 * run:random(3),
                   delay = run:chance(0.5) and run:one_of(TIMES) or nil })
      end,
    },
    {
      name = "put with a key", weight = 2,
      run = function(run) put(run, { key = run:one_of(KEYS) }) end,
    },
    {
      name = "put without waiting for ever", weight = 1,
      run = function(run) put(run, run:chance(0.5) and { wait = false } or { timeout = "5s" }) end,
    },
    { name = "take", weight = 5, run = function(run) take(run) end },
    {
      name = "take some, with a visibility", weight = 3,
      run = function(run)
        take(run, { count = run:random(3), visibility = run:one_of(TIMES), timeout = "30s" })
      end,
    },
    { name = "look for one", weight = 1, run = function(run) take(run, { wait = false }) end },
    { name = "ack", weight = 6, run = function(run) answer(run, "queue.ack") end },
    {
      name = "nack", weight = 2,
      run = function(run)
        answer(run, "queue.nack", { delay = run:chance(0.3) and run:one_of(TIMES) or nil })
      end,
    },
    {
      name = "extend", weight = 1,
      run = function(run) answer(run, "queue.extend", { visibility = run:one_of(TIMES) }) end,
    },
    {
      name = "remove", weight = 1,
      run = function(run)
        local puts = run:returned("queue.put")
        local id = run:one_of(puts):result().id
        for _, call in ipairs(puts) do -- more than one, if the others were told that it is there
          if call:result().id == id then run.state.removed[call.arguments.data] = true end
        end
        run:start(run:session(), "queue.remove", { path = PATH, id = id })
      end,
    },
    {
      name = "remove by key", weight = 1,
      run = function(run)
        local key = run:one_of(KEYS)
        for _, call in ipairs(run.calls) do
          if call.arguments.key == key and call.arguments.data then
            run.state.removed[call.arguments.data] = true
          end
        end
        run:start(run:session(), "queue.remove", { path = PATH, key = key })
      end,
    },
  },
  check = function(run)
    local found, all = messages(run), deliveries(run)
    in_order(all)
    indexes_agree(run, found)
    if run.state.emptied then return end -- by other calls than those of run.calls
    nothing_lost(run, found, all)
    still_held(run, all)
    nobody_waits_in_vain(run)
  end,
  -- Whoever waits for a message gets one, and everything that is there is taken, once.
  finally = function(run)
    local session = run:session()
    local world = run.world
    run.state.emptied = true
    session:call("queue.configure", { path = PATH })
    while #run:waiting("queue.take") > 0 do
      run.state.number = run.state.number + 1
      session:call("queue.put", { path = PATH, data = "m" .. run.state.number })
    end
    world:advance("1m")
    repeat
      local taken = session:call("queue.take", { path = PATH, count = 10, wait = false })
      for _, message in ipairs(taken) do
        session:call("queue.ack", { path = PATH, id = message.id, fence = message.fence })
      end
    until #taken == 0
    if #(world:children(PATH .. "/entries") or {}) > 0 then error("not all could be taken") end
  end,
}
