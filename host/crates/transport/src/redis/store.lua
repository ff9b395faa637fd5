-- Stores a result and tells whoever waits for it, unless a SUCCESS is stored already.
--
-- KEYS: the result's key. ARGV: the record, seconds to keep it (0: for ever), 1 to store regardless
-- Gives 1 when stored, 0 when a SUCCESS stands, 2 when only the caller can read what is there.
if ARGV[3] ~= '1' then
  local start = redis.call('GETRANGE', KEYS[1], 0, 63)
  if start ~= '' then
    -- JSON, or MessagePack; what was written in another way only the caller can read.
    local status = string.match(start, '^{%s*"status"%s*:%s*"([^"\\]*)"')
      or string.match(start, '^[\128-\143]\166status[\160-\191](%u+)')
    if status == 'SUCCESS' then
      return 0
    end
    if not status then
      return 2
    end
  end
end
if ARGV[2] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SETEX', KEYS[1], ARGV[2], ARGV[1])
end
redis.call('PUBLISH', KEYS[1], ARGV[1])
return 1
