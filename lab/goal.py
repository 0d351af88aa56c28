"""What a crawl may be tuned for: how each goal is measured, and which trials compete for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab import spread
from lab.results import usable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lab.results import Row
    from lab.spread import Spread

#: Share of the best throughput that a way must reach to compete for the least memory.
MEMORY_SHARE = 0.9
#: The same for the least latency.
LATENCY_SHARE = 0.5
#: The stages whose p95 add up to a page's latency, in the order in which it takes them.
LATENCY_STAGES = ("fetch_ms", "parse_wait_ms", "parse_ms")


def latency_ms(row: Row) -> float | None:
    """Return a page's latency in ms: the p95 of fetch, of the wait for a parse and of parse, added up.

    The sum bounds the p95 of the whole, which no trial measures. The wait for a fetch is left out: it is as long as the
    backlog, so throughput decides it. None when fetch or parse is not there; a fused crawl has no wait to add.
    """
    values = {stage: stage_p95(row, stage) for stage in LATENCY_STAGES}
    if values["fetch_ms"] is None or values["parse_ms"] is None:
        return None
    return sum(value for value in values.values() if value is not None)


def stage_p95(row: Row, stage: str) -> float | None:
    """Return the p95 of one stage in ms, None when it is not there."""
    quantiles = (row.get("latency") or {}).get(stage) or {}
    return spread.number(quantiles.get("p95"))


def workers_mb(row: Row) -> float | None:
    """Return the peak memory of all workers in MB (10^6 bytes), which a single run has in bytes."""
    found = spread.number(row.get("workers_mb"))
    count = spread.number(row.get("workers_bytes"))
    return found if found is not None or count is None else count / 1e6


@dataclass(frozen=True)
class Goal:
    """One goal. `share` is the part of the best pages per second below which a trial does not compete."""

    name: str
    unit: str
    read: Callable[[Row], float | None]
    most: bool = False
    share: float = 0.0

    def spread(self, trial: Row) -> Spread | None:
        """Return the trial's measure with its range."""
        return spread.of(trial, self.read)

    def value(self, trial: Row) -> float | None:
        """Return the trial's measure."""
        return self.read(trial)

    def better(self, one: float, other: float) -> float | None:
        """Return how many times as good `one` is as `other`, None where that is no number."""
        above, below = (one, other) if self.most else (other, one)
        return round(above / below, 3) if below > 0 else None

    def rank(self, trials: Iterable[Row]) -> list[Row]:
        """Return the usable trials that compete, the best first."""
        counted = [trial for trial in trials if usable(trial)]
        if not counted:
            return []
        least = self.share * max(trial["pages_s"] for trial in counted)
        found = [(value, t) for t in counted if t["pages_s"] >= least and (value := self.read(t)) is not None]
        return [trial for _, trial in sorted(found, key=lambda pair: pair[0], reverse=self.most)]


#: Most pages per second, by the median of the valid runs.
THROUGHPUT = Goal("throughput", "pages/s", spread.field("pages_s"), most=True)
#: Least peak memory of all workers together, among ways with at least MEMORY_SHARE of the best throughput.
MEMORY = Goal("memory", "MB", workers_mb, share=MEMORY_SHARE)
#: Least `latency_ms`, among ways with at least LATENCY_SHARE of the best throughput.
LATENCY = Goal("latency", "ms", latency_ms, share=LATENCY_SHARE)

GOALS = {goal.name: goal for goal in (THROUGHPUT, MEMORY, LATENCY)}
