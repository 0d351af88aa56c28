-- A worker takes a batch it was sent: compare-and-set from `sent` to `fetching`.
-- A: lease, nonce, worker, lease_ms, total_ms (most time one request may take)
-- Returns {'ok', now, entries, kind, origin, doom, expected_ms, delay_ms, robots version, crawl id, options rev,
-- host}, or {'taken'} for a second delivery, or {'released', state} when the crawl is paused or cancelled.
-- A repeated call with the same nonce returns the same; another nonce gets 'taken'.
local key = LEASE_ .. A.lease
local held = call('HMGET', key, 'state', 'nonce', 'entries', 'kind', 'origin', 'doom', 'expected', 'delay', 'host',
  'queue', 'level', 'n')
if not held[1] or (held[1] ~= 'sent' and not (held[1] == 'fetching' and held[2] == A.nonce)) then return {'taken'} end
local about = call('HMGET', CRAWL, 'state', 'id', 'rev')
local host = held[9]
if about[1] ~= 'running' then
  if held[4] == 'robots' then
    call('HDEL', ROBOTS_ .. held[5], 'asked_until')
  else
    enqueue(held[10], held[11], split(held[3]), true)
  end
  close_lease(key, host)
  free_host(host, NOW)
  return {'released', about[1] or 'gone'}
end
local until_ms = NOW + A.lease_ms
call('HSET', key, 'state', 'fetching', 'nonce', A.nonce, 'worker', A.worker, 'started_at', NOW,
  'never_after', NOW + held[12] * A.total_ms + A.lease_ms)
call('ZADD', LEASES, until_ms, key)
call('ZADD', OUT_ .. host, until_ms, key)
local version = call('HGET', ROBOTS_ .. held[5], 'version')
return {'ok', NOW, held[3], held[4], held[5], held[6] or '', held[7], held[8], version or '', about[2], about[3], host}
