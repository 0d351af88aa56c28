-- Hand out batches of requests whose host is due.
-- A: window, slots (fetch slots alive), batch, budget_ms, lease_ms, host_concurrency, delay_ms, obey (robots),
--    fail_limit, refusal_limit, max_looks, max_losses, adaptive (multiple of a host's response time, 0: off), channel,
--    pump (key of a crawl's pump, with * for its name), most_body_bytes (between fetch and parse, or nil),
--    first_page_bytes (what a page is taken to bring before any has come), room_bytes (of memory, or nil), first_extra (what
--    a page is taken to need beside its body before any has come)
-- Returns {state, batches, next (ms, or -1: nothing will be due by itself), now, leased, ended 0|1},
-- each batch {lease, kind, count, first URL}.
-- A repeated call after a lost reply hands out further batches; the reaper re-sends those whose reply was lost.
local state = call('HGET', CRAWL, 'state')
if state ~= 'running' then return {state or 'gone', {}, -1, NOW, 0, 0} end

-- With a window of nothing (memory is short) nothing is written.
for _, member in ipairs(A.window > 0 and call('ZRANGEBYSCORE', DELAYED, '-inf', NOW, 'LIMIT', 0, 200) or {}) do
  local queue, entry = string.match(member, '^(%S+) (.*)$')
  local level = place_of(queue)
  enqueue(queue, level, {entry}, true)
  call('ZREM', DELAYED, member)
end

local leased = call('ZCARD', LEASES)
-- The end is read from the sets, never from the counts, so that a crawl always ends.
if leased == 0 and call('SCARD', QUEUES) == 0 and call('ZCARD', DELAYED) == 0 and call('LLEN', SUSPECTS) == 0 then
  return {state, {}, -1, NOW, 0, call('HGET', CRAWL, 'seeds_open') ~= '1' and 1 or 0}
end
local level = nil
local levels = call('HGETALL', LEVELS)
for i = 1, #levels, 2 do
  if tonumber(levels[i + 1]) > 0 and (not level or tonumber(levels[i]) < level) then level = tonumber(levels[i]) end
end
if not level then
  local left = call('SRANDMEMBER', QUEUES)
  if left then level = tonumber((place_of(left))) end
end
if not level then return {state, {}, -1, NOW, leased, 0} end

local due_key = DUE_ .. string.format('%d', level)
local batches = {}
local want = A.window - leased

-- How many URLs more may be under way (nil: any number): the bodies that they will bring, as far as that can be foretold,
-- must find room beside those that wait for their parse. One may always go, whatever its size.
local pages = nil
if A.most_body_bytes and want > 0 then
  local known = call('HMGET', CRAWL, 'body_bytes', 'coming', 'page_bytes', 'page_extra')
  local bytes, coming = tonumber(known[1] or 0), tonumber(known[2] or 0)
  if leased == 0 and (bytes ~= 0 or coming ~= 0) then
    call('HDEL', CRAWL, 'body_bytes', 'coming')
    bytes, coming = 0, 0
  end
  local mean = math.max(tonumber(known[3] or A.first_page_bytes), 1)
  pages = math.floor((A.most_body_bytes - bytes) / mean)
  if A.room_bytes then
    -- What travels is there three times: in the call or the answer, as a script sees it, and where it is kept.
    local extra = tonumber(known[4] or A.first_extra)
    pages = math.min(pages, math.floor(A.room_bytes / (3 * (mean + extra))))
  end
  pages = pages - coming
  if leased == 0 then pages = math.max(pages, 1) end
end
local next_at = nil
local looks = 0

local function later(at)
  if not next_at or at < next_at then next_at = at end
end

-- What this crawl asks of a host is kept in the host's hash, for every crawl that asks it. A crawl that meets a host for
-- the first time gives it a fresh chance, and what it asks counts for batches under way, too. What crawls asked that
-- nobody pumps any more (interrupted, paused) is forgotten; they come here again when they go on.
local function meet(host, fields)
  local key = HOST_ .. host
  for field in pairs(fields) do
    local crawl = string.match(field, '^delay (.*)$')
    if crawl and crawl ~= NAME then
      local pump = string.gsub(A.pump, '%*', function() return crawl end)
      if call('EXISTS', pump) == 0 then call('HDEL', key, field, 'cap ' .. crawl, 'adaptive ' .. crawl) end
    end
  end
  call('HSET', key, 'delay ' .. NAME, A.delay_ms, 'cap ' .. NAME, A.host_concurrency)
  if A.adaptive > 0 then call('HSET', key, 'adaptive ' .. NAME, A.adaptive) end
  call('HDEL', key, 'fails', 'fail_reason', 'refused', 'refused_at', 'refusal')
  call('PEXPIRE', key, HOST_TTL)
  if A.delay_ms > 0 or A.adaptive > 0 then tell(A.channel, host) end
  return delay_of(host)
end

-- Whether the host may be asked now. Returns ready, when to look again, delay, host fields, whether to wait for a report.
local function look(host)
  local delay, fields, cap = delay_of(host)
  if fields['delay ' .. NAME] ~= A.delay_ms then delay, fields, cap = meet(host, fields) end
  if due_of(delay, fields) > NOW then return false, due_of(delay, fields), delay, fields, true end
  local there = outstanding(host, fields)
  if due_of(delay, fields) > NOW then return false, due_of(delay, fields), delay, fields, true end
  if there >= cap then
    local first = call('ZRANGE', OUT_ .. host, 0, 0, 'WITHSCORES')
    return false, tonumber(first[2]) + 1, delay, fields, true
  end
  return true, there + 1 >= cap, delay, fields, false
end

-- Why a host is not asked any more, or nil: it could not be reached, or refused, many times in a row.
local function given_up(fields)
  if A.fail_limit > 0 and (fields.fails or 0) >= A.fail_limit then return fields.fail_reason end
  if A.refusal_limit > 0 and (fields.refused or 0) >= A.refusal_limit then return 'http ' .. fields.refusal end
  return nil
end

-- Whether the origin's robots.txt is known. Returns 'fresh', or 'ask', or when to look again; where it was redirected,
-- also the URL to ask for and how many redirects led there.
local function robots(origin)
  if not A.obey then return 'fresh' end
  local known = call('HMGET', ROBOTS_ .. origin, 'fresh_until', 'asked_until', 'not_before', 'ask_url', 'hops')
  if tonumber(known[1] or 0) > NOW then return 'fresh' end
  local at = math.max(tonumber(known[2] or 0), tonumber(known[3] or 0))
  return at > NOW and at or 'ask', known[4], known[5]
end

local function make_lease(kind, origin, host, queue, entries, delay, fields, doom)
  local id = 'l' .. string.format('%d', call('HINCRBY', CRAWL, 'seq', 1))
  local key = LEASE_ .. id
  call('HSET', key, 'state', 'sent', 'entries', table.concat(entries, '\n'), 'kind', kind, 'origin', origin,
    'host', host, 'queue', queue, 'level', (place_of(queue)), 'n', #entries, 'doom', doom or '', 'delay', delay,
    'expected', fields.expected_ms or 0, 'sent_at', NOW)
  call('ZADD', LEASES, NOW + A.lease_ms, key)
  if pages then
    pages = pages - #entries
    call('HSET', key, 'coming', #entries)
    call('HINCRBY', CRAWL, 'coming', #entries)
  end
  if not doom then
    -- Its mark outlasts the lease, so that the reaper re-sends it before anybody takes its place.
    local out = OUT_ .. host
    call('ZADD', out, NOW + 2 * A.lease_ms, key)
    call('PEXPIRE', out, HOST_TTL)
  end
  local url = string.match(entries[1], '(%S+)$')
  batches[#batches + 1] = {id, kind, #entries, url}
  return key
end

local function wait_for_report(host, queue)
  call('SADD', HOST_QUEUES_ .. host, due_key .. ' ' .. queue)
  call('PEXPIRE', HOST_QUEUES_ .. host, HOST_TTL)
end

-- One suspect per crawl in flight; its process does nothing else meanwhile, so whatever it kills is charged rightly.
if want > 0 and (not pages or pages > 0) and call('LLEN', SUSPECTS) > 0 then
  local in_flight = call('HGET', CRAWL, 'suspect')
  if not in_flight or not call('ZSCORE', LEASES, in_flight) then
    local member = call('LPOP', SUSPECTS)
    local queue, entry = string.match(member, '^(%S+) (.*)$')
    local own_level, origin = place_of(queue)
    local host = host_of(origin)
    local ready, at, delay, fields = look(host)
    if tonumber(own_level) ~= level then
      call('RPUSH', SUSPECTS, member)
    elseif not ready then
      call('RPUSH', SUSPECTS, member)
      later(at)
    elseif robots(origin) ~= 'fresh' then
      enqueue(queue, own_level, {entry}, true)
    else
      local lost = tonumber(string.match(entry, '^%d+ (%d+)'))
      local doom = lost >= A.max_losses and 'lost' or nil
      call('HSET', CRAWL, 'suspect', make_lease('page', origin, host, queue, {entry}, delay, fields, doom))
    end
  end
end

-- How many URLs one message carries: about a second's work at this host's pace, and all that fit when none is asked for.
local function batch_size(queue, delay, fields, doom)
  if doom then return A.batch end
  if delay > 0 or fields.refused or not fields.expected_ms then return 1 end
  local size = math.max(1, math.min(A.batch, math.floor(A.budget_ms / math.max(fields.expected_ms, 1))))
  if fields.expected_ms > 50 then
    size = math.max(1, math.min(size, math.ceil(call('LLEN', queue) / math.max(A.slots - leased, 1))))
  end
  return size
end

-- Take up to `size` entries; one with an attempt or a loss behind it, or marked alone, travels by itself.
local function take(queue, own_level, size)
  local entries = call('LPOP', queue, size)
  if not entries then return {} end
  for i, entry in ipairs(entries) do
    local tried, lost, alone = string.match(entry, '^(%d+) (%d+) (%d)')
    if (lost ~= '0' or tonumber(alone) >= 2) and i == 1 then
      call('RPUSH', SUSPECTS, queue .. ' ' .. entry)
      local rest = {}
      for k = 2, #entries do rest[#rest + 1] = entries[k] end
      enqueue(queue, own_level, rest, true)
      return {}
    end
    if tried ~= '0' or lost ~= '0' or alone ~= '0' then
      local last = math.max(i - 1, 1)
      local rest, kept = {}, {}
      for k = 1, last do kept[k] = entries[k] end
      for k = last + 1, #entries do rest[#rest + 1] = entries[k] end
      enqueue(queue, own_level, rest, true)
      return kept
    end
  end
  return entries
end

while #batches < want and looks < A.max_looks and (not pages or pages > 0) do
  looks = looks + 1
  -- Served queues are put back within this millisecond, behind the others.
  local found = call('ZRANGEBYSCORE', due_key, '-inf', NOW + 0.99, 'LIMIT', 0, 1)
  local queue = found[1]
  if not queue then break end
  local own_level, origin = place_of(queue)
  local verdict, target, hops = robots(origin)
  -- A redirected robots.txt is asked for under the politeness of the host it was redirected to.
  local host = host_of(target or origin)
  local tail = NOW + math.min(looks * 0.001, 0.98)
  local ready, at, delay, fields, blocked = look(host)
  local doom = given_up(fields)
  -- Who asks nobody waits for nobody.
  local free = doom and verdict == 'fresh'
  if not ready and not free then
    call('ZADD', due_key, at, queue)
    if blocked then wait_for_report(host, queue) end
  else
    local full = at and not free
    if verdict == 'ask' then
      local key = ROBOTS_ .. origin
      call('HSET', key, 'asked_until', NOW + 2 * A.lease_ms)
      call('PEXPIRE', key, HOST_TTL)
      -- Once it has been there at two deaths, it is a suspect like any URL.
      local apart = math.min(9, math.max(1, tonumber(call('HGET', key, 'deaths') or 1)))
      local line = string.format('0 0 %d 0 %d s %x - %s', apart, tonumber(hops or 0), NOW,
        target or origin .. '/robots.txt')
      -- Known to `finish`, which takes this crawl's delay from it.
      if target then call('SADD', HOSTS, host) end
      make_lease('robots', origin, host, queue, {line}, delay, fields, nil)
      call('ZADD', due_key, NOW + 2 * A.lease_ms, queue)
      wait_for_report(host, queue)
    elseif verdict ~= 'fresh' then
      call('ZADD', due_key, verdict, queue)
      wait_for_report(host, queue)
    else
      local entries = take(queue, own_level, math.min(batch_size(queue, delay, fields, doom), pages or A.batch))
      if #entries > 0 then make_lease('page', origin, host, queue, entries, delay, fields, doom) end
      if call('LLEN', queue) == 0 then
        call('SREM', QUEUES, queue)
        call('ZREM', due_key, queue)
      elseif #entries > 0 and full then
        call('ZADD', due_key, NOW + A.lease_ms, queue)
        wait_for_report(host, queue)
      else
        call('ZADD', due_key, tail, queue)
      end
    end
  end
end

local first = call('ZRANGE', due_key, 0, 0, 'WITHSCORES')
if first[2] then later(math.max(tonumber(first[2]), NOW)) end
local soonest = call('ZRANGE', DELAYED, 0, 0, 'WITHSCORES')
if soonest[2] then later(tonumber(soonest[2])) end
-- Only a report makes room; then the pump is woken.
if pages and pages <= 0 then next_at = nil end
return {state, batches, next_at and math.floor(next_at + 0.999) or -1, NOW, leased + #batches, 0}
