"""The verb `worker`: one Celery worker. Every start of one waits for this import, so it takes little along."""

from __future__ import annotations

import click

from crawl import connection, settings
from crawl.errors import UsageError
from crawl.heartbeat import HeartbeatFile
from worker import command


@click.command(epilog="Example: CRAWL_REDIS_URL=redis://localhost:6379/0 CRAWL_POOL=gevent poolcrawl worker")
def worker() -> None:
    """Run one Celery worker; its pool, slots and queues come from CRAWL_POOL, CRAWL_CONCURRENCY, CRAWL_QUEUES."""
    own = settings.load()
    address = own.redis_address()
    if address is None:
        message = (
            "CRAWL_REDIS_URL is not set; a worker needs a Redis (`poolcrawl crawl` starts its own workers)"
        )
        raise UsageError(message)
    HeartbeatFile(own.heartbeat_file).check()
    client = connection.connect(address)
    connection.check_for_work(client, address)
    command.become(own)
