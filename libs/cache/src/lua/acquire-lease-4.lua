-- Takes the right to rebuild one entry, or says why that is not needed.
--
-- KEYS[1]  counter of the tenant
-- KEYS[2]  mark of the namespace; marks of tags are KEYS[2] .. ':' .. tag, in the same slot
-- KEYS[3]  entry
-- KEYS[4]  lease: "L token" while held, "F number reason" after a failure
-- ARGV[1]  lease, milliseconds
-- ARGV[2]  counter when the caller began: a failure noted after it is the caller's failure too; '' when the
--          caller begins with this call, which then also gets the entry if it is stale
-- ARGV[3]  a fresh entry is a hit only if its sequence is above this
-- ARGV[4…] tags the entry is known to get
-- Returns  { 'hit', entry, server's time, ms } | { 'failed', reason }
--          | { 'busy', milliseconds left, counter, stale entry or '', time } | { 'leased', token, stale entry or '', time }
--
-- The token comes from the same counter as invalidations, so any two of them are ordered without clocks.

-- @include versions

local lease_ms = tonumber(ARGV[1])
local keys = { KEYS[1], KEYS[2], KEYS[3], KEYS[4] }
for index = 4, #ARGV do keys[#keys + 1] = KEYS[2] .. ':' .. ARGV[index] end
local values = redis.call('MGET', unpack(keys))
local counter = parse_counter(values[1])
local namespace = parse_mark(values[2])
local now = server_ms()
local stale = ''

local entry = counter and namespace and values[3] or ''
local sequence, at, ttl, grace, tags =
  string.match(entry, '^(%d+) (%d+) (%d+) (%d+) %d+ [01] [^ \n]+([^\n]*)\n')
if sequence then
  sequence = tonumber(sequence)
  local valid = counter.c <= sequence and namespace <= sequence
  for tag in string.gmatch(tags, '[^ ]+') do
    local mark = valid and parse_mark(redis.call('MGET', KEYS[2] .. ':' .. tag)[1])
    valid = mark and mark <= sequence
  end
  if valid then
    if now < tonumber(at) + tonumber(ttl) then
      if sequence > tonumber(ARGV[3]) then return { 'hit', entry, now } end
    elseif ARGV[2] == '' and now < tonumber(at) + tonumber(ttl) + tonumber(grace) then
      stale = entry
    end
  end
end

local held = values[4] or ''
local token = tonumber(string.match(held, '^L (%d+)$'))
if token then
  -- A lease older than an invalidation can no longer write; waiting for it would be in vain.
  local overtaken = not counter or counter.c > token or (namespace and namespace > token)
  for index = 5, #keys do
    local mark = parse_mark(values[index])
    overtaken = overtaken or (mark and mark > token)
  end
  if not overtaken then return { 'busy', redis.call('PTTL', KEYS[4]), digits(counter.n), stale, now } end
elseif ARGV[2] ~= '' then
  local failed, reason = string.match(held, '^F (%d+) (.*)$')
  if failed and tonumber(failed) > tonumber(ARGV[2]) then return { 'failed', reason } end
end

local retention = lease_ms * 4
counter = counter or new_counter()
counter.n = counter.n + 1
write_counter(KEYS[1], counter, retention)
keep_mark(KEYS[2], namespace, counter.n, retention)
for index = 5, #keys do keep_mark(keys[index], parse_mark(values[index]), counter.n, retention) end
redis.call('SET', KEYS[4], 'L ' .. digits(counter.n), 'PX', lease_ms)
return { 'leased', digits(counter.n), stale, now }
