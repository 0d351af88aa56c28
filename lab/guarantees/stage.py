"""A private server with one worker of a pool, on which the checks crawl their site one crawl after the other.

The crawl is `poolcrawl crawl` as a person runs it; the worker is the embedded stack's, which starts it again when it
ends. What a check does in the middle of a crawl it does from here, so it sees the worker's exit code before the next
start.
"""

from __future__ import annotations

import contextlib
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import psutil

from crawl.audit import audit
from crawl.connection import connect
from crawl.errors import UnavailableError, UnknownCrawlError
from crawl.records import record_from_json
from crawl.results import lines, status
from crawl.settings import load
from embedded.child import Child
from embedded.stack import Stack
from embedded.state import State
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
#: Seconds the worker gets to say that it is there, and a crawl gets unless told otherwise.
READY_S = 30.0
CRAWL_S = 40.0
_POLL_S = 0.01
#: Seconds between asking a producer to end and killing it, and for a killed tree to be gone.
_GRACE_S = 5.0
#: Kept from the caller: where things are and how the crawl behaves is each check's own.
_FOREIGN = ("CRAWL_", "CELERY_", "FLOWER_")


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


class Stage:
    """One pool's worker, ready, on a private server. Use as a context manager."""

    def __init__(
        self,
        pool: str,
        directory: Path,
        site: Site,
        *,
        worker_command: Sequence[str] | None = None,
        worker_variables: Mapping[str, str] | None = None,
    ) -> None:
        row = pools.TABLE[pool]
        pools.check_installed(row)
        self.pool = pool
        self.slots = min(row.default_concurrency(), SLOTS)
        self.site = site
        self.client: redis.Redis
        self._state = State(directory)
        self._stack = Stack(
            load({"CRAWL_STATE_DIR": str(directory)}),
            pool=pool,
            concurrency=self.slots,
            workers=1,
            allow_addresses=(ADDRESSES,),
            resolve=site.resolve,
            worker_command=worker_command,
            worker_variables=worker_variables,
        )

    @property
    def worker(self) -> Child:
        """The worker process, whichever runs or ran last."""
        return self._stack.worker_children[0]

    def __enter__(self) -> Self:
        """Start the server and the worker; return when the worker is ready."""
        self._stack.start()
        try:
            self.client = connect(self._stack.redis_url)
            self.await_worker()
        except BaseException:
            self._stack.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the worker, which has nothing left to do, then the server."""
        self.client.close()
        self._stack.stop(at_once=True)

    def await_worker(self) -> None:
        """Wait for the first sign of life of the worker that runs now; start it again if it ended.

        Raises UnavailableError, with the last line of its log, where there is none in time.
        """
        deadline = time.monotonic() + READY_S
        while not any(f"-{self.worker.pid}@" in found.name for found in fleet.alive(self.client)):
            self._stack.watch()
            if time.monotonic() > deadline:
                message = (
                    f"{self.pool}: the worker was not ready within {READY_S:.0f} s; "
                    f"{self.worker.log} ends with: {self.worker.last_line() or 'nothing'}"
                )
                raise UnavailableError(message)
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
                self._stack.watch()
                time.sleep(_POLL_S)
            code, said = producer.exit_code(), producer.last_line()
        seconds = time.monotonic() - began
        return self._crawled(name, code, said, seconds, log)

    def _crawled(self, name: str, code: int | None, said: str, seconds: float, log: Log) -> Crawled:
        try:
            found = audit(self.client, name)
        except UnknownCrawlError:
            # Its producer did not come as far as making it; what it said tells why.
            return Crawled(code, seconds, 0, 0, 0, 0, "", log.repeated(), said)
        return Crawled(
            code=code,
            seconds=seconds,
            records=found.records,
            missing=found.missing + found.pending,
            duplicate=found.duplicate,
            reclaimed=status(self.client, name).reclaimed,
            digest=found.digest or "",
            repeated=log.repeated(),
            said=said,
        )

    def kill(self) -> None:
        """SIGKILL the worker's whole process tree, and wait until it is gone."""
        tree = self.tree()
        self.worker.processes[0].kill_group()
        for process in tree:
            # A child that had left the group would go on asking.
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        until = time.monotonic() + _GRACE_S
        while any(map(_lives, tree)) and time.monotonic() < until:
            time.sleep(_POLL_S)

    def drain(self, bound_s: float) -> tuple[int | None, float]:
        """SIGTERM the worker; return its exit code and the seconds until it ended.

        The code is None where it had not ended after `bound_s`; it is then killed.
        """
        began = time.monotonic()
        self.worker.ask()
        while self.worker.alive() and time.monotonic() - began < bound_s:
            time.sleep(_POLL_S)
        took_s, code = time.monotonic() - began, self.worker.exit_code()
        if code is None:
            self.worker.kill()
            self.worker.wait()
        return code, took_s

    def tree(self) -> list[psutil.Process]:
        """Return the worker's processes, its first one first."""
        try:
            root = psutil.Process(self.worker.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def rest(self, seconds: float) -> None:
        """Let the worker be for a while, starting it again if it ends, and return when it is ready."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._stack.watch()
            time.sleep(_POLL_S)
        self.await_worker()

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


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
