-- Keeps messages until their time: unacknowledged, but held by nobody, with a score that lets any
-- sweep, a Python worker's too, take them for abandoned at that time. Doing it twice changes nothing.
--
-- KEYS: unacked hash, its index. ARGV: visibility timeout, then tag, seconds from now, tag, …
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
for i = 2, #ARGV, 2 do
  local tag = ARGV[i]
  local record = redis.call('HGET', KEYS[1], tag)
  if record then
    -- This handing out does not count.
    local count, rest = string.match(record, '^%[{"umbel_handed_out": (%d+), ()')
    if count then
      record = '[{"umbel_delayed": ' .. (count - 1) .. ', ' .. string.sub(record, rest)
      redis.call('HSET', KEYS[1], tag, record)
    end
    local score = math.max(now + ARGV[i + 1] - ARGV[1], 0)
    redis.call('ZADD', KEYS[2], string.format('%.6f', score), tag)
  end
end
return 1
