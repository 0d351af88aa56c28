"""The politeness audit: was any host asked too soon, too often at once, or while it was held?

Judged from the attempts streams of every crawl on this Redis, because the promise is owed to the host. The rows are
sorted in a temporary file, so that memory does not grow with the crawls.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from crawl import keys, results, temporary

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    import redis

#: Milliseconds that rounding may take from a gap: both times are cut to whole ones, on two machines.
TOLERANCE_MS = 2
#: Milliseconds until a refusal has reached the batches that are under way at a host without delay (a hint, see
#: `keys.notices`); what they ask until then is not held against them.
NOTICE_MS = 250
#: Violations that are named; further ones are counted.
NAMED = 1000
#: Batches read per round trip.
PAGE = 500


class Asked(NamedTuple):
    """One request, as the attempts stream tells; times are Redis milliseconds.

    `reported_ms` is when its batch was reported, `hold_ms` until when its answer held the host (0: it did not). `cap`
    is None where an older release wrote it.
    """

    host: str
    start_ms: int
    end_ms: int
    delay_ms: int
    cap: int | None
    hold_ms: int
    reported_ms: int
    crawl: str
    url: str
    worker: str


class Violation(msgspec.Struct, frozen=True):
    """Two requests that should not have met: `gap`, `overlap`, or `hold` (asked while the host was held).

    `gap_ms` is the time from the end of the first to the start of the second, negative where they overlap. `delay_ms`
    and `cap` were in force when the second began; `at_once` is how many requests were under way then, it included.
    `left_ms` is how long the hold would have lasted.
    """

    kind: str
    host: str
    urls: tuple[str, str]
    gap_ms: int
    delay_ms: int
    cap: int | None
    at_once: int
    left_ms: int
    at_ms: int
    workers: tuple[str, str]
    crawls: tuple[str, str]


class Politeness(msgspec.Struct, frozen=True):
    """What the audit found. `more` violations are not named, `trimmed` batches are not kept by Redis any more."""

    crawl: str
    hosts: int
    requests: int
    violations: list[Violation]
    more: int = 0
    trimmed: int = 0


def audit(client: redis.Redis, crawl: str) -> Politeness:
    """Judge every host that a crawl asked, by the requests of all crawls to it. Raises UnknownCrawlError.

    And UsageError when the folder of temporary files is full or cannot be written.
    """
    results.resolve(client, crawl)
    with temporary.database("audit --politeness") as store:
        store.execute(f"CREATE TABLE asked ({', '.join(Asked._fields)})")
        hosts = set[str]()
        for row in asked(client, crawl):
            hosts.add(row.host)
        others = [name for name in results.crawls(client) if name != crawl]
        for name in (crawl, *others):
            _keep(store, (row for row in asked(client, name) if row.host in hosts))
        requests: int = store.execute("SELECT count(*) FROM asked").fetchone()[0]
        rows = store.execute("SELECT * FROM asked ORDER BY host, start_ms, end_ms")
        found = violations(Asked(*row) for row in rows)
        named = list(itertools.islice(found, NAMED))
        more = sum(1 for _ in found)
    trimmed = sum(_trimmed(client, name) for name in (crawl, *others))
    return Politeness(crawl, len(hosts), requests, named, more, trimmed)


def asked(client: redis.Redis, crawl: str) -> Iterator[Asked]:
    """Yield every request of a crawl that reached for its host, batch by batch, as long as Redis keeps them.

    Raises DamagedCrawlError at a batch that cannot be read.
    """
    start = "-"
    while rows := client.xrange(keys.attempts(crawl), min=start, count=PAGE):
        for identifier, fields in rows:
            reported_ms = int(identifier.partition(b"-")[0])
            requests, held_ms = results.requests(crawl, identifier, fields)
            for number, request in enumerate(requests, start=1):
                if request.result == "address":
                    # Refused by our own guard: the host was not asked.
                    continue
                # A batch ends with its refusal.
                hold_ms = held_ms if number == len(requests) else 0
                yield _asked(crawl, request, hold_ms, reported_ms)
        start = f"({rows[-1][0].decode()}"


def _asked(crawl: str, request: results.Request, hold_ms: int, reported_ms: int) -> Asked:
    # Workers take an end for later than it was by what their call to Redis took; it was before its report.
    end_ms = min(request.end_ms, reported_ms)
    return Asked(
        host=request.host,
        start_ms=min(request.start_ms, end_ms),
        end_ms=end_ms,
        delay_ms=request.delay_ms,
        cap=request.cap,
        hold_ms=hold_ms,
        reported_ms=reported_ms,
        crawl=crawl,
        url=request.url,
        worker=request.worker,
    )


def _keep(store: sqlite3.Connection, rows: Iterable[Asked]) -> None:
    places = ", ".join("?" * len(Asked._fields))
    store.executemany(f"INSERT INTO asked VALUES ({places})", rows)  # noqa: S608 - question marks only


def _trimmed(client: redis.Redis, crawl: str) -> int:
    """Return how many batches a crawl's attempts stream has lost to its limit."""
    if not client.exists(keys.attempts(crawl)):
        return 0
    about = client.xinfo_stream(keys.attempts(crawl))
    return int(about.get("entries-added", about["length"])) - int(about["length"])


def violations(rows: Iterable[Asked]) -> Iterator[Violation]:
    """Yield what is wrong with requests that are sorted by host, then start."""
    for _, of_host in itertools.groupby(rows, key=lambda row: row.host):
        yield from _of_host(of_host)


def _of_host(rows: Iterable[Asked]) -> Iterator[Violation]:
    last: Asked | None = None
    held: Asked | None = None
    under_way: list[Asked] = []
    for row in rows:
        under_way = [one for one in under_way if one.end_ms > row.start_ms + TOLERANCE_MS]
        at_once = len(under_way) + 1
        cap = 1 if row.delay_ms > 0 else row.cap
        if cap is not None and at_once > cap:
            yield _violation("overlap", under_way[-1], row, at_once)
        elif last is not None and row.delay_ms and row.start_ms - last.end_ms < row.delay_ms - TOLERANCE_MS:
            yield _violation("gap", last, row, at_once)
        if held is not None and _broke(held, row):
            yield _violation("hold", held, row, at_once)
        under_way.append(row)
        if last is None or row.end_ms > last.end_ms:
            last = row
        if row.hold_ms > (held.hold_ms if held is not None else 0):
            held = row


def _broke(held: Asked, row: Asked) -> bool:
    """Whether a request began while a host was held, and could have known."""
    known_ms = held.reported_ms + (NOTICE_MS if row.delay_ms == 0 else TOLERANCE_MS)
    return known_ms < row.start_ms < held.hold_ms - TOLERANCE_MS


def _violation(kind: str, first: Asked, second: Asked, at_once: int) -> Violation:
    return Violation(
        kind=kind,
        host=second.host,
        urls=(first.url, second.url),
        gap_ms=second.start_ms - first.end_ms,
        delay_ms=second.delay_ms,
        cap=1 if second.delay_ms > 0 else second.cap,
        at_once=at_once,
        left_ms=max(0, first.hold_ms - second.start_ms) if kind == "hold" else 0,
        at_ms=second.start_ms,
        workers=(first.worker, second.worker),
        crawls=(first.crawl, second.crawl),
    )
