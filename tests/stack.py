"""The stack as a person runs it: `poolcrawl` in a directory of its own, a private server, workers as processes.

Every process started here carries a mark in its environment or works below the directory, so that a test can say that
none was left.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import redis

from embedded.ports import free_port
from embedded.server import binary
from producer import fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Self

ROOT = Path(__file__).resolve().parents[1]
POOLS = ("prefork", "threads", "gevent", "asyncio", "solo")
POOLCRAWL = (sys.executable, "-P", "-m", "poolcrawl")

#: Longest time one command may take, in seconds; the slowest is the demo crawl under solo on a busy machine.
COMMAND_S = 150
#: Set in every process of a test's stack, its children included.
_MARK = "POOLCRAWL_TEST_MARK"


def wait_for(condition: Callable[[], Any], what: str, within_s: float = 30, every_s: float = 0.02) -> Any:
    """Return the condition's first true value; AssertionError naming `what` when there is none in time."""
    end = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {within_s:.0f} s: {what}"
        time.sleep(every_s)
    return value


def at_once(work: Callable[[Any], Any], each: Iterable[Any], jobs: int = 4) -> list[Any]:
    """Return what `work` makes of each, done at the same time: crawls of the demo site mostly wait for timeouts."""
    with ThreadPoolExecutor(jobs) as threads:
        return list(threads.map(work, each))


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def summary(self) -> dict[str, Any]:
        """The JSON object in the last line of stdout (`--json`)."""
        found: dict[str, Any] = json.loads(self.stdout.splitlines()[-1])
        return found


@dataclass
class Running:
    """A command that runs; its output goes to files, so that no full pipe can stop it."""

    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send a signal to the command alone, as Ctrl-C in a terminal does to its foreground process."""
        self.process.send_signal(number)

    def ended(self, within_s: float = COMMAND_S) -> Done:
        """Wait for the end; kill and fail when there is none in time."""
        try:
            code = self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            message = f"{self.process.args} did not end within {within_s} s\n{self.stderr.read_text()}"
            raise AssertionError(message) from None
        return Done(code, self.stdout.read_text(), self.stderr.read_text())


@dataclass
class Directory:
    """A directory in which `poolcrawl` runs, with `environment` beside the caller's (without its CRAWL_ variables)."""

    path: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    _count: int = 0

    def env(self, **more: str) -> dict[str, str]:
        """Return the environment of a command."""
        foreign = ("CRAWL_", "FLOWER_", "CELERY_", "POOLCRAWL_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return {**kept, _MARK: self.mark, **self.environment, **more}

    def start(self, *arguments: str, **more: str) -> Running:
        """Start `poolcrawl ARGUMENTS`; `more` is added to its environment."""
        return self.spawn((*POOLCRAWL, *arguments), **more)

    def spawn(self, command: Iterable[str], stdin: bytes | int | None = None, **more: str) -> Running:
        """Start any command here; `stdin` is what it reads, or `subprocess.PIPE`."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._count += 1
        stdout, stderr = (
            self.path / f"command-{self._count}.out",
            self.path / f"command-{self._count}.err",
        )
        given = self.path / f"command-{self._count}.in"
        given.write_bytes(stdin if isinstance(stdin, bytes) else b"")
        with stdout.open("wb") as out, stderr.open("wb") as err, given.open("rb") as standard_input:
            process = subprocess.Popen(
                list(command),
                cwd=self.path,
                env=self.env(**more),
                stdin=stdin if isinstance(stdin, int) else standard_input,
                stdout=out,
                stderr=err,
            )
        return Running(process, stdout, stderr)

    def run(
        self, *arguments: str, stdin: bytes | None = None, within_s: float = COMMAND_S, **more: str
    ) -> Done:
        """Run `poolcrawl ARGUMENTS` to its end."""
        return self.spawn((*POOLCRAWL, *arguments), stdin, **more).ended(within_s)

    @property
    def state(self) -> Path:
        """The state directory of the embedded stack."""
        return self.path / ".poolcrawl"

    def run_json(self) -> dict[str, Any] | None:
        """Return what the running stack has put on record, or None."""
        try:
            found: dict[str, Any] = json.loads((self.state / "run.json").read_text())
        except (OSError, ValueError):
            return None
        return found

    def client(self, within_s: float = 30) -> redis.Redis:
        """Return a client of the running stack's server; waits until it answers."""

        def answering() -> redis.Redis | None:
            url = (self.run_json() or {}).get("redis_url")
            if not url:
                return None
            client = redis.Redis.from_url(url, socket_timeout=10)
            try:
                return client if client.ping() else None
            except redis.RedisError:
                return None

        found: redis.Redis = wait_for(answering, f"a server in {self.path}", within_s)
        return found

    def audit(self, *arguments: str, **more: str) -> dict[str, Any]:
        """Return what `poolcrawl audit --json` found."""
        done = self.run("audit", *arguments, "--json", **more)
        assert done.stdout, done.stderr
        return done.summary

    def records(self, *arguments: str, **more: str) -> list[dict[str, Any]]:
        """Return the page records, as `poolcrawl export` writes them."""
        done = self.run("export", *arguments, **more)
        assert done.code == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def requests(self) -> list[dict[str, Any]]:
        """Return every request the embedded demo site got, oldest first."""
        path = self.state / "logs" / "site-access.log"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def left(self) -> list[psutil.Process]:
        """Return the processes that were started here and still live."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            if process.environ().get(_MARK) == self.mark:
                return True
            # The server gets an environment of its own; it works in the state directory.
            return Path(process.cwd()).is_relative_to(self.path)
        return False

    def end(self) -> None:
        """Kill whatever was left."""
        for process in self.left():
            with contextlib.suppress(psutil.Error):
                process.kill()


class PrivateServer:
    """A Redis or Valkey of one test, on a free port, with a password. Use as a context manager."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        self._options = options
        self.port = free_port()
        self.password = secrets.token_urlsafe(12)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address with the password."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        """A client that answers in bytes."""
        return redis.Redis.from_url(self.url, socket_timeout=10)

    def __enter__(self) -> Self:
        """Start, and wait until it answers."""
        self.path.mkdir(parents=True, exist_ok=True)
        arguments = ("--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", self.password)
        arguments += ("--dir", str(self.path), "--save", "", "--loglevel", "warning", *self._options)
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        with (self.path / "server.log").open("wb") as log:
            self._process = subprocess.Popen([binary(), *arguments], env=environment, stdout=log, stderr=log)
        wait_for(self._answers, "a private server")
        return self

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.path / "server.log").read_text()
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def __exit__(self, *_: object) -> None:
        """Stop."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(15)


@contextlib.contextmanager
def worker(
    directory: Directory,
    url: str,
    command: Iterable[str] = (*POOLCRAWL, "worker"),
    within_s: float = 40,
    **settings: str,
) -> Iterator[Running]:
    """Run `poolcrawl worker` on a Redis, from its first sign of life; it is stopped with SIGTERM after the block."""
    client = redis.Redis.from_url(url, socket_timeout=10)
    before = {found.name for found in fleet.alive(client)}
    running = directory.spawn(command, CRAWL_REDIS_URL=url, **settings)

    def alive() -> bool:
        assert running.process.poll() is None, running.stderr.read_text()
        return bool({found.name for found in fleet.alive(client)} - before)

    try:
        wait_for(alive, "a worker's first sign of life", within_s)
        yield running
    finally:
        if running.process.poll() is None:
            running.interrupt(signal.SIGTERM)
        running.ended(40)
        client.close()
