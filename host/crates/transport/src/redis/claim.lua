-- What the holder of our claim of a chord does with it, if it still holds it.
--
-- KEYS: the parts, the number added later, the size, who was counted, the group, the claim of
--       Celery's workers, our claim
-- ARGV: token, what to do (`extend`, `sent` or `never`), seconds, what a finished claim says
if redis.call('GET', KEYS[7]) ~= ARGV[1] then
  return 0
end
if ARGV[2] == 'extend' then
  -- A worker of Celery that counted a part in meanwhile sends the body itself.
  if redis.call('EXISTS', KEYS[6]) == 1 then
    return 0
  end
  return redis.call('EXPIRE', KEYS[7], ARGV[3])
end
if ARGV[2] == 'sent' then
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[7])
  redis.call('SET', KEYS[6], ARGV[4], 'EX', ARGV[3])
else
  -- What came in stays until it expires, as Celery leaves it; without a size nobody waits.
  redis.call('DEL', KEYS[3], KEYS[7])
end
return 1
