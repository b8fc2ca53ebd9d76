-- Puts members back into a sorted set that is gone; leaves one that is there alone.
-- KEYS: set. ARGV: how long it lives (s), score, then members.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], ARGV[2], ARGV[i]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
