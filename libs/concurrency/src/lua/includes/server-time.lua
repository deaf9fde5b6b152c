-- The server's time in whole milliseconds: clients' clocks never matter.
local function server_time()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
