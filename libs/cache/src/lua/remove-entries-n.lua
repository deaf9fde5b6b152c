-- Removes entries and overtakes their rebuilds.
--
-- KEYS[1…] entries, their leases and detached payloads
-- ARGV[1]  channel for the news, or ''
-- ARGV[2]  the news
-- Returns  number of keys that were there

-- @include announce

local removed = redis.call('UNLINK', unpack(KEYS))
announce(ARGV[1], ARGV[2])
return removed
