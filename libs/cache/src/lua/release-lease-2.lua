-- Gives a lease back without a value.
--
-- KEYS[1]  counter of the tenant
-- KEYS[2]  lease
-- ARGV[1]  token
-- ARGV[2]  milliseconds to keep the news of a failure; 0 when there was none
-- ARGV[3]  reason of the failure
-- ARGV[4]  channel for the news, or ''
-- ARGV[5]  the news
-- Returns  1 when it was held, 0 when not
--
-- Callers who began before the failure share it, also those who ask for the lease only afterwards: the failure
-- gets a number from the counter, and each of them knows where the counter stood when it began.

-- @include versions
-- @include announce

-- Whoever waits for this rebuild is told of its end even when its lease is gone: removed by an invalidation, say.
announce(ARGV[4], ARGV[5])
local values = redis.call('MGET', KEYS[1], KEYS[2])
if values[2] ~= 'L ' .. ARGV[1] then return 0 end
local counter = parse_counter(values[1])
if ARGV[2] == '0' or not counter then
  redis.call('DEL', KEYS[2])
else
  counter.n = counter.n + 1
  write_counter(KEYS[1], counter, ARGV[2])
  redis.call('SET', KEYS[2], 'F ' .. digits(counter.n) .. ' ' .. ARGV[3], 'PX', ARGV[2])
end
return 1
