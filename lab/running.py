"""A bench run from plan to result: trials in rounds, timelines, guarantees, and one JSON object of it all."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawl import settings
from crawl.errors import UsageError
from lab import guarantees
from lab.advice import advise
from lab.conditions import conditions
from lab.grid import WORKER_COMMAND, Cell, Grid
from lab.journal import Journal
from lab.probe import NICENESS
from lab.schema import KIND, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lab.plan import Plan

#: Share of the machine's CPU that the lab itself may take while it measures.
HARNESS_SHARE = 0.02


def run(
    plan: Plan,
    say: Callable[[str], None],
    *,
    report: Path | None = None,
    keep: Path | None = None,
    command: Sequence[str] = WORKER_COMMAND,
) -> dict[str, Any]:
    """Measure what the plan says and return the result (docs/benchmark.md).

    `report` is a directory with a journal: what it already holds of this plan is not measured again. `keep` is where
    sites, state directories and logs stay, None for nowhere. `command` starts a worker.

    Raises UsageError for what the machine cannot do, UnavailableError when something does not start.
    """
    # Workers and crawls read the same variables: what is wrong with one of them is said before anything starts.
    settings.load()
    about = conditions() | {"rounds": plan.rounds, "niced": {"workers": NICENESS}}
    unchanging = {
        name: about[name] for name in ("cores", "machine", "system", "python", "settings", "versions")
    }
    wanted = {"schema": VERSION, "poolcrawl": settings.VERSION, **unchanging, **plan.row()}
    with closing(Journal(report, wanted)) as journal, directory(keep) as place:
        if len(journal):
            say(f"{report} holds {len(journal) - 1} results of this benchmark: going on from there")
        # A run that goes on was begun when it was begun.
        begun = journal.get("conditions", 0)
        if begun is None:
            journal.put("conditions", 0, about)
        about = begun or about
        with Grid(plan.cells, plan.rounds, place, journal, say, command) as grid:
            trials = grid.run()
            workloads = grid.workload_rows()
        timelines = _timelines(plan.lanes, place / "lanes", journal, say, command)
        findings = _guarantees(plan.guarantees, place / "guarantees", journal, say)
    for trial in trials:
        share = trial.get("harness_share") or 0.0
        if share > HARNESS_SHARE:
            say(f"{trial['name']}: the lab itself took {100 * share:.1f} % of the machine, 2 % is meant")
    result: dict[str, Any] = {
        "schema": VERSION,
        "poolcrawl": settings.VERSION,
        "kind": KIND,
        "conditions": about,
        "workloads": workloads,
        "trials": trials,
        "timelines": timelines,
        "guarantees": findings,
        "marks": [],
    }
    return result | {"advice": advise(result)}


def _timelines(
    cells: tuple[Cell, ...], place: Path, journal: Journal, say: Callable[[str], None], command: Sequence[str]
) -> list[dict[str, Any]]:
    if not cells:
        return []
    with Grid(cells, 1, place, journal, say, command) as grid:
        return [found for cell in cells if (found := grid.timeline(cell)) is not None]


def _guarantees(
    pools: tuple[str, ...], place: Path, journal: Journal, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for pool in pools:
        name = f"guarantees {pool}"
        known = journal.get(name, 0)
        if known is None:
            known = {"findings": [one.row() for one in guarantees.check((pool,), place, say)]}
            journal.put(name, 0, known)
        found += known["findings"]
    return found


@contextmanager
def directory(keep: Path | None) -> Iterator[Path]:
    """Give a directory for sites, state directories and logs; it stays where it was asked for."""
    if keep is not None:
        try:
            keep.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"--keep: {keep} cannot be made: {error.strerror}; give another directory"
            raise UsageError(message) from None
        yield keep.absolute()
        return
    path = Path(tempfile.mkdtemp(prefix="poolcrawl-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
