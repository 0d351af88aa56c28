"""How the lab's site answers: HTTP/1.1 on bare asyncio protocols, every answer made beforehand, each when it is due.

Far less work per request than any crawler's, so that one core serves what all others ask for.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from lab import pages as site_pages
from lab.site import ROBOTS

if TYPE_CHECKING:
    from lab.pages import Pages

#: Longest head of a request, bytes.
MOST_HEAD = 16_384
#: Seconds between two looks at how late the loop is.
TICK_S = 0.01
#: A request that carries it is answered at once, whatever the page's latency.
NO_LATENCY = "X-No-Latency: 1"
#: The host that asks for statistics; no page lives there.
STATS_HOST = b"127.0.0.1"
STATS_PATH = "/_stats"

_BARE = b"HTTP/1.1 %s\r\nServer: poolcrawl-lab\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def answer(status: str, kind: str, body: bytes) -> bytes:
    """Return a whole answer, head and body."""
    head = (
        f"HTTP/1.1 {status}\r\nServer: poolcrawl-lab\r\nContent-Type: {kind}; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


class Spread:
    """Many durations, kept as counts of hundredths of a millisecond."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count one duration; a negative one is none."""
        self._counts[max(0, int(seconds * 1e5))] += 1

    def row(self) -> dict[str, float]:
        """Return p50, p95, p99 and max in milliseconds (nearest rank), zeros where nothing was counted."""
        total = self._counts.total()
        ranks = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
        found = dict.fromkeys(ranks, 0.0)
        passed = 0
        for value, count in sorted(self._counts.items()):
            for name, share in ranks.items():
                if passed < share * total:
                    found[name] = value / 100
            passed += count
        return found


@dataclass
class Statistics:
    """What the server did since the last reset.

    `late` is how long after its due time each answer was given. That says nothing of the time before a request was
    read, which `loop` tells: how late the loop was every 10 ms.
    """

    answers: int = 0
    late: Spread = field(default_factory=Spread)
    loop: Spread = field(default_factory=Spread)
    began: float = field(default_factory=time.monotonic)
    cpu_began: float = field(default_factory=time.process_time)

    def row(self) -> dict[str, Any]:
        """Return it for JSON; `late_ms` is the greater of the two, `cpu_s` of this process only."""
        late, loop = self.late.row(), self.loop.row()
        return {
            "pid": os.getpid(),
            "answers": self.answers,
            "late_ms": {name: max(late[name], loop[name]) for name in late},
            "answers_ms": late,
            "loop_ms": loop,
            "cpu_s": round(time.process_time() - self.cpu_began, 4),
            "seconds": round(time.monotonic() - self.began, 4),
        }


class Answers:
    """Every answer of a site, by host and path, with its latency in seconds."""

    def __init__(self, pages: Pages) -> None:
        self.statistics = Statistics()
        self.missing = answer("404 Not Found", "text/html", site_pages.NOT_FOUND)
        self._ready: dict[bytes, dict[bytes, tuple[bytes, float]]] = {}
        workload = pages.workload
        robots = answer("200 OK", "text/plain", ROBOTS.encode())
        for number, cost in enumerate(pages.costs):
            name = site_pages.host(workload, number).encode()
            here = self._ready.setdefault(name, {b"/robots.txt": (robots, 0.0)})
            found = self.missing if cost.fails else answer("200 OK", "text/html", pages.body(number))
            here[site_pages.path(workload, number).encode()] = (found, cost.latency_ms / 1000)

    def find(self, host: bytes, path: bytes) -> tuple[bytes, float]:
        """Return the answer to a GET and its latency; a 404 without latency where no page is."""
        here = self._ready.get(host)
        if here is not None:
            return here.get(path, (self.missing, 0.0))
        if host == STATS_HOST and path.partition(b"?")[0] == STATS_PATH.encode():
            return self._statistics(reset=path.endswith(b"?reset")), -1.0
        return self.missing, 0.0

    def _statistics(self, *, reset: bool) -> bytes:
        body = json.dumps(self.statistics.row()).encode()
        if reset:
            self.statistics = Statistics()
        return answer("200 OK", "application/json", body)

    async def watch(self) -> None:
        """Look at how late the loop is, until cancelled."""
        while True:
            due = time.monotonic() + TICK_S
            await asyncio.sleep(TICK_S)
            self.statistics.loop.add(time.monotonic() - due)


class Connection(asyncio.Protocol):
    """One connection: one request at a time, what came after it waits in the buffer."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None
        self._full = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's is no subclass of asyncio's, so that nothing but a cast can be said here.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _: Exception | None) -> None:
        """Forget the answer that was due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._buffer = b""

    def pause_writing(self) -> None:
        """Answer no more while the client does not read."""
        self._full = True

    def resume_writing(self) -> None:
        """Go on."""
        self._full = False
        self._take()

    def data_received(self, data: bytes) -> None:
        """Take requests, unless one is still to be answered."""
        self._buffer = self._buffer + data if self._buffer else data
        self._take()

    def _take(self) -> None:
        """Answer what can be answered now, up to the first request that must wait."""
        while self._buffer and self._timer is None and not self._full and not self._transport.is_closing():
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                if len(head) > MOST_HEAD:
                    self._end(b"431 Request Header Fields Too Large")
                return
            self._buffer = rest
            self._one(head)

    def _one(self, head: bytes) -> None:
        line, _, fields = head.partition(b"\r\n")
        words = line.split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return self._end(b"400 Bad Request")
        if words[0] != b"GET":
            return self._end(b"405 Method Not Allowed")
        lower = fields.lower()
        host = _value(lower, b"host").partition(b":")[0]
        found, latency_s = self._answers.find(host, words[1])
        close = words[2] != b"HTTP/1.1" or _value(lower, b"connection") == b"close"
        due = time.monotonic()
        if latency_s > 0 and not _value(lower, b"x-no-latency"):
            due += latency_s
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(latency_s, self._due, found, due, close)
        else:
            self._give(found, due if latency_s >= 0 else None, close=close)
        return None

    def _due(self, found: bytes, due: float, close: bool) -> None:
        self._timer = None
        self._give(found, due, close=close)
        self._take()

    def _give(self, found: bytes, due: float | None, *, close: bool) -> None:
        """Write an answer; `due` None is one that does not count."""
        self._transport.write(found.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) if close else found)
        if due is not None:
            statistics = self._answers.statistics
            statistics.answers += 1
            statistics.late.add(time.monotonic() - due)
        if close:
            self._transport.close()

    def _end(self, status: bytes) -> None:
        self._transport.write(_BARE % status)
        self._transport.close()


def _value(fields: bytes, name: bytes) -> bytes:
    """Return the value of a header in lower-cased fields, empty where it is not there."""
    start = fields.find(name + b":")
    while start > 0 and fields[start - 1 : start] != b"\n":
        start = fields.find(name + b":", start + 1)
    if start < 0:
        return b""
    end = fields.find(b"\r\n", start)
    return fields[start + len(name) + 1 : end if end >= 0 else None].strip()
