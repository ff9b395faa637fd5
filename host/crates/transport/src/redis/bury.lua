-- Moves one unacknowledged message to the dead letters. Doing it twice changes nothing.
--
-- KEYS: unacked hash, its index, the dead letters, their order
-- ARGV: tag, the letter's id, when as a score, what is known of it as a JSON object
-- Gives 1 when it is there, 0 when the message is not unacknowledged any more.
if redis.call('HEXISTS', KEYS[3], ARGV[2]) == 1 then
  return 1
end
local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record then
  return 0
end
-- kombu's `[envelope, exchange, routing_key]` with one more at its end.
local letter = string.gsub(record, '%]%s*$', '') .. ', ' .. ARGV[4] .. ']'
redis.call('HSET', KEYS[3], ARGV[2], letter)
redis.call('ZADD', KEYS[4], ARGV[3], ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
