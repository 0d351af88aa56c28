"""The Celery app of a worker process; `poolcrawl worker` starts it as `celery --app worker.app:app worker --pool ...`.

Importing this module under the gevent pool happens after Celery has patched the standard library, because the pool's
name stands in argv.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from billiard.exceptions import WorkerLostError
from celery import signals

from crawl import settings
from crawl.broker import make_app
from crawl.errors import PoolcrawlError, UnavailableError
from crawl.heartbeat import HeartbeatFile
from worker import deaths, drain, heartbeat, pools, tasks


def _make() -> Any:
    own = settings.load()
    url = own.redis_address()
    if url is None:
        message = "CRAWL_REDIS_URL is not set; a worker needs a running Redis"
        raise UnavailableError(message)
    pool = pools.TABLE[own.pool]
    slots = own.concurrency or pool.default_concurrency()
    made = make_app(url, slots=slots, events=bool(own.events))
    tasks.register(made)
    made.steps["consumer"].add(heartbeat.TouchHeartbeatFile)
    return made


def _check(sender: Any = None, **_: Any) -> None:
    """Refuse to run as another pool than the settings say, as an unpatched gevent, or without signs of life."""
    own = settings.load()
    pool = pools.TABLE[own.pool]
    running = sender.pool_cls.__module__
    if running != pool.celery_module:
        actual = next((row.name for row in pools.TABLE.values() if row.celery_module == running), running)
        fault: str | None = (
            f"CRAWL_POOL={pool.name}, but Celery was started with the pool {actual}; "
            "start workers with `poolcrawl worker`"
        )
        if actual in pools.TABLE:
            fault = pools.TABLE[actual].fault() or fault
    else:
        fault = pool.fault()
    if not fault:
        try:
            HeartbeatFile(own.heartbeat_file).check()
        except PoolcrawlError as error:
            fault = str(error)
    if fault:
        sys.stderr.write(f"poolcrawl worker: {fault}\n")
        raise SystemExit(2)
    pool.prepare(own.concurrency or pool.default_concurrency())


def _ready(sender: Any = None, **_: Any) -> None:
    own = settings.load()
    slots = own.concurrency or pools.TABLE[own.pool].default_concurrency()
    text = f"worker {sender.hostname} ready: pool {own.pool}, {slots} slots, queues {', '.join(own.queues)}"
    sys.stderr.write(f"{text}\n")
    heartbeat.announce(sender.hostname)
    # Celery asks its pool right after this signal.
    deaths.forgive_early(sender.pool)


def _child_begins(**_: Any) -> None:
    # Only prefork has children. One that begins later replaces one that has ended.
    deaths.look(settings.load().redis_address() or "")


def _ending(**_: Any) -> None:
    drain.begin()


def _ended(sender: Any = None, **_: Any) -> None:
    heartbeat.retract(sender.hostname)


def _in_one_line(record: logging.LogRecord) -> bool:
    """Leave out the traceback where a pool's child was killed: it shows Celery's inside, the line says all there is."""
    error = record.exc_info[1] if record.exc_info else None
    # billiard hands it over wrapped.
    if isinstance(getattr(error, "exc", error), WorkerLostError):
        record.exc_info = None
    return True


try:
    app = _make()
except PoolcrawlError as error:
    sys.stderr.write(f"poolcrawl worker: {error}\n")
    raise SystemExit(error.exit_code) from None

# Weak references would let these go at once.
signals.worker_init.connect(_check, weak=False)
signals.worker_process_init.connect(_child_begins, weak=False)
signals.worker_ready.connect(_ready, weak=False)
signals.worker_shutting_down.connect(_ending, weak=False)
signals.worker_shutdown.connect(_ended, weak=False)
logging.getLogger("urllib3").setLevel(logging.ERROR)
logging.getLogger("celery.worker.request").addFilter(_in_one_line)
