-- Decides a batch of requests of one tenant, one after the other. Each consumes from several counters at once,
-- all or nothing: a rejected request changes no counter.
--
-- KEYS[1..n] counters, each named once, all with one hash tag
-- ARGV[1] rules: JSON list of { 1 token bucket | 0 sliding window, limit, windowMs, burst }
-- ARGV[2] requests: flat JSON list of mode (0 consume | 1 peek | 2 consume although there is no room), cost,
--   number of dimensions, and for each dimension the numbers of its key and its rule
-- Returns { nowMs, and for each request: admitted 0|1, and for each dimension: remaining, retryAfterMs, resetMs }

-- @include server-time
-- @include sliding-window
-- @include limit-rules

local now, packed = server_time(), redis.call('MGET', unpack(KEYS))
local rules, requests = cjson.decode(ARGV[1]), cjson.decode(ARGV[2])
local counters, waits, reply, size = {}, {}, { now }, 1
local request, ends = 1, #requests
while request < ends do
  local mode, cost = requests[request], requests[request + 1]
  local first, last = request + 3, request + 2 + 2 * requests[request + 2]
  local admitted = true
  for i = first, last, 2 do
    local key, rule = requests[i], rules[requests[i + 1]]
    local counter = counters[key]
    if not counter then
      counter = open_counter(packed[key], rule, now)
      counters[key] = counter
    end
    waits[i] = counter_wait(counter, rule, cost)
    if waits[i] > 0 then admitted = false end
  end
  local takes = mode == 2 or (mode == 0 and admitted)
  size = size + 1
  reply[size] = admitted and 1 or 0
  for i = first, last, 2 do
    local counter, rule = counters[requests[i]], rules[requests[i + 1]]
    if takes then take_from(counter, rule, cost) end
    local remaining, reset = counter_state(counter, rule)
    if takes then counter.lives = reset end
    reply[size + 1], reply[size + 2], reply[size + 3] = remaining, waits[i], reset
    size = size + 3
  end
  request = last + 1
end

-- A counter that is unused again equals one that does not exist, so it lives no longer than that.
local lives, text
for i, key in ipairs(KEYS) do
  local counter = counters[i]
  if counter.lives then
    if counter.lives ~= lives then lives, text = counter.lives, string.format('%.0f', max(1, counter.lives)) end
    redis.call('PSETEX', key, text, pack_counter(counter))
  end
end
return reply
