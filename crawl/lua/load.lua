-- A worker begins to parse a fetched batch.
-- A: lease, nonce, process (see worker/deaths.py), lease_ms, never_ms (most time a parse may take) or page_ms (one
--    page) where that is more, with_bodies (whether they are read from Redis)
-- Returns {'ok', now, entries, refs, kind, origin, host, crawl id, options rev, scope seeds (how many), state}, or {'gone'}:
-- closed, reclaimed, the crawl was cancelled, or its bodies have expired (then the reaper has it fetched again).
-- A repeated call, or one by a second delivery, returns the same: `complete` lets only one of them through.
local key = LEASE_ .. A.lease
local held = call('HMGET', key, 'state', 'entries', 'refs', 'kind', 'origin', 'host', 'parse_nonce', 'bodies', 'n')
local about = call('HMGET', CRAWL, 'id', 'rev', 'state')
if held[1] ~= 'fetched' or over(about[3]) then return {'gone'} end
if A.with_bodies and held[8] == '1' and call('EXISTS', BODIES_ .. A.lease) == 0 then return {'gone'} end
-- A write that takes no memory: after it even a full Redis lets the rest through, and the parse will free some.
call('PERSIST', key)
if held[7] ~= A.nonce then
  local last = NOW + math.max(A.never_ms, tonumber(held[9]) * A.page_ms + A.lease_ms)
  call('HSET', key, 'parse_nonce', A.nonce, 'never_after', last, 'process', A.process)
  call('HINCRBY', key, 'parse_tries', 1)
end
call('ZADD', LEASES, NOW + A.lease_ms, key)
return {'ok', NOW, held[2], held[3], held[4], held[5], held[6], about[1], about[2], call('ZCARD', SCOPE_SEEDS),
  about[3]}
