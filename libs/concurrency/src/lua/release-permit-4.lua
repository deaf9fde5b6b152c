-- Gives a permit back, or leaves the queue, and hands what is free to the next waiters. Doing it twice gives
-- nothing back twice.
--
-- KEYS[1] holders  KEYS[2] queue  KEYS[3] owners  KEYS[4] meta
-- ARGV[1] permits
-- ARGV[2] leaseMs
-- ARGV[3] poolId
-- ARGV[4] channelPrefix of grant messages; the owner's id follows
-- ARGV[5] permitId
-- Returns 1 it was held or waited | 0 it did neither

-- @include server-time
-- @include permit-pool

local permit, now, known = ARGV[5], server_time(), 0
reap(now)
if redis.call('ZREM', HOLDERS, permit) == 1 then
  redis.call('HDEL', META, 'p:' .. permit)
  known = 1
end
local member = redis.call('HGET', META, 'q:' .. permit)
if member then
  redis.call('ZREM', QUEUE, member)
  redis.call('HDEL', META, 'q:' .. permit)
  forget_waiter(string.match(member, '^%d+|[^|]*|(.*)$'))
  known = 1
end
serve(tonumber(ARGV[1]), tonumber(ARGV[2]), now, ARGV[3], ARGV[4])
keep(tonumber(ARGV[2]))
return known
