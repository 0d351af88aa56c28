"""What the page records of one run say: how fast, how long each stage took, what failed."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from crawl.errors import ViolationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crawl.records import PageRecord

#: Share of the pages, in order of completion, that warm the workers up: imports, connections, robots.txt.
WARM_UP = 0.1
#: But no more than this share of the crawl's time: where all pages come in one wave, their first tenth is its end.
WARM_UP_MOST = 0.25
#: Which shares of the pages are at least as fast as the figure.
QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}

Latency = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Readings:
    """Times in seconds since the epoch; latencies in milliseconds, by stage and quantile."""

    records: int
    good: int
    first: float
    last: float
    #: Pages of the time after the warm-up, and that time: from the warm-up's last page to the last page of all.
    steady_pages: float
    steady_s: float
    latency: Latency
    failures: dict[str, int]


def read(records: Iterable[PageRecord]) -> Readings:
    """Return what the records say. Raises ViolationError when no page was ever asked for."""
    every = list(records)
    asked = [record for record in every if record.started_at and record.fetched_at and record.parsed_at]
    if not asked:
        raise ViolationError("the crawl left no record of a page")
    spans = sorted((seconds(record.parsed_at), seconds(record.started_at)) for record in asked)
    first, last = min(start for _, start in spans), spans[-1][0]
    warm = int(len(spans) * WARM_UP)
    since = min(spans[warm - 1][0] if warm else first, first + WARM_UP_MOST * (last - first))
    return Readings(
        records=len(every),
        good=sum(1 for record in every if record.outcome == "ok"),
        first=first,
        last=last,
        steady_pages=round(sum(_share_since(since, start, end) for end, start in spans), 3),
        steady_s=max(last - since, 0.001),
        latency=_latency(asked),
        failures=dict(sorted(Counter(r.reason for r in every if r.outcome == "failed" and r.reason).items())),
    )


def _share_since(since: float, start: float, end: float) -> float:
    """Return which share of a page's time lies after a moment.

    Pages that were under way then count by what was still to do: counted whole they would be work for no time, the more
    of it the more slots there are, and not counted at all they would be time for no work.
    """
    if start >= since:
        return 1.0
    return max(0.0, end - since) / (end - start)


def _latency(records: list[PageRecord]) -> Latency:
    """Return the quantiles of each stage: waiting in frontier and queue, fetch, waiting for the parse, parse."""
    pages = [record for record in records if record.outcome == "ok"] or records
    parse_ms = [record.parse_ms or 0.0 for record in pages]
    between = [
        max(0.0, 1000 * (seconds(record.parsed_at) - seconds(record.fetched_at)) - own)
        for record, own in zip(pages, parse_ms, strict=True)
    ]
    return {
        "queue_ms": quantiles([record.wait_ms or 0.0 for record in pages]),
        "fetch_ms": quantiles([record.fetch_ms or 0.0 for record in pages]),
        "parse_wait_ms": quantiles(between),
        "parse_ms": quantiles(parse_ms),
    }


def quantiles(values: list[float]) -> dict[str, float]:
    """Return p50, p95 and p99 of some values, each on the line between its neighbours."""
    if len(values) < 2:
        return dict.fromkeys(QUANTILES, round(values[0], 3) if values else 0.0)
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {name: round(cuts[int(share * 100) - 1], 3) for name, share in QUANTILES.items()}


def median_latency(every: list[Latency]) -> Latency:
    """Return, stage by stage, the medians of several runs' quantiles."""
    there = [latency for latency in every if latency]
    if not there:
        return {}
    return {
        stage: {
            name: round(statistics.median(latency[stage][name] for latency in there), 3)
            for name in there[0][stage]
        }
        for stage in there[0]
    }


def seconds(moment: str | None) -> float:
    """Return a record's time as seconds since the epoch."""
    return datetime.fromisoformat(moment or "").timestamp()
