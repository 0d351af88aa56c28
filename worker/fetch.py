"""One request, one page reference: what the web does becomes an outcome and a reason, never an exception.

The body is streamed raw under a byte cap and decoded here, again under the cap, so that no compressed bomb is ever
unpacked. A redirect's body is not read at all (requests would read and unpack it, psf/requests#1952).
"""

from __future__ import annotations

import http.client
import logging
import re
import ssl
import zlib
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias

from urllib3.exceptions import InvalidHeader

from crawl.errors import FetchError, FinalFetchError, TransientFetchError
from crawl.records import PageRef
from crawl.urls import join
from worker.parse.kinds import readable
from worker.sessions import Limits
from worker.sockets import DeadlineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from urllib3.response import HTTPResponse

    from crawl.records import CrawlOptions, FetchRequest
    from worker.sessions import Web

log = logging.getLogger(__name__)

Begin: TypeAlias = "Callable[[Limits], None]"


def _unwatched(_: Limits) -> None:
    """Let nobody abort the request."""


REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: What robots.txt is read of, in bytes (RFC 9309 section 2.5).
ROBOTS_BYTES = 500 * 1024
#: Redirects of robots.txt that are followed (RFC 9309 section 2.3.1.2).
ROBOTS_HOPS = 5
#: Most bytes of one read: a server may announce megabytes and send none.
_READ_BYTES = 1 << 20
#: Most content codings on top of each other.
_MAX_CODINGS = 3
#: Codings we did not ask for and cannot undo.
_FOREIGN_CODINGS = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})

_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s;"']+)""", re.IGNORECASE)


@lru_cache(maxsize=256)
def _headers(user_agent: str) -> Mapping[str, str]:
    """Return the request headers of a crawl; made once, never changed."""
    return {
        "User-Agent": user_agent,
        "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,text/plain;q=0.9,*/*;q=0.5",
        "Accept-Encoding": "gzip, deflate",
    }


@lru_cache(maxsize=1024)
def _media_type(header: str) -> tuple[str | None, str | None]:
    """Return media type (lower case, no parameters) and charset label of a Content-Type header."""
    essence = header.partition(";")[0].strip().lower()
    charset = _CHARSET.search(header)
    return (essence if "/" in essence else None), (charset[1] if charset else None)


def fetch(
    request: FetchRequest,
    index: int,
    web: Web,
    options: CrawlOptions,
    clock_ms: Callable[[], int],
    begin: Begin = _unwatched,
    extra: Mapping[str, str] | None = None,
) -> tuple[PageRef, bytes | None]:
    """Ask for one page; return its reference and, for outcome `ok` only, its decompressed body.

    `begin` is given the request's limits, by which another thread may abort it. `extra` are headers of this request
    alone.
    """
    ref = PageRef(index, "failed", started_ms=clock_ms())
    body: bytes | None = None
    try:
        answer = _ask(request.url, web, options, monotonic() + options.total_timeout_s, begin, extra)
        try:
            body = _page(answer, ref, request.url, options.max_body_bytes, clock_ms)
        finally:
            _leave(answer)
    except Exception as error:  # noqa: BLE001 - whatever the web does is a record
        _fail(ref, error, request.url)
    ref.ended_ms = clock_ms()
    return ref, body


def fetch_robots(
    request: FetchRequest,
    index: int,
    web: Web,
    options: CrawlOptions,
    clock_ms: Callable[[], int],
    begin: Begin = _unwatched,
) -> tuple[PageRef, bytes | None]:
    """Ask for a robots.txt, following its redirects; return its reference and, when the server answered, a body.

    Outcome `ok` with an empty body and the status kept means "not available": everything is allowed (RFC 9309
    section 2.3.1.3). A 5xx or no answer is `failed`.
    """
    ref = PageRef(index, "failed", started_ms=clock_ms())
    body: bytes | None = None
    try:
        body = _robots(request.url, ref, web, options, clock_ms, begin)
    except Exception as error:  # noqa: BLE001 - whatever the web does is a record
        _fail(ref, error, request.url)
    ref.ended_ms = clock_ms()
    return ref, body


