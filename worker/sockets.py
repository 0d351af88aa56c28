"""Sockets that obey a hard deadline, and an HTTP/1.1 answer read with bounds.

The deadline holds in every pool alike: each read and write first sets the socket's timeout to what is left, so a
server that drips bytes ends with the request's time. No signals, no watchdog. Under gevent, which waits in Python,
the same promise rests on the `timeout` attribute that gevent asks before each wait. In a slot that must not block its
thread (worker.waiting) the socket never waits itself: it tries, and lets the slot wait until trying again makes sense.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import math
import os
import re
import socket
import ssl
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from worker import waiting

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: Shortest timeout set on a socket, in seconds; zero would mean non-blocking.
_LEAST_S = 0.001
#: Most bytes of one header or trailer section, and most lines.
MAX_SECTION_BYTES = 65_536
MAX_SECTION_LINES = 256
#: Most 1xx answers before the final one.
MAX_INTERIM = 16

_CHUNK_SIZE = re.compile(rb"^[0-9a-fA-F]{1,15}$")
_DIGITS = re.compile(r"^[0-9]{1,18}$")


def _content_length(headers: http.client.HTTPMessage) -> int | None:
    """Return the declared length; repeated equal values count as one (RFC 9110 section 8.6)."""
    text = headers.get("content-length")
    if not text:
        return None
    if not _DIGITS.match(text) or len(headers.get_all("content-length", ())) > 1:
        values = {
            part.strip() for value in headers.get_all("content-length", ()) for part in value.split(",")
        }
        text = values.pop()
        if values or not _DIGITS.match(text):
            raise HeadError("Content-Length is no number, or several")
    return int(text)


class DeadlineError(TimeoutError):
    """The request's total time is over."""


class HeadError(http.client.HTTPException):
    """What came is no acceptable HTTP: too long, too many, or malformed."""


class CutError(ConnectionResetError):
    """The connection ended inside a header section."""


