"""The state directory: its lock, its readers and `run.json`.

lock            held by the process whose stack runs here; its content says who that is
readers         shared by processes that read from a stack they did not start
run.json        0600: address, password, and the pids with start times of everything that was started
data/           0700: the server's append-only file
logs/NAME.log   what each child printed
site.json       ports of the demo site's last run
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from typing import TYPE_CHECKING

import msgspec

from crawl.errors import UsageError
from embedded.processes import Process, identify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What a lock is held for.
CRAWL = "crawl"
DETACHED = "detached"
READ = "read"

#: How long a crawl waits for a reading verb (status, export) that started a server of its own, seconds.
READER_PATIENCE_S = 20.0
_POLL_S = 0.05
#: A log that is longer than this at start is put aside as NAME.log.1, bytes.
_LOG_LIMIT = 5_000_000
#: What is written to see whether there is room, bytes.
_TRIED = 4096


class Run(msgspec.Struct, frozen=True):
    """`run.json`: what a stack consists of. The server is always the last process to end."""

    parent: Process
    purpose: str
    redis_url: str | None = None
    server: tuple[Process, ...] = ()
    others: tuple[Process, ...] = ()
    flower_url: str | None = None
    site_ports: tuple[int, int] | None = None
    #: What workers of a stack that is left up may fetch and import; later crawls must do with it.
    allow_addresses: tuple[str, ...] = ()
    extractors: tuple[str, ...] = ()


class Holder(msgspec.Struct, frozen=True):
    """Content of `lock`."""

    process: Process
    purpose: str


class State:
    """One state directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"
        self.logs = path / "logs"
        self.run_path = path / "run.json"
        self.site_path = path / "site.json"

    def has_data(self) -> bool:
        """Say whether a server ever ran here."""
        return (self.data / "appendonlydir").is_dir()

    def make(self) -> None:
        """Create what is missing; raise UsageError when that is not possible."""
        try:
            for path in (self.path, self.data, self.logs):
                path.mkdir(parents=True, exist_ok=True)
                path.chmod(0o700)
            _try_to_write(self.path)
            ignore = self.path / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n")
        except OSError as error:
            raise self._unusable(error) from None

    def check(self) -> None:
        """Raise UsageError where `make` would, and leave nothing behind."""
        made: list[Path] = []
        try:
            for path in (self.path, self.data, self.logs):
                if path.exists():
                    # To what it is: that fails for whom the directory is not his, as `make` does.
                    path.chmod(path.stat().st_mode & 0o7777)
            made = _made(self.path)
            _try_to_write(self.path)
        except OSError as error:
            raise self._unusable(error) from None
        finally:
            _remove(made)

    def _unusable(self, error: OSError) -> UsageError:
        message = (
            f"cannot use {self.path} for state: {error.strerror}; set CRAWL_STATE_DIR to a directory of yours"
        )
        return UsageError(message)

    def log(self, name: str) -> Path:
        """Return the log file of a child; it is appended to, over runs."""
        return self.logs / f"{name}.log"

    def put_logs_aside(self) -> None:
        """Move long logs away, once per start."""
        for path in self.logs.glob("*.log"):
            if path.stat().st_size > _LOG_LIMIT:
                path.replace(path.with_suffix(".log.1"))

    def read_run(self) -> Run | None:
        """Return the last stack's record, or None when there is none that can be read."""
        try:
            return msgspec.json.decode(self.run_path.read_bytes(), type=Run)
        except (OSError, msgspec.DecodeError):
            return None

    def write_run(self, run: Run) -> None:
        """Replace `run.json` as a whole, readable by its owner only."""
        draft = self.run_path.with_suffix(".json.new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(run)))
        draft.replace(self.run_path)

    def remove_run(self) -> None:
        """Forget the stack: nothing of it runs any more."""
        self.run_path.unlink(missing_ok=True)

    def site_ports(self) -> tuple[int, int] | None:
        """Return the ports (ordinary, misbehaving) of the site's last run here."""
        try:
            found = msgspec.json.decode(self.site_path.read_bytes())
            return int(found["port"]), int(found["rough_port"])
        except (OSError, msgspec.DecodeError, KeyError, TypeError, ValueError):
            return None

    @contextlib.contextmanager
    def locked(self, purpose: str) -> Iterator[None]:
        """Hold the directory. Waits for a reader, refuses with UsageError when a crawl holds it."""
        descriptor = self._take(purpose)
        try:
            yield
        finally:
            os.close(descriptor)

    def _take(self, purpose: str) -> int:
        deadline = time.monotonic() + READER_PATIENCE_S
        while True:
            descriptor = self.try_lock(purpose)
            if descriptor is not None:
                return descriptor
            holder = self.holder()
            crawling = holder is not None and holder.purpose != READ and holder.process.alive()
            if crawling or time.monotonic() > deadline:
                raise UsageError(self._refusal(holder))
            time.sleep(_POLL_S)

    def _refusal(self, holder: Holder | None) -> str:
        where = f"in {self.path}"
        if holder is None:
            return f"another poolcrawl is starting {where}; wait, or set CRAWL_STATE_DIR to another directory"
        if holder.purpose == DETACHED:
            return (
                f"a stack is up {where} (pid {holder.process.pid}); give it this crawl with --detach, "
                "or end it with `poolcrawl stop`"
            )
        doing = "a crawl runs" if holder.purpose == CRAWL else "poolcrawl is reading"
        pid = holder.process.pid
        return f"{doing} {where} (pid {pid}); wait for it, stop it with `kill {pid}`, or set CRAWL_STATE_DIR"

    def try_lock(self, purpose: str) -> int | None:
        """Return a descriptor that holds the lock until it is closed, or None when another process holds it."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        if not _locks(descriptor):
            os.close(descriptor)
            return None
        holder = msgspec.json.encode(Holder(identify("poolcrawl", os.getpid()), purpose))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder, 0)
        return descriptor

    def holder(self) -> Holder | None:
        """Return who held the lock last; whether that process still lives is the caller's question."""
        try:
            return msgspec.json.decode((self.path / "lock").read_bytes(), type=Holder)
        except (OSError, msgspec.DecodeError):
            return None

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Keep whoever runs a server here from stopping it, for as long as `without_readers` is patient."""
        descriptor = os.open(self.path / "readers", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def without_readers(self, patience_s: float) -> Iterator[bool]:
        """Wait for readers to finish and keep new ones waiting inside the block; yields whether all have gone."""
        deadline = time.monotonic() + patience_s
        descriptor = os.open(self.path / "readers", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not (gone := _locks(descriptor)) and time.monotonic() < deadline:
                time.sleep(_POLL_S)
            yield gone
        finally:
            os.close(descriptor)


def _try_to_write(directory: Path) -> None:
    """Raise OSError unless a directory takes a file with something in it; nothing is left of that."""
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(b"0" * _TRIED)


def _made(directory: Path) -> list[Path]:
    """Create a directory and those above it that are missing; return them, the innermost first."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    made: list[Path] = []
    try:
        for path in reversed(missing):
            path.mkdir()
            made.insert(0, path)
    except OSError:
        _remove(made)
        raise
    directory.mkdir(exist_ok=True)  # raises where it is a file
    return made


def _remove(made: list[Path]) -> None:
    """Remove directories, unless somebody uses them by now."""
    with contextlib.suppress(OSError):
        for path in made:
            path.rmdir()


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
