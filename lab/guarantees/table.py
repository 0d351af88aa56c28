"""The findings for people: as a list with the sentences, and as a matrix; in words as well as in colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from lab.guarantees.checks import GUARANTEES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.guarantees.finding import Finding

KEPT, FAILS = "kept", "FAILS"


def of_findings(findings: Sequence[Finding]) -> Table:
    """Return the table; it fits 100 columns, and long sentences wrap."""
    table = _titled("guarantees, measured")
    table.add_column("pool", no_wrap=True)
    table.add_column("guarantee", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("measured")
    shown = ""
    for one in findings:
        style = None if one.kept else "bold red"
        pool = "" if one.pool == shown else one.pool
        table.add_row(pool, one.guarantee, KEPT if one.kept else FAILS, one.measured, style=style)
        shown = one.pool
    return table


def of_matrix(findings: Sequence[Finding]) -> Table:
    """Return one row per guarantee and one column per pool, each cell with the number that counts."""
    columns = list(dict.fromkeys(one.pool for one in findings))
    cells = {(one.guarantee, one.pool): one for one in findings}
    table = _titled("guarantees, pool by pool")
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(column, no_wrap=True)
    for guarantee in GUARANTEES:
        row = [cells.get((guarantee, column)) for column in columns]
        if any(row):
            table.add_row(guarantee, *(_cell(one) for one in row))
    return table


def _titled(title: str) -> Table:
    return Table(
        title=title,
        title_style="bold",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def _cell(one: Finding | None) -> Text:
    if one is None:
        return Text("-")
    if one.kept:
        return Text(f"{KEPT} {one.figure}".strip())
    return Text(FAILS, style="bold red")