class _Bounded:
    """What the plain and the TLS socket share: a deadline on `time.monotonic`, and the longest wait for one read."""

    _deadline = math.inf
    _pace = math.inf
    #: Whether any byte came since `arm`.
    heard = False

    def arm(self, deadline: float, pace: float) -> None:
        """Begin a request: its deadline and the longest wait for one read, in seconds."""
        self._deadline = deadline
        self._pace = pace
        self.heard = False

    @property
    def armed(self) -> float:
        """The deadline of the request that was the last one begun on this socket."""
        return self._deadline

    def end_now(self) -> None:
        """Let the read or write that is under way in another thread fail, and all that follow."""
        self._deadline = 0.0
        with contextlib.suppress(OSError):
            # By the descriptor's own call: a TLS socket's `shutdown` would drop its state under the reader's feet.
            socket.socket.shutdown(self, socket.SHUT_RDWR)  # type: ignore[arg-type]

    def _left(self) -> float:
        left = self._deadline - monotonic()
        if left <= 0:
            message = "the total time for one request is over"
            raise DeadlineError(message)
        return max(min(left, self._pace), _LEAST_S)

    def _bounded(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Make one call of the socket's that reads, waiting no longer than what is left."""
        sock: Any = self
        slot = waiting.slot()
        if slot is None:
            sock.settimeout(self._left())
            return call(*args, **kwargs)
        return _tried(slot, sock, self._left(), lambda: call(*args, **kwargs))

    def _written(self, call: Callable[..., None], data: Any, flags: int) -> None:
        """Write everything, waiting no longer than what is left; `call` is the socket's own `sendall`."""
        sock: Any = self
        slot = waiting.slot()
        if slot is None:
            sock.settimeout(self._left())
            call(data, flags)
            return
        end = monotonic() + self._left()
        with memoryview(data).cast("B") as view:
            sent = 0
            while sent < len(view):
                send = functools.partial(sock.send, view[sent:], flags)
                sent += _tried(slot, sock, end - monotonic(), send, writing=True)


def _tried(
    slot: waiting.Slot, sock: Any, left_s: float, call: Callable[[], T], *, writing: bool = False
) -> T:
    """Make a call until it need not wait, and wait in between; TimeoutError after `left_s` seconds."""
    if sock.gettimeout() != 0.0:
        sock.settimeout(0.0)
    end = monotonic() + left_s
    while True:
        try:
            return call()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
            # TLS may have to read before it can write, and the other way round.
            toward = isinstance(want, ssl.SSLWantWriteError)
        except BlockingIOError:
            toward = writing
        left = end - monotonic()
        if left <= 0 or not slot.wait_ready(sock.fileno(), writing=toward, timeout_s=left):
            raise TimeoutError("timed out")


class PlainSocket(_Bounded, socket.socket):
    """A TCP socket whose reads and writes end with the deadline."""

    @property
    def timeout(self) -> float | None:
        """What gevent waits by, asked before each wait: never past the deadline."""
        return _capped(self.gettimeout(), self._deadline)

    @timeout.setter
    def timeout(self, value: float | None) -> None:
        self.settimeout(value)

    def connect(self, address: Any) -> None:
        """Connect, waiting no longer than the socket's timeout."""
        slot = waiting.slot()
        if slot is None:
            super().connect(address)
            return
        timeout = self.gettimeout()
        self.settimeout(0.0)
        try:
            super().connect(address)
        except BlockingIOError:
            if not slot.wait_ready(self.fileno(), writing=True, timeout_s=timeout):
                raise TimeoutError("timed out") from None
            code = self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code)) from None

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """Read, waiting no longer than what is left."""
        count = self._bounded(super().recv_into, *args, **kwargs)
        if count:
            self.heard = True
        return count

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Write everything, waiting no longer than what is left."""
        self._written(super().sendall, data, flags)


class SecureSocket(_Bounded, ssl.SSLSocket):
    """A TLS socket whose handshake, reads and writes end with the deadline."""

    @property
    def timeout(self) -> float | None:
        """What gevent waits by, asked before each wait: never past the deadline."""
        return _capped(self.gettimeout(), self._deadline)

    @timeout.setter
    def timeout(self, value: float | None) -> None:
        self.settimeout(value)

    def do_handshake(self, *args: Any, **kwargs: Any) -> None:
        """Shake hands; CPython bounds the whole of it by the socket's timeout, gevent each wait by `timeout`."""
        self._bounded(super().do_handshake, *args, **kwargs)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """Read, waiting no longer than what is left."""
        count = self._bounded(super().recv_into, *args, **kwargs)
        if count:
            self.heard = True
        return count

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Write everything, waiting no longer than what is left."""
        self._written(super().sendall, data, flags)


def _capped(timeout: float | None, deadline: float) -> float | None:
    if deadline == math.inf or timeout == 0.0:
        return timeout
    left = max(deadline - monotonic(), _LEAST_S)
    return left if timeout is None else min(timeout, left)


class Answer(http.client.HTTPResponse):
    """One HTTP/1.x answer as `http.client` reads it, with what that leaves open closed.

    Interim answers (1xx, 103 too) are skipped, a header section cut off is an error and not an empty page, header
    and trailer sections are bounded, a chunk size is hexadecimal digits only.
    """

    def begin(self) -> None:
        """Read status and headers of the final answer.

        Raises HTTPException for what is not HTTP, CutError for a section that ends with the connection.
        """
        # None until now, whatever typeshed says.
        held: Any = self.headers
        if held is not None:
            return
        for _ in range(MAX_INTERIM + 1):
            version, status, reason = self._read_status()  # type: ignore[attr-defined]
            fields = self._read_section()
            if status >= 200:
                break
        else:
            raise HeadError("more than 16 interim answers")
        if not version.startswith("HTTP/1.") and version != "HTTP/0.9":
            raise http.client.UnknownProtocol(version)
        self.code = self.status = status
        self.reason = reason.strip()
        self.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        message = http.client.HTTPMessage()
        # Filled directly: the email parser that http.client uses costs more than all the rest of this method.
        message._headers = fields  # type: ignore[attr-defined]
        self.headers = self.msg = message
        self._frame(status)

    def _frame(self, status: int) -> None:
        """Decide where the body ends (RFC 9112 section 6.3)."""
        headers = self.headers
        coding = headers.get("transfer-encoding")
        self.chunked = False
        self.chunk_left = None
        if coding is not None and coding.strip().lower() != "identity":
            if coding.strip().lower() != "chunked":
                raise HeadError(f"transfer coding {coding[:40]!r}")
            self.chunked = True
            # Where both are given the chunks count (RFC 9112 section 6.3); urllib3 would log it for every page.
            del headers["content-length"]
        self.will_close = self._check_close()  # type: ignore[attr-defined]
        self.length = None if self.chunked else _content_length(headers)
        if status in (204, 304):
            self.length = 0
        if not self.chunked and self.length is None:
            self.will_close = True

    def _lines(self) -> list[bytes]:
        """Return the lines up to the blank one; the end of the connection counts as an empty last line."""
        lines: list[bytes] = []
        room = MAX_SECTION_BYTES
        while True:
            line = self.fp.readline(room + 1)
            room -= len(line)
            if room < 0 or len(lines) > MAX_SECTION_LINES:
                raise HeadError("header section too large")
            lines.append(line)
            if line in (b"\r\n", b"\n", b""):
                return lines

    def _read_section(self) -> list[tuple[str, str]]:
        lines = self._lines()
        if lines.pop() == b"":
            raise CutError("the connection ended inside the headers")
        fields: list[tuple[str, str]] = []
        for line in lines:
            text = line.decode("latin-1")
            if text[0] in " \t" and fields:
                # Obsolete line folding (RFC 9112 section 5.2).
                name, value = fields[-1]
                fields[-1] = (name, f"{value} {text.strip()}")
                continue
            name, colon, value = text.partition(":")
            # A line without a colon is skipped; the email parser would drop all that follow it.
            if colon and name.strip():
                fields.append((name.strip(), value.strip()))
        return fields

    def _read_and_discard_trailer(self) -> None:
        self._lines()

    def _read_next_chunk_size(self) -> int:
        line = self.fp.readline(4097)
        size = line.partition(b";")[0].strip()
        # int() would take -1 (which reads without end), 0x10, +1 and 1_0.
        if len(line) > 4096 or not _CHUNK_SIZE.match(size):
            self._close_conn()  # type: ignore[attr-defined]
            if line.endswith(b"\n"):
                # A whole line that is no size is no HTTP; half a line, or none, is a dropped connection.
                raise HeadError("a chunk size that is no number")
            raise http.client.IncompleteRead(b"")
        return int(size, 16)
