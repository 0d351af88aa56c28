"""What a request carries beside its URL: our headers, the crawl's own, and the login of its origin. Pure; no I/O."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from crawl.urls import origin_of
from worker.codings import ACCEPTED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawl.records import CrawlOptions


def sent(url: str, options: CrawlOptions, extra: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return the headers of a request for a canonical URL; `extra` are of this request alone."""
    headers = _own(options.user_agent, options.headers)
    if options.credentials and (login := _logins(options.credentials).get(origin_of(url))):
        headers = {**headers, "Authorization": login}
    return {**headers, **extra} if extra else headers


@lru_cache(maxsize=256)
def _own(user_agent: str, given: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """Return the headers of all requests of a crawl, those it was given in place of ours; made once, never changed."""
    replaced = {name.lower() for name, _ in given}
    ours = {
        "User-Agent": user_agent,
        "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,text/plain;q=0.9,*/*;q=0.5",
        "Accept-Encoding": ACCEPTED,
    }
    kept = {name: value for name, value in ours.items() if name.lower() not in replaced}
    return MappingProxyType({**kept, **dict(given)})


@lru_cache(maxsize=64)
def _logins(credentials: tuple[tuple[str, str, str], ...]) -> Mapping[str, str]:
    """Return origin -> Authorization header (RFC 7617, RFC 6750)."""
    return {
        origin: f"Basic {b64encode(secret.encode()).decode()}" if kind == "basic" else f"Bearer {secret}"
        for origin, kind, secret in credentials
    }
