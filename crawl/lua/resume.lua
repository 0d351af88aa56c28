-- Let a paused crawl go on.
-- A: channel
-- Returns {state before}; only a paused crawl is changed. A repeated call returns 'running'.
local state = call('HGET', CRAWL, 'state')
if state == 'paused' then
  call('HSET', CRAWL, 'state', 'running')
  call('HDEL', CRAWL, 'paused_by')
  call('PUBLISH', A.channel, NAME .. ' running')
  wake()
end
return {state or 'gone'}
