-- Shared frame, put before every verb by the loader. Every verb gets the same keys and prefixes:
--   KEYS   1 crawl hash · 2 queues set · 3 delayed zset · 4 suspects list · 5 leases zset · 6 levels hash
--          7 counts hash · 8 records hash · 9 results stream · 10 wake list · 11 attempts stream
--          12 scope seeds zset · 13 hosts set
--   ARGV   1 queue: · 2 due: · 3 lease: · 4 seen: · 5 bodies: · 6 host: · 7 host-out: · 8 host-queues: · 9 robots:
--          10 the crawl's name · 11 a MessagePack map with the verb's own arguments
-- All times are milliseconds of this server. A waiting request is one line; see crawl/records.py:encode_entry.
local CRAWL, QUEUES, DELAYED, SUSPECTS, LEASES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local LEVELS, COUNTS, RECORDS, RESULTS, WAKE = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local ATTEMPTS, SCOPE_SEEDS, HOSTS = KEYS[11], KEYS[12], KEYS[13]
local QUEUE_, DUE_, LEASE_, SEEN_, BODIES_ = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local HOST_, OUT_, HOST_QUEUES_, ROBOTS_ = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local NAME = ARGV[10]
local A = cmsgpack.unpack(ARGV[11])

local call = redis.call
local clock = call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)
-- A host nobody asked for a day is forgotten.
local HOST_TTL = 86400000
-- The adaptive delay is never longer than a minute.
local ADAPTIVE_MOST = 60000
-- The expiry of a lease whose process is known to have ended, long before any real one.
local BURIED = 1

local function host_of(origin)
  return string.match(origin, '^%a+://(%[.-%])') or string.match(origin, '^%a+://([^:/]+)')
end

