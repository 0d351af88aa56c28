"""Every difference between the pools, in one table; nowhere else is a pool's name compared.

Celery's own deadlines, drain and recycling differ by pool (docs/decisions/0001), so those of the crawler are its own
and the same everywhere: a socket that knows its deadline, a drain flag that every slot reads, a lease per batch.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crawl.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import redis


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _nothing() -> str | None:
    return None


def _gevent_is_patched() -> str | None:
    from gevent import monkey

    unpatched = [
        name for name in ("socket", "ssl", "threading", "time") if not monkey.is_module_patched(name)
    ]
    if unpatched:
        return (
            f"the gevent pool runs unpatched ({', '.join(unpatched)}): every request would wait for the one before; "
            "start it with `poolcrawl worker`, or with `--pool gevent` on celery's command line"
        )
    return None


def _nothing_to_prepare(_slots: int) -> None:
    return None


def _prepare_hub(slots: int) -> None:
    """Let names be resolved however many others are stuck: gevent has ten threads for it, then all others wait."""
    import redis
    from gevent import get_hub

    hub = get_hub()
    # A request is over long before the system's resolver gives a silent server up, so a slot may leave several behind.
    hub.threadpool.maxsize = RESOLVING_PER_SLOT * slots + 10
    # Celery says in a line when Redis is gone; the greenlet of its remote control dies of it with a traceback besides.
    hub.NOT_ERROR = (*hub.NOT_ERROR, redis.ConnectionError, redis.TimeoutError)


def _blocking_redis(url: str, connections: int) -> redis.Redis:
    from crawl import connection

    return connection.connect(url, connections)


def _awaited_redis(url: str, connections: int) -> redis.Redis:
    from worker import awaited

    return awaited.connect(url, connections)


#: Threads in which one slot's names may be stuck at a time, where their number must be given: the C library tries for
#: up to a minute, a request waits for a tenth of that. They are made when they are needed.
RESOLVING_PER_SLOT = 6


@dataclass(frozen=True)
class Pool:
    """One row: what a pool is called, how it is chosen, and what differs because of it."""

    #: What people write in CRAWL_POOL.
    name: str
    #: What Celery calls it; must stand in argv (gevent is patched from there only).
    celery_name: str
    #: Module of Celery's class, by which a worker recognises what it really runs.
    celery_module: str
    #: Slots when CRAWL_CONCURRENCY is unset.
    default_concurrency: Callable[[], int]
    #: Who keeps an HTTP session and its connections: every `process`, or every `thread`.
    session_owner: str
    #: What a slot is called in records.
    slot: str
    #: Package that must be installed, or None.
    needs: str | None
    #: Returns one sentence when a worker of this pool must not run as it is, else None.
    fault: Callable[[], str | None]
    #: Called once in a worker, with its slots, before it takes tasks.
    prepare: Callable[[int], None] = _nothing_to_prepare
    #: What to do where that package is missing.
    remedy: str = "install it with `pip install -r locks/runtime.txt`"
    #: Variables that Celery needs to find the pool; it gets no other CELERY_ variable.
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Makes the Redis client of the slots, from an address and the most connections.
    redis: Callable[[str, int], redis.Redis] = _blocking_redis
    #: Most slots of one worker process, or None for no limit of the pool's own.
    most_concurrency: int | None = None
    #: What one more slot takes at most: MB of memory, and file descriptors (connections to hosts and to Redis).
    slot_mb: float = 0.5
    slot_descriptors: int = 4
    #: How the total deadline of a request is enforced.
    deadline: str = "socket timeouts that shrink with the time left"
    #: How a worker ends on SIGTERM.
    drain: str = "a flag shared by all slots: finish the request (cut after some seconds), hand back the rest"
    #: How memory is recycled; none of Celery's ways works in every pool, so none is relied on.
    recycling: str = (
        "over a limit the worker drains, ends with 0 and is started again; nothing is lost or asked twice"
    )


TABLE: dict[str, Pool] = {
    pool.name: pool
    for pool in (
        Pool(
            name="prefork",
            celery_name="prefork",
            celery_module="celery.concurrency.prefork",
            default_concurrency=_cores,
            session_owner="process",
            slot="process",
            needs=None,
            fault=_nothing,
            slot_mb=45.0,
            # A child keeps its pipes to the parent, and its own idle connections.
            slot_descriptors=8,
        ),
        Pool(
            name="threads",
            celery_name="threads",
            celery_module="celery.concurrency.thread",
            default_concurrency=lambda: 32,
            session_owner="thread",
            slot="thread",
            needs=None,
            fault=_nothing,
            slot_mb=1.0,
            # Every thread has a session of its own, with up to eight idle hosts.
            slot_descriptors=10,
        ),
        Pool(
            name="gevent",
            celery_name="gevent",
            celery_module="celery.concurrency.gevent",
            default_concurrency=lambda: 100,
            session_owner="process",
            slot="greenlet",
            needs="gevent",
            fault=_gevent_is_patched,
            prepare=_prepare_hub,
            remedy="it has no macOS wheel for Python 3.11: use Python 3.12 or newer, or another pool",
        ),
        Pool(
            name="asyncio",
            celery_name="custom",
            celery_module="worker.asyncpool",
            default_concurrency=lambda: 100,
            session_owner="process",
            slot="coroutine",
            needs="greenlet",
            fault=_nothing,
            environment={"CELERY_CUSTOM_WORKER_POOL": "worker.asyncpool:TaskPool"},
            redis=_awaited_redis,
        ),
        Pool(
            name="solo",
            celery_name="solo",
            celery_module="celery.concurrency.solo",
            default_concurrency=lambda: 1,
            session_owner="process",
            slot="process",
            needs=None,
            fault=_nothing,
            most_concurrency=1,
        ),
    )
}


def is_installed(pool: Pool) -> bool:
    """Whether the package that a pool needs is there."""
    return pool.needs is None or importlib.util.find_spec(pool.needs) is not None


def check_installed(pool: Pool) -> None:
    """Raise SettingError when a pool's package is missing, with the remedy."""
    if not is_installed(pool):
        message = f"CRAWL_POOL={pool.name} needs the package {pool.needs}, which is not installed here ({pool.remedy})"
        raise SettingError(message)


class Slots:
    """Numbers the slots of one process: whoever runs a task borrows the lowest free number."""

    def __init__(self, label: str, offset: int = 0) -> None:
        self._label = label
        self._offset = offset
        self._taken: set[int] = set()
        self._lock = threading.Lock()

    def borrow(self) -> tuple[int, str]:
        """Return a number and its name in records, such as `thread-3`."""
        with self._lock:
            number = 1
            while number in self._taken:
                number += 1
            self._taken.add(number)
        return number, f"{self._label}-{number + self._offset}"

    def give_back(self, number: int) -> None:
        """Make a number free again."""
        with self._lock:
            self._taken.discard(number)
