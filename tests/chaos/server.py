"""A Redis or Valkey of one scene, with an append-only file, that can be killed, frozen, filled and started again."""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import signal
import subprocess
from typing import TYPE_CHECKING

import redis
from stack import wait_for

from embedded.ports import LOOPBACK, free_port
from embedded.server import binary

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

_UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class Server:
    """Configured as the embedded and the compose server are. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.port = free_port()
        self.password = secrets.token_urlsafe(12)
        self._process: subprocess.Popen[bytes] | None = None
        #: The judge's own way in: not through any link, and quick to say that the server is away.
        self.client = redis.Redis.from_url(self.url(), socket_timeout=10)

    def url(self, port: int | None = None) -> str:
        """Return the address with the password; `port` is that of a link to this server."""
        return f"redis://:{self.password}@{LOOPBACK}:{port or self.port}/0"

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self._process is not None and self._process.poll() is None:
            self.freeze(False)
            self._process.kill()
            self._process.wait()

    def start(self) -> None:
        """Start on what the append-only file holds, and wait until it answers."""
        place = f"--port {self.port} --bind {LOOPBACK} --requirepass {self.password} --loglevel warning"
        kept = "--appendonly yes --appendfsync everysec --maxmemory-policy noeviction"
        words = [*place.split(), *kept.split(), "--save", "", "--dir", str(self.path)]
        with (self.path / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary(), *words],
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                stdout=log,
                stderr=log,
                # The signal of a file that may not grow stays ignored, as in this process, so that the server gets
                # an error, as it would from a full disk.
                restore_signals=False,
            )
        wait_for(self.answers, "the server answers")

    def answers(self) -> bool:
        """Whether it is there and has loaded its data."""
        process = self._running()
        assert process.poll() is None, (self.path / "server.log").read_text()
        with contextlib.suppress(redis.RedisError):
            return bool(self.client.ping())
        return False

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        """End it at once."""
        process = self._running()
        process.kill()
        process.wait()

    def freeze(self, frozen: bool = True) -> None:
        """Stop the process as it stands, or let it go on."""
        self._running().send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def limit_memory(self, size: int) -> None:
        """Set the most bytes it may hold; 0 is no limit."""
        self.client.config_set("maxmemory", size)

    def used_memory(self) -> int:
        """Return how many bytes it holds."""
        return int(self.client.info("memory")["used_memory"])

    def refused(self, code: str) -> int:
        """Return how many commands it has answered with this error (INFO, errorstats)."""
        counted = self.client.info("errorstats").get(f"errorstat_{code}")
        return int(counted["count"]) if counted else 0

    def fill_disk(self, full: bool = True) -> None:
        """Let no file of the server grow any further, or let them grow again.

        The limit of one process stands for a full disk, so that nobody needs to be root and no other process suffers;
        the server meets EFBIG where it would meet ENOSPC, and treats both alike.
        """
        largest = max((file.stat().st_size for file in self.path.rglob("*.aof")), default=0)
        limits = (largest, resource.RLIM_INFINITY) if full else _UNLIMITED
        resource.prlimit(self._running().pid, resource.RLIMIT_FSIZE, limits)
