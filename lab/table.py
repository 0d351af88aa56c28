"""The result for people: one row per trial, one per mark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from lab.measure import MEMORY_KIND
from lab.trial import SCRAPY

if TYPE_CHECKING:
    from lab.marks import Mark
    from lab.trial import Summary

_NONE = "-"


def number(value: float | None, digits: int = 0) -> str:
    """Return a value for a cell, `-` when there is none."""
    return _NONE if value is None else f"{value:,.{digits}f}"


def of_trials(summaries: list[Summary]) -> Table:
    """Return the table of medians, in the order given."""
    table = Table(title="medians, start of interpreters left out", title_style="bold")
    table.add_column("trial")
    for head in (
        "pages/s",
        "min-max",
        "x Scrapy",
        "CPU s/1000\nworkers",
        "\nproducer",
        "\nRedis",
        "commands/page\nclients",
        "\nscripts",
        f"peak {MEMORY_KIND} MB\nworkers",
        "\nlargest",
        "\nproducer",
        "\nRedis",
    ):
        table.add_column(head, justify="right", no_wrap=True)
    peer = next((s.pages_s for s in summaries if s.name == SCRAPY), None)
    for summary in summaries:
        table.add_row(*_cells(summary, peer))
    return table


def of_marks(marks: list[Mark]) -> Table:
    """Return the table of marks."""
    table = Table(title="marks", title_style="bold")
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


def _cells(summary: Summary, peer: float | None) -> list[str]:
    times = None if peer is None else summary.pages_s / peer
    return [
        summary.name,
        number(summary.pages_s),
        f"{number(summary.slowest)}-{number(summary.fastest)}",
        number(times, 1),
        number(summary.worker_cpu, 2),
        number(summary.producer_cpu, 2),
        number(summary.redis_cpu, 2),
        number(summary.commands, 2),
        number(summary.script_calls, 1),
        number(summary.workers_mb),
        number(summary.worker_mb),
        number(summary.producer_mb),
        number(summary.redis_mb),
    ]
