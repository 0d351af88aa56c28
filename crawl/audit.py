"""The audit: does every admitted URL have exactly one record, and what do the records come to?"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from crawl import names, records, results
from crawl.frontier import Frontier

if TYPE_CHECKING:
    from collections.abc import Iterable

    import redis

#: Looks at a running crawl: a URL may move between two places while one look goes from the one to the other.
LOOKS = 10


class Audit(msgspec.Struct, frozen=True):
    """What an audit found. `pending` URLs have no record yet because the crawl has not ended.

    `cancelled` ones have none because the crawl was cancelled before they were done.
    """

    crawl: str
    records: int
    missing: int
    duplicate: int
    capped: int
    digest: str
    pending: int = 0
    state: str = ""
    cancelled: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing is missing or double."""
        return not self.missing and not self.duplicate


class Told(msgspec.Struct):
    """What a record tells of its page: the fields that are the same in every pool, batch size, pipeline and stack."""

    url: str
    outcome: str
    reason: str | None = None
    status: int | None = None
    sha256: str | None = None
    links: list[str] = []
    redirect_to: str | None = None


def digest(lines: Iterable[bytes]) -> str:
    """Return the digest of records as they are stored."""
    decoder = msgspec.json.Decoder(Told)
    return digest_of(decoder.decode(line) for line in lines)


def digest_of(records: Iterable[Told]) -> str:
    """Return the SHA-256 over the sorted records' url, outcome, reason, status, sha256, links and redirect_to."""
    whole = hashlib.sha256()
    for row in sorted(records, key=lambda row: row.url):
        fields = (row.url, row.outcome, row.reason, row.status, row.sha256, row.links, row.redirect_to)
        whole.update(msgspec.json.encode(fields))
        whole.update(b"\n")
    return whole.hexdigest()


def audit(client: redis.Redis, crawl: str) -> Audit:
    """Compare what was admitted with what has a record. Raises UnknownCrawlError."""
    status = results.status(client, crawl)
    stored = Frontier(client, crawl).options()
    buckets = stored[0].seen_buckets if stored else records.CrawlOptions().seen_buckets
    # In this order a URL that moves meanwhile is still met: it is admitted, then pending, then it has a record.
    admitted = set(results.seen_fingerprints(client, crawl, buckets))
    pending, counted, missing = set[str](), Counter[str](), admitted
    for _ in range(LOOKS):
        pending = set(results.unfinished_fingerprints(client, crawl))
        counted = Counter(fingerprint for _, fingerprint in results.entries(client, crawl))
        pending -= set(counted)
        missing = missing - set(counted) - pending
        if not missing or status.state != names.RUNNING:
            break
    # Counted by the scripts that took them away, so a URL that is really missing stays missing.
    cancelled = min(len(missing), results.status(client, crawl).cancelled)
    lines = [line for _, line in results.lines(client, crawl)]
    return Audit(
        crawl=crawl,
        records=len(lines),
        missing=len(missing) - cancelled + max(0, len(counted) - len(lines)),
        duplicate=sum(count - 1 for count in counted.values()),
        # What a budget or a trap kept out depends on the order of discovery, as what the page limit kept out.
        capped=sum(status.refused.get(word, 0) for word in ("capped", "budget", "trap")),
        digest=digest(lines),
        pending=len(pending),
        state=status.state,
        cancelled=cancelled,
    )
