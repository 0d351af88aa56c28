-- Shared by `add`, `complete` and `release`.

-- Widen the scope: entries are only ever appended, each with its place as score, so that a worker reads what it lacks.
-- Returns how many there were before, and how many there are now.
local function widen(entries)
  local before = call('ZCARD', SCOPE_SEEDS)
  local place = before
  for _, entry in ipairs(entries) do
    if call('ZADD', SCOPE_SEEDS, 'NX', place, entry) == 1 then place = place + 1 end
  end
  return before, place
end

-- Links may have been refused for `scope` that lie inside by now: note that the records so far, whose pages were judged by
-- the first `known` entries at least, are to be looked at again before the crawl ends (`looked`), and how many links they
-- had refused for that.
local function look_again(known)
  local refused = tonumber(call('HGET', COUNTS, 'refused scope') or '0')
  local last = refused > 0 and call('XREVRANGE', RESULTS, '+', '-', 'COUNT', 1)[1]
  -- All of them were trimmed: there is nothing to look at, and the look says so.
  if refused > 0 and not last and call('HEXISTS', COUNTS, 'trimmed') == 1 then last = {'0-1'} end
  if not last then return end
  local pending = tonumber(call('HGET', CRAWL, 'look_from') or '')
  if pending and pending < known then known = pending end
  call('HSET', CRAWL, 'look_from', known, 'look_to', last[1], 'look_refused', refused)
end

-- URLs count as seeds from now on: note those that are known, since links may have led to them.
-- heirs: list of {bucket, fingerprint}; key: of the set of such URLs
local function inherit(heirs, key)
  for _, heir in ipairs(heirs) do
    if call('SISMEMBER', SEEN_ .. heir[1], heir[2]) == 1 then
      call('SADD', key, heir[2])
      call('HSET', CRAWL, 'look_heirs', '1')
    end
  end
end

-- Whether a seed's redirect led to what waits like this: then it counts as a seed.
local function of_seed(entry)
  local depth, via = string.match(entry, '^%d+ %d+ %d (%d+) %d+ (%a)')
  return depth == '0' and via == 'r'
end

-- The reason for which URLs of a pattern, or of a host, are parked.
local function word_of(name)
  return (string.find(name, '{repeat}$') or string.find(name, '{deep}$')) and 'trap' or 'budget'
end

-- A URL was seen before and maybe further from the seeds than it is offered now; before the crawl ends its depth is looked
-- at. While levels are served one after the other, links cannot lead to what is that near.
local function mark(link, nearer)
  local depth, via = string.match(link[3], '^%d+ %d+ %d (%d+) %d+ (%a)')
  if (via == 'l' and not nearer[3]) or call('ZCARD', nearer[1]) >= nearer[2] then return end
  call('ZADD', nearer[1], 'LT', depth, link[2])
  call('HSET', CRAWL, 'look_levels', '1')
end

