"""The verb `pump`: a service that keeps crawls going which nobody follows."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import click

from crawl import connection, settings
from crawl.errors import UsageError
from crawl.heartbeat import HeartbeatFile
from poolcrawl.entry import INTERRUPTED
from poolcrawl.saying import say
from producer.service import Service

if TYPE_CHECKING:
    from crawl.settings import Settings


@click.command(epilog="Example: CRAWL_REDIS_URL=redis://localhost:6379/0 poolcrawl pump")
def pump() -> int:
    """Serve every crawl that nobody else pumps, until SIGTERM (exit 0) or Ctrl-C.

    Run several: each crawl has one owner, and when that one dies another takes over within seconds.
    """
    own = settings.load()
    address = own.redis_address()
    if address is None:
        message = "CRAWL_REDIS_URL is not set; a pump service needs a Redis (`poolcrawl crawl` pumps its own)"
        raise UsageError(message)
    file = HeartbeatFile(own.heartbeat_file, say)
    file.check()
    client = connection.connect(address)
    connection.check_for_work(client, address)
    return serve(own, address, file)


def serve(own: Settings, address: str, file: HeartbeatFile) -> int:
    """Run one service in this process, with this sign of life, until a signal ends it; return the exit code."""
    service = Service(
        address,
        say=say,
        watch=file.touch,
        memory_limit_bytes=own.max_redis_bytes,
        bodies_bytes=own.max_bodies_bytes,
    )
    code = 0

    def end(number: int, _: Any) -> None:
        nonlocal code
        code = INTERRUPTED if number == signal.SIGINT else 0
        service.stop()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    say(f"pump service {service.name} serves {connection.place(address)}")
    with connection.explained(address):
        service.run()
    return code
