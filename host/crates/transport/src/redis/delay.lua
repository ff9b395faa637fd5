-- Keeps messages until their time: unacknowledged, but held by nobody, with a score that lets any
-- sweep, a Python worker's too, take them for abandoned at that time. Doing it twice changes nothing.
--
-- KEYS: unacked hash, its index
-- ARGV: visibility timeout, then for each message its tag, seconds from now, its queue as JSON text
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000

-- This handing out does not count; and it goes back to its own queue, not to every queue that its
-- exchange leads to.
local function delayed(record, queue)
  local tail = string.sub(record, -1024)
  local count, rest = string.match(record, '^%[{"umbel_handed_out": (%d+), ()')
  if not count then
    count = 1
    rest = string.match(record, '^%[%s*{%s*()"')
  end
  if not rest or string.find(record, '^"umbel_delayed"', rest) then
    return record
  end
  local at, exchange = string.match(tail, '^.*(), ("[^"]*"), "[^"]*"%]$')
  if at and exchange ~= '""' then
    record = string.sub(record, 1, #record - #tail + at - 1) .. ', "", ' .. queue .. ']'
  end
  return '[{"umbel_delayed": ' .. (count - 1) .. ', ' .. string.sub(record, rest)
end

for i = 2, #ARGV, 3 do
  local tag = ARGV[i]
  local record = redis.call('HGET', KEYS[1], tag)
  if record then
    redis.call('HSET', KEYS[1], tag, delayed(record, ARGV[i + 2]))
    local score = math.max(now + ARGV[i + 1] - ARGV[1], 0)
    redis.call('ZADD', KEYS[2], string.format('%.6f', score), tag)
  end
end
return 1
