-- Unacknowledged messages whose time has come, longest overdue first: nobody gave a sign of life for
-- them, or they were delayed until now. The caller has them for some seconds, to put them back; if
-- it does not, they are due again.
--
-- KEYS: unacked hash, its index
-- ARGV: visibility timeout, how many at most, how many bytes at most, for how many seconds, the
--       latest time that is no jump of the clock (none is given when it is later)
-- Gives {now, seconds until the next one is due or nothing, the score that the messages have now,
-- tag, record, …}.
local time = redis.call('TIME')
local now, timeout = time[1] + time[2] / 1000000, tonumber(ARGV[1])
local ours = string.format('%.6f', now - timeout + ARGV[4])
local out = {time[1] .. '.' .. string.format('%06d', time[2]), '', ours}
local room = tonumber(ARGV[3])
if now <= tonumber(ARGV[5]) then
  local limit = string.format('%.6f', now - timeout)
  for _, tag in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', limit, 'LIMIT', 0, ARGV[2])) do
    local record = redis.call('HGET', KEYS[1], tag)
    if not record then
      redis.call('ZREM', KEYS[2], tag)
    elseif room > 0 then
      redis.call('ZADD', KEYS[2], ours, tag)
      out[#out + 1] = tag
      out[#out + 1] = record
      room = room - #record
    end
  end
end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if first[2] then
  out[2] = string.format('%.6f', first[2] + timeout - now)
end
return out
