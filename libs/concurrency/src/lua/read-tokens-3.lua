-- What is used and reserved of a token budget.
--
-- KEYS[1] usage  KEYS[2] reservations  KEYS[3] deadlines
-- ARGV[1] windowMs
-- Returns { used, reserved }

-- @include server-time
-- @include sliding-window
-- @include token-account

local now = server_time()
expire_reservations(now)
local usage = open_window(redis.call('GET', USAGE), tonumber(ARGV[1]), now)
return { usage.total, reserved_tokens() }
