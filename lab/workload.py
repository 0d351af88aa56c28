"""What is crawled in a trial: how many pages on how many hosts, how slow, how large, how dear to parse.

A workload is a description only; `lab.origin` serves it. Everything about a page is drawn from the workload's seed and
the page's number, so the same workload is the same site everywhere, and its records' digest is known beforehand.
"""

from __future__ import annotations

import math
import random
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import msgspec

from crawl.errors import UsageError

#: Most pages of a workload; a larger one is no longer a benchmark but a download.
MOST_PAGES = 200_000
#: Most hosts; each is one entry of CRAWL_RESOLVE.
MOST_HOSTS = 500
#: Longest latency: a crawl gives a read up after 20 s (CRAWL_READ_TIMEOUT_S), and a late site needs room below that.
MOST_LATENCY_MS = 15_000


@dataclass(frozen=True)
class Sample:
    """One page of a real crawl, for `--replay`: what its request took, its size, what its parse took."""

    latency_ms: float
    size_bytes: int
    parse_ms: float


@dataclass(frozen=True)
class Page:
    """What one page of a workload costs, drawn from the seed and the page's number."""

    latency_ms: float
    size_bytes: int
    parse_ms: float
    fails: bool


@dataclass(frozen=True)
class Workload:
    """The knobs of a site. Latencies are lognormal by URL: median, shape (sigma), least and most.

    `parse_ms` is CPU time burned per page beside the real parse; `errors` is the share of pages that answer 404.
    With `samples`, latency, size and parse cost are drawn from them instead.
    """

    name: str
    pages: int = 400
    hosts: int = 1
    latency_ms: float = 0.0
    latency_sigma: float = 0.5
    latency_least_ms: float = 0.0
    latency_most_ms: float = 3000.0
    page_kb: float = 15.0
    links: int = 20
    parse_ms: float = 0.0
    errors: float = 0.0
    tls: bool = False
    seed: int = 1
    samples: tuple[Sample, ...] = ()

    def page(self, number: int) -> Page:
        """Return what page `number` costs; depends on nothing but the workload and the number."""
        rng = random.Random(f"{self.seed}:{number}:cost")
        fails = rng.random() < self.errors and number >= self.hosts
        if self.samples:
            sample = rng.choice(self.samples)
            return Page(sample.latency_ms, sample.size_bytes, sample.parse_ms, fails)
        latency_ms = 0.0
        if self.latency_ms > 0:
            latency_ms = rng.lognormvariate(math.log(self.latency_ms), self.latency_sigma)
            latency_ms = min(max(latency_ms, self.latency_least_ms), self.latency_most_ms)
        size = int(self.page_kb * 1000 * rng.uniform(2 / 3, 4 / 3))
        return Page(round(latency_ms, 3), size, self.parse_ms, fails)

    def check(self) -> None:
        """Raise UsageError, in one line, for knobs that make no site."""
        limits: dict[str, tuple[float, float]] = {
            "pages": (1, MOST_PAGES),
            "hosts": (1, min(MOST_HOSTS, self.pages)),
            "latency_ms": (0, MOST_LATENCY_MS),
            "latency_sigma": (0, 3),
            "latency_least_ms": (0, MOST_LATENCY_MS),
            "latency_most_ms": (self.latency_least_ms, MOST_LATENCY_MS),
            "page_kb": (0.5, 5000),
            "links": (1, 1000),
            "parse_ms": (0, 10_000),
            "errors": (0, 0.9),
        }
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if not least <= value <= most:
                message = f"workload '{self.name}': {name} is {value:g}, expected {least:g} to {most:g}"
                raise UsageError(message)
        if self.latency_ms and not self.latency_least_ms <= self.latency_ms <= self.latency_most_ms:
            message = (
                f"workload '{self.name}': latency_ms is {self.latency_ms:g}, but no latency is below "
                f"{self.latency_least_ms:g} or above {self.latency_most_ms:g}; move latency_least_ms or latency_most_ms"
            )
            raise UsageError(message)

    def with_(self, **knobs: Any) -> Workload:
        """Return the same workload with other knobs, checked."""
        changed = replace(self, **knobs)
        changed.check()
        return changed

    def row(self) -> dict[str, Any]:
        """Return the workload for JSON; `from_row` reads it again."""
        return asdict(self)


def from_row(row: dict[str, Any]) -> Workload:
    """Return the workload of a JSON object. Raises UsageError for what is none."""
    try:
        unknown = sorted(set(row) - {field.name for field in fields(Workload)})
        if unknown:
            message = f"it has '{unknown[0]}', which no workload has"
            raise ValueError(message)
        workload = msgspec.convert(row, Workload)
    except (TypeError, ValueError) as error:
        message = f"not a workload: {error}"
        raise UsageError(message) from None
    workload.check()
    return workload


PRESETS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        # No latency: what the crawler itself costs.
        Workload("lan", pages=1500, hosts=4),
        # The web: 300 ms in the median, many hosts.
        Workload("web", pages=112, hosts=28, latency_ms=300, latency_sigma=0.5, latency_most_ms=1500),
        # The tutorial's one to three seconds.
        Workload(
            "slow", pages=60, hosts=20, latency_ms=1900, latency_sigma=0.35,
            latency_least_ms=1000, latency_most_ms=3000,
        ),
        # Parsing is what costs: 20 ms of CPU a page.
        Workload("heavy", pages=120, hosts=4, parse_ms=20),
        # Some of everything.
        Workload("mixed", pages=112, hosts=16, latency_ms=150, latency_sigma=0.7, latency_most_ms=1500,
                 parse_ms=8, errors=0.02),
    )
}  # fmt: skip
