"""A crawl's cookies of one registrable domain: which a request sends, and what an answer changes. Pure; no I/O.

`http.cookiejar` parses and matches; this module adds what it leaves open: no cookie for a public suffix, none with
`Secure` out of plain HTTP, the name prefixes, host-only cookies, and limits (RFC 6265bis).
"""

from __future__ import annotations

import http.client
import http.cookiejar
import logging
import warnings
from typing import TYPE_CHECKING, Any
from urllib.request import Request

import msgspec

from crawl import urls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = logging.getLogger(__name__)

# The library would print a traceback for a header that it cannot read.
warnings.filterwarnings("ignore", message="http.cookiejar bug!")

#: Most bytes of a cookie's name and value together (RFC 6265 section 6.1).
MAX_COOKIE_BYTES = 4096
#: Most cookies of one registrable domain (the least that RFC 6265 section 6.1 asks of browsers).
MAX_COOKIES = 50
#: Most bytes of one Cookie header; servers refuse longer ones.
MAX_HEADER_BYTES = 8190
#: Most Set-Cookie headers read of one answer.
MAX_SET_COOKIES = 50


class _Kept(msgspec.Struct, array_like=True):
    """One cookie as it is stored."""

    name: str
    value: str | None
    domain: str
    path: str
    secure: bool
    expires: int | None
    domain_specified: bool


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Kept).decode


class _Policy(http.cookiejar.DefaultCookiePolicy):
    """The library's policy, made as strict as RFC 6265bis."""

    def __init__(self) -> None:
        # Without that flag a cookie of example.com that names no domain would go to its subdomains, too.
        super().__init__(strict_ns_domain=http.cookiejar.DefaultCookiePolicy.DomainStrictNonDomain)

    def set_ok(self, cookie: http.cookiejar.Cookie, request: Any) -> bool:
        """Return whether an answer may set this cookie."""
        if not super().set_ok(cookie, request):
            return False
        if len(cookie.name) + len(cookie.value or "") > MAX_COOKIE_BYTES or len(cookie.path) > 1024:
            return False
        if not (cookie.name + (cookie.value or "") + cookie.path).isprintable():
            return False
        if cookie.secure and request.type != "https":
            return False
        if cookie.name.lower().startswith("__secure-") and not cookie.secure:
            return False
        if cookie.name.lower().startswith("__host-"):
            return cookie.secure and cookie.path == "/" and not cookie.domain_specified
        return True

    def set_ok_domain(self, cookie: http.cookiejar.Cookie, request: Any) -> bool:
        """Return whether the cookie's domain is the host's own or one above it, and no public suffix."""
        if not super().set_ok_domain(cookie, request):
            return False
        return not cookie.domain_specified or not urls.is_public_suffix(cookie.domain.lstrip("."))


class _Answer:
    """What the library wants of an answer."""

    def __init__(self, set_cookies: Sequence[str]) -> None:
        self._headers = http.client.HTTPMessage()
        # Filled directly, as in worker.sockets; these are the only headers the library reads.
        self._headers._headers = [("Set-Cookie", text) for text in set_cookies]  # type: ignore[attr-defined]

    def info(self) -> http.client.HTTPMessage:
        """Return the headers."""
        return self._headers


class Jar:
    """The cookies of one registrable domain during one batch.

    `stored` is what `changes` once returned: field -> cookie. What cannot be read is dropped.
    """

    def __init__(self, stored: Mapping[bytes, bytes] | None = None) -> None:
        self._jar = http.cookiejar.CookieJar(_Policy())
        self._stored = dict(stored or {})
        for text in self._stored.values():
            try:
                self._jar.set_cookie(_cookie(_decode(text)))
            except (msgspec.DecodeError, ValueError):
                continue
        self._jar.clear_expired_cookies()
        self._trim(frozenset())

    def header(self, url: str) -> str | None:
        """Return the Cookie header for a canonical URL, or None when there is nothing to send."""
        request = Request(url)  # noqa: S310 - only carries the URL to the library
        self._jar.add_cookie_header(request)
        text: str | None = request.get_header("Cookie")
        return text if text is not None and len(text) <= MAX_HEADER_BYTES else None

    def take(self, url: str, set_cookies: Sequence[str]) -> bool:
        """Keep what an answer's Set-Cookie headers say; return whether that changed what the URL is sent."""
        before = self.header(url)
        known = frozenset(map(_field, self._jar))
        request: Any = Request(url)  # noqa: S310 - only carries the URL to the library
        try:
            self._jar.extract_cookies(_Answer(set_cookies[:MAX_SET_COOKIES]), request)  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 - no header a server sends may cost the page
            log.warning("cookies of %s could not be read (%s)", url, type(error).__name__)
        self._trim(known)
        return self.header(url) != before

    def _trim(self, known: frozenset[bytes]) -> None:
        """Keep to the limit; cookies that were there before go first."""
        cookies = list(self._jar)
        if len(cookies) > MAX_COOKIES:
            cookies.sort(key=lambda cookie: _field(cookie) not in known)
            for cookie in cookies[:-MAX_COOKIES]:
                self._jar.clear(cookie.domain, cookie.path, cookie.name)

    def changes(self) -> tuple[dict[bytes, bytes], list[bytes]]:
        """Return what to store (field -> cookie) and which fields to remove."""
        kept = {_field(cookie): _encode(_kept(cookie)) for cookie in self._jar}
        changed = {field: text for field, text in kept.items() if self._stored.get(field) != text}
        return changed, [field for field in self._stored if field not in kept]


def _field(cookie: http.cookiejar.Cookie) -> bytes:
    return f"{cookie.domain} {cookie.path} {cookie.name}".encode("utf-8", "replace")


def _kept(cookie: http.cookiejar.Cookie) -> _Kept:
    return _Kept(
        name=cookie.name,
        value=cookie.value,
        domain=cookie.domain,
        path=cookie.path,
        secure=bool(cookie.secure),
        expires=None if cookie.expires is None else int(cookie.expires),
        domain_specified=bool(cookie.domain_specified),
    )


def _cookie(kept: _Kept) -> http.cookiejar.Cookie:
    return http.cookiejar.Cookie(
        version=0,
        name=kept.name,
        value=kept.value,
        port=None,
        port_specified=False,
        domain=kept.domain,
        domain_specified=kept.domain_specified,
        domain_initial_dot=kept.domain.startswith("."),
        path=kept.path,
        path_specified=True,
        secure=kept.secure,
        expires=kept.expires,
        discard=kept.expires is None,
        comment=None,
        comment_url=None,
        rest={},
    )
