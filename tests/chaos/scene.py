"""A crawl that is to be disturbed: a site, a server of its own, workers, a producer, perhaps a link in between.

All are real processes. A worker that ends is started again, as the embedded stack or a container's `restart:` does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
import redis
from chaos.link import Link
from chaos.server import Server
from chaos.site import Site
from stack import POOLCRAWL, Directory, Done, Running, wait_for

from crawl import keys, names
from producer import fleet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

#: The crawl's name; there is one per server.
CRAWL = "chaos"
#: Leases short enough that what a dead worker held comes back within a run.
LEASE_S = 3
#: Slots of each worker, where its pool can have several.
SLOTS = 2
#: Pause before a process that has ended is started again, in seconds.
_BACKOFF_S = 0.2
#: Longest time workers may take to their first sign of life; on a busy machine each is seconds of CPU.
_START_S = 120.0
#: Set when there is no time left: nothing is started any more.
GIVEN_UP = threading.Event()
#: Longest time a disturbed crawl may take from the fault to its end.
END_S = 150.0
#: What a producer says that stands by, and what a pump service says that takes a crawl.
_STANDS_BY = "another producer pumps"
_TAKEN = f"{CRAWL}: taken"


@dataclass
class Worker:
    """One worker's place: the process that is in it now, and those that were."""

    pool: str
    running: Running | None = None
    #: Whether it is to be started again when it ends.
    kept: bool = True
    variables: dict[str, str] = field(default_factory=dict)

    def processes(self) -> list[psutil.Process]:
        """Return the worker's processes, its own first."""
        if self.running is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            own = psutil.Process(self.running.process.pid)
            return [own, *own.children(recursive=True)]
        return []


