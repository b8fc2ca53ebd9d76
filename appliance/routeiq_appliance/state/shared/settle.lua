-- Settles a call in all its scopes: what was used takes the place of what was reserved.
-- KEYS: for each scope its limit key, its spend key.
-- ARGV: now (ms; empty: this server's clock), call, tokens, cost,
--       since (ms or empty: spend that was read from the ledger after that may hold this call already);
--       for each scope 1 when it has a budget.
-- Answers how many scopes with a budget were left for the ledger to put right: no lease is known, or read since.
local WINDOW, SPEND_TTL = 60000, 86400000

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local call, tokens, cost, since = ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local field, doubtful = 'l:' .. call, 0

for i = 1, #KEYS / 2 do
  local key, spend, has_budget = KEYS[2 * i - 1], KEYS[2 * i], ARGV[5 + i] == '1'
  local held = redis.call('HMGET', key, field, 'window')
  if held[1] then
    redis.call('HDEL', key, field)
    local reserved, held_cost, window = string.match(held[1], '(%d+) (%d+) (%d+)')
    local counted = tonumber(reserved)
    local current = tonumber(held[2]) or 0
    local runs = now - current < WINDOW and now - current >= -WINDOW
    if redis.call('ZREM', key .. ':leases', call) == 1 then
      if held_cost ~= '0' then redis.call('HINCRBY', key, 'reserved', '-' .. held_cost) end
    else
      redis.call('ZREM', key .. ':late', call)
      counted = 0 -- given back, if its window still runs
    end
    local more = math.max(0, tokens - tonumber(reserved))
    if runs and window == held[2] then more = tokens - counted end
    if more ~= 0 and runs then
      redis.call('HINCRBY', key, 'tokens', string.format('%.0f', more))
    elseif more ~= 0 then
      redis.call('HSET', key, 'window', string.format('%.0f', now), 'requests', 0,
        'tokens', string.format('%.0f', more))
      if redis.call('PTTL', key) < WINDOW then redis.call('PEXPIRE', key, 2 * WINDOW) end
    end
    if has_budget and cost ~= '0' then
      local read = redis.call('HGET', spend, 'read')
      if read and (not since or tonumber(read) <= since) then
        redis.call('HINCRBY', spend, 'amount', cost)
        redis.call('PEXPIRE', spend, SPEND_TTL)
      elseif read then
        doubtful = doubtful + 1
      end
    end
  elseif has_budget then
    doubtful = doubtful + 1
  end
end
return doubtful
