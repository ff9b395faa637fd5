-- Puts one unacknowledged message back into its lists, unless somebody did before.
--
-- KEYS: unacked hash, its index, then the lists
-- ARGV: tag, LPUSH (the back) or RPUSH (the front), text, the score it must have (empty: any)
if ARGV[4] ~= '' then
  local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
  if score and tonumber(score) ~= tonumber(ARGV[4]) then
    return 0
  end
end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return 0
end
-- First into the lists: if that fails, nothing is lost.
for i = 3, #KEYS do
  redis.call(ARGV[2], KEYS[i], ARGV[3])
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
