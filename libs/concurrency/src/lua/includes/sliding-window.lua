-- The slices of core/sliding-window.ts: a flat list { index, count, index, count, ... }, oldest first.

local function slice_width(window)
  return math.ceil(window / 60)
end

-- When a slice stops counting.
local function slice_end(index, window)
  return (index + 1) * slice_width(window) + window
end

-- The slices that still count, their total, and `now`, or the newest slice's start where time has gone back.
local function live_slices(packed, window, now)
  local known = packed and cmsgpack.unpack(packed) or {}
  if #known > 0 then now = math.max(now, known[#known - 1] * slice_width(window)) end
  local slices, total = {}, 0
  for i = 1, #known, 2 do
    if slice_end(known[i], window) > now then
      slices[#slices + 1] = known[i]
      slices[#slices + 1] = known[i + 1]
      total = total + known[i + 1]
    end
  end
  return slices, total, now
end

local function add_units(slices, units, window, now)
  if units <= 0 then return end
  local index = math.floor(now / slice_width(window))
  if #slices > 0 and slices[#slices - 1] == index then
    slices[#slices] = slices[#slices] + units
  else
    slices[#slices + 1] = index
    slices[#slices + 1] = units
  end
end
