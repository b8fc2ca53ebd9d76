-- Sets fields of a hash that ends. KEYS: hash. ARGV: seconds, then fields and values.
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return redis.call('EXPIRE', KEYS[1], ARGV[1])
