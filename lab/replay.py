"""A workload like a crawl that was made: its latencies, sizes and parse costs, drawn from its records.

What is replayed are its pages (outcome `ok`). Redirects and files that are no page are left out, because they have no
size and no parse; requests that failed, for whatever reason, become the share of pages that answer 404, so a real
crawl's timeouts are not waited for again.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crawl.errors import UsageError
from crawl.urls import host_of
from lab.workload import MOST_HOSTS, MOST_LATENCY_MS, Sample, Workload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crawl.records import PageRecord

#: Most samples of a workload; they travel in its JSON.
MOST_SAMPLES = 2000
#: Fewer pages are no mix.
LEAST_SAMPLES = 20
#: Pages that each host of a replay has at least, as in the preset `web`; fewer would measure robots.txt.
PAGES_PER_HOST = 5
#: Largest page that is replayed, as of any workload, bytes.
_MOST_BYTES = 5_000_000
#: Bytes that one link takes in a page of ours.
_LINK_BYTES = 75
#: Most that the plain parse of a page is taken to cost, milliseconds and milliseconds per 1000 bytes: several times
#: what it takes on a machine of 2024 (0.03 and 0.008), so that slow machines are covered.
_PLAIN_MS = 0.05
_PLAIN_MS_PER_KB = 0.04


@dataclass
class Mix:
    """What the records of a crawl come to. `pages` are (latency, ms; size, bytes; parse, ms), evenly drawn."""

    pages: list[tuple[float, int, float]] = field(default_factory=list)
    links: list[int] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    good: int = 0
    failed: int = 0
    https: int = 0

    @property
    def errors(self) -> float:
        """Share of failures among pages and failures, at most what a workload may have."""
        asked = self.good + self.failed
        return round(min(0.9, self.failed / asked), 4) if asked else 0.0

    def samples(self) -> tuple[Sample, ...]:
        """Return at most 2000 of the pages. A sample's parse cost is what lies beyond a plain parse of its size.

        The trial pays the plain parse anyway, on its own page of that size. What it costs where the crawl ran is
        taken from the crawl itself: the median over its pages, by size, but never more than a plain parse can cost,
        so that a crawl whose every page was dear stays dear.
        """
        pages = [self.pages[i * len(self.pages) // self._count] for i in range(self._count)]
        share = statistics.median(parse / _plain_ms(size) for _, size, parse in pages)
        plain = min(1.0, share)
        return tuple(
            Sample(latency, size, round(max(0.0, parse - plain * _plain_ms(size)), 3))
            for latency, size, parse in pages
        )

    @property
    def _count(self) -> int:
        return min(MOST_SAMPLES, len(self.pages))

    def take(self, records: Iterable[PageRecord]) -> None:
        """Read all records; of very many pages only every nth is kept."""
        every = 1
        for record in records:
            if record.outcome == "failed" and record.attempts > 0:
                self.failed += 1
            if record.outcome != "ok" or record.bytes is None or record.fetch_ms is None:
                continue
            self.hosts.add(host_of(record.url))
            self.https += record.url.startswith("https://")
            if self.good % every == 0:
                latency_ms = min(record.fetch_ms, MOST_LATENCY_MS)
                self.pages.append((latency_ms, min(record.bytes, _MOST_BYTES), record.parse_ms or 0.0))
                self.links.append(len(record.links))
            self.good += 1
            if len(self.pages) >= 2 * MOST_SAMPLES:
                self.pages, self.links, every = self.pages[::2], self.links[::2], 2 * every


def read(records: Iterable[PageRecord], crawl: str) -> Mix:
    """Return the mix of a crawl. Raises UsageError, which names the crawl, where it has too few pages for one."""
    mix = Mix()
    mix.take(records)
    if mix.good < LEAST_SAMPLES:
        message = (
            f"crawl '{crawl}' has {mix.good} pages that were fetched, a replay needs at least {LEAST_SAMPLES}; "
            "replay a larger crawl (`poolcrawl list` shows all)"
        )
        raise UsageError(message)
    return mix


def from_crawl(records: Iterable[PageRecord], crawl: str) -> tuple[Sample, ...]:
    """Return at most 2000 samples of a crawl's pages, evenly drawn, the same for the same records."""
    return read(records, crawl).samples()


def replay_workload(crawl: str, records: Iterable[PageRecord], pages: int) -> Workload:
    """Return a workload of `pages` pages like those of a crawl, called `replay-CRAWL`.

    Its hosts are as many as the crawl's, but each has five pages at least; TLS is on where most pages had it.
    """
    mix = read(records, crawl)
    samples = mix.samples()
    half = int(statistics.median(sample.size_bytes for sample in samples) / 2 / _LINK_BYTES)
    workload = Workload(
        f"replay-{crawl}",
        pages=pages,
        hosts=max(1, min(len(mix.hosts), MOST_HOSTS, pages // PAGES_PER_HOST)),
        # Never more of a typical page than its half.
        links=max(1, min(int(statistics.median(mix.links)), half)),
        errors=mix.errors,
        tls=2 * mix.https > mix.good,
        # For whoever reads what the workload is: with samples the site is drawn from them alone.
        latency_ms=round(statistics.median(sample.latency_ms for sample in samples), 1),
        latency_most_ms=max(sample.latency_ms for sample in samples),
        page_kb=max(0.5, round(statistics.median(sample.size_bytes for sample in samples) / 1000, 1)),
        parse_ms=round(statistics.median(sample.parse_ms for sample in samples), 3),
        samples=samples,
    )
    workload.check()
    return workload


def _plain_ms(size: int) -> float:
    """Return the most that a plain parse of a page is taken to cost."""
    return _PLAIN_MS + _PLAIN_MS_PER_KB * size / 1000
