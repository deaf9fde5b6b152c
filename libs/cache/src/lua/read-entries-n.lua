-- Reads entries of one namespace that no invalidation has made invalid.
--
-- KEYS[1]  version counter of the tenant (hash: n counter, i last invalidation, c last clearing)
-- KEYS[2]  mark of the namespace; marks of tags are KEYS[2] .. ':' .. tag, in the same slot
-- KEYS[3…] entries
-- ARGV     none
-- Returns  { counter or '0', then per entry: text or '', milliseconds until it is gone }
--
-- An entry's text is one line "sequence ttlMs graceMs loadMs negative tag tag …", a newline, and the payload.
-- It is valid while the clearing, the namespace's mark and each tag's mark exist and are not above its sequence.

local versions = redis.call('HMGET', KEYS[1], 'n', 'c')
local cleared = tonumber(versions[2])
local namespace = tonumber(redis.call('GET', KEYS[2]))
local reply = { versions[1] or '0' }

for index = 3, #KEYS do
  local text, gone = '', 0
  if cleared and namespace then
    local entry = redis.call('GET', KEYS[index])
    if entry then
      local header = string.sub(entry, 1, string.find(entry, '\n', 1, true) - 1)
      local sequence = tonumber(string.match(header, '^%d+'))
      local valid = cleared <= sequence and namespace <= sequence
      for tag in string.gmatch(header, '[rh]%.[^ ]+') do
        local mark = valid and tonumber(redis.call('GET', KEYS[2] .. ':' .. tag))
        valid = mark and mark <= sequence
      end
      if valid then
        text = entry
        gone = redis.call('PTTL', KEYS[index])
      end
    end
  end
  reply[#reply + 1] = text
  reply[#reply + 1] = gone
end
return reply
