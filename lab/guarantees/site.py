"""The website of the checks: pages that answer, pages that never do, and a log of who asked for what and when.

A loop of its own in a thread of this process. Its clock and its log are the witness: a worker's word about its own
requests proves nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Self

from crawl.errors import UnavailableError
from demo.misbehaviour import drip_body, drip_header
from embedded.ports import LOOPBACK
from lab.guarantees import hostile
from lab.planted import CRASH, HOLD, HUNG, QUICK

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from demo.misbehaviour import Act
    from lab.guarantees.hostile import Flood

#: Pages of the ordinary site, all reachable from the first, and how long each takes, seconds.
PAGES = 64
LATENCY_S = 0.05
#: Links of an ordinary page.
_LINKS = 6
#: Large pages, and about how many bytes each has.
LARGE_PAGES = 6
LARGE_BYTES = 3_000_000
#: Name of the ordinary host; every endless page has a host of its own, so that none of them waits for another.
HOST = "pages.test"
#: What never ends, by the name of its host.
ENDLESS = {
    "drip-header": "http",
    "drip-body": "http",
    "hang": "http",
    "handshake": "https",
    "connect": "http",
}
#: The one of them that is never even connected to, so that the site does not see it.
CONNECT = "connect"
_ACTS: dict[str, Act] = {"drip-header": drip_header, "drip-body": drip_body}
#: Hosts that take a request and never answer, for whoever ends the crawl: more than there are slots.
STILL = tuple(f"still-{number}" for number in range(8))
#: Hosts that hang until the client gives up, as long as the site is told to.
LATE = tuple(f"late-{number}" for number in range(4))
#: Names that no resolver ever answers for: more than gevent has threads for resolving unless told otherwise.
NAMES = tuple(f"name-{number}{HUNG}" for number in range(12))
#: Pages that are fatal to parse, by path.
FATAL = {"/crash": CRASH, "/hold": HOLD}
_FLOODS: dict[str, Flood] = {**hostile.RAW, **hostile.UNPACKED}

_START_S = 10.0


@dataclass
class Asked:
    """One request as the site saw it; times on `time.monotonic`. `ended` is None while it is being served."""

    host: str
    path: str
    began: float
    ended: float | None = None
    #: Bytes of a body that the client took, as far as the system says; of bodies without end only.
    taken: int = 0


@dataclass
class Log:
    """The requests of one crawl, oldest first."""

    asked: list[Asked] = field(default_factory=list)

    def repeated(self) -> int:
        """Return how many requests were for something that had been asked for before."""
        counts = Counter((one.host, one.path) for one in list(self.asked))
        return sum(counts.values()) - len(counts)

    def open(self) -> int:
        """Return how many requests are being served now."""
        return sum(one.ended is None for one in list(self.asked))


@cache
def page(number: int) -> bytes:
    """Return an ordinary page; its links lead on, so that the frontier is never quite known in the middle."""
    targets = {(2 * number + 1) % PAGES, (2 * number + 2) % PAGES}
    targets |= {(number * 7 + step) % PAGES for step in range(_LINKS - 2)}
    links = "".join(f'<a href="{_path(target)}">page {target}</a>\n' for target in sorted(targets))
    return f"<!doctype html><title>Page {number}</title><p>This is page {number}.</p>\n{links}".encode()


@cache
def large_page(number: int) -> bytes:
    """Return a page of many small elements, which cost a parser far more memory than they have bytes."""
    rows = (
        f'<li class="row"><a href="/none/{number}/{row}">entry {row}</a> <b>{row * number}</b></li>\n'
        for row in range(LARGE_BYTES // 70)
    )
    return f"<!doctype html><title>Large {number}</title><ul>\n{''.join(rows)}</ul>".encode()


def _path(number: int) -> str:
    return f"/p/{number}" if number else "/"


class Site:
    """Serves while the block runs. `begin_log` starts a new log, `log` is the one of the crawl at hand."""

    def __init__(self) -> None:
        self.log = Log()
        self.port = self.silent_port = self.resolver_port = 0
        #: Whether the late hosts hang.
        self.holding = False
        self._deaf = hostile.Deaf()
        self._loop = asyncio.new_event_loop()
        self._serving: set[asyncio.Task[None]] = set()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="site", daemon=True)

    @property
    def resolve(self) -> tuple[str, ...]:
        """The site's names, as CRAWL_RESOLVE has them."""
        plain = (
            "pages",
            "flood",
            "fatal",
            *STILL,
            *LATE,
            *(n for n in ENDLESS if n not in {CONNECT, "handshake"}),
        )
        names = [f"{name}.test:80={LOOPBACK}:{self.port}" for name in plain]
        names.append(f"handshake.test:443={LOOPBACK}:{self.silent_port}")
        names.append(f"{CONNECT}.test:80={LOOPBACK}:{self.deaf_port}")
        return tuple(names)

    @property
    def deaf_port(self) -> int:
        """The port that completes no connection."""
        return self._deaf.port

    @property
    def resolver(self) -> str:
        """Where the planted resolver asks, as `lab.planted.RESOLVER` has it; nobody answers there."""
        return f"{LOOPBACK}:{self.resolver_port}"

    @property
    def seed(self) -> str:
        """The first of the ordinary pages."""
        return f"http://{HOST}/"

    def endless(self) -> list[str]:
        """Return the URL of everything that never ends."""
        return [f"{scheme}://{name}.test/" for name, scheme in ENDLESS.items()]

    def still(self) -> list[str]:
        """Return the URLs of what is asked for and never answered."""
        return [f"http://{name}.test/" for name in STILL]

    def late(self) -> list[str]:
        """Return the URLs of what hangs while `holding`."""
        return [f"http://{name}.test/p/1" for name in LATE]

    def unresolved(self) -> list[str]:
        """Return the URLs whose names are never resolved."""
        return [f"http://{name}/" for name in NAMES]

    def resolved(self) -> str:
        """Return the URL of a page whose name the worker's resolver does answer for."""
        return f"http://page{QUICK}:{self.port}/"

    def floods(self) -> list[str]:
        """Return the URL of every body that is too long."""
        return [f"http://flood.test{path}" for path in _FLOODS]

    def fatal(self, path: str) -> str:
        """Return the URL of a page that is fatal to parse."""
        return f"http://fatal.test{path}"

    def large(self) -> list[str]:
        """Return the URLs of the large pages."""
        return [f"http://{HOST}/large/{number}" for number in range(LARGE_PAGES)]

    def begin_log(self) -> Log:
        """Return the log of what is asked for from now on."""
        self.log = Log()
        return self.log

    def __enter__(self) -> Self:
        self._deaf.__enter__()
        self._thread.start()
        if not self._listening.wait(_START_S):
            message = f"the site of the checks did not listen within {_START_S:.0f} s"
            raise UnavailableError(message)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._deaf.__exit__()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        servers = [
            self._loop.run_until_complete(asyncio.start_server(handler, LOOPBACK, 0, backlog=256))
            for handler in (self._on_http, self._on_silent, self._on_resolver)
        ]
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        self.port, self.silent_port, self.resolver_port = ports
        self._listening.set()
        self._loop.run_forever()
        for server in servers:
            server.close()
        for task in self._serving:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._serving, return_exceptions=True))
        self._loop.close()

    def _on_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serve(self._answer(reader, writer), writer)

    def _on_silent(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serve(self._stall("handshake.test", "/", reader, writer, None), writer)

    def _on_resolver(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serve(self._resolve_never(reader, writer), writer)

    async def _resolve_never(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = (await reader.readline()).decode("latin-1").strip()
        await self._stall(name, "(name)", reader, writer, None)

    def _serve(self, answering: Coroutine[None, None, None], writer: asyncio.StreamWriter) -> None:
        async def until_end() -> None:
            # A client that leaves is what these checks are about.
            with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
                try:
                    await answering
                finally:
                    writer.close()

        task = self._loop.create_task(until_end())
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path, host = _request(head.decode("latin-1").split("\r\n"))
            name = host.partition(".")[0]
            if name in ENDLESS or name in STILL:
                await self._stall(host, path, reader, writer, _ACTS.get(name))
                return
            if name in LATE and self.holding:
                await self._stall(host, path, reader, writer, None)
                return
            if name == "flood" and path in _FLOODS:
                await self._flood(host, path, writer)
                return
            await self._page(host, path, writer)

    async def _page(self, host: str, path: str, writer: asyncio.StreamWriter) -> None:
        asked = self._note(host, path)
        try:
            await asyncio.sleep(LATENCY_S)
            status, body = _content(path)
            head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        finally:
            asked.ended = time.monotonic()

    async def _flood(self, host: str, path: str, writer: asyncio.StreamWriter) -> None:
        asked = self._note(host, path)

        def taken(count: int) -> None:
            asked.taken += count

        try:
            await _FLOODS[path](writer, taken)
        finally:
            asked.ended = time.monotonic()

    async def _stall(
        self,
        host: str,
        path: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        act: Act | None,
    ) -> None:
        """Answer without end, or not at all; note when the client gave up."""
        asked = self._note(host, path)
        acting = None if act is None else asyncio.ensure_future(act(reader, writer))
        try:
            while await reader.read(4096):
                pass
        finally:
            asked.ended = time.monotonic()
            if acting is not None:
                acting.cancel()
                await asyncio.gather(acting, return_exceptions=True)

    def _note(self, host: str, path: str) -> Asked:
        asked = Asked(host, path, time.monotonic())
        self.log.asked.append(asked)
        return asked


def _request(lines: Iterable[str]) -> tuple[str, str]:
    """Return path and host name of a request's head."""
    first, *fields = lines
    named = {name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in fields)}
    return first.split(" ")[1], named.get("host", "").partition(":")[0]


def _content(path: str) -> tuple[str, bytes]:
    kind, _, number = path.strip("/").rpartition("/")
    if path == "/":
        return "200 OK", page(0)
    if kind == "p" and number.isdecimal() and int(number) < PAGES:
        return "200 OK", page(int(number))
    if path in FATAL:
        return "200 OK", b"<!doctype html><title>Fatal</title><p>Harmless to look at.</p>" + FATAL[path]
    if kind == "large" and number.isdecimal():
        return "200 OK", large_page(int(number))
    return "404 Not Found", b""
