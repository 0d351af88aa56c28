-- Hand out nothing more until `resume`; what was handed out comes back, or is finished.
-- A: by (who pauses it), channel
-- Returns {state before}; only a running crawl is changed. A repeated call returns 'paused'.
local state = call('HGET', CRAWL, 'state')
if state == 'running' then
  -- A write that takes no memory: after it even a full Redis lets the rest through.
  call('PERSIST', CRAWL)
  call('HSET', CRAWL, 'state', 'paused', 'paused_by', A.by)
  call('PUBLISH', A.channel, NAME .. ' paused')
  wake()
end
return {state or 'gone'}
