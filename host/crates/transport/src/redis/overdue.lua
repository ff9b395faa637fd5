-- Tags without a sign of life for too long, longest first.
-- KEYS: unacked index. ARGV: how many seconds, how many tags, how many to skip.
local time = redis.call('TIME')
local until_ = string.format('%.6f', time[1] + time[2] / 1000000 - tonumber(ARGV[1]))
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', until_, 'LIMIT', ARGV[3], ARGV[2])
