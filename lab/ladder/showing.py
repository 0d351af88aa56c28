"""From the options of `bench --ladder` to its answer."""

from __future__ import annotations

from lab import showing
from lab.conditions import conditions
from lab.ladder import table
from lab.ladder.runner import PARSE_MS, run_ladder


def bench(only: tuple[str, ...], parse_ms: float | None, rounds: int | None, as_json: bool) -> int:
    """Run the ladder and print it; return the exit code: 1 when a rung failed or gave another digest."""
    milliseconds = PARSE_MS if parse_ms is None else parse_ms
    result = run_ladder(only, parse_ms=milliseconds, rounds=rounds or 1, say=showing.say)
    tables = [table.of_rungs(result)] if result.rows else []
    if result.costs:
        tables.append(table.of_costs(result))
    showing.print_tables(tables, result.row() | {"conditions": conditions()} if as_json else None)
    for line in result.violations:
        showing.say(f"the ladder: {line}")
    return 1 if result.violations else 0
