"""How fast the frontier is by itself with few and with many URLs waiting: its own verbs on a private server, no HTTP.

Every batch goes through `lease`, `start`, `fetched`, `load` and `complete`, which admits as many new URLs as it closes:
a frontier keeps its size. Frontiers of all sizes take turns on one server, so that what else the machine does meets all
of them alike, and only the ratio within a round counts.
"""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crawl import keys, records
from crawl.batches import Report, Result
from crawl.frontier import Frontier
from crawl.links import LINKS_PER_CALL, Links
from crawl.names import LINK
from lab import memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

    from crawl.batches import Started

#: URLs that wait in the small and in the large frontier.
FEW = 10_000
MANY = 1_000_000
#: URLs that one frontier completes in its turn, and turns of each.
URLS_A_ROUND = 2_000
ROUNDS = 15
#: Waiting URLs of a host, where there are many.
URLS_PER_HOST = 100
#: Batches in flight.
_WINDOW = 8
#: What every host is known to take, ms: batches are full.
_EXPECTED_MS = 10.0
#: Links of a record that lead nowhere new; with the rest of it, a record of about a kilobyte.
_LINKS = 10

SHAPES = ("one host", "many hosts")


@dataclass
class Load:
    """One frontier, and what each of its turns came to: URLs per second, and Redis' CPU time per URL (us)."""

    shape: str
    size: int
    frontier: Frontier
    options: records.CrawlOptions
    rates: list[float] = field(default_factory=list)
    redis_us: list[float] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)


@dataclass(frozen=True)
class Comparison:
    """What a large frontier reaches beside a small one: medians, and the median of the ratios within a round."""

    shape: str
    few: int
    many: int
    few_urls_s: float
    many_urls_s: float
    few_redis_us: float
    many_redis_us: float
    ratio: float

    def row(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            name: round(value, 3) if isinstance(value, float) else value for name, value in vars(self).items()
        }


def compare(
    client: redis.Redis,
    *,
    few: int = FEW,
    many: int = MANY,
    rounds: int = ROUNDS,
    say: Callable[[str], None] = lambda _: None,
) -> list[Comparison]:
    """Fill two frontiers of each shape, work on them in turns, and compare. The server must be our own."""
    # A fork of a large server in the middle of one's turn would be taken for its size.
    client.config_set("appendonly", "no")
    loads = [_filled(client, shape, size, say) for shape in SHAPES for size in (few, many)]
    for load in loads:
        _turn(load, URLS_A_ROUND)
    for number in range(1, rounds + 1):
        say(f"frontier throughput, round {number} of {rounds}")
        for load in loads if number % 2 else loads[::-1]:
            busy, began = _cpu_s(client), time.monotonic()
            done = _turn(load, URLS_A_ROUND)
            load.rates.append(done / (time.monotonic() - began))
            load.redis_us.append(1e6 * (_cpu_s(client) - busy) / done)
    return [_compared(*loads[place : place + 2]) for place in range(0, len(loads), 2)]


def _compared(small: Load, large: Load) -> Comparison:
    return Comparison(
        shape=small.shape,
        few=small.size,
        many=large.size,
        few_urls_s=statistics.median(small.rates),
        many_urls_s=statistics.median(large.rates),
        few_redis_us=statistics.median(small.redis_us),
        many_redis_us=statistics.median(large.redis_us),
        ratio=statistics.median(b / a for a, b in zip(small.rates, large.rates, strict=True)),
    )


def _cpu_s(client: redis.Redis) -> float:
    info = client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def _filled(client: redis.Redis, shape: str, size: int, say: Callable[[str], None]) -> Load:
    """Return a frontier in which so many URLs wait, at hosts that are known already."""
    crawl = f"{shape.split(' ', maxsplit=1)[0]}-{size}"
    options = records.CrawlOptions(delay_s=0, robots="ignore")
    load = Load(shape, size, Frontier(client, crawl), options)
    hosts = 1 if shape == SHAPES[0] else max(1, size // URLS_PER_HOST)
    say(f"frontier of {size:,} URLs, {shape}")
    load.frontier.create(options)
    for first in range(0, size, LINKS_PER_CALL):
        count = min(LINKS_PER_CALL, size - first)
        origins = [f"http://{number * hosts // size}.{crawl}.test" for number in range(first, first + count)]
        load.frontier.add(_links(load, origins), max_pages=None)
    known = {"expected_ms": _EXPECTED_MS, f"delay {crawl}": 0, f"cap {crawl}": options.host_concurrency}
    with client.pipeline(transaction=False) as pipe:
        for number in range(hosts):
            pipe.hset(keys.host(f"{number}.{crawl}.test"), mapping=known)
        pipe.execute()
    return load


def _links(load: Load, origins: list[str]) -> Links:
    """Return a new URL of each of these origins, of `memory.URL_LENGTH` characters where that is possible."""
    links = Links(finite=False, buckets=load.options.seen_buckets)
    now_ms = int(time.time() * 1000)
    for origin in origins:
        tail = f"{next(load.numbers):08d}.html"
        url = f"{origin}/".ljust(memory.URL_LENGTH - len(tail), "x") + tail
        fingerprint = links.offer(url)
        if fingerprint is not None:
            request = records.FetchRequest(
                url=url, depth=3, via=LINK, parent=f"{origin}/parent", queued_ms=now_ms
            )
            links.put(fingerprint, request)
    return links


def _turn(load: Load, urls: int) -> int:
    """Complete at least so many URLs; return how many."""
    done = 0
    while done < urls:
        leased = load.frontier.lease(load.options, window=_WINDOW, slots=_WINDOW)
        if not leased.batches:
            message = f"a frontier of {load.size} URLs gave out nothing"
            raise AssertionError(message)
        done += sum(_visit(load, batch.lease) for batch in leased.batches)
    return done


def _visit(load: Load, lease: str) -> int:
    """Take one batch through its life; return how many URLs it closed."""
    frontier, options = load.frontier, load.options
    started = frontier.start(lease, nonce=lease, worker="lab", options=options)
    assert not isinstance(started, str), started
    refs = [
        records.PageRef(
            index=index, outcome="ok", status=200, started_ms=started.now_ms, ended_ms=started.now_ms
        )
        for index in range(len(started.requests))
    ]
    batch = records.Fetched(pool="lab", slot="1", worker="lab", refs=refs)
    report = Report(
        ended_ms=started.now_ms,
        requests=len(refs),
        mean_ms=_EXPECTED_MS,
        answered=True,
        fails=0,
        fail_reason="",
        good_ms=started.now_ms,
        refusal=None,
    )
    frontier.fetched(started, batch, {0: b"<html>"}, report, options=options, body_ttl_s=60)
    frontier.load(lease, nonce=lease, options=options, with_bodies=True)
    found = _links(load, [started.origin] * len(refs))
    frontier.complete(lease, _results(frontier.crawl, started), [], found, options=options)
    return len(refs)


def _results(crawl: str, started: Started) -> list[Result]:
    return [
        Result(request.url, request.depth, "ok", None, records.to_json(_record(crawl, request)))
        for request in started.requests
    ]


def _record(crawl: str, request: records.FetchRequest) -> records.PageRecord:
    return records.PageRecord(
        crawl=crawl,
        url=request.url,
        via=request.via,
        parent=request.parent,
        depth=request.depth,
        attempts=1,
        outcome="ok",
        status=200,
        links=[request.url] * _LINKS,
    )
