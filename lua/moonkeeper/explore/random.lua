--- Numbers that look random and are the same on every machine, from a seed.
--
-- Two multiplicative generators combined (L'Ecuyer, Communications of the ACM 31/6, 1988): every
-- product stays below 2^53, so doubles are exact, and the period is about 2.3 * 10^18.
local random = {}

local MODULUS, FACTOR = { 2147483563, 2147483399 }, { 40014, 40692 }

-- The first numbers of neighbouring seeds resemble each other.
local DISCARDED = 12

local Generator = {}
Generator.__index = Generator

local function advance(generator, which)
  generator[which] = generator[which] * FACTOR[which] % MODULUS[which]
  return generator[which]
end

--- A whole number from 1 to n.
function Generator:below(n)
  local difference = (advance(self, 1) - advance(self, 2)) % (MODULUS[1] - 1)
  return math.floor(difference / (MODULUS[1] - 1) * n) + 1
end

--- The index of one of `weights`, each as likely as its weight says.
function Generator:weighted(weights)
  local sum = 0
  for _, weight in ipairs(weights) do sum = sum + weight end
  local left = self:below(sum)
  for index, weight in ipairs(weights) do
    left = left - weight
    if left <= 0 then return index end
  end
end

--- A generator of its own for each whole number from 0 to 2^31.
function random.new(seed)
  local generator = setmetatable(
    { seed % (MODULUS[1] - 1) + 1, (seed + 1) * 7919 % (MODULUS[2] - 1) + 1 }, Generator)
  for _ = 1, DISCARDED do generator:below(1) end
  return generator
end

return random
