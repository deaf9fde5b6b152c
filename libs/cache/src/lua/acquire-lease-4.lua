-- Takes the right to rebuild one entry, or says why that is not needed.
--
-- KEYS[1]  version counter of the tenant (hash: n counter, i last invalidation, c last clearing)
-- KEYS[2]  mark of the namespace; marks of tags are KEYS[2] .. ':' .. tag, in the same slot
-- KEYS[3]  entry
-- KEYS[4]  lease: "L token" while held, "F number reason" after a failure
-- ARGV[1]  lease, milliseconds
-- ARGV[2]  counter when the caller began: a failure noted after it is the caller's failure too
-- ARGV[3]  a fresh entry is a hit only if its sequence is above this
-- ARGV[4…] tags the entry is known to get
-- Returns  { 'hit', text, milliseconds until gone } | { 'failed', reason }
--          | { 'busy', milliseconds left } | { 'leased', token }
--
-- The token comes from the same counter as invalidations, so any two of them are ordered without clocks.

local function number(value) return string.format('%.0f', value) end

local lease_ms = tonumber(ARGV[1])
local versions = redis.call('HMGET', KEYS[1], 'n', 'c')
local cleared = tonumber(versions[2])
local namespace = tonumber(redis.call('GET', KEYS[2]))

local entry = cleared and namespace and redis.call('GET', KEYS[3])
if entry then
  local header = string.sub(entry, 1, string.find(entry, '\n', 1, true) - 1)
  local sequence, _, grace = string.match(header, '^(%d+) (%d+) (%d+)')
  sequence = tonumber(sequence)
  local gone = redis.call('PTTL', KEYS[3])
  local valid = cleared <= sequence and namespace <= sequence and gone > tonumber(grace)
    and sequence > tonumber(ARGV[3])
  for tag in string.gmatch(header, '[rh]%.[^ ]+') do
    local mark = valid and tonumber(redis.call('GET', KEYS[2] .. ':' .. tag))
    valid = mark and mark <= sequence
  end
  if valid then return { 'hit', entry, gone } end
end

local held = redis.call('GET', KEYS[4])
if held then
  local token = tonumber(string.match(held, '^L (%d+)'))
  if token then
    -- A lease older than an invalidation can no longer write; waiting for it would be in vain.
    local overtaken = not cleared or cleared > token or (namespace and namespace > token)
    for index = 4, #ARGV do
      local mark = not overtaken and tonumber(redis.call('GET', KEYS[2] .. ':' .. ARGV[index]))
      overtaken = overtaken or (mark and mark > token)
    end
    if not overtaken then return { 'busy', redis.call('PTTL', KEYS[4]) } end
  else
    local failed, reason = string.match(held, '^F (%d+) (.*)$')
    if tonumber(failed) > tonumber(ARGV[2]) then return { 'failed', reason } end
  end
end

local retention = lease_ms * 4
if not versions[1] then
  -- Microseconds as a start: above every number a lost counter can have given out.
  local time = redis.call('TIME')
  local start = number(tonumber(time[1]) * 1000000 + tonumber(time[2]))
  redis.call('HSET', KEYS[1], 'n', start, 'i', start, 'c', start)
  redis.call('PEXPIRE', KEYS[1], retention)
end
local token = number(redis.call('HINCRBY', KEYS[1], 'n', 1))
redis.call('PEXPIRE', KEYS[1], retention, 'GT')
if not redis.call('SET', KEYS[2], token, 'NX', 'PX', retention) then
  redis.call('PEXPIRE', KEYS[2], retention, 'GT')
end
for index = 4, #ARGV do
  local mark = KEYS[2] .. ':' .. ARGV[index]
  if not redis.call('SET', mark, token, 'NX', 'PX', retention) then
    redis.call('PEXPIRE', mark, retention, 'GT')
  end
end
redis.call('SET', KEYS[4], 'L ' .. token, 'PX', lease_ms)
return { 'leased', token }
