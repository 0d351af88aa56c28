-- Shared by `retry` and `release`.

-- URLs come into a crawl of finite depth when deeper levels may have been served. What is recorded from now on is to be
-- looked at before the crawl ends, since it may lead to pages by a shorter way; and a look that is under way has not met
-- it, so it ends here and is taken anew (`levelled`).
local function came_late()
  local last = call('XREVRANGE', RESULTS, '+', '-', 'COUNT', 1)[1]
  call('HSETNX', CRAWL, 'look_after', last and last[1] or '0-0')
  call('HSET', CRAWL, 'look_levels', '1')
  call('HINCRBY', CRAWL, 'came_late', 1)
end
