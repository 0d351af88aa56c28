-- Make a crawl, unless one of that name exists.
-- A: options (JSON), id, schema, index (key of the zset of crawls), per_host (most URLs of one host, or nil),
--    unnamed (whether there will be seeds that the options do not name), channel
-- Returns {made 0|1, options, state, schema}. A repeated call returns 0 and what is stored.
if call('EXISTS', CRAWL) == 1 then
  local stored = call('HMGET', CRAWL, 'options', 'state', 'schema')
  return {0, stored[1], stored[2], stored[3]}
end
call('HSET', CRAWL, 'options', A.options, 'state', 'running', 'id', A.id, 'schema', A.schema, 'rev', '1',
  'created_at', NOW, 'seeds_open', '1', 'seq', '0')
if A.per_host then call('HSET', CRAWL, 'per_host', A.per_host) end
if A.unnamed then call('HSET', CRAWL, 'unnamed_seeds', '1') end
call('ZADD', A.index, NOW, NAME)
call('PUBLISH', A.channel, NAME .. ' running')
return {1, A.options, 'running', A.schema}
