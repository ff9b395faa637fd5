-- Forgets messages that are done with. KEYS: unacked hash, its index. ARGV: tags.
redis.call('ZREM', KEYS[2], unpack(ARGV))
redis.call('HDEL', KEYS[1], unpack(ARGV))
return 1
