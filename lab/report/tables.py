"""The tables of the page: every trial, run and workload, as cells of text; a dash where nothing was measured."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from lab.report import reading
from lab.report.palette import look

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.report.reading import Trial

#: One row, by the names the template uses.
Cells = SimpleNamespace

_NONE = "-"
#: Heading -> cell. The template's groups count on this order.
_COLUMNS: dict[str, Callable[[Trial], str]] = {
    "median": lambda trial: number(trial.pages_s),
    "slowest": lambda trial: number(trial.slowest),
    "fastest": lambda trial: number(trial.fastest),
    "that count": lambda trial: counted(trial),  # noqa: PLW0108  # defined below
    "workers": lambda trial: number(trial.measure("worker_cpu")),
    "producer": lambda trial: number(trial.measure("producer_cpu")),
    "Redis": lambda trial: number(trial.measure("redis_cpu")),
    "all workers": lambda trial: number(trial.measure("workers_mb")),
    "largest worker": lambda trial: number(trial.measure("worker_mb")),
    "producer ": lambda trial: number(trial.measure("producer_mb")),
    "Redis ": lambda trial: number(trial.measure("redis_mb")),
    "commands": lambda trial: number(trial.measure("commands")),
    "bytes": lambda trial: number(trial.measure("redis_bytes")),
    "switches": lambda trial: number(trial.measure("switches")),
    "queue": lambda trial: quantiles(trial, "queue_ms"),
    "fetch": lambda trial: quantiles(trial, "fetch_ms"),
    "wait for parse": lambda trial: quantiles(trial, "parse_wait_ms"),
    "parse": lambda trial: quantiles(trial, "parse_ms"),
}


def heads() -> tuple[str, ...]:
    """Return the headings after the way's, the note's at the end."""
    return (*(name.strip() for name in _COLUMNS), "notes")


def tables(trials: list[Trial]) -> list[Cells]:
    """Return one table per workload, the fastest way first."""
    found: dict[str, list[Trial]] = {}
    for trial in trials:
        found.setdefault(trial.workload, []).append(trial)
    return [
        Cells(workload=name, rows=[_row(trial) for trial in _fastest_first(some)])
        for name, some in found.items()
    ]


def _fastest_first(trials: list[Trial]) -> list[Trial]:
    return sorted(trials, key=lambda trial: (not trial.valid, -(trial.pages_s or 0.0)))


def _row(trial: Trial) -> Cells:
    failures = reading.mapping(trial.row, "failures")
    note = ", ".join(f"{reading.text(count)} {reading.text(reason)}" for reason, count in failures.items())
    return Cells(
        way=trial.way,
        colour=look(trial.pool).ink.name,
        mark=look(trial.pool).mark,
        valid=trial.valid,
        why=trial.why,
        note=f"failures of a run: {note}" if note else "",
        cells=[cell(trial) for cell in _COLUMNS.values()],
    )


def runs(trials: list[Trial]) -> list[Cells]:
    """Return one row per run of each trial."""
    return [
        _run(f"{trial.workload}/{trial.way}", place, row)
        for trial in trials
        for place, row in enumerate(reading.objects(trial.row, "each"), 1)
    ]


def _run(name: str, place: int, row: dict[str, Any]) -> Cells:
    measured = (_knob(row.get(field)) for field in ("pages", "seconds", "pages_s"))
    why = reading.text(row.get("invalid")) or "no reason given" if row.get("valid") is False else ""
    return Cells(name=name, cells=[str(place), *measured], why=why)


def counted(trial: Trial) -> str:
    """Return how many of the runs count, marked where the trial does not."""
    each = reading.objects(trial.row, "each")
    if not trial.valid:
        return "\N{MULTIPLICATION SIGN} invalid"
    if not each:
        return number(trial.measure("runs"))
    return f"{sum(row.get('valid') is not False for row in each)} of {len(each)}"


def number(value: float | None) -> str:
    """Return a number with about three digits that matter, a dash for None."""
    if value is None:
        return _NONE
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def quantiles(trial: Trial, stage: str) -> str:
    """Return `p50 / p95 / p99` of a stage in milliseconds."""
    found = [trial.measure("latency", stage, name) for name in ("p50", "p95", "p99")]
    return _NONE if all(value is None for value in found) else " / ".join(map(number, found))


def workload_heads() -> tuple[str, ...]:
    """Return the headings of the workloads' table after the name's."""
    return tuple(_KNOBS.values())


def workload_rows(result: dict[str, Any]) -> list[list[str]]:
    """Return one row per workload: its name and its knobs."""
    rows = reading.objects(result, "workloads")
    return [[reading.text(row.get("name")), *(_knob(row.get(name)) for name in _KNOBS)] for row in rows]


_KNOBS = {
    "pages": "pages",
    "hosts": "hosts",
    "latency_ms": "latency, ms (median)",
    "latency_most_ms": "at most, ms",
    "page_kb": "page, kB",
    "links": "links",
    "parse_ms": "parse, ms of CPU",
    "errors": "share of errors",
    "tls": "TLS",
    "seed": "seed",
    "site_alone_pages_s": "site alone, pages/s",
}


def _knob(value: Any) -> str:
    """Return what was set or counted; a whole number stays one."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:,}" if isinstance(value, int) else number(reading.number(value))
