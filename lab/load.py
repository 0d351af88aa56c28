"""How fast the site is without a crawler: keep-alive connections on raw sockets from a few processes.

A trial is only worth its numbers while the site is far from its own limit, so `require_headroom` refuses.
"""

from __future__ import annotations

import multiprocessing
import signal
import socket
import ssl
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from crawl.errors import UnavailableError, UsageError
from embedded.ports import LOOPBACK
from lab.site import page_path

#: The site alone must be at least this many times as fast as the fastest trial (issue 2, F).
HEADROOM = 3.0
#: Client processes of the load test.
PROCESSES = 2
#: Requests of one client process in one round.
REQUESTS = 6000
#: Rounds; the best one counts, because anything else on the machine can only slow a round down.
ROUNDS = 2


@dataclass(frozen=True)
class Span:
    """What one client process did: clock readings (time.monotonic, shared by all processes) and answers."""

    started: float
    ended: float
    answers: int


def rate(spans: list[Span]) -> float:
    """Answers per second of clients that ran side by side."""
    return sum(span.answers for span in spans) / (max(s.ended for s in spans) - min(s.started for s in spans))


@dataclass(frozen=True)
class Target:
    """What is asked for: pages as (host, path), on a port of this machine.

    With `ca_file` over TLS, for the host of the first page. `header` is one more line of every request.
    """

    port: int
    pages: tuple[tuple[str, str], ...]
    ca_file: str | None = None
    header: str | None = None

    def connect(self) -> socket.socket:
        """Return a new connection."""
        connection = socket.create_connection((LOOPBACK, self.port), 10.0)
        if self.ca_file is None:
            return connection
        context = ssl.create_default_context(cafile=self.ca_file)
        return context.wrap_socket(connection, server_hostname=self.pages[0][0])

    def request(self, number: int) -> bytes:
        """Return the request for a page; behind the last comes the first again."""
        host, path = self.pages[number % len(self.pages)]
        more = f"{self.header}\r\n" if self.header else ""
        return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


def of_site(port: int, pages: int) -> Target:
    """Return the pages of the generated site (`lab.site`) on `port`."""
    return Target(port, tuple((f"{LOOPBACK}:{port}", page_path(number)) for number in range(pages)))


def fetch_many(target: Target, first: int, count: int) -> Span:
    """Fetch `count` pages one after the other over one connection, beginning with the target's page `first`.

    Raises UnavailableError for any answer but a complete 200.
    """
    requests = [target.request(number) for number in range(len(target.pages))]
    with target.connect() as connection:
        buffer = bytearray(1 << 16)
        started = time.monotonic()
        for number in range(first, first + count):
            request = requests[number % len(requests)]
            connection.sendall(request)
            _read_answer(connection, buffer, request)
        return Span(started, time.monotonic(), count)


def measure(target: Target, *, requests: int = REQUESTS, rounds: int = ROUNDS) -> float:
    """Pages per second of the site alone: the best of a few rounds."""
    best, pages = 0.0, len(target.pages)
    with ProcessPoolExecutor(
        PROCESSES,
        mp_context=multiprocessing.get_context("spawn"),
        # A Ctrl-C is the parent's to answer.
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    ) as pool:
        # Every file is opened once before a round counts.
        list(pool.map(fetch_many, [target], [0], [pages]))
        for _ in range(rounds):
            firsts = [pages * n // PROCESSES for n in range(PROCESSES)]
            spans = pool.map(fetch_many, [target] * PROCESSES, firsts, [requests] * PROCESSES)
            best = max(best, rate(list(spans)))
    return best


def require_headroom(site_rate: float, trial_rate: float, trial: str) -> None:
    """Raise UsageError if a trial came too near to what the site can serve."""
    if site_rate < HEADROOM * trial_rate:
        raise UsageError(
            f"the site alone serves {site_rate:.0f} pages/s, less than {HEADROOM:.0f} times the {trial_rate:.0f} "
            f"of {trial}: the numbers would measure the site; install nginx, or run on a quieter machine"
        )


def _read_answer(connection: socket.socket, buffer: bytearray, request: bytes) -> None:
    have = 0
    while (end := buffer.find(b"\r\n\r\n", 0, have)) < 0:
        have += _receive(connection, buffer, have, request)
    head = bytes(buffer[:end])
    if not head.startswith(b"HTTP/1.1 200 "):
        raise UnavailableError(f"the site answered {head.splitlines()[0]!r} for {_asked(request)}")
    length = next(
        int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length:")
    )
    missing = end + 4 + length - have
    while missing > 0:
        missing -= _receive(connection, buffer, 0, request)


def _receive(connection: socket.socket, buffer: bytearray, offset: int, request: bytes) -> int:
    count = connection.recv_into(memoryview(buffer)[offset:])
    if count == 0:
        raise UnavailableError(f"the site closed the connection in the answer for {_asked(request)}")
    return count


def _asked(request: bytes) -> str:
    return request.split(b" ", 2)[1].decode()
