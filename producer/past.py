"""A crawl's records as a second look reads them, and what their pages offered when they were parsed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec

from crawl import keys, names, results, sitemaps
from crawl.admission import may_follow
from crawl.records import FetchRequest
from crawl.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crawl.admission import Admission
    from crawl.batches import Look
    from crawl.frontier import Frontier
    from crawl.records import CrawlOptions

#: Records judged between two looks at what is due; some ten milliseconds' work.
SLICE = 200


class Parsed(msgspec.Struct):
    """What of a stored record counts here; one of which less was kept offers nothing."""

    url: str = ""
    via: str = names.LINK
    parent: str | None = None
    depth: int = 0
    outcome: str = ""
    redirect_to: str | None = None
    links: list[str] = []
    kind: str | None = None
    robots: list[str] = []

    @property
    def is_seed(self) -> bool:
        """Whether it counts as a seed: it is one, or seeds alone have led to it."""
        return self.depth == 0 and self.via in (names.SEED, names.REDIRECT)


_decode = msgspec.json.Decoder(Parsed).decode


class Past:
    """A crawl's records as a look reads them."""

    def __init__(self, frontier: Frontier, options: CrawlOptions, look: Look) -> None:
        self.frontier = frontier
        self.options = options
        self.look = look
        self.entries = frontier.scope_seeds(0, look.count)
        self.scope = Scope(options, self.entries)
        admitted, listed = frontier.client.hmget(keys.counts(frontier.crawl), "admitted", "sitemaps listed")
        self.listed = int(listed or 0)
        #: Whether every record is still there, as it is at a crawl's end unless some were taken out of Redis.
        self.whole = frontier.client.hlen(keys.records(frontier.crawl)) >= int(admitted or 0)

    def counted(self, _: int) -> int:
        """Return how many sitemaps indexes have listed; they were counted when those were parsed."""
        return self.listed

    def now_ms(self) -> int:
        """Return Redis time."""
        seconds, micros = self.frontier.client.time()
        return int(seconds * 1000 + micros // 1000)

    def records(self, after: str = "-", until: str | None = None) -> Iterator[list[Parsed]]:
        """Yield the records after one stream entry and up to another, in order of completion and in slices."""
        last = _place(until) if until is not None else None
        found = (
            _decode(line)
            for _, line in itertools.takewhile(
                lambda one: last is None or _place(one[0]) <= last,
                results.lines(self.frontier.client, self.frontier.crawl, after),
            )
        )
        while part := list(itertools.islice(found, SLICE)):
            yield part

    def records_of(self, fingerprints: list[str]) -> Iterator[tuple[str, Parsed]]:
        """Yield the records of these fingerprints, without those that have none."""
        if not fingerprints:
            return
        found = self.frontier.client.hmget(keys.records(self.frontier.crawl), fingerprints)
        for fingerprint, line in zip(fingerprints, found, strict=True):
            if line is not None:
                yield fingerprint, _decode(line)

    def offer(self, again: Admission, record: Parsed, depth: int, lies: Scope | None = None) -> None:
        """Offer what the parse of this page offered, at another depth maybe; only what `lies` there will be used."""
        target = record.redirect_to if record.outcome == "redirect" else None
        index = record.kind == names.SITEMAP and record.via == names.SITEMAP
        used = target is not None and (lies is None or lies.inside(target))
        request = FetchRequest(
            url=record.url,
            depth=depth,
            via=record.via,
            parent=record.parent,
            # Known at a price, and of no account for other pages.
            hops=self.hops(record) if index or used else 0,
        )
        if target is not None:
            again.redirect(request, target)
        elif record.outcome == "ok":
            again.links(request, record, follow=may_follow(self.options, record.robots))

    def hops(self, record: Parsed) -> int:
        """Return how many redirects, or indexes of sitemaps, led to a page: its parents' records tell."""
        hops = 0
        while hops <= self.options.max_redirects and record.parent is not None:
            if record.via not in (names.REDIRECT, names.SITEMAP):
                break
            (line,) = self.frontier.stored([record.parent])
            if line is None:
                break
            parent = _decode(line)
            index = parent.kind == names.SITEMAP and parent.via == names.SITEMAP
            if parent.outcome != "redirect" and not (index and sitemaps.is_one(record.url)):
                break
            hops += 1
            record = parent
        return hops


def _place(entry: str) -> tuple[int, int]:
    milliseconds, _, number = entry.partition("-")
    return int(milliseconds), int(number or 0)
