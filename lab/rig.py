"""One run of a trial of ours: a private server, two worker processes, one `poolcrawl crawl`, and what they cost.

The stack is the embedded one, started here instead of by `poolcrawl crawl`, so that the workers are up before the clock
starts and the server is still there when the crawl has ended. The crawl is a process of its own: the producer, whose
cost is told apart.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from crawl import keys
from crawl.connection import connect
from crawl.errors import UnavailableError, ViolationError
from crawl.records import record_from_json
from crawl.settings import load
from embedded.child import last_line
from embedded.server import NAME as SERVER
from embedded.server import Server
from embedded.stack import Stack
from embedded.state import State
from lab import counters
from lab.measure import WORKER, Sampler
from lab.trial import WORKERS, Run, Trial

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import redis

#: Seconds the workers get to say that they are there.
READY_S = 30.0
#: A crawl slower than this is broken, pages per second; and the least time any crawl gets, seconds.
SLOWEST = 10.0
PATIENCE_S = 60.0
NAME = "bench"
#: The command line, by the interpreter that runs this.
POOLCRAWL = (sys.executable, "-P", "-m", "poolcrawl")
#: The site's addresses, which the guard would refuse otherwise.
ADDRESSES = "127.0.0.0/8"
#: Settings that a run decides itself; every other CRAWL_* variable of the caller reaches workers and crawl.
_OWN = (
    "CRAWL_REDIS_URL",
    "CRAWL_REDIS_PASSWORD_FILE",
    "CRAWL_STATE_DIR",
    "CRAWL_HEARTBEAT_FILE",
    "CRAWL_WORKERS",
)


def environment(
    caller: Mapping[str, str], trial: Trial, redis_url: str, state: Path, concurrency: int | None
) -> dict[str, str]:
    """Return the environment of every process of a run."""
    kept = {
        name: value for name, value in caller.items() if name not in _OWN and not name.startswith("CELERY_")
    }
    ours = {
        "CRAWL_REDIS_URL": redis_url,
        "CRAWL_STATE_DIR": str(state),
        "CRAWL_POOL": trial.pool,
        "CRAWL_PIPELINE": trial.pipeline,
        "CRAWL_ALLOW_ADDRESSES": ADDRESSES,
        # Events are for Flower and cost a third; who wants their price sets CRAWL_EVENTS=on.
        "CRAWL_EVENTS": caller.get("CRAWL_EVENTS") or "off",
    }
    if concurrency is not None:
        ours["CRAWL_CONCURRENCY"] = str(concurrency)
    return kept | ours


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
    """A private stack for one run of one trial. Use as a context manager; inside, all workers are ready."""

    def __init__(self, trial: Trial, directory: Path, concurrency: int | None) -> None:
        self.trial = trial
        self.state = State(directory)
        self._concurrency = concurrency
        self._stack = Stack(
            load({"CRAWL_STATE_DIR": str(directory)}),
            pool=trial.pool,
            concurrency=concurrency,
            workers=WORKERS,
            events=os.environ.get("CRAWL_EVENTS") == "on",
            allow_addresses=(ADDRESSES,),
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
            self._environment = environment(os.environ, self.trial, url, self.state.path, self._concurrency)
            self._pids = self._stack.worker_pids
            self._await_workers()
        except BaseException:
            self._stack.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers, then the server."""
        self.client.close()
        self._stack.stop()

    def run(self, seed: str, pages: int) -> Run:
        """Crawl the site once and return what it cost.

        Raises ViolationError when the crawl failed, its audit is not clean or its pages are not the site's.
        """
        counters.watch(self.client)
        workers = {f"{WORKER}-{number}": pid for number, pid in enumerate(self._pids, start=1)}
        with Sampler(workers | self._server_group()) as sampler:
            before = counters.read(self.client)
            began = time.time()
            with self._crawl(seed) as process:
                sampler.add("producer", process.pid)
                self._follow(process, PATIENCE_S + pages / SLOWEST)
            ended = time.time()
            after = counters.read(self.client)
        self._check_workers()
        traffic = counters.between(before, after)
        first, last = self._span()
        return Run(
            pages=self._count(pages),
            seconds=last - first,
            wall_s=ended - began,
            worker_cpu_s=sum(sampler.cpu_between(name, began, ended) for name in workers),
            producer_cpu_s=sampler.cpu_between("producer", first, ended),
            redis_cpu_s=sampler.cpu_between("server", began, ended),
            client_commands=traffic.sent,
            script_calls=traffic.in_scripts,
            worker_bytes=sampler.worker_peak_bytes,
            workers_bytes=sampler.workers_peak_bytes,
            producer_bytes=sampler.tracks["producer"].peak_bytes,
            redis_bytes=after.peak_bytes,
            digest=self._audit(pages),
        )

    def _server_group(self) -> dict[str, int]:
        run = self.state.read_run()
        return {} if run is None else {p.name: p.pid for p in run.server if p.name == SERVER}

    def _await_workers(self) -> None:
        deadline = time.monotonic() + READY_S
        while int(self.client.zcount(keys.workers(), time.time() * 1000, "+inf")) < WORKERS:
            self._check_workers()
            if time.monotonic() > deadline:
                message = (
                    f"{self.trial.name}: the workers were not ready within {READY_S:.0f} s; {self._said()}"
                )
                raise UnavailableError(message)
            time.sleep(0.05)

    def _check_workers(self) -> None:
        if self._stack.worker_pids != self._pids:
            message = f"{self.trial.name}: a worker ended; {self._said()}"
            raise UnavailableError(message)

    def _said(self) -> str:
        logs = sorted(self.state.logs.glob(f"{WORKER}-*.log"))
        lines = [f"{log.stem}: {last_line(log) or 'nothing'}" for log in logs]
        return f"logs in {self.state.logs} end with {'; '.join(lines)}"

    @contextmanager
    def _crawl(self, seed: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [*POOLCRAWL, "crawl", seed, "--name", NAME, "--delay", "0", "--json"]
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
        try:
            code = process.wait(patience_s)
        except subprocess.TimeoutExpired:
            message = f"{self.trial.name}: the crawl did not end within {patience_s:.0f} s; {self._said()}"
            raise ViolationError(message) from None
        if code != 0:
            said = last_line(self.state.log("crawl")) or "nothing"
            message = f"{self.trial.name}: the crawl ended with {code} and said: {said}"
            raise ViolationError(message)

    def _records(self) -> Iterator[Any]:
        for _, text in self.client.hscan_iter(keys.records(NAME), count=1000):
            yield record_from_json(text)

    def _span(self) -> tuple[float, float]:
        """Return when the first request began and the last page was parsed, seconds since the epoch."""
        starts, ends = [], []
        for record in self._records():
            if record.started_at and record.parsed_at:
                starts.append(record.started_at)
                ends.append(record.parsed_at)
        if not starts:
            message = f"{self.trial.name}: the crawl left no record of a page"
            raise ViolationError(message)
        return _seconds(min(starts)), _seconds(max(ends))

    def _count(self, pages: int) -> int:
        good = sum(1 for record in self._records() if record.outcome == "ok")
        if good != pages:
            message = f"{self.trial.name}: {good} pages came back good, the site has {pages}"
            raise ViolationError(message)
        return good

    def _audit(self, pages: int) -> str:
        done = subprocess.run(
            [*POOLCRAWL, "audit", NAME, "--json"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
        lines = done.stdout.decode().strip().splitlines()
        found = json.loads(lines[-1]) if lines else {}
        if done.returncode or found.get("missing") or found.get("duplicate") or found.get("records") != pages:
            said = lines[-1] if lines else done.stderr.decode().strip()
            message = f"{self.trial.name}: the audit is not clean: {said}"
            raise ViolationError(message)
        return str(found["digest"])


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
