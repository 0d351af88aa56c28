"""Writes the rows of runs (`--json FILE`) into docs/reliability.md: `make chaos-table ROWS=FILE`.

A fault that was run several times in a pool stands there with its last row; so a row may be made again by itself.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from chaos.faults import FAULTS
from chaos.judge import Row
from stack import POOLS, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = ROOT / "docs" / "reliability.md"
_BEGIN, _END = "<!-- TABLE BEGINS -->", "<!-- TABLE ENDS -->"


def table(rows: Iterable[Row]) -> str:
    """Return a Markdown table, one line per fault: what was lost in all pools, and what it cost in each."""
    found = {(row.fault, row.pool): row for row in rows}
    pools = [pool for pool in POOLS if any(key[1] == pool for key in found)]
    lines = [f"| fault | pages | lost | duplicate | {' | '.join(pools)} |", "|---" * (4 + len(pools)) + "|"]
    known = [fault for fault in FAULTS if any(key[0] == fault for key in found)]
    for fault in dict.fromkeys((*known, *(key[0] for key in found))):
        of_fault = [found.get((fault, pool)) for pool in pools]
        there = [row for row in of_fault if row is not None]
        pages = sorted({row.pages for row in there})
        numbers = (
            "/".join(map(str, pages)),
            sum(row.lost for row in there),
            sum(row.duplicate for row in there),
        )
        cells = [fault, *map(str, numbers), *map(_cell, of_fault)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    resumed = "" if row.resume_s is None else f", {row.resume_s:.1f} s"
    return f"{row.refetched}{resumed}{'' if row.good else ', **wrong**'}"


def main() -> None:
    """Put the table between its marks."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit(
            "name the file of rows that `make chaos FAULTS='--json FILE'` wrote: make chaos-table ROWS=FILE"
        )
    rows = [msgspec.json.decode(line, type=Row) for line in Path(sys.argv[1]).read_bytes().splitlines()]
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    PAGE.write_text(f"{before}{_BEGIN}\n{table(rows)}\n{_END}{after}")


if __name__ == "__main__":
    main()
