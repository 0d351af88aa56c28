"""Reading from a state directory: through the stack that runs there, else through a server started for a moment."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

import redis

from crawl import connection
from crawl.errors import NoCrawlYetError, UnavailableError
from embedded import leftovers
from embedded.processes import identify
from embedded.server import Server, answers
from embedded.state import READ, Run, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crawl.settings import Settings

#: How long a stack that is just starting or stopping is waited for, seconds.
PATIENCE_S = 30.0
#: How long other readers of a server that was started for a moment may keep it, seconds.
READERS_S = 3600.0
_POLL_S = 0.05


@contextlib.contextmanager
def reading(settings: Settings, *, gives_work: bool = False) -> Iterator[redis.Redis]:
    """Yield a client of the Redis a person means: CRAWL_REDIS_URL, else that of the state directory.

    With `gives_work` a Redis that takes no work, or would drop it, is refused. Our own server never does.
    """
    address = settings.redis_address()
    if address is not None:
        client = connection.connect(address)
        with connection.explained(address):
            client.ping()
            if gives_work:
                connection.check_for_work(client, address)
            yield client
        return
    with attach(settings) as private, connection.explained(private):
        yield connection.connect(private)


def crawls_here(settings: Settings) -> bool:
    """Whether a private stack crawls in the state directory, so that no other can be started; False with a Redis."""
    if settings.redis_address() is not None:
        return False
    holder = State(settings.state_dir).holder()
    return holder is not None and holder.purpose != READ and holder.process.alive()


@contextlib.contextmanager
def attach(settings: Settings, say: Callable[[str], None] = lambda _: None) -> Iterator[str]:
    """Yield the address, with password, of the server of this state directory.

    Attaches to a running stack; else starts the server alone and stops it after the block. Raises NoCrawlYetError when
    no crawl was ever made here, UnavailableError when the server does not start.
    """
    state = State(settings.state_dir)
    if not state.has_data():
        message = (
            f"no crawl has been made in {state.path} yet; "
            "make one with `poolcrawl demo` or `poolcrawl crawl URL`"
        )
        raise NoCrawlYetError(message)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        lock = state.try_lock(READ)
        if lock is not None:
            with _served(state, lock, say) as url:
                yield url
            return
        with state.reading():
            running = _running(state)
            if running is not None:
                yield running
                return
        if time.monotonic() > deadline:
            message = f"the stack in {state.path} is starting or stopping and does not answer; try again"
            raise UnavailableError(message)
        time.sleep(_POLL_S)


def _running(state: State) -> str | None:
    """Return the address of a running stack's server, if it answers now."""
    run = state.read_run()
    if run is None or run.redis_url is None or not run.parent.alive():
        return None
    try:
        return run.redis_url if answers(run.redis_url) else None
    except redis.BusyLoadingError:
        return None


@contextlib.contextmanager
def _served(state: State, lock: int, say: Callable[[str], None]) -> Iterator[str]:
    """Start the server alone, for one reading verb and whoever attaches meanwhile."""
    life, life_end = os.pipe()
    server = Server(state, life)

    def record() -> None:
        child = server.child
        processes = child.processes if child is not None else ()
        state.write_run(Run(identify("poolcrawl", os.getpid()), READ, server.url, processes))

    try:
        leftovers.clean(state, say)
        state.put_logs_aside()
        server.start(record)
        yield server.url
    finally:
        with state.without_readers(READERS_S):
            if server.child is not None:
                server.child.ask()
                server.child.wait()
                state.remove_run()
            for descriptor in (life, life_end, lock):
                os.close(descriptor)
