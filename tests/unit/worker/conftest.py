"""A session that may reach loopback, and servers that end with the test."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from rawserver import Server

from crawl.records import CrawlOptions, FetchRequest
from worker.fetch import fetch, fetch_robots
from worker.guard import Guard
from worker.sessions import Web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rawserver import Handler

    from crawl.records import PageRef


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(handler: Handler, *, tls: bool = False) -> Server:
        servers.append(Server(handler, tls=tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def web() -> Iterator[Web]:
    session = Web(Guard(allow=["127.0.0.0/8"]), slots=4)
    yield session
    session.close()


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
def ask(web: Web) -> Callable[..., tuple[PageRef, bytes | None]]:
    """Fetch one URL with small timeouts; keyword arguments change the crawl's options."""

    def run(
        url: str, *, robots: bool = False, session: Web = web, **changes: object
    ) -> tuple[PageRef, bytes | None]:
        values: dict[str, object] = {
            "connect_timeout_s": 2.0,
            "read_timeout_s": 2.0,
            "total_timeout_s": 4.0,
            "max_body_bytes": 100_000,
            "user_agent": "poolcrawl/0.1 (+test)",
        }
        options = CrawlOptions(**{**values, **changes})  # type: ignore[arg-type]
        return (fetch_robots if robots else fetch)(FetchRequest(url=url), 7, session, options, now_ms)

    return run
