"""A private server with the workers of a pool (or of the split's two), on which the checks crawl their site.

The crawl is `poolcrawl crawl` as a person runs it; the workers are the embedded stack's, which starts them again when
they end. What a check does in the middle of a crawl it does from here, so it sees their exit codes before the next
start.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import psutil

from crawl import names
from crawl.audit import audit, digest
from crawl.connection import connect
from crawl.errors import UnavailableError, UnknownCrawlError
from crawl.records import record_from_json
from crawl.results import lines, status
from crawl.settings import load
from embedded.child import Child
from embedded.stack import Stack, Workers
from embedded.state import State
from lab.planted import RESOLVER
from lab.rig import ADDRESSES, POOLCRAWL
from producer import fleet
from worker import pools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import redis

    from crawl.records import PageRecord
    from lab.guarantees.site import Log, Site

#: Slots of the worker at most: enough that several requests are under way, few enough that a crawl has a middle.
SLOTS = 4
#: The column of split services, and the pools of its two kinds of workers: the split that is advised for mixed work.
SPLIT = "split"
SPLIT_POOLS = ("gevent", "prefork")
PARSE_SLOTS = 2
#: The worker of the checks; it is `poolcrawl worker` with faults planted below it.
PLANTED = (sys.executable, "-P", "-m", "lab.planted")
#: Seconds the worker gets to say that it is there, and a crawl gets unless told otherwise.
READY_S = 60.0
CRAWL_S = 90.0
_POLL_S = 0.01
#: Seconds between asking a producer to end and killing it, and for a killed tree to be gone.
_GRACE_S = 5.0
#: Kept from the caller: where things are and how the crawl behaves is each check's own.
_FOREIGN = ("CRAWL_", "CELERY_", "FLOWER_")


def columns() -> tuple[str, ...]:
    """Return what a matrix has columns for: every pool, and the split."""
    return (*pools.TABLE, SPLIT)


def pools_of(column: str) -> tuple[str, ...]:
    """Return the pools whose workers a column needs."""
    return SPLIT_POOLS if column == SPLIT else (column,)


def _groups(column: str) -> tuple[Workers, ...]:
    if column != SPLIT:
        return (Workers(column, min(pools.TABLE[column].default_concurrency(), SLOTS)),)
    fetching, parsing = SPLIT_POOLS
    return (
        Workers(fetching, SLOTS, 1, (names.FETCH_QUEUE,)),
        Workers(parsing, PARSE_SLOTS, 1, (names.PARSE_QUEUE,)),
    )


@dataclass(frozen=True)
class Crawled:
    """What came of one crawl: its audit, what its producer said last, and the requests the site got twice.

    `code` is None where the crawl did not end in time and was ended; `seconds` is how long it ran. `missing` counts
    URLs without a record, `reclaimed` those that were taken back from a silent worker.
    """

    code: int | None
    seconds: float
    records: int
    missing: int
    duplicate: int
    reclaimed: int
    digest: str
    repeated: int
    said: str = ""
    #: URLs charged with a worker that ended while it worked on them.
    losses: int = 0


class Stage:
    """One column's workers, ready, on a private server. Use as a context manager.

    `over` ends whatever is under way, from another thread, by KeyboardInterrupt.
    """

    def __init__(
        self,
        pool: str,
        directory: Path,
        site: Site,
        *,
        worker_command: Sequence[str] | None = None,
        worker_variables: Mapping[str, str] | None = None,
        over: threading.Event | None = None,
    ) -> None:
        for name in pools_of(pool):
            pools.check_installed(pools.TABLE[name])
        self.pool = pool
        self.site = site
        self._over = over or threading.Event()
        self.client: redis.Redis
        self._state = State(directory)
        self._stack = Stack(
            load({"CRAWL_STATE_DIR": str(directory)}),
            groups=_groups(pool),
            allow_addresses=(ADDRESSES,),
            resolve=site.resolve,
            worker_command=worker_command or PLANTED,
            # A caller's pools per stage would replace the column's.
            worker_variables={
                "CRAWL_FETCH_POOL": "",
                "CRAWL_PARSE_POOL": "",
                RESOLVER: site.resolver,
                **(worker_variables or {}),
            },
        )

    @property
    def workers(self) -> tuple[Child, ...]:
        """The worker processes, whichever run or ran last."""
        return self._stack.worker_children

    def __enter__(self) -> Self:
        """Start the server and the workers; return when they are ready."""
        self._stack.start()
        try:
            self.client = connect(self._stack.redis_url)
            self.await_workers()
        except BaseException:
            self._stack.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the worker, which has nothing left to do, then the server."""
        self.client.close()
        self._stack.stop(at_once=True)

    def await_workers(self) -> None:
        """Wait for the first sign of life of the workers that run now; start again what ended.

        Raises UnavailableError, with the last line of a log, where one gives none in time.
        """
        deadline = time.monotonic() + READY_S
        while waiting := self._silent():
            self._tick()
            if time.monotonic() > deadline:
                message = (
                    f"{self.pool}: the worker was not ready within {READY_S:.0f} s; "
                    f"{waiting[0].log} ends with: {waiting[0].last_line() or 'nothing'}"
                )
                raise UnavailableError(message)

    def _silent(self) -> list[Child]:
        alive = [found.name for found in fleet.alive(self.client)]
        # A killed one is called alive until its sign of life expires.
        return [
            one
            for one in self.workers
            if not one.alive() or not any(f"-{one.pid}@" in name for name in alive)
        ]

    def _tick(self) -> None:
        """Wait a moment; start again what ended."""
        if self._over.is_set():
            raise KeyboardInterrupt
        self._stack.watch()
        time.sleep(_POLL_S)

    def crawl(
        self,
        name: str,
        seeds: Sequence[str],
        variables: Mapping[str, str],
        *,
        depth: int | None = None,
        meanwhile: Callable[[Log], None] = lambda _: None,
        patience_s: float = CRAWL_S,
    ) -> Crawled:
        """Crawl the site once and audit it; `meanwhile` is called again and again until the crawl has ended.

        Raises UnavailableError when the worker keeps ending by itself.
        """
        command = ["crawl", *seeds, "--name", name, "--delay", "0", "--robots", "ignore"]
        command += [] if depth is None else ["--depth", str(depth)]
        log = self.site.begin_log()
        began = time.monotonic()
        with self._producer(name, command, variables) as producer:
            while producer.alive() and time.monotonic() - began < patience_s:
                meanwhile(log)
                self._tick()
            code, said = producer.exit_code(), producer.last_line()
        seconds = time.monotonic() - began
        return self._crawled(name, code, said, seconds, log)

    def _crawled(self, name: str, code: int | None, said: str, seconds: float, log: Log) -> Crawled:
        try:
            found = audit(self.client, name)
        except UnknownCrawlError:
            # Its producer did not come as far as making it; what it said tells why.
            return Crawled(code, seconds, 0, 0, 0, 0, "", log.repeated(), said)
        counts = status(self.client, name)
        return Crawled(
            code=code,
            seconds=seconds,
            records=found.records,
            missing=found.missing + found.pending,
            duplicate=found.duplicate,
            reclaimed=counts.reclaimed,
            digest=found.digest or "",
            repeated=log.repeated(),
            said=said,
            losses=counts.losses,
        )

    def kill(self) -> None:
        """SIGKILL the workers' whole process trees, and wait until they are gone."""
        tree = self.tree()
        for worker in self.workers:
            _forgive(worker)
            worker.processes[0].kill_group()
        for process in tree:
            # A child that had left the group would go on asking.
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        until = time.monotonic() + _GRACE_S
        while any(map(_lives, tree)) and time.monotonic() < until:
            time.sleep(_POLL_S)

    def drain(self, bound_s: float) -> tuple[int | None, float]:
        """SIGTERM the workers; return their worst exit code and the seconds until the last one ended.

        The code is None where one had not ended after `bound_s`; it is then killed.
        """
        began = time.monotonic()
        for worker in self.workers:
            _forgive(worker)
            worker.ask()
        while any(worker.alive() for worker in self.workers) and time.monotonic() - began < bound_s:
            if self._over.is_set():
                break
            time.sleep(_POLL_S)
        took_s, codes = time.monotonic() - began, [worker.exit_code() for worker in self.workers]
        for worker in self.workers:
            if worker.alive():
                worker.kill()
                worker.wait()
        return None if None in codes else max(code or 0 for code in codes), took_s

    def restart(self, **variables: str) -> None:
        """Start the workers anew, with these variables beside their own (an empty one takes its setting away)."""
        self.drain(_GRACE_S)
        for worker in self.workers:
            worker.environment.update(variables)
        self.rest(0)

    def tree(self) -> list[psutil.Process]:
        """Return the workers' processes, each one before its children."""
        found: list[psutil.Process] = []
        for worker in self.workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                root = psutil.Process(worker.pid)
                found += [root, *root.children(recursive=True)]
        return found

    def rest(self, seconds: float) -> None:
        """Let the workers be for a while, starting again what ends, and return when they are ready."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._tick()
        self.await_workers()

    def command(self, *arguments: str, within_s: float) -> tuple[int | None, str]:
        """Run `poolcrawl ARGUMENTS` on this server; return its exit code (None: it had to be ended) and last words."""
        try:
            done = subprocess.run(
                [*POOLCRAWL, *arguments],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=within_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None, f"`poolcrawl {arguments[0]}` did not end within {within_s:.0f} s"
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        return done.returncode, said[-1].strip() if said else ""

    def state(self, name: str) -> str:
        """Return the state of a crawl."""
        return status(self.client, name).state

    def digest_without(self, name: str, url: str) -> str:
        """Return the digest of a crawl's records but one."""
        found = (text for _, text in lines(self.client, name))
        return digest(text for text in found if record_from_json(text).url != url)

    def records(self, name: str) -> list[PageRecord]:
        """Return a crawl's page records."""
        return [record_from_json(text) for _, text in lines(self.client, name)]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(_FOREIGN)}
        return kept | {"CRAWL_REDIS_URL": self._stack.redis_url, "CRAWL_STATE_DIR": str(self._state.path)}

    @contextmanager
    def _producer(self, name: str, command: Sequence[str], variables: Mapping[str, str]) -> Iterator[Child]:
        # Its keeper ends it when this process is gone, however it went.
        watched, held = os.pipe()
        producer = Child(
            "crawl",
            [*POOLCRAWL, *command],
            environment=self._environment() | dict(variables),
            log=self._state.log(f"crawl-{name}"),
            grace_s=_GRACE_S,
            watches=watched,
        )
        try:
            producer.start()
            yield producer
        finally:
            if producer.alive():
                producer.kill()
            producer.wait()
            os.close(watched)
            os.close(held)


def _forgive(worker: Child) -> None:
    """Let a worker's end be none of those after which the stack gives it up: it did not end by itself."""
    worker.started_at = 0.0


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