-- Put new URLs into the seen set and under their hosts, within the crawl's
-- cap and the budgets of hosts and patterns.
-- groups: list of {level, origin, {{bucket, fingerprint, entry, pattern or nil}, ...}}; max_pages: number or nil.
-- limits: nil, or {parked (key), most_parked,
--   host_pages (key) and per_host: URLs of one host, or nil,
--   patterns (key), most_patterns, budget, dates, trap: URLs of one pattern, of one with a date, of a trap, or nil,
--   free: count, but keep nothing out (seeds); release: of what the cap keeps out, count nothing;
--   late: levels may have been served, so that links as well may lead to what is parked by a shorter way}
-- nearer: nil, or with a finite depth {key, most, links too}: marks what was seen before and is maybe nearer than that
-- Returns how many were new and how many were kept out; those stay unseen. What a budget keeps out is parked.
local function admit(groups, max_pages, limits, nearer)
  local admitted, capped, parked, unkept = 0, 0, {}, 0
  local room = nil
  if max_pages then room = max_pages - tonumber(call('HGET', COUNTS, 'admitted') or '0') end
  local free = limits and limits.free

  -- What is left of a pattern's or a host's budget, and how much of it this call has used; each is looked up once.
  local left, used, patterns, number_of_patterns = {}, {}, {}, nil
  local function look_up(key, name, budget)
    local known = call('HMGET', key, name, 'budget ' .. name)
    left[name] = tonumber(known[2] or budget) - tonumber(known[1] or '0')
    return known[1]
  end
  local function look_up_pattern(pattern)
    local budget = limits.budget
    local last = string.match(pattern, '{(%a+)}$')
    if last == 'repeat' or last == 'deep' then
      budget = limits.trap
    elseif string.find(pattern, '{date}', 1, true) then
      budget = limits.dates
    end
    patterns[pattern] = true
    if look_up(limits.patterns, pattern, budget) then return end
    number_of_patterns = number_of_patterns or call('HLEN', limits.patterns)
    -- One pattern more than there is room for is not counted.
    if number_of_patterns >= limits.most_patterns then patterns[pattern] = nil end
    number_of_patterns = number_of_patterns + 1
  end

  -- With a finite depth, what is parked waits at the depth of the shortest way that leads there; as in `mark`. And with any,
  -- it waits as a seed where a seed redirects to it.
  local function shorten(link)
    local depth, via = string.match(link[3], '^%d+ %d+ %d (%d+) %d+ (%a)')
    local seed = of_seed(link[3])
    if not seed and not limits.late and (via == 'l' or not nearer) then return end
    local name, entry = string.match(call('HGET', limits.parked, link[2]), '^(%S+) (.*)$')
    local older = tonumber(string.match(entry, '^%d+ %d+ %d (%d+) '))
    if tonumber(depth) < older or (seed and not of_seed(entry)) then
      call('HSET', limits.parked, link[2], name .. ' ' .. link[3])
    end
  end

  local number_of_parked = nil
  local function park(link, name)
    number_of_parked = number_of_parked or call('HLEN', limits.parked)
    local word = word_of(name)
    if number_of_parked >= limits.most_parked then
      if call('HEXISTS', limits.parked, link[2]) == 1 then return shorten(link) end
      unkept = unkept + 1
    elseif call('HSETNX', limits.parked, link[2], name .. ' ' .. link[3]) == 1 then
      number_of_parked = number_of_parked + 1
    else
      return shorten(link)
    end
    parked[word] = (parked[word] or 0) + 1
  end

  local refused = 0
  for _, group in ipairs(groups) do
    local level, origin, links = group[1], group[2], group[3]
    local host = host_of(origin)
    local per_host = limits and limits.per_host
    if per_host and not left[host] then look_up(limits.host_pages, host, per_host) end
    local entries = {}
    for _, link in ipairs(links) do
      local seen, pattern, over = SEEN_ .. link[1], limits and limits.patterns and link[4], nil
      if pattern and left[pattern] == nil then look_up_pattern(pattern) end
      local full = room and admitted >= room
      if limits and not free and not full then
        if pattern and left[pattern] <= 0 then
          over = pattern
        elseif per_host and left[host] <= 0 then
          over = host
        end
      end
      if full or over then
        if call('SISMEMBER', seen, link[2]) == 0 then
          refused = refused + 1
          if over then
            park(link, over)
          elseif not (limits and limits.release) then
            capped = capped + 1
          end
        end
      elseif call('SADD', seen, link[2]) == 1 then
        admitted = admitted + 1
        entries[#entries + 1] = link[3]
        if pattern then
          left[pattern] = left[pattern] - 1
          used[pattern] = (used[pattern] or 0) + 1
        end
        if per_host then
          left[host] = left[host] - 1
          used[host] = (used[host] or 0) + 1
        end
      elseif nearer then
        mark(link, nearer)
      end
    end
    if #entries > 0 then
      enqueue(QUEUE_ .. level .. ':' .. origin, level, entries, false)
      call('HINCRBY', LEVELS, level, #entries)
      call('SADD', HOSTS, host)
    end
  end
  for name, count in pairs(used) do
    -- A pattern has a path, a host has none.
    if patterns[name] then
      call('HINCRBY', limits.patterns, name, count)
    elseif not string.find(name, '/', 1, true) then
      call('HINCRBY', limits.host_pages, name, count)
    end
  end
  for word, count in pairs(parked) do call('HINCRBY', COUNTS, 'refused ' .. word, count) end
  if unkept > 0 then call('HINCRBY', COUNTS, 'parked unkept', unkept) end
  if admitted > 0 then call('HINCRBY', COUNTS, 'admitted', admitted) end
  if capped > 0 then call('HINCRBY', COUNTS, 'refused capped', capped) end
  return admitted, refused
end
