"""Which processes have ended: what they held is reclaimed at once, not when its leases have run out.

A lease names the process that works on it as `worker pid-namespace pid start`. Every worker that starts looks at the
leases in flight, and so does every prefork child: as a rule somebody starts because somebody else has ended.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import redis

from crawl import connection, keys, names
from crawl.frontier import Frontier

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

log = logging.getLogger(__name__)

#: Crawls looked at, newest first.
MOST_CRAWLS = 50
#: Seconds a look waits for Redis: Celery takes a child that is not up after four for a failed one.
PATIENCE_S = 2.0
_PROC = Path("/proc/self/stat").exists()


@cache
def _namespace() -> str:
    """Return in which space of pids this process lives; a container that is started again has another."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return "-"


@cache
def _host() -> str:
    return socket.gethostname()


def _start(pid: int) -> str | None:
    """Return when a process began, as a text that never changes; None when it has ended."""
    try:
        if _PROC:
            # By clock ticks since the machine's start: the system clock may be set. See proc(5).
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return None if fields[0] in "ZX" else fields[19]
        found = psutil.Process(pid)
        return None if found.status() == psutil.STATUS_ZOMBIE else f"{found.create_time():.1f}"
    except (OSError, psutil.NoSuchProcess):
        return None
    except psutil.AccessDenied:
        return ""


_marks: dict[int, str] = {}


def mark(worker: str) -> str:
    """Return how leases name this process."""
    pid = os.getpid()
    found = _marks.get(pid)
    if found is None:
        _marks[pid] = found = f"{_namespace()} {pid} {_start(pid)}"
    return f"{worker} {found}"


def ended(process: str, alive: Collection[str]) -> bool:
    """Whether the process of such a name is known to have ended.

    Known is what runs on this machine. In a container that was started again all pids are new: there a worker's sign of
    life decides (`alive` are the workers that have one).
    """
    worker, namespace, pid, start = process.split(" ")
    if worker.rpartition("@")[2] != _host():
        return False
    if namespace != _namespace():
        return worker not in alive
    return _start(int(pid)) not in (start, "")


def bury(client: redis.Redis, *, everything: bool = False) -> int:
    """Have reclaimed what ended processes of this machine held, in every crawl that runs; return how many leases.

    `everything` is for whoever knows that no worker lives at all: batches on their way to one are sent again, and
    nobody is to blame.
    """
    alive = _alive(client)
    buried = 0
    for crawl in _running(client):
        members = client.zrange(keys.leases(crawl), 0, -1)
        if not members:
            continue
        with client.pipeline(transaction=False) as pipe:
            for member in members:
                pipe.hget(member, "process")
            found = pipe.execute()
        held = [
            (member.decode(), (process or b"").decode())
            for member, process in zip(members, found, strict=True)
            if everything or (process and ended(process.decode(), alive))
        ]
        if held:
            buried += Frontier(client, crawl).bury(held, blameless=everything)
    if buried:
        log.warning("%d batches of ended processes are taken back", buried)
    return buried


def forgive_early(pool: Any) -> None:
    """Have a prefork pool go on whose child was killed before the worker was ready: it is replaced like any later one.

    Celery ends a worker then, because a child that cannot start never will. That is still so where a child ended by
    itself or crashed, and where none is alive: what kills one child and all of them is no accident.
    """
    children = getattr(pool, "_pool", None)
    if children is not None and hasattr(children, "did_start_ok"):
        pool.did_start_ok = lambda: _started([child.exitcode for child in children._pool])


def _started(codes: Sequence[int | None]) -> bool:
    """Whether children with these exit codes (None: alive) are a pool that goes on; a signal's number is negative."""
    ended = {code for code in codes if code is not None}
    return not ended or (None in codes and ended <= {-signal.SIGKILL, -signal.SIGTERM})


def _alive(client: redis.Redis) -> set[str]:
    seconds, micros = client.time()
    found = client.zrangebyscore(keys.workers(), seconds * 1000 + micros // 1000, "+inf")
    return {name.decode() for name in found}


def _running(client: redis.Redis) -> list[str]:
    crawls = [name.decode() for name in client.zrevrange(keys.crawls(), 0, MOST_CRAWLS - 1)]
    with client.pipeline(transaction=False) as pipe:
        for crawl in crawls:
            pipe.hget(keys.crawl(crawl), "state")
        states = pipe.execute()
    return [crawl for crawl, state in zip(crawls, states, strict=True) if state == names.RUNNING.encode()]


def look(url: str) -> None:
    """Bury, and never fail for it: leases run out by themselves."""
    client = connection.connect(url, connections=1, patience_s=PATIENCE_S)
    try:
        bury(client)
    except redis.RedisError as error:
        log.warning("leases of ended processes run out by themselves: %s", error)
    finally:
        client.close()
