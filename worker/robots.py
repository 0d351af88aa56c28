"""What an origin's answer about robots.txt means (RFC 9309 section 2.3); pure, no I/O.

`docs/robots.md` lists the behaviour, section by section. `worker.robotstxt` reads the file itself.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

import msgspec

from crawl.batches import RobotsAnswer, denial
from crawl.urls import join
from worker.robotstxt import MAX_BYTES, Rules, product_token

if TYPE_CHECKING:
    from crawl.records import CrawlOptions, FetchRequest, PageRef

__all__ = ["MAX_BYTES", "MAX_HOPS", "Rules", "answer_of", "denial_of", "product_token", "verdict_of"]

log = logging.getLogger(__name__)

Verdict = Literal["allow", "deny", "rules"]

#: Redirects of robots.txt that are followed (section 2.3.1.2).
MAX_HOPS = 5
#: How long an answer counts, in seconds (section 2.4 allows a day), and a refusal for want of one.
FRESH_S = 24 * 3600
DENY_S = 3600
#: The same where there was no web server to ask: a name, an address list or a server is soon put right.
NO_SERVER_S = 5
#: How long an old answer may go on counting while no new one is to be had (sections 2.3.1.4 and 2.4), since it was
#: given; and how long until the next attempt.
KEPT_S = 48 * 3600
STALE_S = 3600

#: Failures that no page of the origin can escape either.
_NO_WEB_SERVER = frozenset({"dns", "connect", "tls", "address", "protocol"})


def denial_of(ref: PageRef, hops: int = 0) -> str:
    """Return `REASON DETAIL` for the records of an origin whose robots.txt could not be had (section 2.3.1.4).

    Nothing may be asked for then. The reason is `robots`, except where there is no web server to ask: then the records
    say what is really wrong. `hops` redirects led to the answer; behind them is another server than the origin's.
    """
    if hops == 0 and ref.outcome == "failed" and ref.reason in _NO_WEB_SERVER:
        return f"{ref.reason} {ref.detail or ''}"
    what = str(ref.status) if ref.reason == "http" else str(ref.reason or ref.outcome)
    return denial(f"{what} after {hops} redirect{'s' if hops > 1 else ''}" if hops else what)


def verdict_of(ref: PageRef, body: bytes | None) -> Verdict:
    """Return what the answer to /robots.txt means for its origin (RFC 9309 section 2.3.1).

    2xx: its rules. 4xx, or a redirect that leads nowhere: not available, everything is allowed. 5xx, 429 or no answer:
    unreachable, nothing is.
    """
    if ref.outcome == "redirect":
        return "allow"
    if ref.outcome != "ok" or ref.status is None or ref.status >= 500:
        return "deny"
    if 200 <= ref.status < 300 and body is not None:
        return "rules"
    return "allow"


def answer_of(
    origin: str,
    request: FetchRequest,
    ref: PageRef,
    body: bytes | None,
    options: CrawlOptions,
    retry_ms: int | None = None,
) -> RobotsAnswer:
    """Return what a request for an origin's robots.txt came to, as the frontier keeps it.

    `request` may be a hop of its redirects. `retry_ms` is the pause before another attempt, where there is one left.
    """
    answer = RobotsAnswer(origin=origin, retry_ms=retry_ms, keep_ms=KEPT_S * 1000, stale_ms=STALE_S * 1000)
    if retry_ms is not None:
        return answer
    if ref.outcome == "redirect" and request.hops < MAX_HOPS:
        target = join(request.url, ref.location or "")
        if target is not None:
            return msgspec.structs.replace(answer, ask_url=target, hops=request.hops + 1)
    verdict = verdict_of(ref, body)
    if verdict == "rules":
        return _ruled(answer, request.url, body or b"", options)
    if verdict == "allow":
        return msgspec.structs.replace(answer, fresh_ms=FRESH_S * 1000)
    why = denial_of(ref, request.hops)
    fresh_s = DENY_S if why.startswith("robots ") else NO_SERVER_S
    return msgspec.structs.replace(answer, verdict="deny", body=why, fresh_ms=fresh_s * 1000)


def _ruled(answer: RobotsAnswer, url: str, body: bytes, options: CrawlOptions) -> RobotsAnswer:
    rules = Rules.from_text(body, url)
    asked_s = rules.crawl_delay(options.user_agent) or 0.0
    delay_s = min(asked_s, options.max_crawl_delay_s)
    if delay_s < asked_s:
        log.warning(
            "%s asks for %g s between requests, gets %g (CRAWL_MAX_CRAWL_DELAY_S)", url, asked_s, delay_s
        )
    return msgspec.structs.replace(
        answer,
        verdict="rules",
        body=rules.text,
        fresh_ms=FRESH_S * 1000,
        delay_ms=int(delay_s * 1000),
        sitemaps="\n".join(rules.sitemaps),
    )
