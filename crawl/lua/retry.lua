-- Admit URLs again that have a record, in a new generation, and let a finished crawl go on. At most 500 URLs per call.
-- A: retried (key), generation, channel (of states), finite (the depth is), heirs and failed_heirs (keys), groups: list of
--    {level, origin, {{fingerprint, entry, outcome, reason, SHA-1 of its record}, ...}}; the entries name the generation
-- Returns {admitted, waiting (marked by an earlier call), changed (fingerprints that have another record than the caller has
-- read), state before}.
-- A crawl that is not running, finished or paused is left alone. A repeated call admits nothing twice: what it finds is
-- waiting, or has changed.
-- The record stays, and is counted no more, until `complete` puts the newer one in its place.
local state = call('HGET', CRAWL, 'state') or 'gone'
if state ~= 'running' and state ~= 'finished' and state ~= 'paused' then return {0, 0, {}, state} end
local admitted, waiting, changed = 0, 0, {}

local function uncount(field)
  if call('HINCRBY', COUNTS, field, -1) <= 0 then call('HDEL', COUNTS, field) end
end

for _, group in ipairs(A.groups) do
  local level, origin, rows = group[1], group[2], group[3]
  local host, entries = host_of(origin), {}
  for _, row in ipairs(rows) do
    local fingerprint, entry, outcome, reason, digest = row[1], row[2], row[3], row[4], row[5]
    local record = call('HGET', RECORDS, fingerprint)
    if call('HEXISTS', A.retried, fingerprint) == 1 then
      waiting = waiting + 1
    elseif not record or redis.sha1hex(record) ~= digest then
      changed[#changed + 1] = fingerprint
    else
      call('HSET', A.retried, fingerprint, string.format('%d', A.generation))
      uncount(outcome)
      if reason ~= '' then uncount(outcome .. ' ' .. reason) end
      -- It counts as a seed, and a look has found no page: what comes now is to be looked at.
      if call('SREM', A.failed_heirs, fingerprint) == 1 then
        call('SADD', A.heirs, fingerprint)
        call('HSET', CRAWL, 'look_heirs', '1')
      end
      entries[#entries + 1] = entry
    end
  end
  if #entries > 0 then
    enqueue(QUEUE_ .. level .. ':' .. origin, level, entries, false)
    call('HINCRBY', LEVELS, level, #entries)
    call('SADD', HOSTS, host)
    admitted = admitted + #entries
    -- A host that was given up is asked again; a hold that it asked for goes on.
    call('HDEL', HOST_ .. host, 'fails', 'fail_reason', 'refused', 'refused_at', 'refusal')
    -- So is a robots.txt that could not be had; an answer that was given keeps its time.
    if call('HGET', ROBOTS_ .. origin, 'verdict') == 'deny' then
      call('HDEL', ROBOTS_ .. origin, 'fresh_until', 'attempts', 'not_before', 'losses')
    end
  end
end
if admitted > 0 then
  call('HINCRBY', COUNTS, 'retried', admitted)
  if tonumber(call('HGET', CRAWL, 'generation') or '0') < A.generation then
    call('HSET', CRAWL, 'generation', string.format('%d', A.generation))
  end
  if A.finite then came_late() end
  if state == 'finished' then
    call('HSET', CRAWL, 'state', 'running')
    call('HDEL', CRAWL, 'ended_at')
    call('PUBLISH', A.channel, NAME .. ' running')
  end
  wake()
end
return {admitted, waiting, changed, state}
