"""How much memory a worker uses, and when it is replaced for that.

The whole worker drains and ends, as on SIGTERM, and whoever looks after it starts a new one: Celery's own way recycles
children of the prefork pool only, and this one is the same in every pool.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from crawl.settings import Settings

_MB = 1024 * 1024
#: Share of a container's memory that its worker may use; the rest is for what one drain may still take.
CONTAINER_SHARE = 0.8
#: A worker that needs more than this share of its limit before it has done anything would be replaced for ever.
START_SHARE = 0.9
#: Where a container finds its limit: cgroup v2, then v1.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def limit_bytes(own: Settings) -> int | None:
    """Return the most a worker may use: CRAWL_MAX_WORKER_MB, else a share of its container's memory, else None."""
    if own.max_worker_mb is not None:
        return own.max_worker_mb * _MB
    for name in _LIMITS:
        with contextlib.suppress(OSError, ValueError):
            limit = int(Path(name).read_text())
            # Unlimited is a very large number in v1; `max`, which is no number, in v2.
            if limit < psutil.virtual_memory().total:
                return int(limit * CONTAINER_SHARE)
    return None


def used_bytes(pid: int, enough: float = 0) -> int:
    """Return what a process and its children hold. From `enough` on, pages that they share count once."""
    pids = [pid, *_children(pid)]
    used = sum(map(_resident, pids))
    if used >= enough and len(pids) > 1:
        with contextlib.suppress(OSError, ValueError, IndexError):
            used = sum(map(_proportional, pids))
    return used


def _children(pid: int) -> list[int]:
    try:
        # Much cheaper than looking at every process of the machine.
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        texts = []
    if texts:
        return [int(word) for text in texts for word in text.split()]
    with contextlib.suppress(psutil.Error):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []


def _resident(pid: int) -> int:
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


def _proportional(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


class Recycling:
    """Has the worker of this process end when it has grown too large. `look` is called with each sign of life.

    To be made before the worker does anything: one that is too large by then would be replaced for ever.
    """

    def __init__(self, own: Settings, name: str) -> None:
        self._name = name
        self._limit = limit_bytes(own)
        if self._limit is None:
            return
        used = used_bytes(os.getpid())
        if used > START_SHARE * self._limit:
            _say(
                f"worker {name} takes {used // _MB} MB before it has done anything, so it is not recycled at "
                f"{self._limit // _MB} MB; raise CRAWL_MAX_WORKER_MB"
            )
            self._limit = None

    def look(self) -> None:
        """Measure; ask this worker to drain and end when it is over its limit."""
        if self._limit is None:
            return
        used = used_bytes(os.getpid(), self._limit)
        if used > self._limit:
            _say(
                f"worker {self._name} recycles: it holds {used // _MB} MB, more than {self._limit // _MB} MB "
                "(CRAWL_MAX_WORKER_MB); it finishes or hands back what it has, ends, and is started again"
            )
            self._limit = None
            os.kill(os.getpid(), signal.SIGTERM)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
