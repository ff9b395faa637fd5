-- Notes a run of a schedule's entry, and sends its message in the same step.
--
-- KEYS: the lead, what is noted, the lists that the message goes to
-- ARGV: who leads, the entry, what stands there, what is to stand there (nothing: empty), the message
-- Gives 1 when done, 0 for who does not lead, 2 when something else stands there.
local noted = redis.call('HGET', KEYS[2], ARGV[2]) or ''
if noted == ARGV[4] and ARGV[3] ~= ARGV[4] then
  -- Asked again: the answer to the first time was lost.
  return 1
end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if noted ~= ARGV[3] then
  return 2
end
for list = 3, #KEYS do
  redis.call('LPUSH', KEYS[list], ARGV[5])
end
if ARGV[4] == '' then
  redis.call('HDEL', KEYS[2], ARGV[2])
elseif ARGV[3] ~= ARGV[4] then
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
end
return 1
