-- Renew all leases of one worker process; one call for leases of any crawl, so it does not use the frame.
-- KEYS: per lease four: lease, leases zset, host-out zset, crawl hash
-- ARGV: per lease two: nonce, lease_ms
-- Returns per lease the crawl's state, or 'gone' (reclaimed, closed, or past its last moment).
-- A repeated call renews once more; nothing else changes.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local answers = {}
for i = 1, #KEYS / 4 do
  local lease, leases, out, crawl = KEYS[4 * i - 3], KEYS[4 * i - 2], KEYS[4 * i - 1], KEYS[4 * i]
  local nonce, lease_ms = ARGV[2 * i - 1], tonumber(ARGV[2 * i])
  local held = redis.call('HMGET', lease, 'state', 'nonce', 'parse_nonce', 'never_after')
  local last = tonumber(held[4] or 0)
  local mine = (held[1] == 'fetching' and held[2] == nonce) or (held[1] == 'fetched' and held[3] == nonce)
  if mine and now < last then
    local till = math.min(now + lease_ms, last)
    -- A write that takes no memory: after it even a full Redis lets the rest through.
    redis.call('PERSIST', lease)
    redis.call('ZADD', leases, 'XX', till, lease)
    redis.call('ZADD', out, 'XX', till, lease)
    answers[i] = redis.call('HGET', crawl, 'state') or 'gone'
  else
    answers[i] = 'gone'
  end
end
return answers
