-- Have hosts forget a crawl that has ended: what it asked of them, and its queues that wait for them.
-- A: hosts (at most a few hundred names)
-- Returns {how many}. A repeated call finds nothing to forget.
for _, host in ipairs(A.hosts) do
  call('HDEL', HOST_ .. host, 'delay ' .. NAME, 'cap ' .. NAME, 'adaptive ' .. NAME)
  local waiting = HOST_QUEUES_ .. host
  for _, member in ipairs(call('SMEMBERS', waiting)) do
    if string.sub(member, 1, #DUE_) == DUE_ then call('SREM', waiting, member) end
  end
  -- Others may have waited for this crawl's delay.
  free_host(host, NOW)
end
return {#A.hosts}
