-- Says that a worker lives; answers {now, live workers}. A write, so a server that takes none counts as away.
-- KEYS: workers. ARGV: now (ms; empty: this server's clock), worker, how long a beat counts (ms).
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - tonumber(ARGV[3])))
redis.call('PEXPIRE', KEYS[1], 6 * tonumber(ARGV[3]))
return {now, redis.call('ZCARD', KEYS[1])}
