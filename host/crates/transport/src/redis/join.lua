-- Counts one part of a chord in, and claims the sending of its body when it is the last.
--
-- KEYS: the parts, the number added later, the size, who was counted, the group, the claim of
--       Celery's workers, our claim
-- ARGV: task id, part, 1 if parts are in order, position, seconds to keep the chord (0: for ever),
--       seconds to keep the group (0: for ever), seconds a claim holds, our token, what a finished
--       claim says
-- Gives -1 when the body was sent, 0 when parts are missing, 1 when somebody else has the claim, 2
-- when it is ours.
if redis.call('GET', KEYS[6]) == ARGV[9] then
  return -1
end
local ordered = ARGV[3] == '1'
local name = ARGV[1] .. ':' .. ARGV[4]
if redis.call('SISMEMBER', KEYS[4], name) == 0 then
  if ordered then
    redis.call('ZADD', KEYS[1], ARGV[4], ARGV[2])
  else
    redis.call('RPUSH', KEYS[1], ARGV[2])
  end
  redis.call('SADD', KEYS[4], name)
end
local ready = redis.call(ordered and 'ZCARD' or 'LLEN', KEYS[1])
if ARGV[5] ~= '0' then
  for i = 1, 4 do
    redis.call('EXPIRE', KEYS[i], ARGV[5])
  end
end
if ARGV[6] ~= '0' then
  redis.call('EXPIRE', KEYS[5], ARGV[6])
end
local size = redis.call('GET', KEYS[3])
if not size or ready ~= size + (redis.call('GET', KEYS[2]) or 0) then
  return 0
end
if redis.call('EXISTS', KEYS[6]) == 1 then
  return 1
end
if redis.call('SET', KEYS[7], ARGV[8], 'NX', 'EX', ARGV[7]) then
  return 2
end
-- Claimed before, and the answer was lost on its way.
return redis.call('GET', KEYS[7]) == ARGV[8] and 2 or 1
