"""A stand-in for producer and worker: it calls the frontier as they do, without a broker and without the web."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from crawl import keys, names, urls
from crawl.batches import Batch, Loaded, Refusal, Report, Result, Started
from crawl.links import Links
from crawl.records import CrawlOptions, Fetched, FetchRequest, PageRecord, PageRef, record_from_json, to_json

if TYPE_CHECKING:
    import redis

    from crawl.frontier import Frontier


def options(**changes) -> CrawlOptions:
    """Return options of a crawl that nothing slows down; every test says what it wants otherwise."""
    plain = {"delay_s": 0.0, "robots": "ignore", "seen_buckets": 16, "lease_s": 30.0}
    return CrawlOptions(**{**plain, **changes})


def now_ms(client: redis.Redis) -> int:
    """Return Redis time."""
    seconds, micros = client.time()
    return seconds * 1000 + micros // 1000


def wait_until(client: redis.Redis, at_ms: float) -> None:
    """Wait until Redis time has passed `at_ms`."""
    while (left_ms := at_ms - now_ms(client)) >= 0:
        time.sleep(max(left_ms, 1) / 1000)


def overdue(frontier: Frontier) -> None:
    """Wait until every lease of the crawl is overdue."""
    held = frontier.client.zrange(keys.leases(frontier.crawl), 0, -1, withscores=True)
    wait_until(frontier.client, max(score for _, score in held))


def links(opts: CrawlOptions, *pages: str, depth: int = 0, via: str = names.LINK) -> Links:
    """Return new links, as parse makes them."""
    held = Links(finite=opts.depth is not None, buckets=opts.seen_buckets)
    for url in pages:
        fingerprint = held.offer(url)
        if fingerprint is not None:
            held.put(fingerprint, FetchRequest(url=url, depth=depth, via=via, queued_ms=1))
    return held


def admit(frontier: Frontier, opts: CrawlOptions, *pages: str, depth: int = 0) -> tuple[int, int]:
    """Make the crawl if need be, add URLs and close its seed source."""
    frontier.create(opts)
    return frontier.add(links(opts, *pages, depth=depth), max_pages=opts.max_pages, close_seeds=True)


def pump(*frontiers: Frontier) -> None:
    """Leave the mark of a pump at crawls, which makes them active; no real pump may serve them then."""
    for frontier in frontiers:
        frontier.client.set(keys.pump(frontier.crawl), "standin")


def lease(frontier: Frontier, opts: CrawlOptions, *, window: int = 200, slots: int = 4) -> list[Batch]:
    """Return the batches that are due now."""
    return frontier.lease(opts, window=window, slots=slots).batches


def start(frontier: Frontier, batch: Batch, opts: CrawlOptions, nonce: str | None = None) -> Started:
    """Start a batch that is there to be had."""
    started = frontier.start(batch.lease, nonce=nonce or secrets.token_hex(4), worker="w", options=opts)
    assert isinstance(started, Started), started
    return started


def report(
    started: Started,
    *,
    requests: int = 1,
    mean_ms: float | None = 10.0,
    ended_ms: int | None = None,
    fails: int = 0,
    good_ms: int | None = None,
    refusal: Refusal | None = None,
) -> Report:
    """Return what a batch says of its host."""
    return Report(
        ended_ms=started.now_ms if ended_ms is None else ended_ms,
        requests=requests,
        mean_ms=mean_ms if requests else None,
        answered=not fails,
        fails=fails,
        fail_reason="connect" if fails else "",
        good_ms=good_ms,
        refusal=refusal,
    )


def fetched(
    frontier: Frontier,
    started: Started,
    opts: CrawlOptions,
    *,
    count: int | None = None,
    said: Report | None = None,
    body: bytes = b"<html>",
    store: bool = True,
    attempts: bytes | None = None,
) -> bool:
    """End the requests of a started batch; `count` of them were made (all of them, unless told)."""
    done = len(started.requests) if count is None else count
    refs = [
        PageRef(index=index, outcome="ok", status=200, started_ms=started.now_ms, ended_ms=started.now_ms)
        for index in range(done)
    ]
    return frontier.fetched(
        started,
        Fetched(pool="threads", slot="1", worker="w", refs=refs),
        dict.fromkeys(range(done), body) if body else {},
        said or report(started, requests=done),
        options=opts,
        body_ttl_s=60,
        store=store,
        attempts=attempts,
    )


def load(frontier: Frontier, lease_id: str, opts: CrawlOptions, nonce: str | None = None) -> Loaded:
    """Load a batch that is there to be parsed."""
    loaded = frontier.load(lease_id, nonce=nonce or secrets.token_hex(4), options=opts, with_bodies=True)
    assert loaded is not None
    return loaded


def result(crawl: str, request: FetchRequest, outcome: str = "ok", reason: str | None = None) -> Result:
    """Return the page record of a request, on its way into Redis."""
    record = PageRecord(
        crawl=crawl,
        url=request.url,
        via=request.via,
        parent=request.parent,
        depth=request.depth,
        attempts=request.attempts + 1,
        outcome=outcome,
        reason=reason,
        generation=request.generation,
    )
    return Result(request.url, request.depth, outcome, reason, to_json(record), request.generation)


def complete(
    frontier: Frontier, loaded: Loaded, opts: CrawlOptions, found: Links | None = None, **more
) -> bool:
    """Close a loaded batch with an `ok` record for each of its URLs."""
    results = [result(frontier.crawl, loaded.requests[ref.index]) for ref in loaded.fetched.refs]
    closed, _ = frontier.complete(
        loaded.lease, results, [], found if found is not None else links(opts), options=opts, **more
    )
    return closed


def visit(
    frontier: Frontier, batch: Batch, opts: CrawlOptions, *, ms: float = 10.0, found: Links | None = None
) -> bool:
    """Take a batch through its whole life; each request takes `ms`, as far as the host's history knows."""
    started = start(frontier, batch, opts)
    said = report(started, requests=len(started.requests), mean_ms=ms)
    assert fetched(frontier, started, opts, said=said)
    return complete(frontier, load(frontier, batch.lease, opts), opts, found)


