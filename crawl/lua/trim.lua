-- Take records that are safely in a file out of Redis; each leaves a tombstone.
-- A: rows ({stream id, fingerprint, bucket, SHA-1 of the record in hex}...), prefix (of the tombstones' keys), size (bytes of
--    one tombstone), to (the file), retried (key)
-- ARGV[12]: the rows' tombstones, one after the other
-- Returns how many were trimmed. A record that is gone, another one by now, or to be replaced by a newer one (`retry`), stays
-- as it is with its entry in the stream. Of a crawl that is being deleted nothing is trimmed.
-- A repeated call trims nothing twice. Trimmed records are all in one file: returns -1, and trims nothing, where there are
-- some in another one.
-- Each row's first write frees memory, so that a full Redis lets it through.
local trimmed = 0
local state = call('HGET', CRAWL, 'state')
if not state or state == 'deleted' then return 0 end
local place = call('HGET', CRAWL, 'trimmed_to')
if place and place ~= A.to then return -1 end
for i, row in ipairs(A.rows) do
  local record = call('HGET', RECORDS, row[2])
  if record and redis.sha1hex(record) == row[4] and (over(state) or call('HEXISTS', A.retried, row[2]) == 0) then
    call('HDEL', RECORDS, row[2])
    call('XDEL', RESULTS, row[1])
    call('HSET', A.prefix .. row[3], row[2], string.sub(ARGV[12], (i - 1) * A.size + 1, i * A.size))
    trimmed = trimmed + 1
  end
end
if trimmed > 0 then
  call('HINCRBY', COUNTS, 'trimmed', trimmed)
  call('HSET', CRAWL, 'trimmed_to', A.to)
end
return trimmed
