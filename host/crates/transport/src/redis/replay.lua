-- Moves one dead letter into a list, as a new message.
-- KEYS: the dead letters, their order, the list. ARGV: the letter's id, the message.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return 0
end
redis.call('LPUSH', KEYS[3], ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('HDEL', KEYS[1], ARGV[1])
