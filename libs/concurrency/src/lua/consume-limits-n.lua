-- Consumes from several rate limits at once, all or nothing: a rejected request changes no counter.
--
-- KEYS[1..n] counters, one per dimension, all with one hash tag
-- ARGV[1] mode: consume | peek | penalise (consume although there is no room)
-- ARGV[2] cost
-- ARGV[3 + 4 * (i - 1) ..] of dimension i: algorithm (b = token bucket, w = sliding window),
--   limit, windowMs, burst
-- Returns { admitted 0|1, nowMs, remaining 1, retryAfterMs 1, resetMs 1, remaining 2, ... }

-- @include server-time
-- @include sliding-window
-- @include limit-rules

local mode, cost, now = ARGV[1], tonumber(ARGV[2]), server_time()
local admitted, waits, applies = true, {}, {}
for i, key in ipairs(KEYS) do
  local at = 3 + 4 * (i - 1)
  local limit, window = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local packed = redis.call('GET', key)
  if ARGV[at] == 'b' then
    waits[i], applies[i] = read_bucket(packed, limit, window, tonumber(ARGV[at + 3]), cost, now)
  else
    waits[i], applies[i] = read_window(packed, limit, window, cost, now)
  end
  if waits[i] > 0 then admitted = false end
end

local writes = mode == 'penalise' or (mode == 'consume' and admitted)
local reply = { admitted and 1 or 0, now }
for i, key in ipairs(KEYS) do
  local packed, remaining, reset = applies[i](writes and cost or 0)
  -- A counter that is unused again equals one that does not exist, so it lives no longer than that.
  if writes then redis.call('SET', key, packed, 'PX', math.max(1, reset)) end
  reply[#reply + 1] = remaining
  reply[#reply + 1] = waits[i]
  reply[#reply + 1] = reset
end
return reply