class Scene:
    """Use as a context manager: the crawl runs when it is entered, and nothing is left afterwards."""

    def __init__(
        self,
        folder: Path,
        pool: str,
        *,
        pages: int,
        linked: bool = False,
        workers: int = 2,
        settings: dict[str, str] | None = None,
        output: bool = False,
        split: bool = False,
        serviced: bool = False,
        doubled: bool = False,
    ) -> None:
        self.pool = pool
        self.site = Site(pages)
        self.server = Server(folder / "server")
        self.link = Link(self.server.port) if linked else None
        self.directory = Directory(folder)
        self.workers = [Worker(pool) for _ in range(workers)]
        if split:
            self.workers = [Worker(pool, variables={"CRAWL_QUEUES": queue}) for queue in names.QUEUES]
        self.producer: Running | None = None
        #: A second producer of the same crawl, from its beginning, and a pump service, from before it.
        self.second: Running | None = None
        self.service: Running | None = None
        self._doubled = doubled
        self._serviced = serviced
        #: Times of `time.time` between which the disturbance lasted.
        self.disturbed = (0.0, 0.0)
        #: Workers that ended though nobody killed them, with their exit codes.
        self.deserted: list[int] = []
        self._settings = settings or {}
        #: Where the producer writes the records at the end.
        self.output = folder / "pages.jsonl" if output else None
        #: Every process that was started here, also those that have ended.
        self.everybody: list[Running] = []
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._open = contextlib.ExitStack()
        try:
            self._open.enter_context(self.site)
            self._open.enter_context(self.server)
            self._open.callback(self.directory.end)
            if self.link is not None:
                self._open.enter_context(self.link)
            for worker in self.workers:
                self.start(worker)
            if self._serviced:
                self.service = self.spawn("pump")
                wait_for(lambda: self.client.zcard(keys.pumps()), "the pump service is alive", _START_S)
            wait_for(lambda: len(self.alive()) == len(self.workers), "all workers are alive", _START_S)
            self._watcher.start()
            self._open.callback(self._watcher.join, 10)
            self._open.callback(self._over.set)
            self.produce()
            if self._doubled:
                self.second = self.spawn(*self.submission(), "--json")
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def client(self) -> redis.Redis:
        """The judge's client."""
        return self.server.client

    @property
    def url(self) -> str:
        """The address that workers and producers use."""
        return self.server.url(self.link.port if self.link is not None else None)

    def spawn(self, *words: str, **variables: str) -> Running:
        """Start `poolcrawl WORDS` in this scene."""
        settings = {
            "CRAWL_REDIS_URL": self.url,
            "CRAWL_LEASE_S": str(LEASE_S),
            "CRAWL_ALLOW_ADDRESSES": "127.0.0.0/8",
            **self._settings,
        }
        with self._lock:
            assert not GIVEN_UP.is_set(), "there is no time left"
            running = self.directory.spawn((*POOLCRAWL, *words), **settings, **variables)
            self.everybody.append(running)
        return running

    def start(self, worker: Worker) -> None:
        """Start a worker in its place."""
        slots = "1" if worker.pool == "solo" else str(SLOTS)
        worker.running = self.spawn(
            "worker", CRAWL_POOL=worker.pool, CRAWL_CONCURRENCY=slots, **worker.variables
        )
        worker.kept = True

    def alive(self) -> list[str]:
        """Return the names of the workers that give signs of life."""
        return [found.name for found in fleet.alive(self.client)]

    def settled(self, worker: Worker) -> list[psutil.Process]:
        """Return the children of a worker that gives signs of life; none as long as it does not."""
        own, *children = worker.processes() or (None,)
        known = own is not None and any(f"-{own.pid}@" in name for name in self.alive())
        return children if known else []

    def submission(self) -> tuple[str, ...]:
        """Return the command that makes this crawl."""
        options = [word for value in self.site.resolve for word in ("--resolve", value)]
        output = ("--output", str(self.output)) if self.output is not None else ()
        addresses = ("--allow-address", "127.0.0.0/8", "--delay", "0")
        return ("crawl", self.site.seed, "--name", CRAWL, "--scope", "domain", *addresses, *options, *output)

    def produce(self) -> Running:
        """Start the producer: submit the crawl, or, when there is one already, continue it."""
        again = self.producer is not None
        words = ("crawl", "--name", CRAWL) if again else self.submission()
        self.producer = self.spawn(*words, "--json")
        return self.producer

    def done(self) -> int:
        """Return how many pages have their record; 0 while the server is away."""
        with contextlib.suppress(redis.RedisError):
            return int(self.client.hlen(keys.records(CRAWL)))
        return 0

    def reach(self, share: float) -> None:
        """Wait until so much of the site is done."""

        def _far_enough() -> bool:
            assert self.producer is not None
            assert self.producer.process.poll() is None, self.producer.stderr.read_text()
            return self.done() >= share * self.site.pages

        wait_for(_far_enough, f"{share:.0%} of the pages", 90, every_s=0.01)

    @contextlib.contextmanager
    def disturbance(self) -> Iterator[None]:
        """Note when the fault began and ended; what follows is counted from its end."""
        began = time.time()
        try:
            yield
        finally:
            self.disturbed = (began, time.time())

    def kill(self, *workers: Worker) -> None:
        """SIGKILL all processes of these workers, as the kernel does when a container is out of memory."""
        with self._lock:
            victims = [process for worker in workers for process in worker.processes()]
            for process in victims:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            for worker in workers:
                if worker.running is not None:
                    worker.running.process.wait(10)
                self.start(worker)

    def signal(self, worker: Worker, number: signal.Signals) -> None:
        """Send a signal to every process of a worker."""
        for process in worker.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def replace(self, worker: Worker, pool: str) -> None:
        """Stop a worker as an operator does (SIGTERM), and start one of another pool when it has ended."""
        worker.kept = False
        assert worker.running is not None
        worker.running.interrupt(signal.SIGTERM)
        code = worker.running.ended(30).code
        assert code == 0, f"a worker that was stopped ended with {code}: {worker.running.stderr.read_text()}"
        worker.pool = pool
        with self._lock:
            self.start(worker)

    def kill_producer(self) -> None:
        """SIGKILL the producer."""
        assert self.producer is not None
        self.producer.process.kill()
        self.producer.process.wait(10)

    def tell_apart(self) -> tuple[Running, Running]:
        """Return the producer that pumps and the one that stands by, as soon as one of the two says so."""
        first, second = self.producer, self.second
        assert first is not None
        assert second is not None
        wait_for(lambda: _stands_by(first) or _stands_by(second), "one of two producers stands by", 60)
        self.producer, self.second = (second, first) if _stands_by(first) else (first, second)
        assert self.producer.process.poll() is None, self.producer.stderr.read_text()
        return self.producer, self.second

    def serve(self) -> None:
        """Wait until the pump service has ended the crawl, and stop it as an operator does."""
        service = self.service
        assert service is not None

        def _served() -> bool:
            assert service.process.poll() is None, service.stderr.read_text()
            return bool(self.client.hget(keys.crawl(CRAWL), "state") == names.FINISHED.encode())

        wait_for(_served, "the pump service ends the crawl", END_S, every_s=0.1)
        assert _TAKEN in service.stderr.read_text(), "the crawl ended, and the service never had it"
        service.interrupt(signal.SIGTERM)
        self.producer = service

    def ended(self, within_s: float = END_S) -> Done:
        """Wait for the producer's end."""
        assert self.producer is not None
        return self.producer.ended(within_s)

    def stop(self) -> None:
        """Stop the workers as an operator does; those that do not end are killed."""
        self._over.set()
        with self._lock:
            for worker in self.workers:
                worker.kept = False
                if worker.running is not None and worker.running.process.poll() is None:
                    self.signal(worker, signal.SIGCONT)
                    worker.running.interrupt(signal.SIGTERM)
        for worker in self.workers:
            if worker.running is not None:
                worker.running.ended(40)

    def logs(self) -> str:
        """Return everything that any process of this scene has printed for people."""
        return "".join(running.stderr.read_text(errors="replace") for running in self.everybody)

    def _watch(self) -> None:
        while not self._over.wait(_BACKOFF_S):
            with self._lock:
                for worker in self.workers:
                    code = None if worker.running is None else worker.running.process.poll()
                    if code is not None and worker.kept and not self._over.is_set():
                        self.deserted.append(code)
                        self.start(worker)


def _stands_by(producer: Running) -> bool:
    return _STANDS_BY in producer.stderr.read_text()


def frozen(scene: Scene, worker: Worker, seconds: float) -> None:
    """Stop a worker as it stands, all its processes, for a time."""
    scene.signal(worker, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        scene.signal(worker, signal.SIGCONT)


def beside(path: Path) -> dict[str, str]:
    """Return the variable that puts a folder before the rooms of a process."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(path), os.environ.get("PYTHONPATH", ""))))}
