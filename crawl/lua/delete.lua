-- Mark a crawl that has ended as being deleted: from here on it can only be deleted.
-- A: nothing
-- Returns {state before}; only a finished or cancelled crawl is changed. A repeated call returns 'deleted'.
local state = call('HGET', CRAWL, 'state')
if state == 'finished' or state == 'cancelled' then
  -- A write that takes no memory: after it even a full Redis lets the rest through, and deleting will free some.
  call('PERSIST', CRAWL)
  call('HSET', CRAWL, 'state', 'deleted')
end
return {state or 'gone'}