def entries(frontier: Frontier, origin: str, level: int = 0) -> list[str]:
    """Return the waiting requests of an origin, the next one first."""
    waiting = frontier.client.lrange(keys.queue(frontier.crawl, level, origin), 0, -1)
    return [line.decode() for line in waiting]


def waiting(frontier: Frontier, origin: str, level: int = 0) -> list[str]:
    """Return the waiting URLs of an origin, the next one first."""
    return [entry.rsplit(" ", 1)[-1] for entry in entries(frontier, origin, level)]


def record_of(frontier: Frontier, url: str) -> bytes | None:
    """Return a URL's record, or None."""
    return frontier.client.hget(keys.records(frontier.crawl), str(urls.fingerprint(url)))


def pages(host: str, count: int, scheme: str = "http") -> list[str]:
    """Return canonical URLs on one host."""
    return [f"{scheme}://{host}/{number}" for number in range(count)]


def url_of(record: bytes) -> str:
    """Return the URL of a page record."""
    return record_from_json(record).url


def image(frontier: Frontier) -> dict[bytes, object]:
    """Return everything the crawl keeps in Redis, except what only time changes."""
    client = frontier.client
    kept: dict[bytes, object] = {}
    for key in client.scan_iter(f"{keys.crawl(frontier.crawl)}*"):
        kind = client.type(key)
        kept[key] = {
            b"hash": lambda key=key: client.hgetall(key),
            b"set": lambda key=key: client.smembers(key),
            b"zset": lambda key=key: client.zrange(key, 0, -1),
            b"list": lambda key=key: client.lrange(key, 0, -1),
            b"stream": lambda key=key: client.xrange(key),
            b"string": lambda key=key: client.get(key),
        }[kind]()
    return kept
