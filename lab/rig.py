"""One run of a trial of ours: a private server, worker processes, one `poolcrawl crawl`, and what they cost.

The stack is the embedded one, started here instead of by `poolcrawl crawl`, so that the workers are up before the clock
starts and the server is still there when the crawl has ended. The crawl is a process of its own: the producer, whose
cost is told apart.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from crawl import keys, names
from crawl.audit import audit
from crawl.connection import connect
from crawl.errors import UnavailableError, ViolationError
from crawl.records import record_from_json
from crawl.settings import load
from embedded.child import last_line
from embedded.server import NAME as SERVER
from embedded.server import Server
from embedded.stack import Stack, Workers
from embedded.state import State
from lab import counters, measure, readings
from lab.measure import WORKER, Sampler
from lab.trial import Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import redis

    from crawl.records import PageRecord
    from lab.way import Way

#: Seconds the workers get to say that they are there.
READY_S = 30.0
#: A crawl slower than this is broken, pages per second; and the least time any crawl gets, seconds.
SLOWEST = 1.0
PATIENCE_S = 60.0
NAME = "bench"
#: The command line, by the interpreter that runs this.
POOLCRAWL = (sys.executable, "-P", "-m", "poolcrawl")
#: The site's addresses, which the guard would refuse otherwise.
ADDRESSES = "127.0.0.0/8"
#: Settings that a run decides itself; every other CRAWL_* variable of the caller reaches workers and crawl.
_OWN = (
    *("CRAWL_REDIS_URL", "CRAWL_REDIS_PASSWORD_FILE", "CRAWL_STATE_DIR", "CRAWL_HEARTBEAT_FILE"),
    *("CRAWL_PROXY", "CRAWL_WORKERS", "CRAWL_QUEUES", "CRAWL_FETCH_POOL", "CRAWL_PARSE_POOL"),
)


@dataclass(frozen=True)
class Target:
    """What a run crawls, and what must come of it: how many records, how many of them good, and their digest.

    `resolve` says where the seeds' names are (as CRAWL_RESOLVE), `ca_file` whose certificates to trust.
    """

    seeds: tuple[str, ...]
    records: int
    good: int
    digest: str | None = None
    resolve: tuple[str, ...] = ()
    scope: str = "host"
    ca_file: Path | None = None
    #: Seconds that its pages take at least: waiting, were they asked for one after the other, and parsing.
    waiting_s: float = 0.0
    parsing_s: float = 0.0


def environment(caller: Mapping[str, str], way: Way, redis_url: str, state: Path) -> dict[str, str]:
    """Return the environment of every process of a run."""
    kept = {
        name: value for name, value in caller.items() if name not in _OWN and not name.startswith("CELERY_")
    }
    return kept | {
        "CRAWL_REDIS_URL": redis_url,
        "CRAWL_STATE_DIR": str(state),
        "CRAWL_POOL": way.pool,
        "CRAWL_CONCURRENCY": str(way.concurrency),
        "CRAWL_PIPELINE": way.pipeline,
        "CRAWL_BATCH": str(way.batch),
        "CRAWL_ALLOW_ADDRESSES": ADDRESSES,
        # Events are for Flower and cost a third.
        "CRAWL_EVENTS": "on" if way.events else "off",
    }


def groups(way: Way) -> tuple[Workers, ...]:
    """Return the worker processes of a way."""
    if way.parse_pool is None:
        return (Workers(way.pool, way.concurrency, way.processes),)
    return (
        Workers(way.pool, way.concurrency, way.processes, (names.FETCH_QUEUE,)),
        Workers(way.parse_pool, way.parse_concurrency, way.parse_processes, (names.PARSE_QUEUE,)),
    )


@contextmanager
def lone_server(directory: Path) -> Iterator[redis.Redis]:
    """Run a private server without workers; give a client of it."""
    state = State(directory)
    state.make()
    pipe = os.pipe()
    server = Server(state, pipe[0])
    try:
        server.start(lambda: None)
        client = connect(server.url)
        yield client
        client.close()
    finally:
        if server.child is not None:
            server.child.ask()
            server.child.wait()
        for end in pipe:
            os.close(end)


class Rig:
    """A private stack for one run of one trial. Use as a context manager; inside, all workers are ready.

    `command` starts a worker (default: `poolcrawl worker`), `variables` are further environment of the workers,
    `crawl_options` further options of the crawl.
    """

    def __init__(
        self,
        name: str,
        way: Way,
        target: Target,
        directory: Path,
        *,
        command: Sequence[str] | None = None,
        variables: Mapping[str, str] | None = None,
        crawl_options: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.state = State(directory)
        self._way = way
        self._target = target
        self._crawl_options = tuple(crawl_options)
        trust = {"SSL_CERT_FILE": str(target.ca_file)} if target.ca_file else {}
        self._groups = groups(way)
        self._stack = Stack(
            load({"CRAWL_STATE_DIR": str(directory)}),
            groups=self._groups,
            events=way.events,
            allow_addresses=(ADDRESSES,),
            resolve=target.resolve,
            worker_command=command,
            # A caller's pools per stage would replace the way's.
            worker_variables={"CRAWL_FETCH_POOL": "", "CRAWL_PARSE_POOL": "", **trust, **(variables or {})},
        )
        self._environment: dict[str, str] = {}
        self._pids: list[int] = []
        self.client: redis.Redis

    def __enter__(self) -> Self:
        """Start the server and the workers; return when all workers are ready."""
        self._stack.start()
        try:
            url = self._stack.redis_url
            self.client = connect(url)
            self._environment = environment(os.environ, self._way, url, self.state.path)
            self._pids = self._stack.worker_pids
            self._await_workers()
        except BaseException:
            self._stack.stop(at_once=True)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers, which have nothing left to do, then the server."""
        self.client.close()
        self._stack.stop(at_once=True)

    def run(self) -> Run:
        """Crawl the target once and return what it cost; what makes it worthless is in `invalid`.

        Raises UnavailableError when the crawl cannot be started at all.
        """
        began = time.monotonic()
        try:
            return self._measured()
        except ViolationError as error:
            wall_s = time.monotonic() - began
            return Run(self._target.records, wall_s, wall_s, 0.0, invalid=str(error))

    def _measured(self) -> Run:
        counters.watch(self.client)
        workers = {f"{WORKER}-{number}": pid for number, pid in enumerate(self._pids, start=1)}
        with Sampler(workers | self._server_group()) as sampler:
            before, switched = counters.read(self.client), self._switches()
            began, own_s = time.time(), time.process_time()
            with self._crawl() as process:
                sampler.add("producer", process.pid)
                self._follow(process, self._patience_s())
            ended, own_s = time.time(), time.process_time() - own_s
            after, switches = counters.read(self.client), self._switches()
        self._check_workers()
        traffic = counters.between(before, after)
        found = readings.read(self.records())
        return Run(
            pages=found.records,
            seconds=found.last - found.first,
            wall_s=ended - began,
            steady_pages=found.steady_pages,
            steady_s=found.steady_s,
            worker_cpu_s=sum(sampler.cpu_between(name, began, ended) for name in workers),
            producer_cpu_s=sampler.cpu_between("producer", found.first, ended),
            redis_cpu_s=sampler.cpu_between("server", began, ended),
            client_commands=traffic.sent,
            script_calls=traffic.in_scripts,
            redis_net_bytes=traffic.net_bytes,
            switches=switches[0] - switched[0] if switches and switched else None,
            switches_forced=switches[1] - switched[1] if switches and switched else None,
            worker_bytes=sampler.worker_peak_bytes,
            workers_bytes=sampler.workers_peak_bytes,
            producer_bytes=sampler.tracks["producer"].peak_bytes,
            redis_bytes=after.peak_bytes,
            latency=found.latency,
            failures=found.failures,
            harness_share=own_s / ((ended - began) * measure.cores()),
            digest=self._audit(found),
        )

    def _patience_s(self) -> float:
        """Return how long a crawl may take before it is broken: several times what its pages take at least."""
        target = self._target
        least_s = target.waiting_s / min(self._way.slots, max(len(target.seeds), 1)) + target.parsing_s
        return PATIENCE_S + target.records / SLOWEST + 3 * least_s

    def _switches(self) -> tuple[int, int] | None:
        found = [measure.switches(pid) for pid in self._pids]
        known = [pair for pair in found if pair is not None]
        return (sum(pair[0] for pair in known), sum(pair[1] for pair in known)) if known else None

    def _server_group(self) -> dict[str, int]:
        run = self.state.read_run()
        return {} if run is None else {p.name: p.pid for p in run.server if p.name == SERVER}

    def _await_workers(self) -> None:
        deadline = time.monotonic() + READY_S
        wanted = sum(group.count for group in self._groups)
        while int(self.client.zcount(keys.workers(), time.time() * 1000, "+inf")) < wanted:
            if self._stack.worker_pids != self._pids:
                message = f"{self.name}: a worker ended at its start; {self._said()}"
                raise UnavailableError(message)
            if time.monotonic() > deadline:
                message = f"{self.name}: the workers were not ready within {READY_S:.0f} s; {self._said()}"
                raise UnavailableError(message)
            time.sleep(0.05)

    def _check_workers(self) -> None:
        if self._stack.worker_pids != self._pids:
            message = f"a worker ended; {self._said()}"
            raise ViolationError(message)

    def _said(self) -> str:
        logs = sorted(self.state.logs.glob(f"{WORKER}-*.log"))
        lines = [f"{log.stem}: {last_line(log) or 'nothing'}" for log in logs]
        return f"the logs (--keep DIR keeps them) end with {'; '.join(lines)}"

    @contextmanager
    def _crawl(self) -> Iterator[subprocess.Popen[bytes]]:
        seeds = self.state.path / "seeds.txt"
        seeds.write_text("".join(f"{seed}\n" for seed in self._target.seeds), encoding="utf-8")
        command = [*POOLCRAWL, "crawl", "--seeds", str(seeds), "--name", NAME]
        command += ["--scope", self._target.scope, "--delay", "0", "--json", *self._crawl_options]
        with ExitStack() as stack:
            out = stack.enter_context(self.state.log("crawl-out").open("wb"))
            log = stack.enter_context(self.state.log("crawl").open("wb"))
            process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=out, stderr=log
            )
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()

    def _follow(self, process: subprocess.Popen[bytes], patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while True:
            try:
                code = process.wait(1.0)
                break
            except subprocess.TimeoutExpired:
                self._check_workers()
                if time.monotonic() > deadline:
                    message = f"the crawl did not end within {patience_s:.0f} s; {self._said()}"
                    raise ViolationError(message) from None
        if code != 0:
            said = last_line(self.state.log("crawl")) or "nothing"
            message = f"the crawl ended with {code} and said: {said}"
            raise ViolationError(message)

    def records(self) -> Iterator[PageRecord]:
        """Yield the records of the crawl, in no order."""
        for _, text in self.client.hscan_iter(keys.records(NAME), count=1000):
            yield record_from_json(text)

    def _audit(self, found: readings.Readings) -> str:
        """Return the digest. Raises ViolationError unless the records are all there, once, and the expected ones."""
        target = self._target
        if (found.records, found.good) != (target.records, target.good):
            message = (
                f"{found.records} records of which {found.good} are good, "
                f"the site has {target.records} pages of which {target.good} are good"
            )
            raise ViolationError(message)
        audited = audit(self.client, NAME)
        if not audited.clean:
            message = f"the audit is not clean: {audited.missing} missing, {audited.duplicate} double"
            raise ViolationError(message)
        digest = audited.digest or ""
        if target.digest is not None and digest != target.digest:
            message = (
                f"the records' digest is {digest[:12]}..., the site's pages have {target.digest[:12]}..."
            )
            raise ViolationError(message)
        return digest
