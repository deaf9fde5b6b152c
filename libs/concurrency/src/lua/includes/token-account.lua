-- One tenant's token account.
--
-- usage        (string) settled tokens as slices of the sliding window
-- reservations (hash)   id -> "o <amount> <ttl>" open | "x <ttl>" expired | "s <ttl>" settled;
--                       "#reserved" -> sum of the open ones
-- deadlines    (zset)   id -> server time at which an open one expires, or an ended one is forgotten
--
-- Ended reservations are remembered for one more time to live, so that settling late or twice counts once.

local USAGE, RESERVATIONS, DEADLINES = KEYS[1], KEYS[2], KEYS[3]

local function reserved_tokens()
  return tonumber(redis.call('HGET', RESERVATIONS, '#reserved') or '0')
end

local function reserve_more(amount)
  redis.call('HSET', RESERVATIONS, '#reserved', string.format('%.0f', reserved_tokens() + amount))
end

local function remember(id, state, ttl, now)
  redis.call('HSET', RESERVATIONS, id, state)
  redis.call('ZADD', DEADLINES, now + ttl, id)
  for _, key in ipairs({ RESERVATIONS, DEADLINES }) do
    if redis.call('PTTL', key) < 3 * ttl then redis.call('PEXPIRE', key, 3 * ttl) end
  end
end

-- Ends what is over: open reservations expire, ended ones are forgotten.
local function expire_reservations(now)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', DEADLINES, '-inf', now)) do
    local amount, ttl = string.match(redis.call('HGET', RESERVATIONS, id) or '', '^o (%d+) (%d+)$')
    if amount then
      reserve_more(-tonumber(amount))
      remember(id, 'x ' .. ttl, tonumber(ttl), now)
    else
      redis.call('HDEL', RESERVATIONS, id)
      redis.call('ZREM', DEADLINES, id)
    end
  end
end

local function charge(used, window, now)
  local counter = open_window(redis.call('GET', USAGE), window, now)
  add_units(counter, used)
  if counter.total == 0 then return end
  redis.call('SET', USAGE, pack_window(counter), 'PX', window_reset(counter))
end
