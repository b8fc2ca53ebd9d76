-- Adds what a worker spent while it was alone; once for each marker.
-- KEYS: marker, then spend keys. ARGV: since (ms), marker's life (ms), then what to add to each.
-- Answers which were left for the ledger to put right (from 1): it was read since, and may hold these calls already.
local doubtful = {}
if not redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[2]) then return doubtful end
for i = 2, #KEYS do
  local read = redis.call('HGET', KEYS[i], 'read')
  if read and tonumber(read) <= tonumber(ARGV[1]) then
    redis.call('HINCRBY', KEYS[i], 'amount', ARGV[i + 1])
  elseif read then
    doubtful[#doubtful + 1] = i - 1
  end
end
return doubtful
