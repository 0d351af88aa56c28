-- End a second look (`producer/again.py`).
-- A: either heirs (fingerprints that were looked at, at most 1000), key (of them), failed (those of them that had no page when
--    they were looked at), failed_key and retried (keys); or, after a look for the scope's sake:
--    to (the last record it looked at), known (by how many entries of the scope it judged), refused (how many links of the
--    records up to there lie outside, or nil where that cannot be known): the count of refused links becomes true again
-- Returns {1}, or {0}: the scope was widened meanwhile, or somebody else has looked. A repeated call changes nothing.
if A.heirs then
  if call('EXISTS', CRAWL) == 0 then return {0} end
  push('SREM', A.key, A.heirs)
  for _, heir in ipairs(A.failed) do
    local record = call('HGET', RECORDS, heir)
    local outcome = record and string.match(record, '"outcome":"(%a+)"')
    if call('HEXISTS', A.retried, heir) == 1 or outcome == 'ok' or outcome == 'redirect' then
      -- Tried again since the look has read its record.
      call('SADD', A.key, heir)
      call('HSET', CRAWL, 'look_heirs', '1')
    elseif record then
      call('SADD', A.failed_key, heir)
    end
  end
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
