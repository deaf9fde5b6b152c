-- Writes one entry, guarded by a lease or overtaking whoever has it.
--
-- KEYS[1]  version counter of the tenant (hash: n counter, i last invalidation, c last clearing)
-- KEYS[2]  mark of the namespace; marks of tags are KEYS[2] .. ':' .. tag, in the same slot
-- KEYS[3]  entry
-- KEYS[4]  lease
-- ARGV[1]  token, or '' to write without one
-- ARGV[2]  time to live, milliseconds
-- ARGV[3]  grace period, milliseconds
-- ARGV[4]  duration of the load, milliseconds
-- ARGV[5]  '1' for a negative entry, else '0'
-- ARGV[6]  payload
-- ARGV[7…] tags
-- Returns  { 'written', sequence } | { 'overtaken' }
--
-- With a token: nothing is written unless the lease is still held, no mark is above the token, and, where a mark
-- is missing (it never existed or was lost), nothing at all of the tenant was invalidated since the lease.

local function number(value) return string.format('%.0f', value) end

local life = tonumber(ARGV[2]) + tonumber(ARGV[3])
-- Marks outlive the entries they judge, with room for a rebuild to follow.
local retention = life + 60000
local versions = redis.call('HMGET', KEYS[1], 'i', 'c')
local marks = { KEYS[2] }
for index = 7, #ARGV do marks[#marks + 1] = KEYS[2] .. ':' .. ARGV[index] end
local sequence

if ARGV[1] ~= '' then
  if redis.call('GET', KEYS[4]) ~= 'L ' .. ARGV[1] then return { 'overtaken' } end
  redis.call('DEL', KEYS[4])
  local token = tonumber(ARGV[1])
  if not versions[2] or tonumber(versions[2]) > token then return { 'overtaken' } end
  local missing = false
  for _, mark in ipairs(marks) do
    local value = tonumber(redis.call('GET', mark))
    if not value then missing = true
    elseif value > token then return { 'overtaken' } end
  end
  if missing and tonumber(versions[1]) > token then
    -- With the marks in place, the next rebuild can be judged.
    local now = number(redis.call('HINCRBY', KEYS[1], 'n', 1))
    for _, mark in ipairs(marks) do redis.call('SET', mark, now, 'NX', 'PX', retention) end
    return { 'overtaken' }
  end
  sequence = ARGV[1]
else
  redis.call('DEL', KEYS[4])
  if not versions[1] then
    local time = redis.call('TIME')
    local start = number(tonumber(time[1]) * 1000000 + tonumber(time[2]))
    redis.call('HSET', KEYS[1], 'n', start, 'i', start, 'c', start)
    redis.call('PEXPIRE', KEYS[1], retention)
  end
  sequence = number(redis.call('HINCRBY', KEYS[1], 'n', 1))
end

redis.call('PEXPIRE', KEYS[1], retention, 'GT')
local header = { sequence, ARGV[2], ARGV[3], ARGV[4], ARGV[5] }
for index = 7, #ARGV do header[#header + 1] = ARGV[index] end
for _, mark in ipairs(marks) do
  if not redis.call('SET', mark, sequence, 'NX', 'PX', retention) then
    redis.call('PEXPIRE', mark, retention, 'GT')
  end
end
redis.call('SET', KEYS[3], table.concat(header, ' ') .. '\n' .. ARGV[6], 'PX', life)
return { 'written', sequence }
