-- Look after overdue leases: re-send what was only sent or fetched, take back what was being fetched.
-- A: lease_ms, max_losses, limit, denial (body of a `deny`)
-- Returns {fetch, parse, reclaimed}: batches to send again as {lease, kind, count, first URL}, and URLs taken back.
-- What was only sent and has lost its place at the host goes back to waiting instead, uncharged.
-- A repeated call finds nothing overdue until a lease's time has passed once more.
local fetch, parse, reclaimed = {}, {}, 0

-- A batch of several: nobody knows which URL it was, so each travels alone next time, uncharged.
-- A single URL whose request or parse had begun is charged a loss.
local function take_back(key, lease)
  local host, queue, level = lease.host, lease.queue, lease.level
  local entries = split(lease.entries)
  local again = nil
  if lease.kind == 'robots' then
    local robots_key = ROBOTS_ .. lease.origin
    call('HDEL', robots_key, 'asked_until')
    if call('HINCRBY', robots_key, 'losses', 1) >= A.max_losses then
      -- Unreachable is disallowed (RFC 9309 section 2.3.1.4); asked again after an hour.
      call('HSET', robots_key, 'verdict', 'deny', 'body', A.denial, 'sitemaps', '', 'version', string.format('%d', NOW),
        'fresh_until', string.format('%d', NOW + 3600000))
      call('HDEL', robots_key, 'losses', 'ask_url', 'hops')
    end
  elseif #entries == 1 and lease.begun then
    local tried, lost, rest = string.match(entries[1], '^(%d+) (%d+) %d (.*)$')
    lost = tonumber(lost) + 1
    local entry = string.format('%s %d 1 %s', tried, lost, rest)
    call('HINCRBY', COUNTS, 'losses', 1)
    if lost >= A.max_losses then again = entry else call('RPUSH', SUSPECTS, queue .. ' ' .. entry) end
  else
    local alone = {}
    for i, entry in ipairs(entries) do
      alone[i] = string.gsub(entry, '^(%d+ %d+) %d ', '%1 1 ', 1)
    end
    enqueue(queue, level, alone, true)
  end
  reclaimed = reclaimed + #entries
  local delay, fields = delay_of(host)
  give_back_room(key)
  call('UNLINK', BODIES_ .. string.sub(key, #LEASE_ + 1))
  if again then
    -- It ends as `lost`: sent once more, doomed, so that no request is made for it.
    call('HDEL', key, 'nonce', 'parse_nonce', 'parse_tries', 'refs', 'bodies')
    call('HSET', key, 'state', 'sent', 'entries', again, 'doom', 'lost')
    call('ZADD', LEASES, NOW + A.lease_ms, key)
    call('ZREM', OUT_ .. host, key)
    fetch[#fetch + 1] = {string.sub(key, #LEASE_ + 1), lease.kind, 1, string.match(again, '(%S+)$')}
  else
    close_lease(key, host)
  end
  if lease.state == 'fetching' then ended_at(host, NOW, fields) end
  free_host(host, NOW + delay)
end

for _, key in ipairs(call('ZRANGEBYSCORE', LEASES, '-inf', NOW, 'LIMIT', 0, A.limit)) do
  local held = call('HGETALL', key)
  local lease = {}
  for i = 1, #held, 2 do lease[held[i]] = held[i + 1] end
  local id = string.sub(key, #LEASE_ + 1)
  if not lease.state then
    call('ZREM', LEASES, key)
  else
    local first = string.match(lease.entries, '(%S+)\n') or string.match(lease.entries, '(%S+)$')
    local batch = {id, lease.kind, tonumber(lease.n), first}
    local tries = tonumber(lease.parse_tries or 0)
    lease.begun = lease.state == 'fetching' or tries > 0
    local robots_key = lease.kind == 'robots' and ROBOTS_ .. lease.origin
    if lease.state == 'sent' and lost_place(key, lease.host, lease.delay, lease.doom) then
      put_back(key, lease.kind, lease.origin, lease.host, lease.queue, lease.level, lease.entries)
    elseif lease.state == 'sent' then
      call('ZADD', LEASES, NOW + A.lease_ms, key)
      if lease.doom == '' then call('ZADD', OUT_ .. lease.host, NOW + 2 * A.lease_ms, key) end
      if robots_key then call('HSET', robots_key, 'asked_until', NOW + 2 * A.lease_ms) end
      fetch[#fetch + 1] = batch
    elseif lease.state == 'fetched' and tries < 2
      and (lease.bodies ~= '1' or call('EXISTS', BODIES_ .. id) == 1) then
      call('ZADD', LEASES, NOW + A.lease_ms, key)
      if robots_key then call('HSET', robots_key, 'asked_until', NOW + 2 * A.lease_ms) end
      parse[#parse + 1] = batch
    else
      take_back(key, lease)
    end
  end
end
if reclaimed > 0 then call('HINCRBY', COUNTS, 'reclaimed', reclaimed) end
return {fetch, parse, reclaimed}
