-- Close a fetched batch: its records, its retries and its new links, once.
-- A: lease, results ({fingerprint, level, outcome, reason, record}...), retries ({queue, level, entry, not_before}...),
--    groups, max_pages and limits (see _admit.lua), scope_seeds, refused (reason -> count),
--    robots ({origin, verdict, body, fresh_ms, delay_ms} or {origin, retry_at} or nil)
-- Returns {'ok', admitted, capped} or {'gone'}: closed before, or reclaimed. A repeated call returns 'gone'.
local key = LEASE_ .. A.lease
local held = call('HMGET', key, 'state', 'host')
if held[1] ~= 'fetched' then return {'gone', 0, 0} end
close_lease(key, held[2])

for _, result in ipairs(A.results) do
  local fingerprint, level, outcome, reason, record = result[1], result[2], result[3], result[4], result[5]
  if call('HSETNX', RECORDS, fingerprint, record) == 1 then
    call('XADD', RESULTS, '*', 'f', fingerprint)
    call('HINCRBY', LEVELS, level, -1)
    call('HINCRBY', COUNTS, outcome, 1)
    if reason ~= '' then call('HINCRBY', COUNTS, outcome .. ' ' .. reason, 1) end
  end
end
for _, retry in ipairs(A.retries) do
  call('ZADD', DELAYED, retry[4], retry[1] .. ' ' .. retry[3])
end
for _, seed in ipairs(A.scope_seeds or {}) do call('SADD', SCOPE_SEEDS, seed) end
for reason, count in pairs(A.refused or {}) do call('HINCRBY', COUNTS, 'refused ' .. reason, count) end

local robots = A.robots
if robots then
  local robots_key = ROBOTS_ .. robots.origin
  local host = host_of(robots.origin)
  call('HDEL', robots_key, 'asked_until', 'losses')
  if robots.retry_ms then
    call('HSET', robots_key, 'not_before', NOW + robots.retry_ms)
    call('HINCRBY', robots_key, 'attempts', 1)
    call('PEXPIRE', robots_key, HOST_TTL)
  else
    call('HSET', robots_key, 'verdict', robots.verdict, 'body', robots.body, 'version', string.format('%d', NOW),
      'fresh_until', NOW + robots.fresh_ms)
    call('HDEL', robots_key, 'attempts', 'not_before')
    -- Kept a little longer than it is fresh, so that a batch leased just before still finds its rules.
    call('PEXPIRE', robots_key, robots.fresh_ms + 600000)
    call('HSET', HOST_ .. host, 'robots_delay ' .. robots.origin, string.format('%d', robots.delay_ms))
    if robots.delay_ms > 0 then
      -- Known only now, it counts from now: the report of this very request knew nothing of it.
      local due = math.max(tonumber(call('HGET', HOST_ .. host, 'due') or '0'), NOW + robots.delay_ms)
      call('HSET', HOST_ .. host, 'due', string.format('%d', due))
    end
    call('PEXPIRE', HOST_ .. host, HOST_TTL)
  end
  free_host(host, NOW)
end

local admitted, capped = admit(A.groups, A.max_pages, A.limits)
call('UNLINK', BODIES_ .. A.lease)
wake()
return {'ok', admitted, capped}
