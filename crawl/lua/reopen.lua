-- Take further seeds: open the seed source, and store the options that name them, if any do.
-- A: options (JSON or nil), unnamed (whether there are seeds that no options name), channel
-- Returns {state before}; a crawl that was cancelled, or that is gone, stays as it is. A repeated call does the same again.
local state = call('HGET', CRAWL, 'state')
if not state or over(state) then return {state or 'gone'} end
call('HSET', CRAWL, 'seeds_open', '1', 'state', 'running')
call('HDEL', CRAWL, 'ended_at')
if state == 'paused' then call('HDEL', CRAWL, 'paused_by') end
if A.unnamed then call('HSET', CRAWL, 'unnamed_seeds', '1') end
if A.options then
  call('HSET', CRAWL, 'options', A.options)
  call('HINCRBY', CRAWL, 'rev', 1)
end
call('PUBLISH', A.channel, NAME .. ' running')
return {state}
