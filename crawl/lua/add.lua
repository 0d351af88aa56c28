-- Admit URLs: seen set, cap and enqueue in one step. At most 1000 links and 256 KB per call.
-- A: groups, max_pages, lease (optional: only while this lease is open), close_seeds (optional), scope_seeds (optional)
-- Returns {admitted, capped, status}. A repeated call admits nothing twice (admitted 0).
if A.lease and call('EXISTS', LEASE_ .. A.lease) == 0 then return {0, 0, 'gone'} end
if A.scope_seeds then widen(A.scope_seeds) end
local admitted, capped = admit(A.groups or {}, A.max_pages)
if A.close_seeds then call('HSET', CRAWL, 'seeds_open', '0') end
if admitted > 0 or A.close_seeds then wake() end
return {admitted, capped, 'ok'}