def _robots(
    url: str, ref: PageRef, web: Web, options: CrawlOptions, clock_ms: Callable[[], int], begin: Begin
) -> bytes | None:
    deadline = monotonic() + options.total_timeout_s
    for _ in range(ROBOTS_HOPS + 1):
        answer = _ask(url, web, options, deadline, begin)
        try:
            status = ref.status = answer.status
            if 200 <= status < 300:
                _describe(answer, ref)
                return _accept(
                    ref, _decoded(answer, _raw(answer, ROBOTS_BYTES, cut=True), ROBOTS_BYTES, cut=True)
                )
            target = join(url, _location(answer)) if status in REDIRECTS and _location(answer) else None
            if target is None:
                _refuse(answer, ref, clock_ms)
                if status >= 500:
                    return None
                ref.reason = ref.detail = None
                return _accept(ref, b"")
        finally:
            _leave(answer)
        url = target
    # Too many redirects count as not available (RFC 9309 section 2.3.1.2).
    return _accept(ref, b"")


def _ask(
    url: str,
    web: Web,
    options: CrawlOptions,
    deadline: float,
    begin: Begin,
    extra: Mapping[str, str] | None = None,
) -> HTTPResponse:
    limits = Limits(options.connect_timeout_s, options.read_timeout_s, deadline)
    begin(limits)
    headers = _headers(options.user_agent)
    return web.get(url, {**headers, **extra} if extra else headers, limits)


def _leave(answer: HTTPResponse) -> None:
    """Give the connection back; closed, unless the body was read to its end or there was none."""
    if answer.connection is None:
        # Read to its end: urllib3 has put it back already.
        return
    if answer.length_remaining == 0 and not answer.chunked:
        answer.drain_conn()
    else:
        answer.close()
    answer.release_conn()


def _page(
    answer: HTTPResponse, ref: PageRef, url: str, limit: int, clock_ms: Callable[[], int]
) -> bytes | None:
    """Fill the reference from an answer; return the body of a page."""
    status = ref.status = answer.status
    _describe(answer, ref)
    if status in REDIRECTS and (location := _location(answer)):
        ref.outcome = "redirect"
        ref.location = location
        return None
    if not 200 <= status < 300:
        _refuse(answer, ref, clock_ms)
        return None
    if not readable(ref.content_type, url):
        ref.outcome = "skipped"
        ref.reason = "content_type"
        ref.detail = f"{ref.content_type} is not a type we read."
        ref.bytes = answer.length_remaining
        return None
    return _accept(ref, _decoded(answer, _raw(answer, limit), limit))


def _describe(answer: HTTPResponse, ref: PageRef) -> None:
    headers = answer.headers
    content_type = headers.get("content-type")
    if content_type:
        ref.content_type, ref.charset = _media_type(content_type)
    ref.etag = headers.get("etag")
    ref.last_modified = headers.get("last-modified")


def _accept(ref: PageRef, body: bytes) -> bytes:
    ref.outcome = "ok"
    ref.bytes = len(body)
    ref.sha256 = sha256(body).hexdigest()
    return body


def _refuse(answer: HTTPResponse, ref: PageRef, clock_ms: Callable[[], int]) -> None:
    """Fill the reference for a status that gives no page."""
    status = answer.status
    try:
        phrase = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = str(status)
    ref.reason = "http"
    ref.detail = f"The server answered {phrase}{' without a Location' if status in REDIRECTS else ''}."
    if status in (429, 503):
        ref.retry_after_s = _retry_after(answer.headers.get("retry-after"), clock_ms)


