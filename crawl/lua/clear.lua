-- Take away a slice of what a cancelled crawl holds; each URL that goes without a record counts as cancelled.
-- A: limit (queues, or leases, of one call), skip (leases to pass over), force (also leases whose requests are under way)
-- Returns {more 0|1, leases left under way among those looked at}. A list is taken as a whole, freed by a thread of the
-- server, so a call costs the same however long it is. A repeated call takes the next slice, or finds nothing.
local state = call('HGET', CRAWL, 'state')
if not over(state) then return {0, 0} end

local queues = call('SPOP', QUEUES, A.limit)
for _, queue in ipairs(queues) do
  local level, origin = place_of(queue)
  call('HINCRBY', COUNTS, 'cancelled', call('LLEN', queue))
  call('UNLINK', queue)
  call('ZREM', DUE_ .. level, queue)
  call('SREM', HOST_QUEUES_ .. host_of(origin), DUE_ .. level .. ' ' .. queue)
end
if #queues > 0 then return {1, 0} end

local others = call('ZCARD', DELAYED) + call('LLEN', SUSPECTS)
if others > 0 then
  call('HINCRBY', COUNTS, 'cancelled', others)
  call('UNLINK', DELAYED, SUSPECTS)
end

local left = 0
local keys = call('ZRANGE', LEASES, A.skip, A.skip + A.limit - 1)
for _, key in ipairs(keys) do
  local held = call('HMGET', key, 'state', 'kind', 'origin', 'host', 'n')
  if not held[1] then
    call('ZREM', LEASES, key)
  elseif held[1] == 'fetching' and not A.force then
    -- Its worker hands it back with the time its request ended.
    left = left + 1
  else
    local host = held[4]
    -- Nobody knows when the request ends; its mark at the host stays until it would have at the latest.
    local till = held[1] == 'fetching' and call('ZSCORE', OUT_ .. host, key)
    drop(key, held[2], held[3], host, held[5])
    if till then
      call('ZADD', OUT_ .. host, till, key)
      call('PEXPIRE', OUT_ .. host, HOST_TTL)
    end
    call('UNLINK', BODIES_ .. string.sub(key, #LEASE_ + 1))
    free_host(host, NOW)
  end
end
if #keys == A.limit then return {1, left} end
call('UNLINK', LEVELS)
return {0, left}
