-- Renews the lease of messages that are still held. KEYS: unacked index. ARGV: tags.
local time = redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])
local scores = {}
for i = 1, #ARGV do
  scores[2 * i - 1] = now
  scores[2 * i] = ARGV[i]
end
return redis.call('ZADD', KEYS[1], 'XX', unpack(scores))
