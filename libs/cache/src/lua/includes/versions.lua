-- What orders changes of a tenant. Its counter is one string "n i c": n counter, i last invalidation, c last
-- clearing of everything. One string, so that MGET reads it and the three are lost together or not at all. A mark
-- is the number of the last invalidation of one namespace or tag. Whatever else is found in their place counts
-- as lost. Scripts read with MGET, which takes a key of another type for a missing one.

local function digits(number) return string.format('%.0f', number) end

local function server_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- The counter, or nil when it is lost.
local function parse_counter(text)
  local n, i, c = string.match(text or '', '^(%d+) (%d+) (%d+)$')
  return n and { n = tonumber(n), i = tonumber(i), c = tonumber(c) } or nil
end

-- A counter that replaces a lost one. It starts at microseconds: above every number the lost one can have given.
local function new_counter()
  local time = redis.call('TIME')
  local start = tonumber(time[1]) * 1000000 + tonumber(time[2])
  return { n = start, i = start, c = start, new = true }
end

local function write_counter(key, counter, retention)
  local value = digits(counter.n) .. ' ' .. digits(counter.i) .. ' ' .. digits(counter.c)
  if counter.new then
    redis.call('SET', key, value, 'PX', retention)
  else
    redis.call('SET', key, value, 'KEEPTTL')
    redis.call('PEXPIRE', key, retention, 'GT')
  end
end

-- The number of a mark, or nil when it is lost.
local function parse_mark(text)
  local value = string.match(text or '', '^%d+$')
  return value and tonumber(value) or nil
end

-- Keeps a mark at least as long as asked; one that is lost starts at `number`.
local function keep_mark(key, known, number, retention)
  if known then
    redis.call('PEXPIRE', key, retention, 'GT')
  else
    redis.call('SET', key, digits(number), 'PX', retention)
  end
end
