-- Mark a crawl that has ended as being deleted: from here on it can only be deleted.
-- A: nothing
-- Returns {state before}; only a finished or cancelled crawl is changed. A repeated call returns 'deleted'.
local state = call('HGET', CRAWL, 'state')
if state == 'finished' or state == 'cancelled' then call('HSET', CRAWL, 'state', 'deleted') end
return {state or 'gone'}
