"""The ten pages that every rung reads, how one is fetched, how one is parsed, and the digest of the results.

A URL says how long the server waits before it answers (`wait`, seconds), a page how much CPU its parse costs: so a
rung can be pointed at any server, and a parse needs nothing but the body, in whatever process it runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import socket
import threading
import time
from html.parser import HTMLParser
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from crawl.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: How many different pages there are.
COUNT = 10
#: The day of the tutorial; no other seed was tried for the results in docs/ladder.md.
SEED = 20190521
#: Between these the server's answer is drawn for each page, seconds.
FASTEST_S, SLOWEST_S = 1.0, 3.0
#: How long a fetch waits for the next bytes, seconds.
PATIENCE_S = 30.0
#: Paragraphs of a page, which make it 4 kB: the parse itself takes about a millisecond.
_PARAGRAPHS = 20


def latencies(seed: int = SEED, count: int = COUNT) -> list[float]:
    """Return the seconds each page takes, in milliseconds' steps."""
    random_ = random.Random(seed)
    return [round(random_.uniform(FASTEST_S, SLOWEST_S), 3) for _ in range(count)]


def url(port: int, number: int, *, wait_s: float, burn_ms: float) -> str:
    """Return the address of a page."""
    return f"http://127.0.0.1:{port}/page/{number}?wait={wait_s:.4f}&burn={burn_ms:g}"


def body(number: int, burn_ms: float) -> str:
    """Return a page; it says in its head what its parse costs, milliseconds of CPU."""
    words = random.Random(number).choices(("process", "thread", "greenlet", "coroutine", "event"), k=600)
    lines = [
        f'<p>{" ".join(words[30 * n : 30 * n + 30])} <a href="/page/{(number + n) % COUNT}">{n}</a></p>'
        for n in range(_PARAGRAPHS)
    ]
    head = f'<title>Page {number}</title><meta name="burn-ms" content="{burn_ms:g}">'
    return f"<html><head>{head}</head><body>\n{chr(10).join(lines)}\n</body></html>\n"


def request(address: str) -> bytes:
    """Return the bytes that ask for a page; the server closes the connection after its answer."""
    parts = urlsplit(address)
    return f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()


def body_of(answer: bytes) -> str:
    """Return the body of a complete answer. Raises UnavailableError for anything but a complete 200."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    if not head.startswith(b"HTTP/1.1 200 ") or length is None or int(length[1]) != len(rest):
        message = f"the page server answered {head[:40]!r} and {len(rest)} bytes"
        raise UnavailableError(message)
    return rest.decode()


def fetch(address: str) -> str:
    """Return the body of a page. Blocks its thread (under gevent: its greenlet) until the server has answered."""
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname or "", parts.port or 80), PATIENCE_S) as connection:
        connection.sendall(request(address))
        answer = b""
        while received := connection.recv(65536):
            answer += received
    return body_of(answer)


def is_up(address: str) -> bool:
    """Say whether the server of a page can be connected to now."""
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), PATIENCE_S).close()
    except ConnectionRefusedError:
        return False
    return True


class Parsed(NamedTuple):
    """What a page says, and where it was parsed: process, thread of the system, and that thread's name."""

    title: str
    links: list[str]
    sha256: str
    process: int
    thread: int
    thread_name: str


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.burn_ms = 0.0
        self.links: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a":
            self.links.append(found.get("href") or "")
        elif tag == "meta" and found.get("name") == "burn-ms":
            self.burn_ms = float(found.get("content") or 0)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def parse(html: str) -> Parsed:
    """Return what a page says, after as much CPU time of this thread as the page asks for.

    Time in which another thread has the processor or the interpreter does not count, as with a real parser.
    """
    began = time.thread_time()
    reader = _Reader()
    reader.feed(html)
    text = "".join(reader.texts)
    while time.thread_time() - began < reader.burn_ms / 1000:
        sum(range(1000))
    return Parsed(
        title=reader.texts[0],
        links=reader.links,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        process=os.getpid(),
        thread=threading.get_native_id(),
        thread_name=threading.current_thread().name,
    )


def digest(results: Iterable[Parsed]) -> str:
    """Return one hash of what the results say, whatever their order and wherever they were parsed."""
    distinct = sorted({json.dumps([found.title, found.links, found.sha256]) for found in results})
    return hashlib.sha256("\n".join(distinct).encode()).hexdigest()


def expected_digest() -> str:
    """Return the digest of the ten pages, read without any server."""
    return digest(parse(body(number, 0)) for number in range(COUNT))
