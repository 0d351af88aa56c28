-- What a second look at the depths came to (`producer/levels.py`): pages lie nearer to the seeds than they were found.
-- A: either note (stream entry: what comes after it is to be looked at before the crawl ends); or
--    found: list of {fingerprint, depth, {reason -> how many more links are refused for it}}, marks: list of {fingerprint,
--    depth} that were looked at, key (of the marks), end (the look is over), after (stream entry, or nil: the records after
--    it are to be looked at before the crawl ends), came_late (as it was when the look began)
-- Returns {how many records were changed, 1}, or {0, 0}: URLs came late meanwhile (or the crawl was deleted), so the look
-- changes nothing more, its notes stay, and it is taken anew. A repeated call changes no record.
if call('EXISTS', CRAWL) == 0 then return {0, 0} end
if A.note then
  call('HSETNX', CRAWL, 'look_after', A.note)
  call('HSET', CRAWL, 'look_levels', '1')
  return {0, 1}
end
if tonumber(call('HGET', CRAWL, 'came_late') or '0') ~= A.came_late then return {0, 0} end
local changed = 0
for _, one in ipairs(A.found) do
  local record = call('HGET', RECORDS, one[1])
  local depth = record and string.match(record, '"depth":(%d+)')
  if depth and tonumber(depth) > one[2] then
    call('HSET', RECORDS, one[1], (string.gsub(record, '"depth":%d+', '"depth":' .. string.format('%d', one[2]), 1)))
    for reason, more in pairs(one[3]) do
      if call('HINCRBY', COUNTS, 'refused ' .. reason, more) <= 0 then call('HDEL', COUNTS, 'refused ' .. reason) end
    end
    changed = changed + 1
  end
end
for _, mark in ipairs(A.marks) do
  local depth = call('ZSCORE', A.key, mark[1])
  -- A nearer one may have come meanwhile.
  if depth and tonumber(depth) >= mark[2] then call('ZREM', A.key, mark[1]) end
end
if A['end'] then
  if A.after then
    call('HSET', CRAWL, 'look_after', A.after)
  else
    call('HDEL', CRAWL, 'look_after')
    if call('EXISTS', A.key) == 0 then call('HDEL', CRAWL, 'look_levels') end
  end
end
return {changed, 1}
