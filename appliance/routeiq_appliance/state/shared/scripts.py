"""The atomic steps in Redis, in Lua: the rules of `rules`, over a hash and a sorted set per scope.

`routeiq:limit:NAME` holds `w` (start of the window, ms), `r` (requests), `t` (tokens, settled and reserved), `v`
(money reserved), `p` (budget period), `s` (money spent in it), and `l:CALL` (what a lease holds: tokens, money,
window). `routeiq:lease:NAME` orders the calls by the end of their leases. Money is only ever added by HINCRBY, which is
exact; Lua's numbers merely compare. The clock is the caller's.
"""

from routeiq_appliance.state.shared.interface import LimitKind

__all__ = ["ADD", "ADMIT", "BEAT", "FORGET", "KINDS", "SEED", "SETTLE", "keys_of"]

KINDS: tuple[LimitKind, ...] = ("requests", "tokens", "parallel", "budget")
"""By the number that ADMIT returns, from 1."""

ADMIT = """
-- KEYS: limit, lease of each scope. ARGV: now, call, tokens, cost, lease; rpm, tpm, parallel, budget, period of each.
-- Returns {0, then window, requests, tokens, spent of each}, {1, scope, kind, ms until the window ends},
-- or {2, scopes whose spend is unknown …}.
local now, call, tokens, cost = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local count = #KEYS / 2
local unknown, states = {}, {}
for i = 1, count do
  local limit, lease, at = KEYS[2 * i - 1], KEYS[2 * i], 5 + (i - 1) * 5
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', lease, '-inf', now)) do
    local held = redis.call('HGET', limit, 'l:' .. gone)
    if held then
      local t, v, w = string.match(held, '(%d+) (%d+) (%d+)')
      redis.call('HINCRBY', limit, 'v', '-' .. v)
      if redis.call('HGET', limit, 'w') == w then redis.call('HINCRBY', limit, 't', '-' .. t) end
      redis.call('HDEL', limit, 'l:' .. gone)
    end
    redis.call('ZREM', lease, gone)
  end
  local f = redis.call('HMGET', limit, 'w', 'r', 't', 'v', 'p', 's')
  local w, r, t = tonumber(f[1]) or 0, tonumber(f[2]) or 0, tonumber(f[3]) or 0
  if now >= w + 60000 or now < w then
    w, r, t = now, 0, 0
    redis.call('HSET', limit, 'w', ARGV[1], 'r', '0', 't', '0')
  end
  local left = w + 60000 - now
  local rpm, tpm, parallel, budget, period =
    tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), ARGV[at + 5]
  local kind = 0
  if rpm and r >= rpm then kind = 1
  elseif tpm and t >= tpm then kind = 2
  elseif parallel and redis.call('ZCARD', lease) >= parallel then kind = 3
  elseif budget then
    if not f[6] or f[5] ~= period then unknown[#unknown + 1] = i
    elseif tonumber(f[6]) + (tonumber(f[4]) or 0) >= budget then kind = 4 end
  end
  if kind > 0 then return {1, i, kind, left} end
  states[#states + 1] = {string.format('%.0f', w), r, t, f[6] or ''}
end
if #unknown > 0 then return {2, unpack(unknown)} end
local answer = {0}
for i = 1, count do
  local limit, lease, s = KEYS[2 * i - 1], KEYS[2 * i], states[i]
  local r = redis.call('HINCRBY', limit, 'r', 1)
  local t = redis.call('HINCRBY', limit, 't', tokens)
  redis.call('HINCRBY', limit, 'v', cost)
  redis.call('HSET', limit, 'l:' .. call, tokens .. ' ' .. cost .. ' ' .. s[1])
  redis.call('ZADD', lease, now + tonumber(ARGV[5]), call)
  redis.call('PEXPIRE', limit, 86400000)
  redis.call('PEXPIRE', lease, 86400000)
  answer[#answer + 1] = s[1]
  answer[#answer + 1] = r
  answer[#answer + 1] = t
  answer[#answer + 1] = s[4]
end
return answer
"""

SETTLE = """
-- KEYS: limit, lease of each scope. ARGV: call, tokens, cost; period of each.
local call, tokens, cost = ARGV[1], tonumber(ARGV[2]), ARGV[3]
for i = 1, #KEYS / 2 do
  local limit, lease = KEYS[2 * i - 1], KEYS[2 * i]
  local f = redis.call('HMGET', limit, 'w', 'p', 's', 'l:' .. call)
  local add = tokens
  if f[4] then
    local t, v, w = string.match(f[4], '(%d+) (%d+) (%d+)')
    redis.call('HINCRBY', limit, 'v', '-' .. v)
    add = tokens - tonumber(t)
    if w ~= f[1] and add < 0 then add = 0 end
    redis.call('HDEL', limit, 'l:' .. call)
    redis.call('ZREM', lease, call)
  end
  if f[1] and add ~= 0 then redis.call('HINCRBY', limit, 't', string.format('%.0f', add)) end
  if f[3] and f[2] == ARGV[3 + i] and cost ~= '0' then redis.call('HINCRBY', limit, 's', cost) end
end
return 0
"""

SEED = """
-- KEYS: limit of each scope. ARGV: period, spent of each. What another worker learned meanwhile stands.
for i = 1, #KEYS do
  local f = redis.call('HMGET', KEYS[i], 'p', 's')
  if not f[2] or f[1] ~= ARGV[2 * i - 1] then
    redis.call('HSET', KEYS[i], 'p', ARGV[2 * i - 1], 's', ARGV[2 * i])
    redis.call('PEXPIRE', KEYS[i], 86400000)
  end
end
return 0
"""

ADD = """
-- KEYS: limit of each scope. ARGV: period, cost of each: what was spent while Redis was away.
for i = 1, #KEYS do
  local f = redis.call('HMGET', KEYS[i], 'p', 's')
  if f[2] and f[1] == ARGV[2 * i - 1] then redis.call('HINCRBY', KEYS[i], 's', ARGV[2 * i]) end
end
return 0
"""

FORGET = """
-- KEYS: limit of each scope. ARGV: period of each.
for i = 1, #KEYS do
  if redis.call('HGET', KEYS[i], 'p') == ARGV[i] then redis.call('HDEL', KEYS[i], 's') end
end
return 0
"""

BEAT = """
-- KEYS: workers. ARGV: now (s), worker, seconds that a beat counts. Returns how many workers live.
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', tonumber(ARGV[1]) - tonumber(ARGV[3]))
redis.call('EXPIRE', KEYS[1], 600)
return redis.call('ZCARD', KEYS[1])
"""


def keys_of(name: str) -> tuple[str, str]:
    """Return a scope's two keys."""
    return f"routeiq:limit:{name}", f"routeiq:lease:{name}"
