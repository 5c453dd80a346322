--- The shortest schedule that still fails in the same way: delta debugging (Zeller and Hildebrandt,
-- IEEE Transactions on Software Engineering 28/2, 2002), then each step made simpler.
local shrink = {}

local function without(steps, first, count)
  local rest = {}
  for i, step in ipairs(steps) do
    if i < first or i >= first + count then table.insert(rest, step) end
  end
  return rest
end

local function replaced(steps, at, step)
  local copy = {}
  for i, old in ipairs(steps) do copy[i] = i == at and step or old end
  return copy
end

-- Take away as long as it fails: chunks of half the schedule, of a quarter, at last single steps.
local function drop(steps, fails)
  local size = math.max(1, math.floor(#steps / 2))
  while true do
    local first, dropped = 1, false
    while first <= #steps do
      local rest = without(steps, first, size)
      if fails(rest) then
        steps, dropped = rest, true
      else
        first = first + size
      end
    end
    if size == 1 and not dropped then return steps end
    size = math.max(1, math.floor(size / 2))
  end
end

-- A step without its cut, and with ones for what it drew.
local function simpler(step)
  local candidates = {}
  if step.cut then
    table.insert(candidates, { name = step.name, draws = step.draws })
    for cut = 0, step.cut - 1 do
      table.insert(candidates, { name = step.name, draws = step.draws, cut = cut })
    end
  end
  for i, draw in ipairs(step.draws) do
    if draw > 1 then
      local draws = { unpack(step.draws) }
      draws[i] = 1
      table.insert(candidates, { name = step.name, draws = draws, cut = step.cut })
    end
  end
  return candidates
end

local function simplify(steps, fails)
  local at = 1
  while at <= #steps do
    local better
    for _, step in ipairs(simpler(steps[at])) do
      local changed = replaced(steps, at, step)
      if fails(changed) then
        better = changed
        break
      end
    end
    if better then steps = better else at = at + 1 end
  end
  return steps
end

--- Steps that fail, as few and as simple as were found within `replays` calls of `fails(steps)`.
-- Returns them, and how many replays it took.
function shrink.steps(steps, replays, fails)
  local left = replays
  local function tried(candidate)
    if left == 0 then return false end
    left = left - 1
    return fails(candidate)
  end
  repeat
    local count = #steps
    steps = simplify(drop(steps, tried), tried)
  until #steps == count or left == 0
  return steps, replays - left
end

return shrink
