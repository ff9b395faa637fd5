-- Moves waiting messages into the unacknowledged ones, in kombu's own format.
--
-- KEYS: unacked hash, its index, the record of this consumer's last take, then the lists: all queues
--       at the first priority step, all queues at the second, …
-- ARGV: how many at most, how many bytes at most, number of this take, seconds to keep the record,
--       how many queues, the queue whose turn it is, 1 if this take may have happened already,
--       then the queues' names
-- Gives {state, list, tag, text, list, tag, text, …}. state 0: the lists are empty now, 1: they may
-- hold more, 2: this is what the take of that number moved, each text in its unacked record.

local unacked, index, record = KEYS[1], KEYS[2], KEYS[3]
local want, room, number = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local queues, turn = tonumber(ARGV[5]), tonumber(ARGV[6])

-- An answer that was lost on its way must not leave messages with nobody until their lease ends.
if ARGV[7] == '1' then
  local last = redis.call('GET', record)
  if last then
    last = cmsgpack.unpack(last)
    if last[1] == number then
      local out = {2}
      for i = 2, #last, 2 do
        local value = redis.call('HGET', unacked, last[i + 1])
        if value then
          out[#out + 1] = last[i]
          out[#out + 1] = last[i + 1]
          out[#out + 1] = value
        end
      end
      return out
    end
  end
end

-- Errors about keys of another type must come before the first message is popped.
redis.call('HLEN', unacked)
redis.call('ZCARD', index)
local waiting, total = {}, 0
for i = 4, #KEYS do
  waiting[i] = redis.call('LLEN', KEYS[i])
  total = total + waiting[i]
end
if total == 0 or want == 0 then
  return {total == 0 and 0 or 1}
end

-- Tag, exchange and routing key, the latter two as JSON text; then the text itself, if it is JSON.
-- Most envelopes are kombu's, whose end says it all; reading a long one whole would take long.
local function describe(text, queue)
  local tail = string.sub(text, -1024)
  local tag = string.match(tail, '"delivery_tag"%s*:%s*"([^"\\]+)"%s*}%s*}%s*$')
  local exchange, key = string.match(tail,
    '^.*"delivery_info"%s*:%s*{%s*"exchange"%s*:%s*("[^"\\]*")%s*,%s*"routing_key"%s*:%s*("[^"\\]*")')
  if tag and exchange then
    return tag, exchange, key, text
  end
  local ok, envelope = pcall(cjson.decode, text)
  if not ok then
    return nil, '""', cjson.encode(queue), nil
  end
  local properties = type(envelope) == 'table' and envelope.properties
  properties = type(properties) == 'table' and properties or {}
  local info = type(properties.delivery_info) == 'table' and properties.delivery_info or {}
  tag = properties.delivery_tag
  if type(tag) ~= 'string' or tag == '' then
    tag = nil
  end
  exchange = type(info.exchange) == 'string' and info.exchange or ''
  key = type(info.routing_key) == 'string' and info.routing_key or queue
  return tag, cjson.encode(exchange), cjson.encode(key), text
end

-- The text, counted as handed out once more: our mark stands before kombu's own keys. The first
-- time needs none: the flag that kombu sets when it goes back says it.
local function counted(text)
  local count, rest = string.match(text, '^%s*{%s*"umbel_[%l_]+"%s*:%s*(%d+)%s*,%s*()')
  if not count then
    -- The plain search costs next to nothing, and mostly that is it.
    if not string.find(text, '"redelivered"', 1, true)
      or not string.find(text, '"redelivered"%s*:%s*true') then
      return text
    end
    count, rest = 1, string.match(text, '^%s*{%s*()"')
  end
  if not rest then
    return text
  end
  count = math.min(tonumber(count), 1000000) + 1
  return '{"umbel_handed_out": ' .. count .. ', ' .. string.sub(text, rest)
end

-- What stands in the hash for text that no Celery worker could read: an envelope around it.
local function wrap(text, tag, key)
  text = cjson.encode((string.gsub(text, '[\128-\255]', '?')))
  return '{"body": ' .. text .. ', "content-encoding": "binary", '
    .. '"content-type": "application/octet-stream", "headers": {}, "properties": '
    .. '{"delivery_info": {"exchange": "", "routing_key": ' .. key .. '}, "priority": 0, '
    .. '"body_encoding": "utf-8", "delivery_tag": "' .. tag .. '"}}'
end

local time = redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])
local out, scores, moved, taken = {1}, {}, {number}, 0

local function take(list, queue)
  local text = redis.call('RPOP', KEYS[list])
  if not text then
    return
  end
  local own = number .. '-' .. taken
  local tag, exchange, key, json = describe(text, queue)
  -- Ours is made of letters, digits and dashes; the caller must be able to name it exactly.
  if not tag or #tag > 255 or string.find(tag, '[^\33-\126]') then
    tag = own
  end
  local value = '[' .. counted(json or wrap(text, tag, key)) .. ', ' .. exchange .. ', ' .. key .. ']'
  -- A message that was sent to several queues has one tag in all of them.
  if redis.call('HSETNX', unacked, tag, value) == 0 then
    tag = own
    redis.call('HSET', unacked, tag, value)
  end
  scores[#scores + 1] = now
  scores[#scores + 1] = tag
  moved[#moved + 1] = list - 4
  moved[#moved + 1] = tag
  out[#out + 1] = list - 4
  out[#out + 1] = tag
  out[#out + 1] = text
  taken = taken + 1
  room = room - #text
end

for first = 4, #KEYS, queues do
  local left = true
  while left and taken < want and room > 0 do
    left = false
    for n = 0, queues - 1 do
      local queue = (turn + n) % queues
      local list = first + queue
      if waiting[list] > 0 and taken < want and room > 0 then
        waiting[list] = waiting[list] - 1
        total = total - 1
        take(list, ARGV[8 + queue])
      end
      left = left or waiting[list] > 0
    end
  end
end

if taken > 0 then
  redis.call('ZADD', index, unpack(scores))
  redis.call('SETEX', record, ARGV[4], cmsgpack.pack(moved))
end
if total == 0 then
  out[1] = 0
end
return out
