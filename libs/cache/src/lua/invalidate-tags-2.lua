-- Invalidates every entry that carries one of the tags.
--
-- KEYS[1]  version counter of the tenant (hash: n counter, i last invalidation, c last clearing)
-- KEYS[2]  mark of the namespace; marks of tags are KEYS[2] .. ':' .. tag, in the same slot
-- ARGV[1]  milliseconds to keep a counter that has to be made anew
-- ARGV[2…] tags
-- Returns  number of the invalidation
--
-- A tag without a mark has no valid entry; a rebuild that is about to make one is judged by `i`.

if redis.call('EXISTS', KEYS[1]) == 0 then
  local time = redis.call('TIME')
  local start = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
  redis.call('HSET', KEYS[1], 'n', start, 'c', start)
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
local number = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'n', 1))
redis.call('HSET', KEYS[1], 'i', number)
for index = 2, #ARGV do
  redis.call('SET', KEYS[2] .. ':' .. ARGV[index], number, 'XX', 'KEEPTTL')
end
return number
