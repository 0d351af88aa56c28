"""What a run of the ladder found: a row per rung, and the times that no schedule could beat."""

from __future__ import annotations

import heapq
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from crawl.settings import VERSION
from lab.ladder.rungs import SLOTS

if TYPE_CHECKING:
    from lab.ladder.rungs import Rung

SERIAL = "serial"


@dataclass(frozen=True)
class Outcome:
    """One run of a rung: its costs, or why there are none."""

    wall_s: float | None = None
    cpu_s: float | None = None
    peak_mb: float | None = None
    at_once: int | None = None
    notes: dict[str, float | str] = field(default_factory=dict)
    digest: str | None = None
    parsed_in: str | None = None
    skipped: str | None = None
    invalid: str | None = None

    def __str__(self) -> str:
        """Return the outcome in a few words, for the progress line."""
        if self.wall_s is None:
            return f"skipped: {self.skipped}" if self.skipped else f"FAILED: {self.invalid}"
        return f"{self.wall_s:.2f} s" + (f", INVALID: {self.invalid}" if self.invalid else "")


@dataclass(frozen=True)
class Row:
    """A rung's medians. `wall_s` and `cpu_s` are seconds, `peak_mb` MB (10^6) of all its processes.

    `at_once` is the most pages the server was asked for at the same time.
    """

    name: str
    file: str
    shows: str
    slots: int
    pages: int
    runs: int
    compared: bool
    wall_s: float | None
    fastest_s: float | None
    slowest_s: float | None
    cpu_s: float | None
    peak_mb: float | None
    at_once: int | None
    parsed_in: str | None
    digest: str | None
    notes: dict[str, float | str]
    skipped: str | None
    invalid: str | None

    @classmethod
    def of(cls, rung: Rung, outcomes: list[Outcome], expected: str) -> Self:
        """Return the row of a rung; it is invalid when any run failed or did not give the expected digest."""
        done = [outcome for outcome in outcomes if outcome.wall_s is not None]
        invalid = next((outcome.invalid for outcome in outcomes if outcome.invalid), None)
        digests = {outcome.digest for outcome in done}
        if invalid is None and digests - {expected}:
            invalid = f"digest {min(str(d) for d in digests - {expected})[:12]} instead of {expected[:12]}"
        walls = [outcome.wall_s for outcome in done if outcome.wall_s is not None]
        return cls(
            name=rung.name,
            file=f"lab/ladder/{rung.module}.py",
            shows=rung.shows,
            slots=rung.slots,
            pages=rung.count,
            runs=len(done),
            compared=rung.compared,
            wall_s=median(walls),
            fastest_s=min(walls, default=None),
            slowest_s=max(walls, default=None),
            cpu_s=median([outcome.cpu_s for outcome in done]),
            peak_mb=median([outcome.peak_mb for outcome in done]),
            at_once=max((outcome.at_once for outcome in done if outcome.at_once is not None), default=None),
            parsed_in=done[-1].parsed_in if done else None,
            digest=done[-1].digest if done else None,
            notes=done[-1].notes if done else {},
            skipped=next((outcome.skipped for outcome in outcomes if outcome.skipped), None),
            invalid=invalid,
        )


@dataclass(frozen=True)
class Result:
    """All rows. `waits` are the seconds each page takes, `parse_ms` the CPU of a parse."""

    rows: list[Row]
    costs: list[dict[str, Any]]
    waits: list[float]
    parse_ms: float
    rounds: int

    @property
    def violations(self) -> list[str]:
        """One line for each rung that failed or disagreed."""
        return [f"{row.name}: {row.invalid}" for row in self.rows if row.invalid]

    def times(self, row: Row) -> float | None:
        """Return how many times faster than the serial rung a row is; None where that says nothing."""
        serial = next((other.wall_s for other in self.rows if other.name == SERIAL), None)
        return serial / row.wall_s if serial and row.wall_s and row.compared else None

    def bounds(self) -> dict[str, float]:
        """Return, in seconds: one page after the other; the pages over the slots in order; the least any order takes.

        The last two are without any parse.
        """
        return {
            "serial_s": round(sum(self.waits) + len(self.waits) * self.parse_ms / 1000, 3),
            "schedule_s": round(schedule_s(self.waits, SLOTS), 3),
            "floor_s": round(floor_s(self.waits, SLOTS), 3),
        }

    def row(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {
            "schema": 1,
            "poolcrawl": VERSION,
            "kind": "ladder",
            "latencies_s": self.waits,
            "parse_ms": self.parse_ms,
            "rounds": self.rounds,
            "slots": SLOTS,
            "bounds": self.bounds(),
            "rungs": [_rounded(asdict(row) | {"times_serial": self.times(row)}) for row in self.rows],
            "costs": self.costs,
        }


def schedule_s(waits: list[float], slots: int) -> float:
    """Return when the last page has come, if whoever is free takes the next one in order."""
    free_at = [0.0] * slots
    for wait in waits:
        heapq.heapreplace(free_at, free_at[0] + wait)
    return max(free_at)


def floor_s(waits: list[float], slots: int) -> float:
    """Return what no order can beat: the longest page, or all the waiting shared out evenly."""
    return max(*waits, sum(waits) / slots)


def median(values: list[float | None] | list[float]) -> float | None:
    """Return the median of the values that are there, or None when none is."""
    there = [value for value in values if value is not None]
    return statistics.median(there) if there else None


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
