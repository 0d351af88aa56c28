-- How far from the seeds pages were found.
-- A: fingerprints (at most 1000)
-- Returns their depths in the same order, -1 for one without a record. Changes nothing.
local depths = {}
for i, fingerprint in ipairs(A.fingerprints) do
  local record = call('HGET', RECORDS, fingerprint)
  depths[i] = tonumber(record and string.match(record, '"depth":(%d+)') or '-1')
end
return depths
