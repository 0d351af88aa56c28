"""What Redis knows of one URL of a crawl: its record, where it waits, who links to it, what was asked. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from crawl import admission, keys, names, records, results, urls
from worker import pools

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from crawl.records import CrawlOptions, FetchRequest, PageRecord

#: Pages that link to a URL and are named; the others are counted.
MOST_NAMED = 5
#: Longest chain of redirects that is followed in either direction; `--max-redirects` is far below.
_MOST_HOPS = 100
#: Batches of attempts, or waiting requests, read per round trip.
_PAGE = 1000


class Linking(msgspec.Struct):
    """What is read of a record to know where it leads."""

    url: str
    depth: int = 0
    links: list[str] = []
    redirect_to: str | None = None
    robots: list[str] = []


class Linked(msgspec.Struct):
    """Who leads to a URL: how many pages link, the first of them, the least depth they give it, and who redirects.

    `nofollow` of the pages forbid to follow their links.
    """

    count: int = 0
    nofollow: int = 0
    first: list[str] = []
    depth: int | None = None
    redirects: list[str] = []


class Attempt(msgspec.Struct, frozen=True):
    """One request that was made; times are Redis milliseconds, `delay_ms` was in force at its host.

    `pool` is None where the worker's name does not tell it. `generation` is 0 but for what `retry` had asked for.
    """

    start_ms: int
    end_ms: int
    delay_ms: int
    worker: str
    result: str
    pool: str | None = None
    generation: int = 0


class Hop(msgspec.Struct, frozen=True):
    """One URL of a chain of redirects; without an outcome it has no record (yet)."""

    url: str
    status: int | None = None
    outcome: str | None = None


class Robots(msgspec.Struct, frozen=True):
    """An origin's cached answer: verdict (`allow`, `deny`, `rules`), its body as it is kept, or why there is none."""

    verdict: str
    body: bytes


def quoted(url: str) -> bytes:
    """Return a URL as it stands inside JSON, with its quotes: a quick look whether a text can name it."""
    return msgspec.json.encode(url)


def record_of(client: redis.Redis, crawl: str, url: str) -> PageRecord | None:
    """Return a URL's record, or None."""
    found = client.hget(keys.records(crawl), str(urls.fingerprint(url)))
    return None if found is None else records.record_from_json(found)


def seen(client: redis.Redis, crawl: str, options: CrawlOptions, url: str) -> bool:
    """Whether a URL was admitted."""
    fingerprint = urls.fingerprint(url)
    return bool(client.sismember(keys.seen(crawl, fingerprint % options.seen_buckets), str(fingerprint)))


def is_tried_again(client: redis.Redis, crawl: str, url: str) -> bool:
    """Whether a URL that has a record is to get a newer one (`retry`)."""
    return bool(client.hexists(keys.retried(crawl), str(urls.fingerprint(url))))


def scope_seeds(client: redis.Redis, crawl: str) -> list[str]:
    """Return what widens the scope beside the seeds in the options."""
    key = keys.scope_seeds(crawl)
    found = client.zrange(key, 0, -1) if client.type(key) == b"zset" else client.smembers(key)
    return [one.decode() for one in found]


def pending(client: redis.Redis, crawl: str, url: str) -> tuple[str, FetchRequest] | None:
    """Return where a URL without a record is (`waiting`, `delayed`, `suspect`, `leased`), and its request."""
    end = f" {url}".encode()
    for place, row in _unfinished(client, crawl, urls.origin_of(url)):
        if row.endswith(end):
            # Delayed and suspect requests have their queue's key before them.
            entry = row.decode()
            return place, records.decode_entry(
                entry.split(" ", 1)[1] if place in ("delayed", "suspect") else entry
            )
    return None


def _unfinished(client: redis.Redis, crawl: str, origin: str) -> Iterator[tuple[str, bytes]]:
    for queue in client.smembers(keys.queues(crawl)):
        if not queue.endswith(f":{origin}".encode()):
            continue
        first = 0
        while rows := client.lrange(queue, first, first + _PAGE - 1):
            for row in rows:
                yield "waiting", row
            first += _PAGE
    for member, _ in client.zscan_iter(keys.delayed(crawl)):
        yield "delayed", member
    for member in client.lrange(keys.suspects(crawl), 0, -1):
        yield "suspect", member
    for lease in client.zrange(keys.leases(crawl), 0, -1):
        held, kind = client.hmget(lease, "entries", "kind")
        if held and kind == names.PAGE.encode():
            for row in held.split(b"\n"):
                yield "leased", row


