-- End a second look (`producer/again.py`).
-- A: either heirs (fingerprints that were looked at, at most 1000) and key (of them); or, after a look for the scope's sake:
--    to (the last record it looked at), known (by how many entries of the scope it judged), refused (how many links of the
--    records up to there lie outside, or nil where that cannot be known): the count of refused links becomes true again
-- Returns {1}, or {0}: the scope was widened meanwhile, or somebody else has looked. A repeated call changes nothing.
if A.heirs then
  push('SREM', A.key, A.heirs)
  if call('EXISTS', A.key) == 0 then call('HDEL', CRAWL, 'look_heirs') end
  return {1}
end
local about = call('HMGET', CRAWL, 'look_to', 'look_refused')
if about[1] ~= A.to or call('ZCARD', SCOPE_SEEDS) ~= A.known then return {0} end
if A.refused and call('HINCRBY', COUNTS, 'refused scope', A.refused - tonumber(about[2])) <= 0 then
  call('HDEL', COUNTS, 'refused scope')
end
call('HDEL', CRAWL, 'look_from', 'look_to', 'look_refused')
return {1}
