-- The rate limit rules of core/token-bucket.ts and core/sliding-window.ts, on packed state. Needs
-- sliding-window.
-- Each read returns wait, apply: milliseconds until `cost` fits, and a function from units to consume to
-- new packed state, remaining, milliseconds until unused. Bounds given by TypeScript keep every product
-- an exact integer.

local function read_bucket(packed, limit, window, burst, cost, now)
  local level, at = 0, 0
  if packed then level, at = cmsgpack.unpack(packed) end
  local current = math.max(now, at)
  level = math.max(0, level - (current - at) * limit)
  local wait = math.max(0, math.ceil((level + cost * window - burst * window) / limit))
  return wait, function(units)
    local after = math.min((burst + limit) * window, level + units * window)
    local remaining = math.max(0, math.floor((burst * window - after) / window))
    return cmsgpack.pack(after, current), remaining, math.ceil(after / limit)
  end
end

local function read_window(packed, limit, window, cost, now)
  local slices, total, at = live_slices(packed, window, now)
  local wait, rest = 0, total
  for i = 1, #slices, 2 do
    if rest + cost <= limit then break end
    rest = rest - slices[i + 1]
    wait = slice_end(slices[i], window) - at
  end
  return wait, function(units)
    local added = math.min(units, 2 * limit - total)
    add_units(slices, added, window, at)
    local reset = #slices > 0 and slice_end(slices[#slices - 1], window) - at or 0
    return cmsgpack.pack(slices), math.max(0, limit - total - math.max(0, added)), reset
  end
end
