-- Admit URLs: seen set, cap and enqueue in one step. At most 1000 links and 256 KB per call.
-- A: groups, max_pages, lease (optional: only while this lease is open), close_seeds (optional), scope_seeds (optional),
--    limits and nearer (see _admit.lua), or without a lease host_pages (key): seeds are never parked, but count for their host;
--    heirs and heirs_key (optional: seeds that came while the crawl ran; see _admit.lua)
-- Returns {admitted, capped, status}: 'ok', 'gone' (the lease), or the state of a crawl that admits nothing any more.
-- A repeated call admits nothing twice (admitted 0).
local state = call('HGET', CRAWL, 'state')
if over(state) then return {0, 0, A.lease and 'gone' or state} end
if A.lease and call('EXISTS', LEASE_ .. A.lease) == 0 then return {0, 0, 'gone'} end
if A.scope_seeds then
  local before, now = widen(A.scope_seeds)
  if now > before then look_again(before) end
end
if A.heirs then inherit(A.heirs, A.heirs_key) end
local limits = A.limits
local per_host = A.host_pages and call('HGET', CRAWL, 'per_host')
if per_host then limits = {free = true, host_pages = A.host_pages, per_host = per_host} end
local admitted, capped = admit(A.groups or {}, A.max_pages, limits, A.nearer)
if A.close_seeds then call('HSET', CRAWL, 'seeds_open', '0') end
if admitted > 0 or A.close_seeds then wake() end
return {admitted, capped, 'ok'}
