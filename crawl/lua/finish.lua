-- End a crawl, if nothing waits, nothing is leased, no seed source is open, and no record is to be looked at again.
-- A: nothing
-- Returns {state}; a repeated call returns 'finished' again.
local state = call('HGET', CRAWL, 'state')
if state ~= 'running' then return {state or 'gone'} end
if call('SCARD', QUEUES) > 0 or call('ZCARD', DELAYED) > 0 or call('LLEN', SUSPECTS) > 0
  or call('ZCARD', LEASES) > 0 or call('HGET', CRAWL, 'seeds_open') == '1' then
  return {state}
end
for _, due in ipairs(call('HMGET', CRAWL, 'look_to', 'look_heirs', 'look_levels')) do
  if due then return {state} end
end
-- A write that takes no memory: after it even a full Redis lets the rest through.
call('PERSIST', CRAWL)
call('HSET', CRAWL, 'state', 'finished', 'ended_at', NOW)
return {'finished'}
