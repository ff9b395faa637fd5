-- Adds to a number that is 0 or more; what is not there is 0.
--
-- KEYS: the key. ARGV: how much
-- Gives the sum as text, exact where a number of Lua's is not, or the error NOTANUMBER.
local value = redis.call('GET', KEYS[1])
if value and not string.match(value, '^%d+$') then
  return redis.error_reply('NOTANUMBER there is something else')
end
local sum = redis.pcall('INCRBY', KEYS[1], ARGV[1])
if type(sum) == 'table' and sum.err then
  if string.find(sum.err, 'out of range', 1, true) or string.find(sum.err, 'overflow', 1, true) then
    return redis.error_reply('NOTANUMBER the sum is too large')
  end
  return sum
end
return redis.call('GET', KEYS[1])
