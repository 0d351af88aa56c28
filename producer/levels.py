"""A second look at depths: pages nearer to the seeds than they were found offer their links by the shorter way.

Levels are served strictly one after the other, so a link can never lead to a page by a longer way first. But a redirect
and a sitemap lead to pages on their own level, while a page beside them may have linked to the same page, one level
down, before. And what a second look admits comes when deeper levels have been served. From there on this is Dijkstra's
way over the records, which looks only at what changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawl.admission import Admission
from producer.past import SLICE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crawl.records import FetchRequest
    from producer.past import Parsed, Past


class _Offers(Admission):
    """What a page would offer, to be thought over."""

    def __init__(self, past: Past, now_ms: int) -> None:
        super().__init__(past.options, past.scope, past.counted, now_ms=now_ms)
        self.found: dict[int, FetchRequest] = {}

    def hold(self, fingerprint: int, request: FetchRequest) -> None:
        older = self.found.get(fingerprint)
        if older is None or older.depth > request.depth:
            self.found[fingerprint] = request


class _Ways:
    """The shortest ways found so far: to pages that have a record, and to those that were never admitted."""

    def __init__(self, past: Past) -> None:
        self._past = past
        # Once for all: what is admitted in the end is admitted then.
        self._now_ms = past.now_ms()
        #: Depth -> fingerprints of pages that may lie there.
        self.open: dict[int, set[str]] = {}
        #: Depths of pages as far as they were looked up or mended.
        self._depths: dict[str, int] = {}
        #: What has no record.
        self.new: dict[str, FetchRequest] = {}
        #: What was offered since `prune`, and at which depth.
        self._fresh: list[tuple[str, int]] = []
        #: What lies nearer: fingerprint, depth, and how many more of its links are refused, by reason.
        self.found: list[tuple[str, int, dict[str, int]]] = []

    def offer(self, record: Parsed, depth: int) -> dict[str, int]:
        """Take what a page at this depth leads to; return what it refused."""
        offers = _Offers(self._past, self._now_ms)
        self._past.offer(offers, record, depth)
        for number, request in offers.found.items():
            fingerprint = str(number)
            known = self._depths.get(fingerprint)
            if known is not None and known <= request.depth:
                continue
            older = self.new.get(fingerprint)
            if older is None or older.depth > request.depth:
                self.new[fingerprint] = request
                self.open.setdefault(request.depth, set()).add(fingerprint)
                self._fresh.append((fingerprint, request.depth))
        return offers.refused

    def refused(self, record: Parsed, depth: int) -> dict[str, int]:
        """Return what a page at this depth refuses."""
        offers = _Offers(self._past, self._now_ms)
        self._past.offer(offers, record, depth)
        return offers.refused

    def prune(self) -> None:
        """Drop what was offered to no purpose, since it lies that near anyway: nearly everything, which may be much."""
        for first in range(0, len(self._fresh), SLICE):
            part = self._fresh[first : first + SLICE]
            stored = self._past.frontier.depths([fingerprint for fingerprint, _ in part])
            for (fingerprint, depth), known in zip(part, stored, strict=True):
                if 0 <= known <= depth:
                    self.open[depth].discard(fingerprint)
                    self.new.pop(fingerprint, None)
        self._fresh.clear()

    def settle(self) -> Iterator[None]:
        """Go every way to its end, the nearest pages first."""
        frontier = self._past.frontier
        while self.open:
            depth = min(self.open)
            part = [self.open[depth].pop() for _ in range(min(SLICE, len(self.open[depth])))]
            if not self.open[depth]:
                del self.open[depth]
            nearer = []
            for fingerprint, stored in zip(part, frontier.depths(part), strict=True):
                if stored < 0:
                    continue
                self.new.pop(fingerprint, None)
                known = self._depths.get(fingerprint, stored)
                self._depths[fingerprint] = min(known, depth)
                if depth < known:
                    nearer.append(fingerprint)
            for fingerprint, record in self._past.records_of(nearer):
                before = self.refused(record, record.depth)
                after = self.offer(record, depth)
                reasons = before.keys() | after.keys()
                more = {reason: after.get(reason, 0) - before.get(reason, 0) for reason in reasons}
                self.found.append((fingerprint, depth, {reason: by for reason, by in more.items() if by}))
            yield


def look(past: Past) -> Iterator[None]:
    """Look at marked pages, and at those that came when their level had been served."""
    frontier, options = past.frontier, past.options
    ways = _Ways(past)
    marks = list(frontier.nearer())
    for fingerprint, depth in marks:
        ways.open.setdefault(depth, set()).add(fingerprint)
    if past.look.after is not None:
        for part in past.records(past.look.after, past.look.last):
            for record in part:
                ways.offer(record, record.depth)
            ways.prune()
            yield
    yield from ways.settle()
    admitted = 0
    if ways.new:
        # Noted before, in case that the end is not reached.
        frontier.look_at_levels(past.look)
        admission = Admission(options, past.scope, past.counted, now_ms=past.now_ms())
        for fingerprint, request in ways.new.items():
            admission.hold(int(fingerprint), request)
        admitted, _ = frontier.admit_late(admission.new, options, mark=False)
        yield
    # What was found by way of another goes first: should this end before its time, the other one leads to it again.
    found = ways.found[::-1]
    for first in range(0, len(found), SLICE):
        if not frontier.levelled(past.look, found[first : first + SLICE]):
            # A retry came in between: its pages, and what they lead to, may be among those that were looked at.
            return
        yield
    for first in range(0, len(marks), SLICE):
        if not frontier.levelled(past.look, (), marks=marks[first : first + SLICE]):
            return
    frontier.levelled(past.look, (), after=past.look.last if admitted else None, end=True)
