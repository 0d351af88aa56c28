-- Take leases for overdue at once, because the process that held them has ended, and let the pump see to it.
-- A: held ({lease key, process as its hash has it, or ''}...), blameless (whether it ended for reasons of its own)
-- Returns how many there were. A renewal by a process that lives after all undoes it. A repeated call does the same.
local count = 0
for _, one in ipairs(A.held) do
  local found = call('HMGET', one[1], 'state', 'process')
  if found[1] and (found[2] or '') == one[2] and call('ZSCORE', LEASES, one[1]) then
    if A.blameless then call('HSET', one[1], 'blameless', '1') end
    call('ZADD', LEASES, 'XX', BURIED, one[1])
    count = count + 1
  end
end
if count > 0 then
  call('LPUSH', WAKE, 'reap')
  call('LTRIM', WAKE, 0, 1)
  call('PEXPIRE', WAKE, 60000)
end
return count