def linked(client: redis.Redis, crawl: str, url: str) -> Linked:
    """Return which pages lead to a URL; reads every record of the crawl."""
    found = Linked()
    needle = quoted(url)
    decoder = msgspec.json.Decoder(Linking)
    for _, line in results.lines(client, crawl):
        if needle not in line:
            continue
        page = decoder.decode(line)
        if page.redirect_to == url and page.url != url:
            found.redirects.append(page.url)
        if url in page.links and page.url != url:
            found.count += 1
            found.nofollow += admission.forbid_links(page.robots)
            found.depth = page.depth + 1 if found.depth is None else min(found.depth, page.depth + 1)
            if len(found.first) < MOST_NAMED:
                found.first.append(page.url)
    return found


def chain(client: redis.Redis, crawl: str, url: str, record: PageRecord | None) -> list[Hop]:
    """Return the redirects that led to a URL and those that lead on from it, in their order; alone, it is no chain."""
    before: list[Hop] = []
    at, met = record, {url}
    while at is not None and at.via == names.REDIRECT and at.parent and at.parent not in met:
        parent = at.parent
        met.add(parent)
        at = record_of(client, crawl, parent)
        before.append(_hop(parent, at))
        if len(before) >= _MOST_HOPS:
            break
    after: list[Hop] = []
    at = record
    while at is not None and at.redirect_to and at.redirect_to not in met and len(after) < _MOST_HOPS:
        target = at.redirect_to
        met.add(target)
        at = record_of(client, crawl, target)
        after.append(_hop(target, at))
    return [*reversed(before), _hop(url, record), *after] if before or after else []


def _hop(url: str, record: PageRecord | None) -> Hop:
    return Hop(url) if record is None else Hop(url, record.status, record.outcome)


def attempts(client: redis.Redis, crawl: str, url: str) -> list[Attempt]:
    """Return every request that was made for a URL, oldest first, as far as they are kept.

    Raises DamagedCrawlError at a batch that cannot be read.
    """
    needle = quoted(url)
    found: list[Attempt] = []
    ended = _generations(client, crawl, url)
    start = "-"
    while True:
        rows: list[Any] = client.xrange(keys.attempts(crawl), min=start, count=_PAGE)
        for identifier, fields in rows:
            made, _ = results.requests(crawl, identifier, fields, needle)
            found += [
                Attempt(
                    *(row.start_ms, row.end_ms, row.delay_ms, row.worker, row.result, _pool_of(row.worker)),
                    generation=sum(row.end_ms > at_ms for at_ms in ended),
                )
                for row in made
                if row.url == url and row.kind == names.PAGE
            ]
        if len(rows) < _PAGE:
            return found
        start = f"({rows[-1][0].decode()}"


def _pool_of(worker: str) -> str | None:
    """Return the pool that a worker's name tells (`worker.command`); one that somebody else named need not have any."""
    return next((word for word in worker.split("-")[:2] if word in pools.TABLE), None)


def _generations(client: redis.Redis, crawl: str, url: str) -> list[int]:
    """Return when each of a URL's records was written; nothing where the crawl has tried nothing again."""
    if not client.hexists(keys.crawl(crawl), "generation"):
        return []
    fingerprint = str(urls.fingerprint(url))
    return [
        int(entry.identifier.partition("-")[0])
        for entry in results.listed(client, crawl)
        if entry.fingerprint == fingerprint
    ]


def robots(client: redis.Redis, options: CrawlOptions, url: str) -> Robots | None:
    """Return the cached answer of a URL's origin, or None when none is known."""
    key = keys.robots_prefix(options.view()) + urls.origin_of(url)
    verdict, body = client.hmget(key, "verdict", "body")
    return None if verdict is None else Robots(verdict.decode(), body or b"")
