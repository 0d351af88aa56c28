-- Admit parked URLs, raise the budgets they were parked for, and let a finished crawl go on.
-- A: groups, max_pages, limits and nearer (see _admit.lua), heirs (key), channel, raised: list of {name, key, allowance}, where
--    the name is a pattern or a host, the key that of its count, and the allowance how many more may follow
-- Returns {admitted, kept out by the cap, state}; nothing is done for a cancelled crawl. A repeated call admits nothing twice; what the cap keeps out stays parked.
local state = call('HGET', CRAWL, 'state')
if not state or over(state) then return {0, 0, state or 'gone'} end
-- What is parked no more was admitted by an earlier call: it is not offered again, since that would mark it as if a second
-- way led there.
for _, group in ipairs(A.groups) do
  local left = {}
  for _, link in ipairs(group[3]) do
    if call('HEXISTS', A.limits.parked, link[2]) == 1 then left[#left + 1] = link end
  end
  group[3] = left
end
local admitted, capped = admit(A.groups, A.max_pages, A.limits, A.nearer)
local freed = {}
for _, group in ipairs(A.groups) do
  for _, link in ipairs(group[3]) do
    if call('SISMEMBER', SEEN_ .. link[1], link[2]) == 1 then
      local name, entry = string.match(call('HGET', A.limits.parked, link[2]) or '', '^(%S+) (.*)$')
      if name then
        -- Maybe by a shorter way since the caller has read it.
        if entry ~= link[3] then
          if A.nearer then mark({link[1], link[2], entry}, A.nearer) end
          if of_seed(entry) then inherit({link}, A.heirs) end
        end
        call('HDEL', A.limits.parked, link[2])
        local word = word_of(name)
        freed[word] = (freed[word] or 0) + 1
      end
    end
  end
end
for word, count in pairs(freed) do
  if call('HINCRBY', COUNTS, 'refused ' .. word, -count) <= 0 then call('HDEL', COUNTS, 'refused ' .. word) end
end
for _, raise in ipairs(A.raised) do
  local name, key = raise[1], raise[2]
  call('HSET', key, 'budget ' .. name, tonumber(call('HGET', key, name) or '0') + raise[3])
end
if admitted > 0 then
  if state == 'finished' then
    call('HSET', CRAWL, 'state', 'running')
    call('HDEL', CRAWL, 'ended_at')
    call('PUBLISH', A.channel, NAME .. ' running')
  end
  if A.nearer then came_late() end
  wake()
end
return {admitted, capped, state}
