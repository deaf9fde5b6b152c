-- One pool of permits.
--
-- holders (hash)  permit id -> "<fencing token>|<server time at which its lease ends>"
-- queue   (zset)  "<ticket>|<permit id>|<tenant>" -> start tag
-- owners  (zset)  process id -> server time until which it counts as alive
-- meta    (hash)  token: last fencing token · ticket: last place in the queue · turn: virtual time
--                 soonest: no lease ends before · run: run id of the server that wrote this ·
--                 closed: nobody new is admitted before · q:<permit id> its member of the queue ·
--                 f:<tenant> tag of its next waiter · g:<tenant> tag after its last turn ·
--                 w:<tenant> how many of it wait
--
-- Order is start-time fair queueing (Goyal, Vin and Cheng, 1996) over tenants: each waiter gets the tag
-- max(turn, f:<tenant>), smaller tags are served first, equal ones in order of arrival. Within one tenant
-- that is first come, first served.

local HOLDERS, QUEUE, OWNERS, META = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local permits, lease, pool, channel, owner = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]

-- Clients' clocks never matter.
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)
local lease_end = now + lease

-- How many permits are held, how many callers wait, and meta's fields of these names (soonest: false for none).
local held, waiting, token, soonest, closed = 0, 0, 0, false, 0

-- Fields of the hashes as they will be, false for none; what changed is written once, by close_pool.
local meta = { key = META, values = {}, changed = {} }
local holders = { key = HOLDERS, values = {}, changed = {} }

local function get(hash, field)
  local value = hash.values[field]
  if value == nil then
    value = redis.call('HGET', hash.key, field)
    hash.values[field] = value
  end
  return value
end

local function set(hash, field, value)
  hash.values[field], hash.changed[field] = value, true
end

local function prefetch(hash, names)
  local values = redis.call('HMGET', hash.key, unpack(names))
  for i = 1, #names do hash.values[names[i]] = values[i] end
end

local function number_of(field)
  return tonumber(get(meta, field) or 0)
end

-- Fencing token and end of a lease.
local function read_lease(text)
  local fencing_token, ends = string.match(text, '^(%d+)|(%d+)$')
  return tonumber(fencing_token), tonumber(ends)
end

-- A process counts as alive for half a lease. Holders renew at half-life, so a crashed process's waiters are
-- out of the way before the first of its permits comes back.
local seen = false
local function see_owner()
  if seen then return end
  seen = true
  redis.call('ZREMRANGEBYSCORE', OWNERS, '-inf', now)
  redis.call('ZADD', OWNERS, now + math.floor(lease / 2), owner)
end

-- A server that did not write this pool may have lost leases: it was restarted from older data or none, or was
-- a replica that lagged. The last of them ends one lease after the server that granted it stopped, which was
-- before this one started or, for a replica, before now. The uptime is in whole seconds of a clock read ten
-- times a second.
local function find_loss()
  local server = redis.call('INFO', 'server')
  local run = string.match(server, 'run_id:(%x+)')
  local known = get(meta, 'run')
  if known == run then return end
  local stopped = math.min(now, now - tonumber(string.match(server, 'uptime_in_seconds:(%d+)')) * 1000 + 1100)
  if known and string.match(redis.call('INFO', 'replication'), 'second_repl_offset:(-?%d+)') ~= '-1' then
    stopped = now
  end
  closed = math.max(closed, stopped + lease)
  set(meta, 'run', run)
  set(meta, 'closed', closed)
end

-- Takes back every permit whose lease is over.
local function reap()
  local all = redis.call('HGETALL', HOLDERS)
  soonest = false
  for i = 1, #all, 2 do
    local _, ends = read_lease(all[i + 1])
    if ends <= now then
      redis.call('HDEL', HOLDERS, all[i])
      held = held - 1
    elseif not soonest or ends < soonest then
      soonest = ends
    end
  end
end

