-- End a crawl for good: from this moment no lease of it is worth anything. `clear` takes away what it holds.
-- A: channel
-- Returns {state before}; only a running or paused crawl is changed. A repeated call returns 'cancelled'.
local state = call('HGET', CRAWL, 'state')
if state == 'running' or state == 'paused' then
  -- First, since it takes no memory: after it even a full Redis lets the rest through.
  call('HDEL', CRAWL, 'paused_by')
  call('HSET', CRAWL, 'state', 'cancelled', 'ended_at', NOW, 'seeds_open', '0')
  call('PUBLISH', A.channel, NAME .. ' cancelled')
  wake()
end
return {state or 'gone'}
