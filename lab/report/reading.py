"""What pictures and pages read from a result: trials, timelines and numbers, whatever of it is there."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from crawl.errors import UsageError

#: The result schema this reads; fields added to it do not change the number.
SCHEMA = 1
_WAY = re.compile(r"(?P<pool>[a-z_]+)-(?P<slots>\d+)(?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True)
class Trial:
    """One trial as pictures need it; None where nothing was measured.

    `series` is the way without its concurrency: trials of one series make one line. `why` says why an invalid trial
    does not count. `row` is the trial's JSON, for the measures not named here.
    """

    workload: str
    way: str
    pool: str
    series: str
    slots: int
    valid: bool
    why: str
    pages_s: float | None
    slowest: float | None
    fastest: float | None
    row: dict[str, Any]

    def measure(self, *path: str) -> float | None:
        """Return the number under these keys, such as `measure("latency", "fetch_ms", "p95")`."""
        return number(_at(self.row, *path))

    @property
    def spread(self) -> tuple[float, float]:
        """Return how far the slowest run lies below the median and the fastest above it, in pages/s."""
        middle = self.pages_s or 0.0
        low = middle if self.slowest is None else self.slowest
        high = middle if self.fastest is None else self.fastest
        return max(0.0, middle - low), max(0.0, high - middle)


def number(value: Any) -> float | None:
    """Return a finite number as float, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def checked(result: Any) -> dict[str, Any]:
    """Return the result. Raises UsageError for what is none, or is of another schema."""
    if not isinstance(result, dict) or "trials" not in result:
        message = "not a result of the lab: no trials in it; make one with `poolcrawl bench --json`"
        raise UsageError(message)
    if result.get("schema") != SCHEMA:
        message = (
            f"a result of schema {result.get('schema')!r:.20}, expected {SCHEMA}; run the benchmark again"
        )
        raise UsageError(message)
    return result


def trials(result: dict[str, Any]) -> list[Trial]:
    """Return the trials in the order of the result."""
    return [_trial(row) for row in objects(result, "trials")]


def objects(row: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the objects of the list under `key`; none where there is no list."""
    found = row.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def mapping(row: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the object under `key`, empty where there is none."""
    found = row.get(key)
    return found if isinstance(found, dict) else {}


def text(value: Any) -> str:
    """Return a value as one line for people, empty for None; what cannot be printed is shown as such."""
    line = "" if value is None else " ".join(str(value).split())
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)


def workloads(result: dict[str, Any]) -> list[str]:
    """Return the names of workloads that have a trial or a timeline, each once, in order."""
    rows = [*objects(result, "trials"), *objects(result, "timelines")]
    return list(dict.fromkeys(_workload(row) for row in rows))


def _trial(row: dict[str, Any]) -> Trial:
    way = text(row.get("way")) or text(row.get("name")).partition("/")[2] or "?"
    match = _WAY.fullmatch(way)
    pool = text(row.get("pool")) or (match["pool"] if match else way)
    rest = re.sub(r"^x(\d+)", r" x\1", match["rest"]) if match else ""
    pages_s = number(row.get("pages_s"))
    valid = row.get("valid") is not False and pages_s is not None
    return Trial(
        workload=_workload(row),
        way=way,
        pool=pool,
        series=f"{match['pool']}{rest}" if match else way,
        slots=int(number(row.get("slots")) or (int(match["slots"]) if match else 1)),
        valid=valid,
        why="" if valid else text(row.get("invalid")) or "no valid run",
        pages_s=pages_s,
        slowest=number(row.get("slowest")),
        fastest=number(row.get("fastest")),
        row=row,
    )


def _workload(row: dict[str, Any]) -> str:
    return text(row.get("workload")) or text(row.get("name")).partition("/")[0] or "?"


def _at(row: Any, *path: str) -> Any:
    for key in path:
        row = row.get(key) if isinstance(row, dict) else None
    return row