def _retry_after(text: str | None, clock_ms: Callable[[], int]) -> float | None:
    """Return the seconds a server asks to wait (RFC 9110 section 10.2.3), or None."""
    if text is None:
        return None
    text = text.strip()
    if text.isdecimal() and text.isascii():
        return float(text[:9])
    try:
        return max(parsedate_to_datetime(text).timestamp() - clock_ms() / 1000, 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def _location(answer: HTTPResponse) -> str:
    """Return the first Location header; its bytes are UTF-8 where they can be, as browsers read them."""
    values = answer.headers.getlist("location")
    if not values:
        return ""
    text = values[0].strip()
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _raw(answer: HTTPResponse, limit: int, *, cut: bool = False) -> bytes:
    """Return the body as sent; longer than `limit` it is cut, or raises FinalFetchError `too_large`."""
    length = answer.length_remaining
    if length is not None and length > limit and not cut:
        raise _too_large(limit)
    parts: list[bytes] = []
    total = 0
    while True:
        # As few calls as possible; one more byte than allowed tells that there is more.
        want = min(limit + 1 - total, _READ_BYTES, _READ_BYTES if length is None else length - total or 1)
        data = answer.read(want, decode_content=False)
        if not data:
            break
        parts.append(data)
        total += len(data)
        if total > limit:
            if not cut:
                raise _too_large(limit)
            break
        if total == length:
            break
    return (parts[0] if len(parts) == 1 else b"".join(parts))[:limit]


def _decoded(answer: HTTPResponse, raw: bytes, limit: int, *, cut: bool = False) -> bytes:
    """Undo the content codings; raises FinalFetchError `decode` or `too_large` (`cut`: drops the rest instead)."""
    header = answer.headers.get("content-encoding")
    if not header or not raw:
        return raw
    codings = [coding.strip().lower() for coding in header.split(",")]
    if len(codings) > _MAX_CODINGS:
        raise FinalFetchError("decode", f"The body has {len(codings)} content codings on top of each other.")
    for coding in reversed(codings):
        if coding in ("gzip", "x-gzip", "deflate"):
            raw = _inflated(raw, coding, limit, cut=cut)
        elif coding in _FOREIGN_CODINGS:
            raise FinalFetchError("decode", f"The content coding {coding} was not asked for.")
        # Anything else ("identity", "none", "utf-8") changes nothing, as in browsers.
    return raw


def _inflated(data: bytes, coding: str, limit: int, *, cut: bool) -> bytes:
    # 47: gzip or zlib, whichever the header says; servers confuse them.
    window = 47
    if coding == "deflate" and not _is_zlib(data) and data[:2] != b"\x1f\x8b":
        window = -15
    parts: list[bytes] = []
    room = limit + 1
    while data:
        unpacker = zlib.decompressobj(window)
        try:
            part = unpacker.decompress(data, room)
        except zlib.error as error:
            raise FinalFetchError("decode", f"The body is not valid {coding}: {error}.") from None
        parts.append(part)
        room -= len(part)
        if room <= 0:
            if cut:
                break
            raise _too_large(limit)
        if not unpacker.eof:
            if cut:
                break
            raise FinalFetchError("decode", f"The {coding} body ends too early.")
        # A gzip file may have several members; whatever else follows is ignored.
        data = unpacker.unused_data if unpacker.unused_data[:2] == b"\x1f\x8b" else b""
    return b"".join(parts)[:limit]


def _is_zlib(data: bytes) -> bool:
    """Return whether data starts with a zlib header (RFC 1950); some servers send bare deflate instead."""
    return len(data) >= 2 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0


def _too_large(limit: int) -> FinalFetchError:
    return FinalFetchError("too_large", f"The body is larger than {limit} bytes.")


def _fail(ref: PageRef, error: Exception, url: str) -> None:
    failure = failure_of(error)
    if failure is None:
        log.error("fetching %s failed through a bug of ours", url, exc_info=error)
        failure = FinalFetchError("error", f"A bug of ours: {type(error).__name__}; see the worker's log.")
    ref.outcome = "failed"
    ref.reason = failure.reason
    ref.detail = failure.detail


def failure_of(error: BaseException) -> FetchError | None:
    """Return what an exception of the HTTP stack means, or None for one that no server can cause.

    urllib3 wraps what http.client and the socket raise, in arguments or causes; the innermost one tells.
    """
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, FetchError):
            return cause
        if isinstance(cause, DeadlineError):
            return TransientFetchError("timeout", "The total time for one request is over.")
    for cause in causes:
        if isinstance(cause, TimeoutError):
            return TransientFetchError("timeout", "The server sent nothing for too long.")
        if isinstance(cause, (ssl.SSLError, ConnectionError, http.client.IncompleteRead, OSError)):
            return TransientFetchError(
                "reset", f"The connection was dropped or the body is short: {_said(cause)}."
            )
        if isinstance(cause, (http.client.HTTPException, InvalidHeader)):
            return FinalFetchError("protocol", f"The answer is not HTTP as we know it: {_said(cause)}.")
    return None


def _causes(error: BaseException) -> list[BaseException]:
    """Return an exception and all it wraps, innermost first."""
    found: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        one = todo.pop(0)
        if isinstance(one, BaseException) and one not in found:
            found.insert(0, one)
            todo.extend([*one.args, one.__cause__, getattr(one, "reason", None)])
    return found


def _said(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:120].rstrip(".")
