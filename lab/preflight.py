"""What a trial needs of the machine, checked before anything starts: memory and file descriptors."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from crawl.errors import UsageError
from worker import pools

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.way import Way

#: MB of a worker process before its slots, and of everything beside the workers (server, site, producer, the lab).
WORKER_MB = 70
BESIDE_MB = 350
#: File descriptors of a worker process before its slots.
WORKER_DESCRIPTORS = 60


def needed_mb(way: Way) -> int:
    """Return the memory a way takes at most, MB, by the pool table's figures."""
    return round(
        BESIDE_MB
        + sum(
            processes * (WORKER_MB + slots * pools.TABLE[pool].slot_mb) for pool, slots, processes in _of(way)
        )
    )


def needed_descriptors(way: Way) -> int:
    """Return the file descriptors that one worker process of a way opens at most."""
    return max(WORKER_DESCRIPTORS + slots * pools.TABLE[pool].slot_descriptors for pool, slots, _ in _of(way))


def _of(way: Way) -> Iterable[tuple[str, int, int]]:
    yield way.pool, way.concurrency, way.processes
    if way.parse_pool:
        yield way.parse_pool, way.parse_concurrency, way.parse_processes


def check(ways: Iterable[Way]) -> None:
    """Raise UsageError when a way needs more than there is; raise this process's soft descriptor limit where it may."""
    free_mb = available_mb()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for way in ways:
        if (need := needed_mb(way)) > free_mb:
            message = (
                f"{way.name} needs about {need} MB of memory, {free_mb} MB are free; ask for fewer slots"
            )
            raise UsageError(message)
        need = needed_descriptors(way)
        if hard not in (resource.RLIM_INFINITY, -1) and need > hard:
            message = (
                f"{way.name} needs about {need} file descriptors in one process, the limit is {hard}; "
                f"raise it (ulimit -Hn {need}) or ask for fewer slots"
            )
            raise UsageError(message)
        if need > soft:
            # The workers inherit it.
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
                soft = need


def available_mb() -> int:
    """Return the free memory in MB (10^6 bytes): the machine's, or the container's where that is less."""
    free = psutil.virtual_memory().available
    with contextlib.suppress(OSError, ValueError):
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        free = min(free, limit - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    return int(free // 1_000_000)
