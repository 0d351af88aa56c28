"""The result for people: one row per trial, one per mark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.markup import escape
from rich.table import Table

from lab.measure import MEMORY_KIND
from lab.trial import SCRAPY

if TYPE_CHECKING:
    from lab.marks import Mark
    from lab.trial import Summary

_NONE = "-"
#: Fits 80 characters, a terminal that nobody resized.
_PLAIN: dict[str, Any] = {"box": box.SIMPLE_HEAD, "padding": (0, 1, 0, 0), "pad_edge": False}


def number(value: float | None, digits: int = 0) -> str:
    """Return a value for a cell, `-` when there is none."""
    return _NONE if value is None else f"{value:,.{digits}f}"


def of_speed(summaries: list[Summary]) -> Table:
    """Return pages per second and CPU of each trial, in the order given."""
    peer = next((s.pages_s for s in summaries if s.name == SCRAPY), None)
    heads = ("pages/s", "min", "max", "x Scrapy", "workers", "producer", "Redis")
    table = _table("pages per second; CPU seconds per 1000 pages, by whom", heads)
    for s in summaries:
        times = None if peer is None else s.pages_s / peer
        rates = (number(s.pages_s), number(s.slowest), number(s.fastest), number(times, 1))
        table.add_row(s.name, *rates, *(number(v, 2) for v in (s.worker_cpu, s.producer_cpu, s.redis_cpu)))
    return table


def of_cost(summaries: list[Summary]) -> Table:
    """Return Redis commands per page and peak memory of each trial, in the order given."""
    heads = ("clients", "scripts", "workers", "a worker", "producer", "Redis")
    table = _table(f"Redis commands per page, by whom; peak {MEMORY_KIND} in MB", heads)
    for s in summaries:
        memory = (s.workers_mb, s.worker_mb, s.producer_mb, s.redis_mb)
        table.add_row(s.name, number(s.commands, 2), number(s.script_calls, 1), *map(number, memory))
    return table


def _table(title: str, heads: tuple[str, ...]) -> Table:
    table = Table(title=title, title_style="bold", title_justify="left", **_PLAIN)
    table.add_column("trial", no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def of_features(rows: list[dict[str, Any]]) -> Table:
    """Return what each feature costs, in the order given."""
    table = Table(title="worker CPU s per 1000 pages", title_style="bold", title_justify="left", **_PLAIN)
    table.add_column("crawl")
    for head in ("median", "min", "max", "costs"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        share = _NONE if row["share"] is None else f"{row['share']:+.1%}"
        cells = (number(row[key], 3) for key in ("cpu_s_per_1000", "least", "most"))
        table.add_row(row["feature"], *cells, share)
    return table


def of_frontier(rows: list[dict[str, Any]]) -> Table:
    """Return how fast frontiers of two sizes are (`frontierload.Comparison.row`)."""
    table = Table(
        title="the frontier by itself: URLs per second; Redis' CPU us per URL",
        title_style="bold",
        title_justify="left",
        **_PLAIN,
    )
    table.add_column("waiting at")
    for head in ("few", "URLs/s", "CPU", "many", "URLs/s", "CPU", "ratio"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        cells = [
            cell
            for size in ("few", "many")
            for cell in (number(row[size]), number(row[f"{size}_urls_s"]), number(row[f"{size}_redis_us"], 1))
        ]
        table.add_row(row["shape"], *cells, number(row["ratio"], 2))
    return table


def of_marks(marks: list[Mark]) -> Table:
    """Return the table of marks."""
    table = Table(title="marks", title_style="bold", title_justify="left", **_PLAIN)
    table.add_column("mark")
    table.add_column("wanted", justify="right")
    table.add_column("measured", justify="right")
    table.add_column("held")
    for mark in marks:
        sign = "<=" if mark.at_most else ">="
        held = "pass" if mark.held else "FAIL"
        style = None if mark.held else "bold red"
        table.add_row(mark.what, f"{sign} {mark.limit:g}", number(mark.value, 2), held, style=style)
    return table


#: Characters from which a table has all its columns.
WIDE = 105


def of_workload(name: str, trials: list[dict[str, Any]], *, narrow: bool = False) -> Table:
    """Return one workload's trials, fastest first; the invalid ones, which prove nothing, last.

    On a narrow terminal only what tells most has a column. A trial without a valid run has no figures.
    """
    heads: tuple[str, ...] = ("pages/s", "min", "max", "CPU/1000", "MB")
    stages = ("fetch_ms", "parse_wait_ms", "parse_ms")
    if not narrow:
        heads += ("fetch p95", "parse wait p95", "parse p95", "cmds")
    title = escape(f"{name}: pages per second, worker CPU s per 1000 pages{'' if narrow else ', ms'}")
    table = _table(title, heads)
    for trial in sorted(trials, key=lambda t: (not t["valid"], -(t.get("pages_s") or 0))):
        cells = [number(trial.get(key), 1) for key in ("pages_s", "slowest", "fastest", "worker_cpu")]
        cells.append(number(trial.get("workers_mb")))
        if not narrow:
            latency = trial.get("latency") or {}
            cells += [number((latency.get(stage) or {}).get("p95")) for stage in stages]
            cells.append(number(trial.get("commands"), 1))
        label = trial["way"] if trial["valid"] else f"{trial['way']} INVALID"
        table.add_row(escape(label), *cells, style=None if trial["valid"] else "bold red")
    return table
