-- Invalidates every entry of a namespace or of a tenant.
--
-- KEYS[1]  version counter of the tenant (hash: n counter, i last invalidation, c last clearing)
-- KEYS[2]  mark of the namespace; for a tenant, KEYS[1] again
-- ARGV[1]  milliseconds to keep a counter that has to be made anew
-- ARGV[2]  'namespace' or 'tenant'
-- Returns  number of the invalidation

if redis.call('EXISTS', KEYS[1]) == 0 then
  local time = redis.call('TIME')
  local start = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
  redis.call('HSET', KEYS[1], 'n', start, 'c', start)
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
local number = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'n', 1))
redis.call('HSET', KEYS[1], 'i', number)
if ARGV[2] == 'tenant' then
  redis.call('HSET', KEYS[1], 'c', number)
else
  redis.call('SET', KEYS[2], number, 'XX', 'KEEPTTL')
end
return number
