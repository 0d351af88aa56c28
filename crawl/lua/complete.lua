-- Close a fetched batch: its records, its retries and its new links, once.
-- A: lease, results ({fingerprint, level, outcome, reason, record, and of a URL that `retry` admitted its generation}...),
--    retried (key; only with such results), retries ({queue, level, entry, not_before}...),
--    groups, max_pages, limits and nearer (see _admit.lua), scope_seeds, refused (reason -> count),
--    scope_count (by how many entries of the scope the batch was judged; where it widens or was refused any link for that),
--    heirs (where seeds redirect to, or nil; see _admit.lua) and heirs_key,
--    robots (see crawl/batches.py:RobotsAnswer; or nil), channel
-- Returns {'ok', admitted, capped} or {'gone'}: closed before, reclaimed, or the crawl was cancelled. A repeated call
-- returns 'gone'.
local key = LEASE_ .. A.lease
local held = call('HMGET', key, 'state', 'host', 'queue', 'level')
if held[1] ~= 'fetched' or over(call('HGET', CRAWL, 'state')) then return {'gone', 0, 0} end
close_lease(key, held[2])

for _, result in ipairs(A.results) do
  local fingerprint, level, outcome, reason, record = result[1], result[2], result[3], result[4], result[5]
  local generation, new = result[6], false
  if not generation then
    new = call('HSETNX', RECORDS, fingerprint, record) == 1
    if new then call('XADD', RESULTS, '*', 'f', fingerprint) end
  elseif call('HGET', A.retried, fingerprint) == generation then
    -- One record per URL and generation: the mark goes with it.
    new = true
    call('HDEL', A.retried, fingerprint)
    call('HSET', RECORDS, fingerprint, record)
    call('XADD', RESULTS, '*', 'f', fingerprint, 'g', generation)
  end
  if new then
    call('HINCRBY', LEVELS, level, -1)
    call('HINCRBY', COUNTS, outcome, 1)
    if reason ~= '' then call('HINCRBY', COUNTS, outcome .. ' ' .. reason, 1) end
  end
end
-- What a page takes of late beside its body: its record and its new links. Risen at once, forgotten slowly.
local extra = 0
for _, result in ipairs(A.results) do extra = extra + #result[5] end
for _, group in ipairs(A.groups) do
  for _, link in ipairs(group[3]) do extra = extra + #link[3] + 50 end
end
if #A.results > 0 then
  extra = extra / #A.results
  local before = tonumber(call('HGET', CRAWL, 'page_extra') or extra)
  call('HSET', CRAWL, 'page_extra', string.format('%d', math.max(extra, 0.9 * before + 0.1 * extra)))
end
for _, retry in ipairs(A.retries) do
  call('ZADD', DELAYED, retry[4], retry[1] .. ' ' .. retry[3])
end
if A.scope_seeds then widen(A.scope_seeds) end
for reason, count in pairs(A.refused or {}) do call('HINCRBY', COUNTS, 'refused ' .. reason, count) end
-- Wider than this batch knew: others and it may have refused what lies inside now.
if A.scope_count and call('ZCARD', SCOPE_SEEDS) > A.scope_count then look_again(A.scope_count) end

-- What an origin's robots.txt came to. One that could not be had leaves an older answer in force, if that is not too old.
local function answered(robots)
  local robots_key = ROBOTS_ .. robots.origin
  local origin_host = host_of(robots.origin)
  call('HDEL', robots_key, 'asked_until', 'losses', 'deaths')
  local old = call('HMGET', robots_key, 'verdict', 'version', 'fresh_until')
  local late = (robots.retry_ms or robots.ask_url) and tonumber(old[3] or 0) > NOW
  local stale = (robots.retry_ms or robots.verdict == 'deny') and old[1] and old[1] ~= 'deny'
    and NOW - tonumber(old[2]) < robots.keep_ms
  if late then
    -- Nothing to do: somebody who asked at the same time has brought the answer.
  elseif stale then
    call('HSET', robots_key, 'fresh_until', string.format('%d', NOW + robots.stale_ms))
    call('HDEL', robots_key, 'attempts', 'not_before', 'ask_url', 'hops')
  elseif robots.retry_ms then
    call('HSET', robots_key, 'not_before', string.format('%d', NOW + robots.retry_ms))
    call('HINCRBY', robots_key, 'attempts', 1)
    call('PEXPIRE', robots_key, HOST_TTL)
  elseif robots.ask_url then
    -- The next hop waits for its own host; `lease` asks for it.
    call('HSET', robots_key, 'ask_url', robots.ask_url, 'hops', robots.hops)
    call('HDEL', robots_key, 'attempts', 'not_before')
    call('PEXPIRE', robots_key, HOST_TTL)
    call('ZADD', DUE_ .. held[4], 'XX', NOW, held[3])
  else
    call('HSET', robots_key, 'verdict', robots.verdict, 'body', robots.body, 'sitemaps', robots.sitemaps,
      'version', string.format('%d', NOW), 'fresh_until', string.format('%d', NOW + robots.fresh_ms))
    call('HDEL', robots_key, 'attempts', 'not_before', 'ask_url', 'hops')
    -- Kept a little longer than it counts, so that a batch leased just before still finds its rules.
    call('PEXPIRE', robots_key, math.max(robots.fresh_ms, robots.verdict == 'deny' and 0 or robots.keep_ms) + 600000)
    call('HSET', HOST_ .. origin_host, 'robots_delay ' .. robots_key, string.format('%d', robots.delay_ms))
    if robots.delay_ms > 0 then tell(A.channel, origin_host) end
    call('PEXPIRE', HOST_ .. origin_host, HOST_TTL)
  end
  -- Who waits for this answer waits for the host that was asked, or, since before a redirect, for the origin's.
  free_host(origin_host, NOW)
  if held[2] ~= origin_host then free_host(held[2], NOW) end
end
if A.robots then answered(A.robots) end

if A.heirs then inherit(A.heirs, A.heirs_key) end
local admitted, capped = admit(A.groups, A.max_pages, A.limits, A.nearer)
call('UNLINK', BODIES_ .. A.lease)
wake()
return {'ok', admitted, capped}
