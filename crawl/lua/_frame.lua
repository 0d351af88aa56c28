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

-- The longest of robots' delays (one per origin) and of every active crawl's own; `own` is this crawl's.
local function delay_of(host, own)
  local delay = own or 0
  local fields = call('HGETALL', HOST_ .. host)
  local values = {}
  for i = 1, #fields, 2 do
    local field, value = fields[i], tonumber(fields[i + 1])
    values[field] = value or fields[i + 1]
    if string.sub(field, 1, 6) == 'delay ' or string.sub(field, 1, 13) == 'robots_delay ' then
      if value and value > delay then delay = value end
    end
  end
  return delay, values
end

-- How many batches are outstanding at a host. One whose time is over without a report may have been asking until
-- then, so the host is due a delay later; `fields` (of delay_of) is kept true.
local function outstanding(host, delay, fields)
  local out = OUT_ .. host
  local stale = call('ZREVRANGEBYSCORE', out, NOW, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if stale[2] then
    call('ZREMRANGEBYSCORE', out, '-inf', NOW)
    local due = tonumber(stale[2]) + delay
    if due > (fields.due or 0) then
      fields.due = due
      call('HSET', HOST_ .. host, 'due', string.format('%d', due))
      call('PEXPIRE', HOST_ .. host, HOST_TTL)
    end
  end
  return call('ZCARD', out)
end

-- Whether a batch nobody has begun has lost its place at the host: its mark ran out while it waited in the broker, and
-- by now the host is full or not due. A doomed batch asks nobody and needs no place.
local function lost_place(key, host, own_delay, doom, host_concurrency)
  if doom and doom ~= '' then return false end
  local delay, fields = delay_of(host, tonumber(own_delay))
  if (fields.hold or 0) > NOW then return true end
  local mark = call('ZSCORE', OUT_ .. host, key)
  if mark then
    if tonumber(mark) > NOW then return false end
    call('ZREM', OUT_ .. host, key)
  end
  local cap = delay > 0 and 1 or host_concurrency
  return outstanding(host, delay, fields) >= cap or (fields.due or 0) > NOW
end

local function close_lease(key, host)
  call('DEL', key)
  call('ZREM', LEASES, key)
  call('ZREM', OUT_ .. host, key)
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
