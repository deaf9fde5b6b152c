-- The counters of core/token-bucket.ts and core/sliding-window.ts. Needs sliding-window. A rule is
-- { 1 for a token bucket | 0 for a sliding window, limit, window, burst }. A bucket is packed as its level and
-- the time of it, two 8-byte floats. Bounds given by TypeScript keep every product an exact whole number.

-- What is no packed counter is an unused one.
local function open_counter(packed, rule, now)
  if rule[1] == 0 then return open_window(packed, rule[3], now) end
  if not packed or #packed ~= 16 then return { level = 0, at = now, lives = false } end
  local level, at = unpack_from('<dd', packed)
  local current = max(now, at)
  return { level = max(0, level - (current - at) * rule[2]), at = current, lives = false }
end

-- Milliseconds until `cost` fits.
local function counter_wait(counter, rule, cost)
  if rule[1] == 0 then return window_wait(counter, rule[2], cost) end
  return max(0, ceil((counter.level + (cost - rule[4]) * rule[3]) / rule[2]))
end

-- Takes `cost`, into debt if need be; the debt ends at one limit.
local function take_from(counter, rule, cost)
  if rule[1] == 0 then
    add_units(counter, min(cost, 2 * rule[2] - counter.total))
  else
    counter.level = min((rule[4] + rule[2]) * rule[3], counter.level + cost * rule[3])
  end
end

-- Units left, and milliseconds until the counter is unused.
local function counter_state(counter, rule)
  if rule[1] == 0 then return max(0, rule[2] - counter.total), window_reset(counter) end
  return max(0, floor((rule[4] * rule[3] - counter.level) / rule[3])), ceil(counter.level / rule[2])
end

local function pack_counter(counter)
  if counter.level then return pack('<dd', counter.level, counter.at) end
  return pack_window(counter)
end
