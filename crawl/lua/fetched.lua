-- The end of a batch's requests: keep the references, report the host, hand back what was not begun.
-- A: lease, nonce, lease_ms, refs (JSON), count (entries done, from the first), bodies (whether any was stored),
--    body_bytes (of those that were stored),
--    ended_at, requests (made), mean_ms, answered (whether any answer came), fails (failures of connecting at the end of
--    the batch), fail_reason, good_at (when the last request began that was answered and not refused, or nil),
--    refusal ({status, began, pause_ms (asked for, or 0), jitter (0 to 1), first_ms, most_ms, limit, channel} or nil),
--    attempts (JSON or nil), max_attempts_kept
-- Returns {'ok', count}, or {'stale'} when the lease was reclaimed or the crawl was cancelled; in the latter case the batch is
-- dropped, and only the host is reported. A repeated call with the same nonce returns 'ok', or 'stale' after a cancel.
local key = LEASE_ .. A.lease
local held = call('HMGET', key, 'state', 'nonce', 'entries', 'kind', 'origin', 'host', 'queue', 'level', 'delay')
if not held[1] or held[2] ~= A.nonce then
  -- Its bodies came in with this call and nobody will read them.
  call('UNLINK', BODIES_ .. A.lease)
  return {'stale'}
end
local cancelled = over(call('HGET', CRAWL, 'state'))
if held[1] == 'fetched' then return cancelled and {'stale'} or {'ok', A.count} end
-- A write that takes no memory: after it even a full Redis lets the rest through. Bodies that it refused are fetched again,
-- uncharged; a batch without a report would be charged.
call('PERSIST', key)
local host = held[6]
local entries = split(held[3])
local done, rest = {}, {}
for i, entry in ipairs(entries) do
  if i <= A.count then done[#done + 1] = entry else rest[#rest + 1] = entry end
end

if cancelled then
  drop(key, held[4], held[5], host, #entries)
  call('UNLINK', BODIES_ .. A.lease)
  rest = {}
elseif #done == 0 then
  close_lease(key, host)
  if held[4] == 'robots' then call('HDEL', ROBOTS_ .. held[5], 'asked_until') end
else
  call('HSET', key, 'state', 'fetched', 'entries', table.concat(done, '\n'), 'n', #done, 'refs', A.refs,
    'bodies', A.bodies and '1' or '0', 'process', '')
  give_back_room(key)
  if held[4] == 'page' then
    -- What a page brings of late: risen at once, forgotten slowly.
    local mean = A.body_bytes / #done
    local before = tonumber(call('HGET', CRAWL, 'page_bytes') or mean)
    call('HSET', CRAWL, 'page_bytes', string.format('%d', math.max(mean, 0.9 * before + 0.1 * mean)))
  end
  if A.body_bytes > 0 then
    call('HSET', key, 'body_bytes', A.body_bytes)
    call('HINCRBY', CRAWL, 'body_bytes', A.body_bytes)
  end
  call('ZADD', LEASES, NOW + A.lease_ms, key)
  call('ZREM', OUT_ .. host, key)
  if held[4] == 'robots' then call('HSET', ROBOTS_ .. held[5], 'asked_until', NOW + 2 * A.lease_ms) end
end
if #rest > 0 and held[4] == 'page' then enqueue(held[7], held[8], rest, true) end

-- A 429 or 503 holds the host for everybody: as long as it asks, or, when it does not or has refused before, a time that
-- doubles with each refusal in a row. Requests that were under way together are one refusal. A good answer to a request
-- that began after it ends the row. Returns until when, or nil.
local function refused(host_key, fields, ended)
  local since = fields.refused_at or 0
  if A.good_at and fields.refused and A.good_at > since then
    call('HDEL', host_key, 'refused', 'refused_at', 'refusal')
    fields.refused = nil
  end
  local refusal = A.refusal
  if not refusal then return nil end
  local pause = refusal.pause_ms
  if not fields.refused or refusal.began > since then
    fields.refused = (fields.refused or 0) + 1
    call('HSET', host_key, 'refused', fields.refused, 'refused_at', string.format('%d', NOW),
      'refusal', refusal.status)
    if pause == 0 or fields.refused > 1 then
      local most = refusal.first_ms * 2 ^ math.min(fields.refused - 1, 20)
      pause = math.max(pause, most / 2 * (1 + refusal.jitter))
    end
  end
  local hold = math.floor(ended + math.min(pause, refusal.most_ms))
  if hold > (fields.hold or 0) then
    fields.hold = hold
    call('HSET', host_key, 'hold', string.format('%d', hold))
  end
  tell(refusal.channel, host)
  return fields.hold
end

local due = NOW
if A.requests > 0 then
  local host_key = HOST_ .. host
  local fields = fields_of(host)
  if A.mean_ms then
    local expected = fields.expected_ms
    fields.expected_ms = expected and (0.7 * expected + 0.3 * A.mean_ms) or A.mean_ms
    call('HSET', host_key, 'expected_ms', string.format('%.1f', fields.expected_ms))
  end
  -- Before this report, whatever the worker's clock says.
  local ended = math.min(A.ended_at, NOW)
  ended_at(host, ended, fields)
  if A.answered then
    if fields.fails then call('HDEL', host_key, 'fails', 'fail_reason') end
  elseif A.fails > 0 then
    call('HINCRBY', host_key, 'fails', A.fails)
    call('HSET', host_key, 'fail_reason', A.fail_reason)
  end
  local hold = refused(host_key, fields, ended)
  due = math.max(NOW, due_of(judge(fields), fields))
  -- Given up: its URLs end without being asked for, so they need not wait.
  if A.refusal and fields.refused >= A.refusal.limit then due = NOW end
  call('PEXPIRE', host_key, HOST_TTL)
  if A.attempts then
    local entry = {'a', A.attempts}
    if hold then entry = {'a', A.attempts, 'h', string.format('%d', hold)} end
    call('XADD', ATTEMPTS, 'MAXLEN', '~', A.max_attempts_kept, '*', unpack(entry))
  end
end
free_host(host, due)
wake()
return cancelled and {'stale'} or {'ok', A.count}
