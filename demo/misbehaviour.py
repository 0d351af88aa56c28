"""What breaks HTTP, one coroutine each, on a raw connection; and what a correct crawl records for each.

The expected records follow one line of thought: a connection that ends too early is `reset`, bytes that are
not HTTP are `protocol`, an answer that is not complete in time is `timeout`, and a body that is more than it
seems is `too_large`.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections.abc import Awaitable, Callable
from functools import cache
from typing import NamedTuple

from demo.hosts import ROUGH

Act = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

#: A drip every quarter second: no read ever times out, only the whole request does.
DRIP_GAP_S = 0.25
#: Nobody waits longer than this for a page that never comes; it bounds what a forgotten client costs.
PATIENCE_S = 300.0
#: More than the crawler's body cap of 10 MiB, from 32 KB on the wire.
BOMB_BYTES = 32 * 1024 * 1024
#: Headers sent to a client that never gives up.
HEADER_BOMB_BYTES = 64 * 1024 * 1024

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n"
_BODY = b"<!doctype html><title>Rough</title><p>Only half of what was promised.</p>\n"


class Misbehaviour(NamedTuple):
    """One path of the rough host; `transient` says that a crawler asks again before it gives up."""

    path: str
    what: str
    outcome: str
    reason: str | None
    transient: bool
    act: Act

    @property
    def url(self) -> str:
        """Canonical URL."""
        return ROUGH.origin + self.path


@cache
def bomb() -> bytes:
    """Return gzip data that is a thousand times larger than it looks."""
    return gzip.compress(b"<!doctype html><title>Bomb</title>" + b" " * BOMB_BYTES, mtime=0)


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def drop(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Close before answering: the server closes every connection after its act."""


async def cut_headers(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close within the header section; Python's http.client takes that for a complete, empty answer."""
    await _send(writer, b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Promise: a bod")


async def short(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Promise more bytes than come."""
    await _send(writer, _HEAD + b"Content-Length: 4096\r\n\r\n" + _BODY)


async def short_chunked(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close without the last chunk."""
    chunk = b"%x\r\n%s\r\n" % (len(_BODY), _BODY)
    await _send(writer, _HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)


async def bad_chunk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a chunk whose size is no number."""
    await _send(writer, _HEAD + b"Transfer-Encoding: chunked\r\n\r\nlane four\r\n" + _BODY + b"\r\n0\r\n\r\n")


async def garbage(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with bytes that are no HTTP."""
    await _send(writer, b"\x00\x17\xfe\xff glub glub \r\n\r\n" + bytes(range(256)))


async def banner(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as another protocol does."""
    await _send(writer, b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Never answer; end when the client does."""
    while await reader.read(4096):
        pass


async def drip_header(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send one byte of a header at a time."""
    await _send(writer, b"HTTP/1.1 200 OK\r\nX-Drip: ")
    while True:
        await asyncio.sleep(DRIP_GAP_S)
        await _send(writer, b"d")


async def drip_body(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send one byte of a body at a time."""
    await _send(writer, _HEAD + b"Content-Length: 65536\r\n\r\n")
    while True:
        await asyncio.sleep(DRIP_GAP_S)
        await _send(writer, b"d")


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End the connection with a TCP reset instead of an answer."""
    _abort(writer)


async def reset_body(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End the connection with a TCP reset in the middle of a body."""
    await _send(writer, _HEAD + b"Content-Length: 4096\r\n\r\n" + _BODY)
    # A reset throws away what the client has not read yet; with this pause it comes after the beginning.
    await asyncio.sleep(0.1)
    _abort(writer)


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close so that the kernel sends RST: SO_LINGER with a time of zero (socket(7))."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def header_bomb(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send headers until the client goes away."""
    await _send(writer, b"HTTP/1.1 200 OK\r\n")
    block = b"".join(b"X-Bomb-%d: %s\r\n" % (number, b"b" * 200) for number in range(300))
    for _ in range(HEADER_BOMB_BYTES // len(block)):
        await _send(writer, block)


async def broken_gzip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send gzip data that is damaged in the middle; the length is right."""
    data = bytearray(gzip.compress(_BODY * 50, mtime=0))
    # A deflate block of type 3, which does not exist (RFC 1951 section 3.2.3), right after the gzip header.
    data[10:] = b"\x07" + bytes(len(data) - 11)
    await _send(
        writer, _HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(data) + bytes(data)
    )


async def gzip_bomb(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a small body that decompresses to a huge one."""
    head = _HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb())
    await _send(writer, head + bomb())


async def redirect_bomb(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Redirect, with a body that decompresses to a huge one: `requests` reads it although nobody asked."""
    await _send(
        writer,
        b"HTTP/1.1 302 Found\r\nLocation: /after-the-bomb\r\nContent-Type: text/html\r\nConnection: close\r\n"
        b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb()) + bomb(),
    )


#: In the order of the rough host's index.
MISBEHAVIOURS = (
    Misbehaviour("/drop", "Closes before answering", "failed", "reset", True, drop),
    Misbehaviour("/cut-headers", "Closes within the headers", "failed", "reset", True, cut_headers),
    Misbehaviour("/short", "Closes before the promised length", "failed", "reset", True, short),
    Misbehaviour("/short-chunked", "Closes before the last chunk", "failed", "reset", True, short_chunked),
    Misbehaviour("/reset", "Resets the connection instead of answering", "failed", "reset", True, reset),
    Misbehaviour("/reset-body", "Resets the connection in the body", "failed", "reset", True, reset_body),
    Misbehaviour("/hang", "Never answers", "failed", "timeout", True, hang),
    Misbehaviour("/drip-header", "Drips its headers", "failed", "timeout", True, drip_header),
    Misbehaviour("/drip-body", "Drips its body", "failed", "timeout", True, drip_body),
    Misbehaviour("/garbage", "Answers with bytes that are not HTTP", "failed", "protocol", False, garbage),
    Misbehaviour("/banner", "Answers with another protocol's greeting", "failed", "protocol", False, banner),
    Misbehaviour(
        "/bad-chunk", "Sends a chunk size that is no number", "failed", "protocol", False, bad_chunk
    ),
    Misbehaviour("/header-bomb", "Sends headers without end", "failed", "protocol", False, header_bomb),
    Misbehaviour("/broken-gzip", "Sends damaged gzip data", "failed", "decode", False, broken_gzip),
    Misbehaviour("/gzip-bomb", "Sends 32 KB that unpack to 32 MiB", "failed", "too_large", False, gzip_bomb),
    Misbehaviour(
        "/redirect-bomb", "Redirects, with a bomb as its body", "redirect", None, False, redirect_bomb
    ),
)
