-- Replaces a reservation by what was really used; 0 gives it back. Every reservation counts once, also when
-- it is settled twice or after it expired.
--
-- KEYS[1] usage  KEYS[2] reservations  KEYS[3] deadlines
-- ARGV[1] windowMs
-- ARGV[2] reservationId
-- ARGV[3] used
-- Returns 0 unknown | 1 settled | 2 repeated | 3 late

-- @include server-time
-- @include sliding-window
-- @include token-account

local window, id, used, now = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), server_time()
expire_reservations(now)
local state = redis.call('HGET', RESERVATIONS, id)
if not state then return 0 end
if string.sub(state, 1, 1) == 's' then return 2 end

local amount, ttl = string.match(state, '^o (%d+) (%d+)$')
if amount then reserve_more(-tonumber(amount)) end
ttl = ttl or string.match(state, '^x (%d+)$')
remember(id, 's ' .. ttl, tonumber(ttl), now)
charge(used, window, now)
return amount and 1 or 3
