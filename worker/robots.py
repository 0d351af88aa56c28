"""Robots verdicts by RFC 9309, on Protego; pure, no I/O."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from protego import Protego

if TYPE_CHECKING:
    from crawl.records import PageRef

Verdict = Literal["allow", "deny", "rules"]

#: What is read of a robots.txt, in bytes (RFC 9309 section 2.5).
MAX_BYTES = 500 * 1024
#: Verdicts remembered per robots.txt.
_REMEMBERED = 4096

_TOKEN = re.compile(r"[A-Za-z_-]+")


@lru_cache(maxsize=256)
def product_token(user_agent: str) -> str:
    """Return the name robots.txt groups are matched with: `poolcrawl` of `poolcrawl/0.1 (+...)` (section 2.2.1)."""
    match = _TOKEN.match(user_agent.strip())
    return match[0].lower() if match else user_agent.strip().lower()


class Rules:
    """The rules of one origin."""

    def __init__(self, parser: Protego) -> None:
        self._parser = parser
        self._verdict = lru_cache(maxsize=_REMEMBERED)(parser.can_fetch)

    @classmethod
    def from_text(cls, body: bytes) -> Rules:
        """Parse a robots.txt; bytes that are no UTF-8 spoil only the rule they stand in."""
        return cls(Protego.parse(body[:MAX_BYTES].decode("utf-8-sig", "replace")))

    def allowed(self, url: str, user_agent: str) -> bool:
        """Return whether a canonical URL may be asked for."""
        return self._verdict(url, product_token(user_agent))

    @property
    def sitemaps(self) -> list[str]:
        """Return what the `Sitemap:` lines say, in their order; they belong to no group (section 2.2.4)."""
        return list(self._parser.sitemaps)

    def crawl_delay(self, user_agent: str) -> float | None:
        """Return the Crawl-delay that applies to us, in seconds, or None."""
        return self._parser.crawl_delay(product_token(user_agent))


#: Failures that no page of the origin can escape either.
_NO_WEB_SERVER = frozenset({"dns", "connect", "tls", "address", "protocol"})


def denial_of(ref: PageRef) -> str:
    """Return `REASON DETAIL` when there was no robots.txt because there is no web server to ask, else nothing.

    Nothing may be asked for then, as after a 5xx, but the pages' records can say what is really wrong.
    """
    if ref.outcome != "failed" or ref.reason not in _NO_WEB_SERVER:
        return ""
    return f"{ref.reason} {ref.detail or ''}"


def verdict_of(ref: PageRef, body: bytes | None) -> Verdict:
    """Return what the answer to /robots.txt means for its origin (RFC 9309 section 2.3.1).

    2xx: its rules. 4xx, or too many redirects: not available, everything is allowed. 5xx or no answer: unreachable,
    nothing is.
    """
    if ref.outcome != "ok" or ref.status is None or ref.status >= 500:
        return "deny"
    if 200 <= ref.status < 300 and body is not None:
        return "rules"
    return "allow"
