"""The server of the ladder's pages: `python -m lab.ladder.server PORT [AFTER_S]`, in a process of its own.

Answers `/page/N` and `/store/N` after the `wait` of the URL, and `/peak/0` with the most pages that were asked for at
once since the last such question: the proof that a rung overlaps its waiting, or does not. It listens only AFTER_S
seconds after its start, for the rungs that wait for a server to come up.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit, urlunsplit

from crawl.errors import UsageError
from embedded.ports import LOOPBACK, free_port
from lab.ladder.descriptors import SPARE, raise_limit
from lab.ladder.pages import body

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The most idle connections that a rung opens.
IDLE = 1000


class Asked:
    """How many pages are being asked for now, and at most."""

    now = 0
    peak = 0


async def page(number: int, wait_s: float, burn_ms: float) -> str:
    """Return a page after a while."""
    Asked.now += 1
    Asked.peak = max(Asked.peak, Asked.now)
    try:
        await asyncio.sleep(wait_s)
    finally:
        Asked.now -= 1
    return body(number, burn_ms)


async def store(wait_s: float) -> str:
    """Say after a while that something was stored."""
    await asyncio.sleep(wait_s)
    return "stored\n"


def peak() -> str:
    """Return the most pages at once, and begin anew."""
    found, Asked.peak = Asked.peak, Asked.now
    return str(found)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read one request, wait as long as its URL says, answer, close. A connection that asks nothing is left open."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        target = urlsplit(head.split(b" ", 2)[1].decode())
        query = {name: values[0] for name, values in parse_qs(target.query).items()}
        wait_s, burn_ms = float(query.get("wait", 0)), float(query.get("burn", 0))
        kind, number = target.path.strip("/").split("/")
        if kind == "page":
            text = await page(int(number), wait_s, burn_ms)
        else:
            text = await store(wait_s) if kind == "store" else peak()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(text), text.encode()))
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def serve(port: int, after_s: float) -> None:
    """Listen after a while, until a signal ends the process."""
    await asyncio.sleep(after_s)
    server = await asyncio.start_server(answer, LOOPBACK, port, backlog=1024)
    async with server:
        await server.serve_forever()


@contextmanager
def late(pages: list[str], after_s: float) -> Iterator[list[str]]:
    """Start one more server, which comes up `after_s` from now; give the addresses of the same pages on it."""
    port = free_port()
    command = [sys.executable, "-P", "-m", "lab.ladder.server", str(port), str(after_s)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            yield [urlunsplit(urlsplit(page)._replace(netloc=f"{LOOPBACK}:{port}")) for page in pages]
        finally:
            process.terminate()


if __name__ == "__main__":
    # Where that is not allowed, the rung finds out too, and says so.
    with suppress(UsageError):
        raise_limit(IDLE + SPARE)
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
