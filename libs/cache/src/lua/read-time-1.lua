-- Tells the time of the server that has a key.
--
-- KEYS[1]  any key of the tenant; it routes the call and is not touched
-- ARGV     none
-- Returns  milliseconds since the Unix epoch

local time = redis.call('TIME')
return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
