-- Prolongs a lease that is still held, and the marks its write will be judged by.
--
-- KEYS[1]  counter of the tenant
-- KEYS[2]  mark of the namespace
-- KEYS[3]  lease
-- ARGV[1]  token
-- ARGV[2]  lease, milliseconds
-- Returns  1 when held, 0 when not

if redis.call('MGET', KEYS[3])[1] ~= 'L ' .. ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[3], ARGV[2])
local retention = tonumber(ARGV[2]) * 4
redis.call('PEXPIRE', KEYS[1], retention, 'GT')
redis.call('PEXPIRE', KEYS[2], retention, 'GT')
return 1
