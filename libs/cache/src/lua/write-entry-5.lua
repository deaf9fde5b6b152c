-- Writes one entry, guarded by a lease or overtaking whoever has it.
--
-- KEYS[1]  counter of the tenant
-- KEYS[2]  mark of the namespace; marks of tags are KEYS[2] .. ':' .. tag, in the same slot
-- KEYS[3]  entry
-- KEYS[4]  lease
-- KEYS[5]  detached payload; removed when the new payload is not detached
-- ARGV[1]  token, or '' to write without one
-- ARGV[2]  time to live, milliseconds
-- ARGV[3]  grace period, milliseconds
-- ARGV[4]  duration of the load, milliseconds
-- ARGV[5]  '1' for a negative entry, else '0'
-- ARGV[6]  form of the payload: 't' text, 'b' bytes; detached 'T<bytes>.<ref>', 'B<bytes>.<ref>'
-- ARGV[7]  payload; '' when detached
-- ARGV[8]  channel for the news, or ''
-- ARGV[9]  the news
-- ARGV[10…] tags
-- Returns  { 'written', sequence } | { 'overtaken' }
--
-- An entry is one line "sequence writtenAtMs ttlMs graceMs loadMs negative form tag tag …", a newline, and the
-- payload. It is valid while the clearing, the namespace's mark and each tag's mark exist and are not above its
-- sequence.
--
-- With a token: nothing is written unless the lease is still held, no mark is above the token, and, where a mark
-- is missing (it never existed or was lost), nothing at all of the tenant was invalidated since the lease.

-- @include versions
-- @include announce

local life = tonumber(ARGV[2]) + tonumber(ARGV[3])
-- Marks outlive the entries they judge, with room for a rebuild to follow.
local retention = life + 60000
local keys = { KEYS[1], KEYS[4], KEYS[2] }
for index = 10, #ARGV do keys[#keys + 1] = KEYS[2] .. ':' .. ARGV[index] end
local values = redis.call('MGET', unpack(keys))
local counter = parse_counter(values[1])
local marks = {}
for index = 3, #keys do marks[index] = parse_mark(values[index]) end
local sequence

announce(ARGV[8], ARGV[9])
if ARGV[1] ~= '' then
  if values[2] ~= 'L ' .. ARGV[1] then return { 'overtaken' } end
  sequence = tonumber(ARGV[1])
  local overtaken, missing = not counter or counter.c > sequence, false
  for index = 3, #keys do
    if not marks[index] then missing = true
    elseif marks[index] > sequence then overtaken = true end
  end
  if not overtaken and missing and counter.i > sequence then
    overtaken = true
    -- With the marks in place, the next rebuild can be judged.
    counter.n = counter.n + 1
    write_counter(KEYS[1], counter, retention)
    for index = 3, #keys do keep_mark(keys[index], marks[index], counter.n, retention) end
  end
  if overtaken then
    redis.call('UNLINK', KEYS[4])
    return { 'overtaken' }
  end
  redis.call('PEXPIRE', KEYS[1], retention, 'GT')
else
  counter = counter or new_counter()
  counter.n = counter.n + 1
  sequence = counter.n
  write_counter(KEYS[1], counter, retention)
end

for index = 3, #keys do keep_mark(keys[index], marks[index], sequence, retention) end
local header = { digits(sequence), digits(server_ms()), ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6] }
for index = 10, #ARGV do header[#header + 1] = ARGV[index] end
local detached = string.find(ARGV[6], '^%u')
redis.call('UNLINK', KEYS[4], detached and KEYS[4] or KEYS[5])
redis.call('SET', KEYS[3], table.concat(header, ' ') .. '\n' .. ARGV[7], 'PX', life)
return { 'written', digits(sequence) }
