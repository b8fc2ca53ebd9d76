-- Admits a call to all its scopes or to none; `rules` has the arithmetic in Python.
-- KEYS: for each scope its limit key, its spend key.
-- ARGV: now (ms; empty: this server's clock), call, tokens, cost, lease (ms);
--       for each scope rpm, tpm, parallel, budget, what the ledger says was spent (each may be empty).
-- Answers {1, now, for each scope: window, requests, tokens, spent}, {0, now, scope, kind, wait in ms or -1},
-- or {2, now, scopes whose spend is unknown}.
-- Money stays text: a Lua number is exact only to 2^53.
local WINDOW, LATE, SPEND_TTL = 60000, 3600000, 86400000

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local now_text = string.format('%.0f', now)
local call, tokens, cost, lease = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local scopes = #KEYS / 2

local spent, unknown = {}, {2, now}
for i = 1, scopes do
  local spend, at = KEYS[2 * i], 5 * i
  if ARGV[at + 4] ~= '' then
    spent[i] = redis.call('HGET', spend, 'amount')
    if not spent[i] and ARGV[at + 5] ~= '' then
      spent[i] = ARGV[at + 5]
      redis.call('HSET', spend, 'amount', spent[i], 'read', now_text)
      redis.call('PEXPIRE', spend, SPEND_TTL)
    elseif not spent[i] then
      unknown[#unknown + 1] = i
    end
  end
end
if #unknown > 2 then return unknown end

-- Gives back the leases that ended, and keeps what a late settlement must know of them for an hour.
local function sweep(key, leases, ended)
  local late = key .. ':late'
  for _, gone in ipairs(ended) do
    redis.call('ZREM', leases, gone)
    local held = redis.call('HMGET', key, 'l:' .. gone, 'window')
    if held[1] then
      local held_tokens, held_cost, window = string.match(held[1], '(%d+) (%d+) (%d+)')
      -- Redis takes no `-0`.
      if held_cost ~= '0' then redis.call('HINCRBY', key, 'reserved', '-' .. held_cost) end
      if window == held[2] and held_tokens ~= '0' then redis.call('HINCRBY', key, 'tokens', '-' .. held_tokens) end
      redis.call('ZADD', late, now_text, gone)
    end
  end
  local forgotten = redis.call('ZRANGEBYSCORE', late, '-inf', string.format('%.0f', now - LATE))
  for _, gone in ipairs(forgotten) do
    redis.call('ZREM', late, gone)
    redis.call('HDEL', key, 'l:' .. gone)
  end
  redis.call('PEXPIRE', late, 2 * LATE)
  if redis.call('PTTL', key) < LATE then redis.call('PEXPIRE', key, LATE) end
end

local windows, requests, used, running = {}, {}, {}, {}
local refusal, longest
local function refuse(scope, kind, wait)
  local rank = wait < 0 and math.huge or wait
  if not refusal or rank > longest then refusal, longest = {0, now, scope, kind, wait}, rank end
end

for i = 1, scopes do
  local key, at = KEYS[2 * i - 1], 5 * i
  local leases = key .. ':leases'
  local ended = redis.call('ZRANGEBYSCORE', leases, '-inf', now_text)
  if #ended > 0 then sweep(key, leases, ended) end
  local held = redis.call('HMGET', key, 'window', 'requests', 'tokens', 'reserved')
  local window, reserved = tonumber(held[1]) or 0, tonumber(held[4]) or 0
  if now - window >= WINDOW or now - window < -WINDOW then window = 0 end
  windows[i] = window
  requests[i] = window ~= 0 and tonumber(held[2]) or 0
  used[i] = window ~= 0 and tonumber(held[3]) or 0
  running[i] = redis.call('ZCARD', leases)

  local left = window == 0 and WINDOW or math.min(WINDOW, window + WINDOW - now)
  local rpm, tpm, parallel, budget = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  if budget ~= '' and tonumber(spent[i]) + reserved >= tonumber(budget) then refuse(i, 4, -1) end
  if rpm ~= '' and requests[i] >= tonumber(rpm) then refuse(i, 1, left) end
  if tpm ~= '' and used[i] >= tonumber(tpm) then refuse(i, 2, left) end
  if parallel ~= '' and running[i] >= tonumber(parallel) then refuse(i, 3, 1000) end
end
if refusal then return refusal end

local answer = {1, now}
for i = 1, scopes do
  local key = KEYS[2 * i - 1]
  local leases, field = key .. ':leases', 'l:' .. call
  if windows[i] == 0 then
    windows[i], requests[i], used[i] = now, 1, tonumber(tokens)
    redis.call('HSET', key, 'window', now_text, 'requests', 1, 'tokens', tokens,
      field, tokens .. ' ' .. cost .. ' ' .. now_text)
  else
    requests[i] = redis.call('HINCRBY', key, 'requests', 1)
    used[i] = redis.call('HINCRBY', key, 'tokens', tokens)
    redis.call('HSET', key, field, tokens .. ' ' .. cost .. ' ' .. string.format('%.0f', windows[i]))
  end
  if cost ~= '0' then redis.call('HINCRBY', key, 'reserved', cost) end
  redis.call('ZADD', leases, string.format('%.0f', now + lease), call)
  -- Twice what is needed, so that most calls need not prolong it. Neither key may end before a lease in it.
  local need = lease + WINDOW
  if running[i] == 0 or redis.call('PTTL', key) < need then
    redis.call('PEXPIRE', key, string.format('%.0f', 2 * need))
    redis.call('PEXPIRE', leases, string.format('%.0f', 2 * need))
  end
  local at = 4 * i - 1
  answer[at], answer[at + 1], answer[at + 2], answer[at + 3] = windows[i], requests[i], used[i], spent[i] or ''
end
return answer
