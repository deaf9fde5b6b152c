-- Takes a permit, or a place in the queue. Nobody overtakes those who wait, and asking again with the same
-- permit id (a command sent twice after a reconnect) changes nothing.
--
-- KEYS[1] holders  KEYS[2] queue  KEYS[3] owners  KEYS[4] meta
-- ARGV[1] permits
-- ARGV[2] leaseMs
-- ARGV[3] poolId
-- ARGV[4] channelPrefix of grant messages; the owner's id follows
-- ARGV[5] permitId
-- ARGV[6] ownerId
-- ARGV[7] tenantId
-- ARGV[8] wait: 1 to queue, 0 not to
-- ARGV[9] maxWaiting
-- Returns { 1, nowMs, fencingToken, expiresAtMs } granted | { 0, nowMs, nextExpiryMs or -1 } queued |
--   { 2, nowMs } busy | { 3, nowMs } queue full

-- @include server-time
-- @include permit-pool

local permits, lease, pool, channel = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local permit, owner, tenant, now = ARGV[5], ARGV[6], ARGV[7], server_time()

see_owner(owner, now, lease)
reap(now)
serve(permits, lease, now, pool, channel)

local ends = redis.call('ZSCORE', HOLDERS, permit)
if ends then return { 1, now, number_of('p:' .. permit), tonumber(ends) } end
if redis.call('HEXISTS', META, 'q:' .. permit) == 1 then return { 0, now, next_expiry(now) } end

-- Those who wait have just been served, so a permit that is free now is nobody else's.
if redis.call('ZCARD', HOLDERS) < permits then
  take_turn(tenant, next_tag(tenant))
  local token, expires = grant(permit, now, lease)
  keep(lease)
  return { 1, now, token, expires }
end
if ARGV[8] == '0' then return { 2, now } end
if redis.call('ZCARD', QUEUE) >= tonumber(ARGV[9]) then return { 3, now } end

local ticket = redis.call('HINCRBY', META, 'ticket', 1)
local member = string.format('%015d|%s|%s', ticket, permit, tenant)
redis.call('ZADD', QUEUE, next_tag(tenant), member)
redis.call('HSET', META, 'q:' .. permit, member)
redis.call('HINCRBY', META, 'w:' .. tenant, 1)
keep(lease)
return { 0, now, next_expiry(now) }
