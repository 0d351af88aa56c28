"""What hostile servers do beside never answering: they take no connection, their bodies have no end or swell."""

from __future__ import annotations

import contextlib
import gzip
import socket
from functools import cache
from typing import TYPE_CHECKING, Self

from embedded.ports import LOOPBACK

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    #: What a path does to a client: it writes, and says how many bytes were taken.
    Flood = Callable[[asyncio.StreamWriter, Callable[[int], None]], Awaitable[None]]

#: Body cap of the crawl that meets these bodies, bytes.
CAP_BYTES = 1 << 20
#: What an endless body sends to a client that takes it all; then the client has failed, bytes.
FLOOD_BYTES = 64 << 20
#: What the compressed bodies unpack to, bytes.
BOMB_BYTES = 256 << 20
_PIECE = b"<p>more of the same</p>\n" * 2700
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n"
#: Connections that wait to be accepted; one more gets no answer. Beyond this many the system is a stranger.
_MOST_WAITING = 64
_FULL_S = 0.2


@cache
def _bomb() -> bytes:
    """Return gzip data of 256 KB that unpack to BOMB_BYTES."""
    return gzip.compress(bytes(BOMB_BYTES), 9, mtime=0)


@cache
def _nested_bomb() -> bytes:
    """Return the same, compressed once more: about 1 KB."""
    return gzip.compress(_bomb(), 9, mtime=0)


async def endless(writer: asyncio.StreamWriter, taken: Callable[[int], None]) -> None:
    """Send chunks until the client goes away."""
    writer.write(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(FLOOD_BYTES // len(_PIECE)):
        writer.write(b"%x\r\n%s\r\n" % (len(_PIECE), _PIECE))
        await writer.drain()
        taken(len(_PIECE))


async def promised(writer: asyncio.StreamWriter, taken: Callable[[int], None]) -> None:
    """Promise a huge body, and send it."""
    writer.write(_HEAD + b"Content-Length: %d\r\n\r\n" % FLOOD_BYTES)
    for _ in range(FLOOD_BYTES // len(_PIECE)):
        writer.write(_PIECE)
        await writer.drain()
        taken(len(_PIECE))


async def bomb(writer: asyncio.StreamWriter, taken: Callable[[int], None]) -> None:
    """Send a small body that unpacks to a huge one."""
    await _compressed(writer, taken, _HEAD + b"Content-Encoding: gzip\r\n", _bomb())


async def nested(writer: asyncio.StreamWriter, taken: Callable[[int], None]) -> None:
    """Send a tiny body that unpacks to a bomb."""
    await _compressed(writer, taken, _HEAD + b"Content-Encoding: gzip, gzip\r\n", _nested_bomb())


async def redirected(writer: asyncio.StreamWriter, taken: Callable[[int], None]) -> None:
    """Redirect, with a bomb as the body that nobody asked for."""
    head = b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Type: text/html\r\nConnection: close\r\n"
    await _compressed(writer, taken, head + b"Content-Encoding: gzip\r\n", _bomb())


async def _compressed(
    writer: asyncio.StreamWriter, taken: Callable[[int], None], head: bytes, body: bytes
) -> None:
    writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    taken(len(body))


#: Bodies too long as they are sent, and bodies too long once unpacked, by path; and what a careful client records.
RAW: dict[str, Flood] = {"/endless": endless, "/promised": promised}
UNPACKED: dict[str, Flood] = {"/bomb": bomb, "/nested": nested, "/redirected": redirected}
EXPECTED = {
    **dict.fromkeys((*RAW, *UNPACKED), ("failed", "too_large")),
    "/redirected": ("redirect", None),
}


class Deaf:
    """A port that listens and completes no handshake: its queue is full. Use as a context manager."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._waiting: list[socket.socket] = []
        self.port = 0

    def __enter__(self) -> Self:
        """Fill the queue until a connection gets no answer."""
        self._listener.bind((LOOPBACK, 0))
        self._listener.listen(0)
        self.port = self._listener.getsockname()[1]
        for _ in range(_MOST_WAITING):
            one = socket.socket()
            self._waiting.append(one)
            one.settimeout(_FULL_S)
            try:
                one.connect((LOOPBACK, self.port))
            except TimeoutError:
                break
        return self

    def __exit__(self, *_: object) -> None:
        for one in (*self._waiting, self._listener):
            with contextlib.suppress(OSError):
                one.close()
