-- Extends a held permit to a full lease from now. A lease that is over is never revived.
--
-- KEYS[1] holders  KEYS[2] meta
-- ARGV[1] leaseMs
-- ARGV[2] permitId
-- Returns 1 renewed | 0 no longer held

-- @include server-time

local lease, now = tonumber(ARGV[1]), server_time()
local ends = redis.call('ZSCORE', KEYS[1], ARGV[2])
if not ends or tonumber(ends) <= now then return 0 end
redis.call('ZADD', KEYS[1], 'XX', now + lease, ARGV[2])
redis.call('PEXPIRE', KEYS[1], 2 * lease + 60000)
redis.call('PEXPIRE', KEYS[2], 2 * lease + 60000)
return 1
