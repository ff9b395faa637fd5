-- Values that are not too long.
--
-- KEYS: the keys. ARGV: bytes one value may have, bytes all of them may have
-- Gives a value or nothing for each key, or the error TOOLARGE.
local each, all = tonumber(ARGV[1]), tonumber(ARGV[2])
local values = {}
for at, key in ipairs(KEYS) do
  local length = redis.call('STRLEN', key)
  all = all - length
  if length > each or all < 0 then
    return redis.error_reply('TOOLARGE more than may be read at once')
  end
  values[at] = redis.call('GET', key)
end
return values
