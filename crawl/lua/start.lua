-- A worker takes a batch it was sent: compare-and-set from `sent` to `fetching`.
-- A: lease, nonce, worker, process (see worker/deaths.py), lease_ms, total_ms (most time one request may take)
-- Returns {'ok', now, entries, kind, origin, doom, expected_ms, delay_ms, robots version, crawl id, options rev,
-- host, cap}, or {'taken'} for a second delivery, or {'released', why}: given back uncharged, because the crawl is paused
-- (why is its state; a cancelled one's batch is dropped), or because its host was given to others while the message waited (why is 'busy').
-- The host's delay and cap are those of now; of several requests to a host that has a delay by now, only the first stays.
-- A repeated call with the same nonce returns the same; another nonce gets 'taken'.
local key = LEASE_ .. A.lease
local held = call('HMGET', key, 'state', 'nonce', 'entries', 'kind', 'origin', 'doom', 'expected', 'delay', 'host',
  'queue', 'level', 'n', 'cap')
if not held[1] or (held[1] ~= 'sent' and not (held[1] == 'fetching' and held[2] == A.nonce)) then return {'taken'} end
local about = call('HMGET', CRAWL, 'state', 'id', 'rev')
local host = held[9]
if over(about[1]) then
  drop(key, held[4], held[5], host, held[12])
  free_host(host, NOW)
  return {'released', about[1]}
end
if about[1] ~= 'running' then
  put_back(key, held[4], held[5], host, held[10], held[11], held[3])
  return {'released', about[1] or 'gone'}
end
local entries, delay, count, cap = held[3], held[8], held[12], held[13]
if held[1] == 'sent' then
  local lost, alone
  lost, delay, cap, alone = lost_place(key, host, held[8], held[6])
  if lost then
    put_back(key, held[4], held[5], host, held[10], held[11], held[3])
    wake()
    return {'released', 'busy'}
  end
  if alone and tonumber(count) > 1 then
    local rest = split(entries)
    entries, count = table.remove(rest, 1), 1
    enqueue(held[10], held[11], rest, true)
  end
end
local until_ms = NOW + A.lease_ms
local never_after = NOW + count * A.total_ms + A.lease_ms
call('HSET', key, 'state', 'fetching', 'nonce', A.nonce, 'worker', A.worker, 'process', A.process, 'started_at', NOW,
  'never_after', never_after, 'entries', entries, 'n', count, 'delay', delay, 'cap', cap)
call('ZADD', LEASES, until_ms, key)
if (held[6] or '') == '' then call('ZADD', OUT_ .. host, until_ms, key) end
-- A slow answer must not have the same robots.txt asked for a second time.
if held[4] == 'robots' then call('HSET', ROBOTS_ .. held[5], 'asked_until', never_after) end
local version = call('HGET', ROBOTS_ .. held[5], 'version')
return {'ok', NOW, entries, held[4], held[5], held[6] or '', held[7], delay, version or '', about[2], about[3], host, cap}
