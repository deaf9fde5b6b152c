-- Invalidates every entry that carries one of the tags.
--
-- KEYS[1]  counter of the tenant
-- KEYS[2]  mark of the namespace; marks of tags are KEYS[2] .. ':' .. tag, in the same slot
-- ARGV[1]  milliseconds to keep a counter that has to be made anew
-- ARGV[2]  channel for the news, or ''
-- ARGV[3]  the news
-- ARGV[4…] tags
-- Returns  number of the invalidation
--
-- A tag without a mark has no valid entry; a rebuild that is about to make one is judged by `i`.

-- @include versions
-- @include announce

local keys = { KEYS[1] }
for index = 4, #ARGV do keys[#keys + 1] = KEYS[2] .. ':' .. ARGV[index] end
local values = redis.call('MGET', unpack(keys))
local counter = parse_counter(values[1]) or new_counter()
counter.n = counter.n + 1
counter.i = counter.n
for index = 2, #keys do
  if parse_mark(values[index]) then redis.call('SET', keys[index], digits(counter.n), 'KEEPTTL') end
end
write_counter(KEYS[1], counter, ARGV[1])
announce(ARGV[2], ARGV[3])
return digits(counter.n)
