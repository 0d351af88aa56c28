"""Whether two trials differ at all, judged by the spread of their runs.

Rounds are interleaved, so what else the machine did met all trials alike; ranges that overlap all the same are noise.
Runs of a shared machine differ by up to two times, so a single run each is believed only where the gap is wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.results import Row

SURE = "sure"
LIKELY = "likely"
NO_DIFFERENCE = "no difference"

#: Medians closer than this share are no difference, however narrow their ranges.
MARGIN = 0.05
#: The same where one of the two has a single run, and so no range.
LONE_MARGIN = 0.3
#: Valid runs of each from which separate ranges are sure: three against three are apart by chance once in ten times.
SURE_RUNS = 3


@dataclass(frozen=True)
class Spread:
    """A measure of a trial: its median, the range over its valid runs, and how many those were."""

    median: float
    least: float
    most: float
    runs: int


def of(trial: Row, read: Callable[[Row], float | None]) -> Spread | None:
    """Return the spread of what `read` takes from a trial and from each of its valid runs, None when it has none."""
    median = read(trial)
    if median is None:
        return None
    each = [read(run) for run in trial.get("each") or () if run.get("valid")]
    values = [value for value in each if value is not None] or [median]
    return Spread(median, min(*values, median), max(*values, median), len(values))


def compare(one: Spread, other: Spread) -> str:
    """Return how sure it is that two spreads differ: SURE, LIKELY or NO_DIFFERENCE."""
    low, high = sorted((one, other), key=lambda spread: spread.median)
    runs = min(one.runs, other.runs)
    margin = MARGIN if runs > 1 else LONE_MARGIN
    if low.most >= high.least or high.median < low.median * (1 + margin):
        return NO_DIFFERENCE
    return SURE if runs >= SURE_RUNS else LIKELY


def field(name: str) -> Callable[[Row], float | None]:
    """Return what reads one measure of a trial or a run."""

    def read(row: Row) -> float | None:
        return number(row.get(name))

    return read


def number(value: Any) -> float | None:
    """Return a value as a number, None when it is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
