-- Gives a lease back without a value.
--
-- KEYS[1]  version counter of the tenant (hash: n counter, i last invalidation, c last clearing)
-- KEYS[2]  lease
-- ARGV[1]  token
-- ARGV[2]  milliseconds to keep the news of a failure; 0 when there was none
-- ARGV[3]  reason of the failure
-- Returns  1 when it was held, 0 when not
--
-- Callers who began before the failure share it, also those who ask for the lease only afterwards: the failure
-- gets a number from the counter, and each of them knows where the counter stood when it began.

if redis.call('GET', KEYS[2]) ~= 'L ' .. ARGV[1] then return 0 end
if ARGV[2] == '0' or redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2])
else
  local number = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'n', 1))
  redis.call('PEXPIRE', KEYS[1], ARGV[2], 'GT')
  redis.call('SET', KEYS[2], 'F ' .. number .. ' ' .. ARGV[3], 'PX', ARGV[2])
end
return 1