-- Also reads what the operations are about to need.
local function open_pool(operations)
  local ids, waits = {}, false
  for i = 1, #operations, 4 do
    local verb = operations[i]
    ids[#ids + 1] = operations[i + 1]
    waits = waits or verb == 'sweep' or verb == 'acquire' and operations[i + 3] > 0
  end
  prefetch(meta, { 'run', 'closed', 'token', 'soonest' })
  closed, soonest = number_of('closed'), get(meta, 'soonest') and number_of('soonest')
  token = math.max(micros - 1, tonumber(ARGV[6]), number_of('token'))
  if ARGV[7] == '0' then find_loss() end
  held, waiting = redis.call('HLEN', HOLDERS), redis.call('ZCARD', QUEUE)
  if soonest and now >= soonest then reap() end
  if held > 0 then
    prefetch(holders, ids)
  else
    for i = 1, #ids do holders.values[ids[i]] = false end
  end
  if waiting > 0 then
    if waits then see_owner() end
    local places = {}
    for i = 1, #ids do places[i] = 'q:' .. ids[i] end
    prefetch(meta, places)
  end
end

-- Lua passes a bounded number of arguments.
local function write(command, key, values)
  for from = 1, #values, 1000 do
    redis.call(command, key, unpack(values, from, math.min(from + 999, #values)))
  end
end

local function save(hash)
  local put, gone = {}, {}
  for field in pairs(hash.changed) do
    local value = hash.values[field]
    if value then
      put[#put + 1] = field
      put[#put + 1] = type(value) == 'number' and string.format('%.0f', value) or value
    else
      gone[#gone + 1] = field
    end
  end
  write('HSET', hash.key, put)
  write('HDEL', hash.key, gone)
end

local function close_pool()
  set(meta, 'token', token)
  set(meta, 'soonest', soonest)
  save(holders)
  save(meta)
  -- Two idle leases and a minute: nothing can be held or wait for that long without a call.
  for i = 1, 4 do
    if i == 1 or i == 4 or waiting > 0 then redis.call('PEXPIRE', KEYS[i], 2 * lease + 60000) end
  end
end

local function free_permits()
  return now < closed and 0 or permits - held
end

-- Tokens start at the server's microseconds and above what the caller has seen, so they keep growing when the
-- pool has been forgotten or the server's clock was set back.
local function next_token()
  token = token + 1
  return token
end

local lease_ending = string.format('|%.0f', lease_end)
local function set_lease(permit, fencing_token)
  set(holders, permit, string.format('%.0f', fencing_token) .. lease_ending)
  if not soonest or lease_end < soonest then soonest = lease_end end
end

local function grant(permit, fencing_token)
  held = held + 1
  set_lease(permit, fencing_token)
  return fencing_token, lease_end
end

local function enqueue(permit, tenant)
  see_owner()
  local ticket = number_of('ticket') + 1
  local tag = math.max(number_of('turn'), number_of('f:' .. tenant))
  local member = string.format('%015.0f|%s|%s', ticket, permit, tenant)
  redis.call('ZADD', QUEUE, tag, member)
  set(meta, 'ticket', ticket)
  set(meta, 'q:' .. permit, member)
  set(meta, 'f:' .. tenant, tag + 1)
  set(meta, 'w:' .. tenant, number_of('w:' .. tenant) + 1)
  waiting = waiting + 1
end

local function take_turn(tenant, tag)
  set(meta, 'turn', math.max(number_of('turn'), tag))
  set(meta, 'g:' .. tenant, tag + 1)
end

-- When a tenant's last waiter has gone, tags that were given to cancelled waiters no longer hold it back.
local function forget_waiter(permit, tenant)
  waiting = waiting - 1
  set(meta, 'q:' .. permit, false)
  local left = number_of('w:' .. tenant) - 1
  if left > 0 then
    set(meta, 'w:' .. tenant, left)
    return
  end
  set(meta, 'w:' .. tenant, false)
  local served = number_of('g:' .. tenant)
  if served <= number_of('turn') then
    set(meta, 'f:' .. tenant, false)
    set(meta, 'g:' .. tenant, false)
  else
    set(meta, 'f:' .. tenant, served)
  end
end

local function leave_queue(permit)
  if waiting == 0 then return false end
  local member = get(meta, 'q:' .. permit)
  if not member then return false end
  redis.call('ZREM', QUEUE, member)
  forget_waiter(permit, string.match(member, '^%d+|[^|]*|(.*)$'))
  return true
end

-- Tells a waiter's process that it holds a permit now; false when that process is dead. One that is killed
-- stops listening at once.
local function tell(permit, fencing_token)
  local receiver = string.match(permit, '^[^:]*')
  if tonumber(redis.call('ZSCORE', OWNERS, receiver) or 0) <= now then return false end
  local news = string.format('%s|%.0f|%.0f|%s', permit, fencing_token, lease_end, pool)
  if redis.call('PUBLISH', channel .. receiver, news) > 0 or ARGV[8] == '0' then return true end
  redis.call('ZREM', OWNERS, receiver)
  return false
end

-- Hands free permits to the next waiters whose process is alive. Nobody waits who holds a permit.
local function serve()
  while waiting > 0 and free_permits() > 0 do
    local next = redis.call('ZPOPMIN', QUEUE)
    local permit, tenant = string.match(next[1], '^%d+|([^|]*)|(.*)$')
    local fencing_token = next_token()
    if tell(permit, fencing_token) then
      take_turn(tenant, tonumber(next[2]))
      grant(permit, fencing_token)
    end
    forget_waiter(permit, tenant)
  end
end

-- Milliseconds until a permit may come free by itself; -1 when nothing is held.
local function next_free()
  if now < closed then return closed - now end
  return held > 0 and soonest and math.max(0, soonest - now) or -1
end
