-- Raises spend to what the ledger says, where that is more. The ledger lags, so it never says too much.
-- KEYS: spend keys. ARGV: now (ms; empty: this server's clock), then what the ledger says of each.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local raised = 0
for i = 1, #KEYS do
  local known, said = redis.call('HGET', KEYS[i], 'amount'), ARGV[i + 1]
  -- As text, for numbers beyond 2^53.
  if known and (#said > #known or (#said == #known and said > known)) then
    redis.call('HSET', KEYS[i], 'amount', said, 'read', string.format('%.0f', now))
    raised = raised + 1
  end
end
return raised
