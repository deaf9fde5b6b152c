-- One pool of permits.
--
-- holders (zset)  permit id -> server time at which its lease ends
-- queue   (zset)  "<ticket>|<permit id>|<tenant>" -> start tag
-- owners  (zset)  process id -> server time until which it counts as alive
-- meta    (hash)  token: last fencing token · ticket: last place in the queue · turn: virtual time
--                 p:<permit id> fencing token of a held permit · q:<permit id> its queue member
--                 f:<tenant> tag of its next waiter · g:<tenant> tag after its last grant ·
--                 w:<tenant> how many of it wait
--
-- Order is start-time fair queueing (Goyal, Vin and Cheng, 1996) over tenants: each waiter gets the tag
-- max(turn, f:<tenant>), smaller tags are served first, equal ones in order of arrival. Within one tenant
-- that is first come, first served.

local HOLDERS, QUEUE, OWNERS, META = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local function number_of(field)
  return tonumber(redis.call('HGET', META, field) or '0')
end

local function put(field, value)
  redis.call('HSET', META, field, string.format('%.0f', value))
end

-- Two idle leases and a minute: nothing can be held or wait for that long without a call.
local function keep(lease)
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, 2 * lease + 60000) end
end

-- A process counts as alive for half a lease. Holders renew at half-life, so a crashed process's waiters are
-- out of the way before the first of its permits comes back.
local function see_owner(owner, now, lease)
  redis.call('ZREMRANGEBYSCORE', OWNERS, '-inf', now)
  redis.call('ZADD', OWNERS, now + math.floor(lease / 2), owner)
end

-- Takes back every permit whose lease is over.
local function reap(now)
  local over = redis.call('ZRANGEBYSCORE', HOLDERS, '-inf', now)
  for _, permit in ipairs(over) do
    redis.call('ZREM', HOLDERS, permit)
    redis.call('HDEL', META, 'p:' .. permit)
  end
end

-- Tokens start at the server's microseconds, so they keep growing when an idle pool has been forgotten.
local function grant(permit, now, lease)
  local time = redis.call('TIME')
  local token = math.max(number_of('token') + 1, time[1] * 1000000 + time[2])
  local ends = now + lease
  put('token', token)
  put('p:' .. permit, token)
  redis.call('ZADD', HOLDERS, ends, permit)
  return token, ends
end

local function next_tag(tenant)
  local tag = math.max(number_of('turn'), number_of('f:' .. tenant))
  put('f:' .. tenant, tag + 1)
  return tag
end

local function take_turn(tenant, tag)
  put('turn', math.max(number_of('turn'), tag))
  put('g:' .. tenant, tag + 1)
end

-- A tenant's last waiter has gone: tags that were given to cancelled waiters no longer hold it back.
local function forget_waiter(tenant)
  local waiting = number_of('w:' .. tenant) - 1
  if waiting > 0 then
    put('w:' .. tenant, waiting)
    return
  end
  redis.call('HDEL', META, 'w:' .. tenant)
  local granted = number_of('g:' .. tenant)
  if granted <= number_of('turn') then
    redis.call('HDEL', META, 'f:' .. tenant, 'g:' .. tenant)
  else
    put('f:' .. tenant, granted)
  end
end

-- Hands free permits to the next waiters whose process is alive.
local function serve(permits, lease, now, pool, channel)
  local free = permits - redis.call('ZCARD', HOLDERS)
  while free > 0 do
    local next = redis.call('ZPOPMIN', QUEUE)
    if #next == 0 then return end
    local permit, tenant = string.match(next[1], '^%d+|([^|]*)|(.*)$')
    redis.call('HDEL', META, 'q:' .. permit)
    local owner = string.match(permit, '^[^:]*')
    local alive = tonumber(redis.call('ZSCORE', OWNERS, owner) or '0') > now
    if alive then
      take_turn(tenant, tonumber(next[2]))
      local token, ends = grant(permit, now, lease)
      local news = string.format('%s|%.0f|%.0f|%s', permit, token, ends, pool)
      redis.call('PUBLISH', channel .. owner, news)
      free = free - 1
    end
    forget_waiter(tenant)
  end
end

local function next_expiry(now)
  local first = redis.call('ZRANGE', HOLDERS, 0, 0, 'WITHSCORES')
  return first[2] and math.max(0, tonumber(first[2]) - now) or -1
end
