-- Sets tokens aside when settled and reserved tokens leave room for them. Asking again with the same id (a
-- command sent twice after a reconnect) changes nothing.
--
-- KEYS[1] usage  KEYS[2] reservations  KEYS[3] deadlines
-- ARGV[1] budget
-- ARGV[2] windowMs
-- ARGV[3] reservationId
-- ARGV[4] amount
-- ARGV[5] ttlMs
-- Returns { reserved 0|1, remaining, retryAfterMs }

-- @include server-time
-- @include sliding-window
-- @include token-account

local budget, window, id = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local amount, ttl, now = tonumber(ARGV[4]), tonumber(ARGV[5]), server_time()
expire_reservations(now)

local usage = open_window(redis.call('GET', USAGE), window, now)
local taken = usage.total + reserved_tokens()
if redis.call('HEXISTS', RESERVATIONS, id) == 1 then return { 1, math.max(0, budget - taken), 0 } end
if taken + amount <= budget then
  remember(id, string.format('o %.0f %.0f', amount, ttl), ttl, now)
  reserve_more(amount)
  return { 1, budget - taken - amount, 0 }
end

-- When will it fit, if nothing is settled or reserved meanwhile?
local returns = {}
for from = 1, #usage.older, 16 do
  local index, units = unpack_from('<dd', usage.older, from)
  returns[#returns + 1] = { slice_end(usage, index) - usage.at, units }
end
returns[#returns + 1] = { window_reset(usage), usage.count }
local deadlines = redis.call('ZRANGE', DEADLINES, 0, -1, 'WITHSCORES')
for i = 1, #deadlines, 2 do
  local open = string.match(redis.call('HGET', RESERVATIONS, deadlines[i]) or '', '^o (%d+)')
  if open then returns[#returns + 1] = { tonumber(deadlines[i + 1]) - now, tonumber(open) } end
end
table.sort(returns, function(a, b) return a[1] < b[1] end)
local wait, rest = 0, taken
for _, entry in ipairs(returns) do
  if rest + amount <= budget then break end
  wait, rest = entry[1], rest - entry[2]
end
return { 0, math.max(0, budget - taken), wait }
