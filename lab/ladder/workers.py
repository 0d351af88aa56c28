"""The Celery workers of the ladder, on a private server: started before the clock, ended after their rungs."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from crawl.errors import UnavailableError
from embedded.child import Child
from embedded.server import Server
from embedded.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Seconds a crew gets to answer, and seconds between SIGTERM and SIGKILL.
READY_S = 40.0
GRACE_S = 10.0
#: What each crew consists of: pool, slots and queues of each worker. Four slots fetch in all of them.
CREWS: dict[str, tuple[tuple[str, int, str], ...]] = {
    "prefork": (("prefork", 4, "fetch,parse"),),
    "threads": (("threads", 4, "fetch,parse"),),
    "gevent": (("gevent", 4, "fetch,parse"),),
    "split": (("gevent", 4, "fetch"), ("prefork", 2, "parse")),
}


@contextmanager
def private_server(directory: Path, watches: int) -> Iterator[str]:
    """Run a server; give its address, password included."""
    state = State(directory)
    state.make()
    server = Server(state, watches)
    try:
        server.start(lambda: None)
        yield server.url
    finally:
        if server.child is not None:
            server.child.ask()
            server.child.wait()


def command(pool: str, slots: int, queues: str, name: str) -> list[str]:
    """Return the command line of a worker; gevent patches only where the pool stands there as a word of its own."""
    return [
        *(sys.executable, "-P", "-m", "celery", "--quiet", "--app", "lab.ladder.celery_app", "worker"),
        *("--pool", pool, "--concurrency", str(slots), "--queues", queues, "--hostname", f"{name}@ladder"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"),
    ]


def environment(address: str | None) -> dict[str, str]:
    """Return the environment of rungs and workers."""
    from lab.ladder.celery_app import ADDRESS

    # Click would map CELERY_* to Celery's options.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CELERY_")}
    return kept | ({ADDRESS: address} if address else {})


@contextmanager
def crew(name: str, address: str, directory: Path, watches: int) -> Iterator[dict[str, int]]:
    """Run the workers of a crew; give their names and pids when all of them answer.

    Raises UnavailableError, with the last line of a log, when one does not.
    """
    with ExitStack() as stack:
        children = []
        for number, row in enumerate(CREWS[name], start=1):
            child = Child(
                f"worker-{number}",
                command(*row, f"{name}-{number}"),
                environment=environment(address),
                log=directory / f"{name}-{number}.log",
                grace_s=GRACE_S,
                watches=watches,
            )
            stack.callback(_end, child)
            child.start()
            children.append(child)
        _await(address, children, name)
        yield {child.name: child.pid for child in children}


def _end(child: Child) -> None:
    child.ask()
    child.wait()


def _await(address: str, children: list[Child], name: str) -> None:
    from celery import Celery

    app = Celery("ladder", broker=address, set_as_current=False)
    deadline = time.monotonic() + READY_S
    while len(app.control.broadcast("ping", reply=True, timeout=0.5, limit=len(children))) < len(children):
        dead = [child for child in children if not child.alive()]
        if dead or time.monotonic() > deadline:
            said = (dead or children)[0].last_line() or "nothing"
            message = (
                f"the workers of {name} are not there after {READY_S:.0f} s or have ended; they said: {said}"
            )
            raise UnavailableError(message)
    app.close()
