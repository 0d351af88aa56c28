-- Shared by `add` and `complete`.
-- Widen the scope: entries are only ever appended, each with its place as score, so that a worker reads what it lacks.
local function widen(entries)
  local place = call('ZCARD', SCOPE_SEEDS)
  for _, entry in ipairs(entries) do
    if call('ZADD', SCOPE_SEEDS, 'NX', place, entry) == 1 then place = place + 1 end
  end
end

-- Put new URLs into the seen set and under their hosts, up to the crawl's cap.
-- groups: list of {level, origin, {{bucket, fingerprint, entry}, ...}}; max_pages: number or nil.
-- Returns how many were new and how many the cap kept out (those stay unseen).
local function admit(groups, max_pages)
  local admitted, capped = 0, 0
  local room = nil
  if max_pages then room = max_pages - tonumber(call('HGET', COUNTS, 'admitted') or '0') end
  for _, group in ipairs(groups) do
    local level, origin, links = group[1], group[2], group[3]
    local entries = {}
    for _, link in ipairs(links) do
      local seen = SEEN_ .. link[1]
      if room and admitted >= room then
        if call('SISMEMBER', seen, link[2]) == 0 then capped = capped + 1 end
      elseif call('SADD', seen, link[2]) == 1 then
        admitted = admitted + 1
        entries[#entries + 1] = link[3]
      end
    end
    if #entries > 0 then
      enqueue(QUEUE_ .. level .. ':' .. origin, level, entries, false)
      call('HINCRBY', LEVELS, level, #entries)
      call('SADD', HOSTS, host_of(origin))
    end
  end
  if admitted > 0 then call('HINCRBY', COUNTS, 'admitted', admitted) end
  if capped > 0 then call('HINCRBY', COUNTS, 'refused capped', capped) end
  return admitted, capped
end
