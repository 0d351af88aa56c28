-- A worker takes a batch it was sent: compare-and-set from `sent` to `fetching`.
-- A: lease, nonce, worker, lease_ms, total_ms (most time one request may take), host_concurrency
-- Returns {'ok', now, entries, kind, origin, doom, expected_ms, delay_ms, robots version, crawl id, options rev,
-- host}, or {'taken'} for a second delivery, or {'released', why}: given back uncharged, because the crawl is paused or
-- cancelled (why is its state), or because its host was given to others while the message waited (why is 'busy').
-- A repeated call with the same nonce returns the same; another nonce gets 'taken'.
local key = LEASE_ .. A.lease
local held = call('HMGET', key, 'state', 'nonce', 'entries', 'kind', 'origin', 'doom', 'expected', 'delay', 'host',
  'queue', 'level', 'n')
if not held[1] or (held[1] ~= 'sent' and not (held[1] == 'fetching' and held[2] == A.nonce)) then return {'taken'} end
local about = call('HMGET', CRAWL, 'state', 'id', 'rev')
local host = held[9]
if about[1] ~= 'running' then
  put_back(key, held[4], held[5], host, held[10], held[11], held[3])
  return {'released', about[1] or 'gone'}
end
if held[1] == 'sent' and lost_place(key, host, held[8], held[6], A.host_concurrency) then
  put_back(key, held[4], held[5], host, held[10], held[11], held[3])
  wake()
  return {'released', 'busy'}
end
local until_ms = NOW + A.lease_ms
local never_after = NOW + held[12] * A.total_ms + A.lease_ms
call('HSET', key, 'state', 'fetching', 'nonce', A.nonce, 'worker', A.worker, 'started_at', NOW,
  'never_after', never_after)
call('ZADD', LEASES, until_ms, key)
call('ZADD', OUT_ .. host, until_ms, key)
-- A slow answer must not have the same robots.txt asked for a second time.
if held[4] == 'robots' then call('HSET', ROBOTS_ .. held[5], 'asked_until', never_after) end
local version = call('HGET', ROBOTS_ .. held[5], 'version')
return {'ok', NOW, held[3], held[4], held[5], held[6] or '', held[7], held[8], version or '', about[2], about[3], host}
