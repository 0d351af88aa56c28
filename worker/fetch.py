"""One request, one page reference: what the web does becomes an outcome and a reason, never an exception.

The body is streamed raw under a byte cap and decoded here, again under the cap, so that no compressed bomb is ever
unpacked. A redirect's body is not read at all (requests would read and unpack it, psf/requests#1952).
"""

from __future__ import annotations

import http.client
import logging
import re
import ssl
from datetime import UTC
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
from worker import codings
from worker.headers import sent
from worker.parse.kinds import readable
from worker.sessions import Limits
from worker.sockets import DeadlineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from urllib3.response import HTTPResponse

    from crawl.records import CrawlOptions, FetchRequest
    from worker.cookies import Jar
    from worker.sessions import Web

log = logging.getLogger(__name__)

Begin: TypeAlias = "Callable[[Limits], None]"


def _unwatched(_: Limits) -> None:
    """Let nobody abort the request."""


REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: What robots.txt is read of, in bytes (RFC 9309 section 2.5).
ROBOTS_BYTES = 500 * 1024
#: What is kept of X-Robots-Tag headers, in characters.
_ROBOTS_TAG_CHARS = 2000
#: Longest header value that goes into a record, in characters.
MAX_VALUE = 1024
#: Most bytes of one read: a server may announce megabytes and send none.
_READ_BYTES = 1 << 20

#: Target of a Refresh header, which browsers read like <meta http-equiv=refresh> (WHATWG HTML section 4.2.5.3).
_REFRESH = re.compile(r"""^[0-9.]+\s*[;,\s]\s*(?:url\s*=\s*)?["']?([^"']+)""", re.IGNORECASE)
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s;"']+)""", re.IGNORECASE)


@lru_cache(maxsize=1024)
def _media_type(header: str) -> tuple[str | None, str | None]:
    """Return media type (lower case, no parameters) and charset label of a Content-Type header."""
    essence = header.partition(";")[0].strip().lower()
    charset = _CHARSET.search(header)
    return (
        essence if "/" in essence and _printable(essence) else None,
        _printable(charset[1]) if charset else None,
    )


def _printable(text: str | None) -> str | None:
    """Return a header's value as a record may hold it: printable and not endless, else None."""
    return text if text is not None and len(text) <= MAX_VALUE and text.isprintable() else None


def fetch(
    request: FetchRequest,
    index: int,
    web: Web,
    options: CrawlOptions,
    clock_ms: Callable[[], int],
    begin: Begin = _unwatched,
    extra: Mapping[str, str] | None = None,
    jar: Jar | None = None,
) -> tuple[PageRef, bytes | None]:
    """Ask for one page; return its reference and, for outcome `ok` only, its decompressed body.

    `begin` is given the request's limits, by which another thread may abort it. `extra` are headers of this request
    alone. `jar` gives and takes the crawl's cookies.
    """
    ref = PageRef(index, "failed", started_ms=clock_ms())
    body: bytes | None = None
    try:
        if jar is not None and (cookie := jar.header(request.url)):
            extra = {**extra, "Cookie": cookie} if extra else {"Cookie": cookie}
        answer = _ask(request.url, web, options, monotonic() + options.total_timeout_s, begin, extra)
        try:
            if jar is not None:
                _take_cookies(answer, ref, request.url, jar)
            body = _page(answer, ref, request.url, options.max_body_bytes, clock_ms)
        finally:
            _leave(answer)
    except Exception as error:  # noqa: BLE001 - whatever the web does is a record
        _fail(ref, error, request.url)
    ref.ended_ms = clock_ms()
    return ref, body


def _take_cookies(answer: HTTPResponse, ref: PageRef, url: str, jar: Jar) -> None:
    """Keep an answer's cookies; note when it asks for the same URL again, now with another cookie."""
    set_cookies = answer.headers.getlist("set-cookie")
    if not set_cookies or not jar.take(url, set_cookies):
        return
    ref.again = answer.status in REDIRECTS and join(url, _location(answer)) == url


