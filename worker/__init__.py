"""The only room that touches the web: Celery tasks that fetch leased URLs and parse what came back.

Owns the pool table, HTTP, the address guard, robots verdicts, parsing. May import `crawl`, no other room.
`worker.fetch`, `worker.guard`, `worker.sessions`, `worker.robots` and `worker.parse` know no Celery and no Redis.
"""
