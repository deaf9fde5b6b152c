-- Invalidates every entry of a namespace or of a tenant.
--
-- KEYS[1]  counter of the tenant
-- KEYS[2]  mark of the namespace; for a tenant, KEYS[1] again
-- ARGV[1]  milliseconds to keep a counter that has to be made anew
-- ARGV[2]  'namespace' or 'tenant'
-- ARGV[3]  channel for the news, or ''
-- ARGV[4]  the news
-- Returns  number of the invalidation

-- @include versions
-- @include announce

local values = redis.call('MGET', KEYS[1], KEYS[2])
local counter = parse_counter(values[1]) or new_counter()
counter.n = counter.n + 1
counter.i = counter.n
if ARGV[2] == 'tenant' then
  counter.c = counter.n
elseif parse_mark(values[2]) then
  redis.call('SET', KEYS[2], digits(counter.n), 'KEEPTTL')
end
write_counter(KEYS[1], counter, ARGV[1])
announce(ARGV[3], ARGV[4])
return digits(counter.n)
