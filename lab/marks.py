"""The marks of the benchmark: what must hold, what was measured, and whether it does."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lab.trial import SCRAPY

if TYPE_CHECKING:
    from lab.frontierload import Comparison
    from lab.memory import Footprint
    from lab.trial import Summary

#: Client commands per page, at most, at the default batch.
COMMANDS = 2.0
#: Times Scrapy as documented, at least, in the callback pipeline, for these pools.
TIMES_SCRAPY = 3.0
FAST_POOLS = ("prefork", "threads", "gevent")
#: MB of one gevent worker with GEVENT_SLOTS slots, at most.
GEVENT_MB = 200.0
GEVENT_SLOTS = 100
#: Bytes of Redis of one waiting URL of 60 characters, at most.
WAITING_BYTES = 160.0
#: Bytes of Redis of one seen URL, at most, by size of the seen set.
SEEN_BYTES = {100_000: 30.0, 1_000_000: 12.0}
#: Bytes of Redis of what stays of a trimmed record, at most, at the largest size that is measured.
TOMBSTONE_BYTES = 60.0
#: Throughput of a large frontier as a share of that of a small one, at least.
THROUGHPUT_SHARE = 0.9


@dataclass(frozen=True)
class Mark:
    """One promise in numbers; `value` is None where it could not be measured, which counts as missed."""

    what: str
    limit: float
    value: float | None
    at_most: bool = True

    @property
    def held(self) -> bool:
        """Whether the measured value is on the right side."""
        if self.value is None:
            return False
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    def row(self) -> dict[str, Any]:
        """Return the mark for JSON."""
        return {**asdict(self), "held": self.held}


def of_trials(
    summaries: list[Summary], gevent_slots: int | None, *, default_batch: bool = True
) -> list[Mark]:
    """Return the marks that trials decide; those of trials that were not run are left out.

    `gevent_slots` is the number of slots of a gevent worker in this run, None for the pool's default of GEVENT_SLOTS.
    The mark of commands is about the default batch.
    """
    by_name = {summary.name: summary for summary in summaries}
    found = []
    ours = [summary for summary in summaries if summary.name != SCRAPY]
    if default_batch:
        found += [Mark(f"client commands per page, {s.name}", COMMANDS, s.commands) for s in ours]
    peer = by_name.get(SCRAPY)
    for pool in FAST_POOLS:
        ours_too = by_name.get(f"{pool}/callback")
        if peer is not None and ours_too is not None:
            times = ours_too.pages_s / peer.pages_s
            found.append(Mark(f"times Scrapy, {ours_too.name}", TIMES_SCRAPY, times, at_most=False))
    gevent = [s.worker_mb for s in ours if s.name.startswith("gevent/") and s.worker_mb is not None]
    if gevent and gevent_slots in (None, GEVENT_SLOTS):
        found.append(Mark(f"MB of a gevent worker with {GEVENT_SLOTS} slots", GEVENT_MB, max(gevent)))
    return found


def of_memory(footprints: list[Footprint]) -> list[Mark]:
    """Return the marks of the frontier's memory."""
    found = []
    for footprint in footprints:
        size = f"{footprint.urls:,}"
        found.append(Mark(f"bytes per waiting URL at {size}", WAITING_BYTES, footprint.waiting))
        limit = SEEN_BYTES.get(footprint.urls)
        if limit is not None:
            found.append(Mark(f"bytes per seen URL at {size}", limit, footprint.seen))
        if footprint.tombstone is not None:
            found.append(Mark(f"bytes per tombstone at {size}", TOMBSTONE_BYTES, footprint.tombstone))
    return found


def of_throughput(comparisons: list[Comparison]) -> list[Mark]:
    """Return the marks of the frontier's speed by its size."""
    return [
        Mark(
            f"speed with {one.many:,} waiting, by that with {one.few:,}, {one.shape}",
            THROUGHPUT_SHARE,
            one.ratio,
            at_most=False,
        )
        for one in comparisons
    ]
