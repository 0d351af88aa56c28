-- One consistent look at a crawl.
-- A: retried (key)
-- Returns {crawl hash, counts hash, records, leased URLs, leases, delayed, suspects, queues, now, URLs that have a record and
-- wait for a newer one} (hashes as flat lists).
local leased = 0
local leases = call('ZRANGE', LEASES, 0, -1)
for _, key in ipairs(leases) do
  local held = call('HMGET', key, 'n', 'kind')
  if held[2] == 'page' then leased = leased + tonumber(held[1]) end
end
return {call('HGETALL', CRAWL), call('HGETALL', COUNTS), call('HLEN', RECORDS), leased, #leases,
  call('ZCARD', DELAYED), call('LLEN', SUSPECTS), call('SCARD', QUEUES), NOW,
  call('HLEN', A.retried)}
