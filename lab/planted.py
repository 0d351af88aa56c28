"""A worker with faults planted below the crawler: a resolver that never answers, and pages that are fatal to parse.

`python -m lab.planted` becomes a Celery worker exactly as `poolcrawl worker` does, with this module's app. What is
planted lies where the system or a library would fail, never in the crawler itself:

- names under `.hung.test` block a native thread in `getaddrinfo`, as the C library's does while no server answers; it
  lets other threads run, and knows no timeout. `.quick.test` is answered at once.
- a page that holds CRASH ends the process in native code, one that holds HOLD keeps the interpreter for itself in a
  regular expression, which no thread of Python's can interrupt.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: The variable that says where the server of names listens that never answers, as ADDRESS:PORT.
RESOLVER = "POOLCRAWL_LAB_RESOLVER"
HUNG, QUICK = ".hung.test", ".quick.test"
CRASH, HOLD = b"<!-- planted: crash -->", b"<!-- planted: hold -->"
LOOPBACK = "127.0.0.1"
#: Backtracks for longer than the universe is old, and never gives the interpreter away.
_ENDLESS = re.compile(rb"(?:a+)+$")


def resolving(real: Callable[..., Any], resolver: str) -> Callable[..., Any]:
    """Return a `getaddrinfo` that never comes back for names under `.hung.test`."""
    # Not socket.socket, which a pool may have patched: the thread itself has to be stuck, not a greenlet.
    import _socket

    address, _, port = resolver.rpartition(":")

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode("latin-1") if isinstance(host, bytes) else str(host)
        if name.endswith(QUICK):
            return real(LOOPBACK, *args, **kwargs)
        if name.endswith(HUNG):
            asking = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
            asking.connect((address, int(port)))
            asking.sendall(name.encode() + b"\n")
            while asking.recv(1):
                pass
        return real(host, *args, **kwargs)

    return getaddrinfo


def fatal(parse: Callable[..., Any]) -> Callable[..., Any]:
    """Return the parse that dies of a page, or never ends with it, where the page says so."""

    def read(url: str, body: bytes, *args: Any, **kwargs: Any) -> Any:
        if CRASH in body:
            import ctypes

            ctypes.string_at(0)
        if HOLD in body:
            _ENDLESS.match(b"a" * 100 + b"!")
        return parse(url, body, *args, **kwargs)

    return read


def _make() -> Any:
    import _socket

    from worker import app as worker_app
    from worker.process import Process

    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        # A planted crash is no reason to write a core file.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if resolver := os.environ.get(RESOLVER):
        _socket.getaddrinfo = resolving(_socket.getaddrinfo, resolver)
    Process.parse = staticmethod(fatal(Process.parse))
    return worker_app.app


def __getattr__(name: str) -> Any:
    """Make `lab.planted:app` when Celery asks for it, after it has patched what the pool needs patched."""
    if name != "app":
        raise AttributeError(name)
    return _make()


def main() -> None:
    """Become the worker; does not return."""
    from crawl import settings
    from worker import command

    command.become(settings.load(), "lab.planted:app")


if __name__ == "__main__":
    main()