local function place_of(queue)
  return string.match(string.sub(queue, #QUEUE_ + 1), '^(%d+):(.*)$')
end

-- Push in slices: one call with thousands of arguments would overflow Lua's stack.
local function push(command, key, values)
  for first = 1, #values, 500 do
    call(command, key, unpack(values, first, math.min(first + 499, #values)))
  end
end

-- Put entries into a queue (at its front in the given order, or at its end) and make the queue known as due.
local function enqueue(queue, level, entries, front)
  if #entries == 0 then return end
  if front then
    local reversed = {}
    for i = #entries, 1, -1 do reversed[#reversed + 1] = entries[i] end
    push('LPUSH', queue, reversed)
  else
    push('RPUSH', queue, entries)
  end
  call('SADD', QUEUES, queue)
  call('ZADD', DUE_ .. level, 'NX', NOW, queue)
end

-- Bring forward every queue, of any crawl, that waits for this host.
local function free_host(host, at)
  local waiting_key = HOST_QUEUES_ .. host
  local waiting = call('SMEMBERS', waiting_key)
  if #waiting == 0 then return end
  for _, member in ipairs(waiting) do
    local due, queue = string.match(member, '^(%S+) (%S+)$')
    call('ZADD', due, 'XX', at, queue)
  end
  call('DEL', waiting_key)
end

local function split(text)
  local lines = {}
  for line in string.gmatch(text, '[^\n]+') do lines[#lines + 1] = line end
  return lines
end

-- A hint for the pump; one is enough however many reports come in.
local function wake()
  if call('EXISTS', WAKE) == 0 then
    call('LPUSH', WAKE, '1')
    call('PEXPIRE', WAKE, 60000)
  end
end

-- What a host's hash says.
local function fields_of(host)
  local flat, fields = call('HGETALL', HOST_ .. host), {}
  for i = 1, #flat, 2 do fields[flat[i]] = tonumber(flat[i + 1]) or flat[i + 1] end
  return fields
end

-- The delay and the cap of a host. The delay is the longest of robots' (one per origin), of every active crawl's own,
-- and of the adaptive one: the largest multiple of its mean response time that an active crawl asks for. The cap is the
-- smallest of the active crawls'; where there is a delay, and after a refusal until the next good answer, it is 1, and
-- requests travel alone (the third value).
-- `own` is a delay that counts in any case.
local function judge(fields, own)
  local delay, multiple, cap = own or 0, 0, nil
  for field, value in pairs(fields) do
    local space = string.find(field, ' ', 1, true)
    if space and type(value) == 'number' then
      local word = string.sub(field, 1, space - 1)
      if word == 'delay' or word == 'robots_delay' then
        if value > delay then delay = value end
      elseif word == 'cap' then
        if not cap or value < cap then cap = value end
      elseif word == 'adaptive' then
        if value > multiple then multiple = value end
      end
    end
  end
  if multiple > 0 then
    -- Before its first answer a host counts as one with a delay.
    local adaptive = math.max(1, math.min(ADAPTIVE_MOST, math.ceil(multiple * (fields.expected_ms or 0))))
    if adaptive > delay then delay = adaptive end
  end
  local alone = delay > 0 or fields.refused ~= nil
  return delay, alone and 1 or cap or 1, alone
end

local function delay_of(host, own)
  local fields = fields_of(host)
  local delay, cap, alone = judge(fields, own)
  return delay, fields, cap, alone
end

-- When a host may be asked again: its delay after the end of the last request, and not while it is held. Computed when
-- somebody wants to ask and never stored, so that a delay which is known only later counts from that same end.
local function due_of(delay, fields)
  local due = fields.hold or 0
  if delay > 0 and fields.ended and fields.ended + delay > due then due = fields.ended + delay end
  return due
end

-- Note when a request to a host ended, as far as is known; `fields` is kept true.
local function ended_at(host, at, fields)
  if at > (fields.ended or 0) then
    fields.ended = at
    call('HSET', HOST_ .. host, 'ended', string.format('%d', at))
    call('PEXPIRE', HOST_ .. host, HOST_TTL)
  end
end

-- How many batches are outstanding at a host. One whose time is over without a report may have been asking until then.
local function outstanding(host, fields)
  local out = OUT_ .. host
  local stale = call('ZREVRANGEBYSCORE', out, NOW, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if stale[2] then
    call('ZREMRANGEBYSCORE', out, '-inf', NOW)
    ended_at(host, tonumber(stale[2]), fields)
  end
  return call('ZCARD', out)
end

-- Whether a batch nobody has begun has lost its place at the host: its mark ran out while it waited in the broker and the
-- host is full by now, the host is held or not due, or a delay has come up and others have begun before. A doomed batch
-- asks nobody and needs no place. Returns lost, delay, cap, whether requests to the host travel alone.
local function lost_place(key, host, own_delay, doom)
  if doom and doom ~= '' then return false, tonumber(own_delay), 1, false end
  local delay, fields, cap, alone = delay_of(host, tonumber(own_delay))
  local mark = tonumber(call('ZSCORE', OUT_ .. host, key) or nil)
  if mark and mark <= NOW then
    -- Nothing was asked under it, so it must not count as the end of a request.
    call('ZREM', OUT_ .. host, key)
    mark = nil
  end
  local there = outstanding(host, fields)
  if due_of(delay, fields) > NOW then return true, delay, cap end
  if not mark then return there >= cap, delay, cap, alone end
  if there <= cap then return false, delay, cap, alone end
  local begun = 0
  for _, other in ipairs(call('ZRANGE', OUT_ .. host, 0, -1)) do
    if other ~= key and call('HGET', other, 'state') == 'fetching' then begun = begun + 1 end
  end
  return begun >= cap, delay, cap, alone
end

-- Tell the workers to end their batches at this host with the request they are at.
local function tell(channel, host)
  if call('ZCARD', OUT_ .. host) > 0 then call('PUBLISH', channel, host) end
end

-- What a batch takes of the room for bodies is given back: `coming` is how many URLs are under way, `body_bytes` what waits
-- for its parse. Both are kept in the lease, and summed up in the crawl's hash by the scripts that change them.
local function give_back_room(key)
  local held = call('HMGET', key, 'coming', 'body_bytes')
  if not held[1] and not held[2] then return end
  -- The first write of `complete`: it takes no memory, so that a full Redis lets the rest through as well.
  call('HDEL', key, 'coming', 'body_bytes')
  if held[1] then call('HINCRBY', CRAWL, 'coming', -tonumber(held[1])) end
  if held[2] then call('HINCRBY', CRAWL, 'body_bytes', -tonumber(held[2])) end
end

local function close_lease(key, host)
  give_back_room(key)
  call('DEL', key)
  call('ZREM', LEASES, key)
  call('ZREM', OUT_ .. host, key)
end

-- Whether a crawl was ended by a person: nothing is admitted, handed out or stored for it any more.
local function over(state)
  return state == 'cancelled' or state == 'deleted'
end

-- Close a lease of such a crawl: what it held counts as cancelled.
local function drop(key, kind, origin, host, count)
  close_lease(key, host)
  if kind == 'robots' then
    call('HDEL', ROBOTS_ .. origin, 'asked_until')
  else
    call('HINCRBY', COUNTS, 'cancelled', count)
  end
end

-- Give a batch nobody has begun back to the front of its queue, uncharged.
local function put_back(key, kind, origin, host, queue, level, entries)
  close_lease(key, host)
  if kind == 'robots' then
    call('HDEL', ROBOTS_ .. origin, 'asked_until')
  else
    enqueue(queue, level, split(entries), true)
  end
  free_host(host, NOW)
end
