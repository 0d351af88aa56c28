-- The end of a batch's requests: keep the references, report the host, hand back what was not begun.
-- A: lease, nonce, lease_ms, refs (JSON), count (entries done, from the first), bodies (whether any was stored),
--    ended_at, requests (made), mean_ms, hold_until, answered (whether any answer came), fails (failures of
--    connecting at the end of the batch), fail_reason, attempts (JSON or nil), max_attempts_kept
-- Returns {'ok', count} or {'stale'} when the lease was reclaimed. A repeated call with the same nonce returns 'ok'.
local key = LEASE_ .. A.lease
local held = call('HMGET', key, 'state', 'nonce', 'entries', 'kind', 'origin', 'host', 'queue', 'level', 'delay')
if not held[1] or held[2] ~= A.nonce then
  -- Its bodies came in with this call and nobody will read them.
  call('UNLINK', BODIES_ .. A.lease)
  return {'stale'}
end
if held[1] == 'fetched' then return {'ok', A.count} end
local host = held[6]
local entries = split(held[3])
local done, rest = {}, {}
for i, entry in ipairs(entries) do
  if i <= A.count then done[#done + 1] = entry else rest[#rest + 1] = entry end
end

if #done == 0 then
  close_lease(key, host)
  if held[4] == 'robots' then call('HDEL', ROBOTS_ .. held[5], 'asked_until') end
else
  call('HSET', key, 'state', 'fetched', 'entries', table.concat(done, '\n'), 'n', #done, 'refs', A.refs,
    'bodies', A.bodies and '1' or '0')
  call('ZADD', LEASES, NOW + A.lease_ms, key)
  call('ZREM', OUT_ .. host, key)
  if held[4] == 'robots' then call('HSET', ROBOTS_ .. held[5], 'asked_until', NOW + 2 * A.lease_ms) end
end
if #rest > 0 and held[4] == 'page' then enqueue(held[7], held[8], rest, true) end

local host_key = HOST_ .. host
local due = NOW
if A.requests > 0 then
  local delay, fields = delay_of(host, tonumber(held[9]))
  due = math.max(fields.due or 0, A.ended_at + delay)
  local expected = fields.expected_ms
  if A.mean_ms then
    expected = expected and (0.7 * expected + 0.3 * A.mean_ms) or A.mean_ms
    call('HSET', host_key, 'expected_ms', string.format('%.1f', expected))
  end
  call('HSET', host_key, 'due', string.format('%d', due))
  if A.answered then
    if fields.fails then call('HDEL', host_key, 'fails', 'fail_reason') end
  elseif A.fails > 0 then
    call('HINCRBY', host_key, 'fails', A.fails)
    call('HSET', host_key, 'fail_reason', A.fail_reason)
  end
  if A.hold_until > (fields.hold or 0) then call('HSET', host_key, 'hold', string.format('%d', A.hold_until)) end
  due = math.max(due, fields.hold or 0, A.hold_until)
  call('PEXPIRE', host_key, HOST_TTL)
  if A.attempts then call('XADD', ATTEMPTS, 'MAXLEN', '~', A.max_attempts_kept, '*', 'a', A.attempts) end
end
free_host(host, due)
wake()
return {'ok', A.count}
