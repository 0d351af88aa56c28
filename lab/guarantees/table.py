"""The findings for people: one row per pool and guarantee, in words as well as in colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.guarantees.finding import Finding

KEPT, FAILS = "kept", "FAILS"


def of_findings(findings: Sequence[Finding]) -> Table:
    """Return the table; it fits 100 columns, and long sentences wrap."""
    table = Table(
        title="guarantees, measured",
        title_style="bold",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
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
