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
    #: Pages after the warm-up, and the seconds from its last page to the last page of all.
    steady_pages: int
    steady_s: float
    latency: Latency
    failures: dict[str, int]


def read(records: Iterable[PageRecord]) -> Readings:
    """Return what the records say. Raises ViolationError when no page was ever asked for."""
    every = list(records)
    asked = [record for record in every if record.started_at and record.fetched_at and record.parsed_at]
    if not asked:
        raise ViolationError("the crawl left no record of a page")
    ends = sorted(seconds(record.parsed_at) for record in asked)
    warm = min(int(len(ends) * WARM_UP), len(ends) - 1)
    # Two pages that end together have no rate: the whole span then stands for it.
    first = min(seconds(record.started_at) for record in asked)
    steady_s = ends[-1] - ends[warm - 1] if warm else ends[-1] - first
    return Readings(
        records=len(every),
        good=sum(1 for record in every if record.outcome == "ok"),
        first=first,
        last=ends[-1],
        steady_pages=len(ends) - warm if steady_s > 0 else len(ends),
        steady_s=steady_s if steady_s > 0 else max(ends[-1] - first, 0.001),
        latency=_latency(asked),
        failures=dict(sorted(Counter(r.reason for r in every if r.outcome == "failed" and r.reason).items())),
    )


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
