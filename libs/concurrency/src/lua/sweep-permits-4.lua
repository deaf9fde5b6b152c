-- Says that a process and its waiters are alive, hands out what is free, and tells where its waiters stand.
--
-- KEYS[1] holders  KEYS[2] queue  KEYS[3] owners  KEYS[4] meta
-- ARGV[1] permits
-- ARGV[2] leaseMs
-- ARGV[3] poolId
-- ARGV[4] channelPrefix of grant messages; the owner's id follows
-- ARGV[5] ownerId
-- ARGV[6..] waitingIds
-- Returns { nowMs, nextExpiryMs or -1, then per waiting id: state, fencingToken, expiresAtMs };
--   state 0 waiting | 1 granted | 2 unknown

-- @include server-time
-- @include permit-pool

local lease, now = tonumber(ARGV[2]), server_time()
see_owner(ARGV[5], now, lease)
reap(now)
serve(tonumber(ARGV[1]), lease, now, ARGV[3], ARGV[4])

local reply = { now, next_expiry(now) }
for i = 6, #ARGV do
  local ends = redis.call('ZSCORE', HOLDERS, ARGV[i])
  local waits = not ends and redis.call('HEXISTS', META, 'q:' .. ARGV[i]) == 1
  reply[#reply + 1] = ends and 1 or waits and 0 or 2
  reply[#reply + 1] = ends and number_of('p:' .. ARGV[i]) or 0
  reply[#reply + 1] = ends and tonumber(ends) or 0
end
keep(lease)
return reply
