-- Note that a suspect is all its process does from now on: should that process end, the suspect is charged.
-- A: lease, nonce (of its fetch or of its parse), never_ms (most time that may take from now on)
-- Returns 1, or 0 when the lease is not held under that nonce any more. A repeated call does the same.
local key = LEASE_ .. A.lease
local held = call('HMGET', key, 'state', 'nonce', 'parse_nonce')
local mine = (held[1] == 'fetching' and held[2] == A.nonce) or (held[1] == 'fetched' and held[3] == A.nonce)
if not mine then return 0 end
-- What it waited for the others in its process does not count.
call('HSET', key, 'sole', A.nonce, 'never_after', NOW + A.never_ms)
return 1
