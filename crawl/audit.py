"""The audit: does every admitted URL have exactly one record, and what do the records come to?

A trimmed record counts by its tombstone. Its share of the digest is in the file that it was trimmed into: with that
file each record is held against its tombstone, and the digest is that of all, as if none had been trimmed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from crawl import names, records, results, tombstones, urls
from crawl.frontier import Frontier

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import redis

    from crawl.results import Status
    from crawl.tombstones import Tombstone

#: Looks at a running crawl: a URL may move between two places while one look goes from the one to the other.
LOOKS = 10


class Audit(msgspec.Struct, frozen=True):
    """What an audit found. `pending` URLs have no record yet because the crawl has not ended."""

    crawl: str
    records: int
    missing: int
    duplicate: int
    capped: int
    #: None where records were trimmed and the file that holds them is not at hand.
    digest: str | None
    pending: int = 0
    state: str = ""
    #: Records that are in a file only; they count among `records`.
    trimmed: int = 0
    #: Those that the file given does not hold, or not as they were.
    absent: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing is missing or double."""
        return not self.missing and not self.duplicate and not self.absent


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
        whole.update(row_of(row))
        whole.update(b"\n")
    return whole.hexdigest()


def row_of(row: Told) -> bytes:
    """Return what one record contributes to the digest."""
    fields = (row.url, row.outcome, row.reason, row.status, row.sha256, row.links, row.redirect_to)
    return msgspec.json.encode(fields)


def audit(client: redis.Redis, crawl: str, file: Iterable[bytes] | None = None) -> Audit:
    """Compare what was admitted with what has a record. Raises UnknownCrawlError.

    `file` yields the lines into which records were trimmed.
    """
    for _ in range(LOOKS):
        trimmed = tombstones.count(client, crawl)
        found = _look(client, crawl)
        # Else somebody trims meanwhile: records were on their way from one place to the other.
        if tombstones.count(client, crawl) == trimmed:
            break
    told, missing, duplicate, stones, pending, status = found
    absent = 0
    whole: str | None = None
    if stones and file is not None:
        kept = _read_back(file, stones)
        absent = len(stones) - len(kept)
        told = [*told, *kept.values()]
    if not stones or (file is not None and not absent):
        whole = digest_of(told)
    return Audit(
        crawl=crawl,
        records=len(found[0]) + len(stones),
        missing=missing,
        duplicate=duplicate,
        # What a budget or a trap kept out depends on the order of discovery, as what the page limit kept out.
        capped=sum(status.refused.get(word, 0) for word in ("capped", "budget", "trap")),
        digest=whole,
        pending=pending,
        state=status.state,
        trimmed=len(stones),
        absent=absent,
    )


class _Found(NamedTuple):
    told: list[Told]
    missing: int
    duplicate: int
    stones: dict[str, Tombstone]
    pending: int
    status: Status


def _look(client: redis.Redis, crawl: str) -> _Found:
    status = results.status(client, crawl)
    stored = Frontier(client, crawl).options()
    buckets = stored[0].seen_buckets if stored else records.CrawlOptions().seen_buckets
    # In this order a URL that moves meanwhile is still met: it is admitted, then pending, then it has a record.
    admitted = set(results.seen_fingerprints(client, crawl, buckets))
    pending, counted, missing = set[str](), Counter[str](), admitted
    stones: dict[str, Tombstone] = {}
    for _ in range(LOOKS):
        pending = set(results.unfinished_fingerprints(client, crawl))
        counted = Counter(fingerprint for _, fingerprint in results.entries(client, crawl))
        stones = dict(tombstones.of_crawl(client, crawl, buckets))
        pending -= set(counted)
        pending -= set(stones)
        missing = missing - set(counted) - set(stones) - pending
        if not missing or status.state != names.RUNNING:
            break
    decoder = msgspec.json.Decoder(Told)
    told = [decoder.decode(line) for _, line in results.lines(client, crawl)]
    # Trimming removes a record with its entry, so an entry of a trimmed record is a second one; it cannot be read.
    twice = sum(count for fingerprint, count in counted.items() if fingerprint in stones)
    return _Found(
        told=told,
        missing=len(missing) + len(counted.keys() - stones.keys()) - len({row.url for row in told}),
        duplicate=twice + sum(count - 1 for name, count in counted.items() if name not in stones),
        stones=stones,
        pending=len(pending),
        status=status,
    )


def _read_back(file: Iterable[bytes], stones: Mapping[str, Tombstone]) -> dict[str, Told]:
    """Return what a file tells of trimmed records, by fingerprint; only of those that are as they were."""
    decoder = msgspec.json.Decoder(Told)
    kept: dict[str, Told] = {}
    for line in file:
        try:
            told = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        fingerprint = str(urls.fingerprint(told.url))
        stone = stones.get(fingerprint)
        if stone is not None and hashlib.sha256(row_of(told)).digest()[: tombstones.ROW_BYTES] == stone.row:
            kept[fingerprint] = told
    return kept
