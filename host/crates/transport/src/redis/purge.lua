-- Removes the lists and says how many messages were in them; what is no list is an error first.
local count = 0
for _, list in ipairs(KEYS) do
    count = count + redis.call('LLEN', list)
end
redis.call('UNLINK', unpack(KEYS))
return count
