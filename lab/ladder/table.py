"""The ladder as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from lab.ladder.rungs import SLOTS
from lab.table import number

if TYPE_CHECKING:
    from lab.ladder.result import Result, Row

_COSTS = {
    "create_us": "made and ended, us",
    "switch_us": "switch, us",
    "kb": "one more, kB",
    "speed_up": "all cores, times",
    "gap_ms": "longest wait beside a busy one, ms",
    "kept_percent": "kept of an unlocked sum, %",
}


def _table(title: str) -> Table:
    return Table(title=title, title_style="bold", title_justify="left", box=None, pad_edge=False)


def of_rungs(result: Result) -> Table:
    """Return one line per rung, and what nothing could beat in the title."""
    bounds = result.bounds()
    title = (
        f"the ladder: {len(result.waits)} pages, parse {result.parse_ms:g} ms of CPU; one after the other "
        f"{bounds['serial_s']:.2f} s, on {SLOTS} slots at least {bounds['floor_s']:.2f} s "
        f"(in order {bounds['schedule_s']:.2f} s) without parsing"
    )
    table = _table(title)
    table.add_column("rung", no_wrap=True)
    for head in ("wall s", "x serial", "CPU s", "MB", "at once"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("parsed in")
    table.add_column("what it shows")
    for row in result.rows:
        figures = (
            number(row.wall_s, 2),
            number(result.times(row), 2),
            number(row.cpu_s, 2),
            number(row.peak_mb),
            number(row.at_once),
        )
        style = "bold red" if row.invalid else None
        table.add_row(row.name, *figures, row.parsed_in or "-", _shown(row), style=style)
    return table


def _shown(row: Row) -> str:
    if row.invalid or row.skipped:
        return f"INVALID: {row.invalid}" if row.invalid else f"skipped: {row.skipped}"
    notes = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in row.notes.items())
    return f"{row.shows} ({notes})" if notes else row.shows


def of_costs(result: Result) -> Table:
    """Return what one of each kind costs."""
    table = _table("what one of each kind costs")
    table.add_column("kind")
    for head in _COSTS.values():
        table.add_column(head, justify="right")
    for kind in result.costs:
        table.add_row(kind["kind"], *(f"{kind[name]:g}" for name in _COSTS))
    return table