def fetch_robots(
    request: FetchRequest,
    index: int,
    web: Web,
    options: CrawlOptions,
    clock_ms: Callable[[], int],
    begin: Begin = _unwatched,
    extra: Mapping[str, str] | None = None,
) -> tuple[PageRef, bytes | None]:
    """Ask for a robots.txt; return its reference and, when the server answered, the first `ROBOTS_BYTES` of its body.

    Outcome `ok` with an empty body and the status kept means "not available": everything is allowed (RFC 9309
    section 2.3.1.3). A 5xx, a 429 or no answer is `failed`. A `redirect` is not followed here: the next hop is a
    request of its own, which the frontier leases (section 2.3.1.2).
    """
    ref = PageRef(index, "failed", started_ms=clock_ms())
    body: bytes | None = None
    try:
        answer = _ask(request.url, web, options, monotonic() + options.total_timeout_s, begin, extra)
        try:
            body = _robots(answer, ref, clock_ms)
        finally:
            _leave(answer)
    except Exception as error:  # noqa: BLE001 - whatever the web does is a record
        _fail(ref, error, request.url)
    ref.ended_ms = clock_ms()
    return ref, body


def _robots(answer: HTTPResponse, ref: PageRef, clock_ms: Callable[[], int]) -> bytes | None:
    status = ref.status = answer.status
    if 200 <= status < 300:
        _describe(answer, ref)
        return _accept(ref, _decoded(answer, _raw(answer, ROBOTS_BYTES, cut=True), ROBOTS_BYTES, cut=True))
    if status in REDIRECTS and (location := _location(answer)):
        ref.outcome = "redirect"
        ref.location = location
        return None
    _refuse(answer, ref, clock_ms)
    if status >= 500 or status == 429:
        return None
    ref.reason = ref.detail = None
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
    return web.get(url, sent(url, options, extra), limits)


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
    if "refresh" in answer.headers:
        refresh = _REFRESH.match(answer.headers["refresh"])
        ref.refresh = _printable(refresh[1].strip()) if refresh else None
    return _accept(ref, _decoded(answer, _raw(answer, limit), limit))


def _describe(answer: HTTPResponse, ref: PageRef) -> None:
    headers = answer.headers
    content_type = headers.get("content-type")
    if content_type:
        ref.content_type, ref.charset = _media_type(content_type)
    ref.etag = _printable(headers.get("etag"))
    ref.last_modified = _printable(headers.get("last-modified"))
    if "x-robots-tag" in headers:
        ref.robots_tag = "\n".join(headers.getlist("x-robots-tag"))[:_ROBOTS_TAG_CHARS]


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
        ref.retry_after_s = _retry_after(
            answer.headers.get("retry-after"), answer.headers.get("date"), clock_ms
        )


def _retry_after(text: str | None, date: str | None, clock_ms: Callable[[], int]) -> float | None:
    """Return the seconds a server asks to wait (RFC 9110 section 10.2.3); None when it asks for none that we can read.

    A point in time is read by the server's own clock (`date`), if it told that; one that has passed is no wait.
    """
    if text is None:
        return None
    text = text.strip()
    if text.isdecimal() and text.isascii():
        # More digits than nine: 30 years are as good as any longer time.
        return float(text) if len(text) <= 9 else float(10**9)
    until_s = _seconds(text)
    if until_s is None:
        return None
    now_s = _seconds(date)
    return max(until_s - (clock_ms() / 1000 if now_s is None else now_s), 0.0)


def _seconds(date: str | None) -> float | None:
    """Return an HTTP date as seconds since 1970 (without a zone it is GMT), or None."""
    if date is None:
        return None
    try:
        moment = parsedate_to_datetime(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
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
        raise codings.too_large(limit)
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
                raise codings.too_large(limit)
            break
        if total == length:
            break
    return (parts[0] if len(parts) == 1 else b"".join(parts))[:limit]


def _decoded(answer: HTTPResponse, raw: bytes, limit: int, *, cut: bool = False) -> bytes:
    """Undo the content codings; raises FetchError `decode`, `too_large` or `reset` (`cut`: see codings.decoded)."""
    header = answer.headers.get("content-encoding")
    if not header:
        return raw
    try:
        return codings.decoded(header, raw, limit, cut=cut)
    except codings.CutBodyError as error:
        if answer.length_remaining is None and not answer.chunked:
            # Only the end of the connection ended it (RFC 9112 section 6.3), so that is what came too early.
            raise TransientFetchError("reset", f"The connection was dropped: {error.detail}") from None
        raise


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
    shown = "".join(char if char.isprintable() else "?" for char in " ".join(str(text).split())[:120])
    return shown.rstrip(".")
