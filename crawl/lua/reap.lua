-- Look after overdue leases: re-send what was only sent or fetched, take back what was being fetched.
-- A: lease_ms, max_losses, limit, denial (body of a `deny`), buried (only those whose process is known to have ended),
--    blameless (leases ran out while Redis was away: nobody need have died)
-- Returns {fetch, parse, reclaimed}: batches to send again as {lease, kind, count, first URL}, and URLs taken back.
-- What was only sent and has lost its place at the host goes back to waiting instead, uncharged.
-- A repeated call finds nothing overdue until a lease's time has passed once more.
-- A crawl that was cancelled is left to `clear`.
local fetch, parse, reclaimed = {}, {}, 0
if over(call('HGET', CRAWL, 'state')) then return {fetch, parse, 0} end

-- Whoever was there when a process ended is charged nothing: nobody knows which URL it was. After one such death a URL
-- travels alone, after two it is a suspect. Only a suspect that was all its process had to do is charged: the first time
-- for one of the deaths before, too.
local function charge_of(losses)
  return losses == 0 and 2 or 1
end

local function take_back(key, lease)
  local host, queue, level = lease.host, lease.queue, lease.level
  local entries = split(lease.entries)
  local again = nil
  local deaths = lease.begun and math.max(1, lease.tries) or 0
  local nonce = lease.parse_nonce
  if lease.state == 'fetching' then nonce = lease.nonce end
  local proven = deaths > 0 and lease.sole ~= nil and lease.sole == nonce
  if lease.kind == 'robots' then
    local robots_key = ROBOTS_ .. lease.origin
    call('HDEL', robots_key, 'asked_until')
    if proven then
      local lost = tonumber(call('HGET', robots_key, 'losses') or 0)
      lost = lost + charge_of(lost)
      call('HSET', robots_key, 'losses', lost)
      if lost >= A.max_losses then
        -- Unreachable is disallowed (RFC 9309 section 2.3.1.4); asked again after an hour.
        call('HSET', robots_key, 'verdict', 'deny', 'body', A.denial, 'sitemaps', '',
          'version', string.format('%d', NOW), 'fresh_until', string.format('%d', NOW + 3600000))
        call('HDEL', robots_key, 'losses', 'deaths', 'ask_url', 'hops')
      end
    elseif deaths > 0 then
      call('HINCRBY', robots_key, 'deaths', deaths)
    end
  elseif proven then
    local tried, lost, apart, rest = string.match(entries[1], '^(%d+) (%d+) (%d) (.*)$')
    local charge = charge_of(tonumber(lost))
    local entry = string.format('%s %d %s %s', tried, lost + charge, apart, rest)
    call('HINCRBY', COUNTS, 'losses', charge)
    if lost + charge >= A.max_losses then again = entry else call('RPUSH', SUSPECTS, queue .. ' ' .. entry) end
  else
    local waiting, suspects = {}, {}
    for _, entry in ipairs(entries) do
      local head, apart, rest = string.match(entry, '^(%d+ %d+) (%d) (.*)$')
      apart = math.min(9, apart + deaths)
      entry = string.format('%s %d %s', head, apart, rest)
      if apart >= 2 then suspects[#suspects + 1] = queue .. ' ' .. entry else waiting[#waiting + 1] = entry end
    end
    enqueue(queue, level, waiting, true)
    push('RPUSH', SUSPECTS, suspects)
  end
  reclaimed = reclaimed + #entries
  local delay, fields = delay_of(host)
  give_back_room(key)
  call('UNLINK', BODIES_ .. string.sub(key, #LEASE_ + 1))
  if again then
    -- It ends as `lost`: sent once more, doomed, so that no request is made for it.
    call('HDEL', key, 'nonce', 'parse_nonce', 'parse_tries', 'refs', 'bodies', 'sole', 'process',
      'blameless')
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

for _, key in ipairs(call('ZRANGEBYSCORE', LEASES, '-inf', A.buried and BURIED or NOW, 'LIMIT', 0, A.limit)) do
  -- A write that takes no memory: after it even a full Redis lets the rest through, and a parse that is sent again frees some.
  call('PERSIST', key)
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
    lease.tries = tries
    lease.begun = (lease.state == 'fetching' or tries > 0) and not lease.blameless and not A.blameless
    -- A suspect's parse is not tried twice: it would be two deaths for one charge.
    local parses = lease.n == '1' and string.match(lease.entries, '^%d+ %d+ [2-9]') and 1 or 2
    local robots_key = lease.kind == 'robots' and ROBOTS_ .. lease.origin
    if lease.state == 'sent' and lost_place(key, lease.host, lease.delay, lease.doom) then
      put_back(key, lease.kind, lease.origin, lease.host, lease.queue, lease.level, lease.entries)
    elseif lease.state == 'sent' then
      call('HDEL', key, 'blameless')
      call('ZADD', LEASES, NOW + A.lease_ms, key)
      if lease.doom == '' then call('ZADD', OUT_ .. lease.host, NOW + 2 * A.lease_ms, key) end
      if robots_key then call('HSET', robots_key, 'asked_until', NOW + 2 * A.lease_ms) end
      fetch[#fetch + 1] = batch
    elseif lease.state == 'fetched' and tries < parses
      and (lease.bodies ~= '1' or call('EXISTS', BODIES_ .. id) == 1) then
      call('ZADD', LEASES, NOW + A.lease_ms, key)
      if robots_key then call('HSET', robots_key, 'asked_until', NOW + 2 * A.lease_ms) end
      call('HDEL', key, 'process', 'sole', 'blameless')
      parse[#parse + 1] = batch
    else
      take_back(key, lease)
    end
  end
end
if reclaimed > 0 then call('HINCRBY', COUNTS, 'reclaimed', reclaimed) end
return {fetch, parse, reclaimed}
