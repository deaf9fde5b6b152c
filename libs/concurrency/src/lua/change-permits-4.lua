-- Runs operations on the permits of one pool, one after the other, for one process. First it takes back the
-- permits whose lease is over and hands what is free to those who wait, so nobody overtakes them; each
-- operation leaves things that way. Every operation may be sent twice (after a reconnect) to the same effect.
--
-- acquire  takes a permit, or a place in the queue: 0 queued | 1 granted | 2 busy | 3 the queue is full
-- renew    extends a held permit to a full lease from now, never one that is over: 1 renewed | 0 no longer held
-- release  gives a permit back or leaves the queue: 1 it was held or waited | 0 it did neither
-- sweep    tells where a waiter stands: 0 waiting | 1 granted | 2 unknown
--
-- KEYS[1] holders  KEYS[2] queue  KEYS[3] owners  KEYS[4] meta
-- ARGV[1] permits
-- ARGV[2] leaseMs
-- ARGV[3] poolId
-- ARGV[4] channelPrefix of grant messages; the owner's id follows
-- ARGV[5] ownerId: the process that calls
-- ARGV[6] lastToken: the greatest fencing token that this process knows
-- ARGV[7] durable: 1 when a restart of the server loses nothing, else 0
-- ARGV[8] countsListeners: 1 when PUBLISH tells of every listener, 0 on a cluster
-- ARGV[9] operations, as JSON: a flat list of "acquire", permit, tenant, most that may wait (0: do not queue) |
--   "renew", permit, fencing token, 0 | "release", permit, 0, 0 | "sweep", permit, 0, 0
-- Returns { nowMs, milliseconds until the next permit may come free or -1, then per operation: its outcome,
--   fencingToken, expiresAtMs }; the last two are 0 without a permit

-- @include permit-pool

local OPERATIONS = {}

function OPERATIONS.acquire(permit, tenant, bound)
  local known = get(holders, permit)
  if known then return 1, read_lease(known) end
  if waiting > 0 and get(meta, 'q:' .. permit) then return 0, 0, 0 end
  -- Those who wait have been served, so a permit that is free now is nobody else's.
  if free_permits() > 0 then return 1, grant(permit, next_token()) end
  if bound == 0 then return 2, 0, 0 end
  if waiting >= bound then return 3, 0, 0 end
  enqueue(permit, tenant)
  return 0, 0, 0
end

function OPERATIONS.renew(permit, fencing_token)
  local known = get(holders, permit)
  if known then
    set_lease(permit, (read_lease(known)))
    return 1, 0, 0
  end
  -- The server lost this lease. Nobody new has been admitted since, so it is still its holder's.
  if now >= closed or held >= permits then return 0, 0, 0 end
  leave_queue(permit)
  token = math.max(token, fencing_token)
  grant(permit, fencing_token)
  return 1, 0, 0
end

function OPERATIONS.release(permit)
  local known = leave_queue(permit)
  if get(holders, permit) then
    set(holders, permit, false)
    held, known = held - 1, true
  end
  serve()
  return known and 1 or 0, 0, 0
end

function OPERATIONS.sweep(permit)
  local known = get(holders, permit)
  if known then return 1, read_lease(known) end
  return waiting > 0 and get(meta, 'q:' .. permit) and 0 or 2, 0, 0
end

local operations = cjson.decode(ARGV[9])
open_pool(operations)
serve()
local reply = { now, -1 }
for i = 1, #operations, 4 do
  local at, run = #reply, OPERATIONS[operations[i]]
  reply[at + 1], reply[at + 2], reply[at + 3] = run(operations[i + 1], operations[i + 2], operations[i + 3])
end
close_pool()
reply[2] = next_free()
return reply
