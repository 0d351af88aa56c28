"""Turns settings into the command line of one Celery worker, and becomes it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from crawl import names
from worker import pools

if TYPE_CHECKING:
    from crawl.settings import Settings


def pool_of(settings: Settings) -> pools.Pool:
    """Return the pool for the queues a worker serves: a stage of its own may have a pool of its own."""
    name: str = settings.pool
    if settings.queues == (names.FETCH_QUEUE,) and settings.fetch_pool:
        name = settings.fetch_pool
    if settings.queues == (names.PARSE_QUEUE,) and settings.parse_pool:
        name = settings.parse_pool
    return pools.TABLE[name]


#: The Celery app of a worker.
APP = "worker.app:app"


def argv(settings: Settings, app: str = APP) -> list[str]:
    """Return the command line of a worker. The pool stands there and nowhere else: gevent is patched only from argv.

    Raises SettingError when the pool's package is missing.
    """
    pool = pool_of(settings)
    pools.check_installed(pool)
    slots = settings.concurrency or pool.default_concurrency()
    stage = "" if len(settings.queues) > 1 else f"{settings.queues[0]}-"
    events = ["--task-events"] if settings.events else ["--without-heartbeat"]
    return [
        sys.executable,
        "-m",
        "celery",
        # Instead of the banner, the worker says one line when it is ready (worker.app).
        "--quiet",
        "--app",
        app,
        "worker",
        "--pool",
        pool.celery_name,
        "--concurrency",
        str(slots),
        "--hostname",
        f"{stage}{pool.name}-{slots}-{os.getpid()}@%h",
        "--queues",
        ",".join(settings.queues),
        "--without-gossip",
        "--without-mingle",
        "--loglevel",
        "WARNING",
        *events,
    ]


def become(settings: Settings, app: str = APP) -> None:
    """Replace this process by the worker; does not return."""
    line = argv(settings, app)
    pool = pool_of(settings)
    slots = settings.concurrency or pool.default_concurrency()
    environment = {
        **os.environ,
        "CRAWL_POOL": pool.name,
        "CRAWL_CONCURRENCY": str(slots),
        # The folders of the rooms are found from wherever the worker is started.
        "PYTHONPATH": os.pathsep.join(filter(None, [*_rooms(), os.environ.get("PYTHONPATH", "")])),
    }
    for name in list(environment):
        # Celery maps these to options behind our back.
        if name.startswith("CELERY_"):
            del environment[name]
    environment |= pool.environment
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(line[0], line, environment)  # noqa: S606 - a fixed command line, no shell


def _rooms() -> list[str]:
    from pathlib import Path

    return [str(Path(__file__).resolve().parent.parent)]
