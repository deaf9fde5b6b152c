-- One sliding window, as in core/sliding-window.ts. Packed: the total, index and count of the newest slice, then
-- of the other slices that count, oldest first, all as 8-byte floats, which hold every whole number that
-- TypeScript lets through. At most 62 slices, so 1000 bytes. The other slices stay packed in memory, too: reading
-- and adding cost the same however many there are.

local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
local pack, unpack_from, sub = struct.pack, struct.unpack, string.sub

-- When a slice stops counting.
local function slice_end(counter, index)
  return (index + 1) * counter.width + counter.window
end

-- `at` is `now`, or the newest slice's start where time has gone back. What is no packed window is an unused one.
local function open_window(packed, window, now)
  local width = ceil(window / 60)
  local counter =
    { window = window, width = width, at = now, total = 0, index = -1, count = 0, older = '', lives = false }
  if not packed or #packed < 24 or #packed % 16 ~= 8 then return counter end
  local total, newest, count = unpack_from('<ddd', packed)
  local at = max(now, newest * width)
  counter.at = at
  if slice_end(counter, newest) <= at then return counter end
  local from = 25
  while from < #packed do
    local index, units = unpack_from('<dd', packed, from)
    if slice_end(counter, index) > at then break end
    total, from = total - units, from + 16
  end
  counter.total, counter.index, counter.count = total, newest, count
  if from < #packed then counter.older = sub(packed, from) end
  return counter
end

-- Milliseconds until nothing counts.
local function window_reset(counter)
  return counter.index >= 0 and slice_end(counter, counter.index) - counter.at or 0
end

-- Milliseconds until `cost` fits under `limit`.
local function window_wait(counter, limit, cost)
  local rest, wait = counter.total, 0
  if rest + cost <= limit then return 0 end
  for from = 1, #counter.older, 16 do
    local index, units = unpack_from('<dd', counter.older, from)
    rest, wait = rest - units, slice_end(counter, index) - counter.at
    if rest + cost <= limit then return wait end
  end
  return window_reset(counter)
end

local function add_units(counter, units)
  if units <= 0 then return end
  local index = floor(counter.at / counter.width)
  if index ~= counter.index then
    if counter.index >= 0 then counter.older = counter.older .. pack('<dd', counter.index, counter.count) end
    counter.index, counter.count = index, 0
  end
  counter.count, counter.total = counter.count + units, counter.total + units
end

local function pack_window(counter)
  return pack('<ddd', counter.total, counter.index, counter.count) .. counter.older
end
