-- Tells the other processes in the same step as the change, so that no process hears of a change that is not
-- there yet, and none of a change is lost between the two.

local function announce(channel, message)
  if channel ~= '' then redis.call('PUBLISH', channel, message) end
end
