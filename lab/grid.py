"""Trials on workloads: every way crawls every workload in every round, one after the other, on a stack of its own.

Rounds are interleaved, so that whatever else the machine does meets all ways alike. The site of each workload is one
process for all its trials. Workers are niced, so that the site is never late for want of a core.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from lab import lanes, load, origin, pages, preflight, probe
from lab.rig import Rig, Target
from lab.trial import Run, run_from_row, trial_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lab.journal import Journal
    from lab.origin import Origin
    from lab.way import Way
    from lab.workload import Workload

#: The worker of every trial.
WORKER_COMMAND = (sys.executable, "-P", "-m", "lab.probe")
#: A site that answers later than this (p95) has shaped the numbers: share of its median latency, at least so many ms.
LATE_SHARE, LATE_MS = 0.2, 25.0
#: How often such a run is made before it stands as invalid.
SITE_TRIES = 3


@dataclass(frozen=True)
class Cell:
    """One trial: a workload crawled in one way."""

    workload: Workload
    way: Way

    @property
    def name(self) -> str:
        """How tables and JSON call it."""
        return f"{self.workload.name}/{self.way.name}"


@dataclass(frozen=True)
class Ground:
    """A workload's site while it is served, what it can do alone, and what a crawl of it must come to."""

    workload: Workload
    served: Origin
    alone_pages_s: float
    target: Target

    def row(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            **self.workload.row(),
            "expected_digest": self.target.digest,
            "site_alone_pages_s": round(self.alone_pages_s),
        }


class Grid:
    """The trials of one plan. `command` starts a worker."""

    def __init__(
        self,
        cells: Sequence[Cell],
        rounds: int,
        directory: Path,
        journal: Journal,
        say: Callable[[str], None],
        command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self.cells = tuple(cells)
        self.rounds = rounds
        self._directory = directory
        self._journal = journal
        self._say = say
        self._command = command
        self._grounds: dict[str, Ground] = {}
        self._ends = ExitStack()
        self._done = 0
        self._made = 0
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        """Check the machine, then start the sites."""
        preflight.check(cell.way for cell in self.cells)
        try:
            for workload in dict.fromkeys(cell.workload for cell in self.cells):
                self._grounds[workload.name] = self._ground(workload)
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the sites."""
        self._ends.close()

    def _ground(self, workload: Workload) -> Ground:
        place = self._directory / f"site-{workload.name}"
        served = self._ends.enter_context(origin.serve(workload, place))
        alone = origin.alone(served, workload)
        expected, digest = pages.expected(workload)
        self._say(
            f"{workload.name}: {expected} pages on {workload.hosts} hosts; the site alone serves "
            f"{alone:,.0f} pages/s without its latency"
        )
        target = Target(
            seeds=pages.seeds(workload),
            records=expected,
            good=len(pages.of(workload).good),
            digest=digest,
            resolve=pages.resolve(workload, served.port),
            scope="any",
            ca_file=served.ca_file,
            waiting_s=sum(cost.latency_ms for cost in pages.of(workload).costs) / 1000,
            parsing_s=sum(cost.parse_ms for cost in pages.of(workload).costs) / 1000,
        )
        return Ground(workload, served, alone, target)

    def workload_rows(self) -> list[dict[str, Any]]:
        """Return the workloads for JSON."""
        return [ground.row() for ground in self._grounds.values()]

    def run(self) -> list[dict[str, Any]]:
        """Run every trial that the journal does not know yet; return all of them for JSON.

        Raises UnavailableError when something does not start.
        """
        total = len(self.cells) * self.rounds
        for number in range(1, self.rounds + 1):
            for cell in self.cells:
                self._done += 1
                if self._journal.get(cell.name, number) is None:
                    measured = self._run(cell, number)
                    self._journal.put(cell.name, number, measured.row())
                    self._tell(cell, measured, total)
        return [self._row(cell) for cell in self.cells]

    def _row(self, cell: Cell) -> dict[str, Any]:
        rows = [self._journal.get(cell.name, number) for number in range(1, self.rounds + 1)]
        return trial_row(cell.workload.name, cell.way, [run_from_row(row) for row in rows if row])

    def _run(self, cell: Cell, number: int) -> Run:
        """Return one run; one that the site may have shaped says nothing of the way, and is made again."""
        ground = self._grounds[cell.workload.name]
        for attempt in range(1, SITE_TRIES + 1):
            measured = self._once(cell, ground, f"{number}-{attempt}")
            fault = None if measured.invalid else _site_fault(ground, measured)
            if fault is None:
                break
            self._say(f"{cell.name}: {fault}{'; once more' if attempt < SITE_TRIES else ''}")
            measured = replace(measured, invalid=fault)
        return measured

    def _once(self, cell: Cell, ground: Ground, number: str) -> Run:
        place = self._directory / f"{_plain(cell.name)}-{number}"
        with Rig(cell.name, cell.way, ground.target, place, command=self._command) as rig:
            origin.reset(ground.served)
            measured = rig.run()
        late_ms = float(origin.stats(ground.served)["late_ms"]["p95"])
        return replace(measured, site_late_ms=round(late_ms, 3))

    def _tell(self, cell: Cell, measured: Run, total: int) -> None:
        self._made += 1
        left_s = (total - self._done) * (time.monotonic() - self._began) / self._made
        text = (
            f"{measured.pages_s:,.1f} pages/s" if measured.invalid is None else f"INVALID: {measured.invalid}"
        )
        left = f" (about {max(1, round(left_s / 60))} min left)" if self._done < total else ""
        self._say(f"run {self._done} of {total}: {cell.name} {text}{left}")

    def timeline(self, cell: Cell) -> dict[str, Any] | None:
        """Return the timeline of one crawl, or None when the crawl failed. Not measured: tracing costs time."""
        name = f"timeline {cell.name}"
        found = self._journal.get(name, 0)
        if found is None:
            ground = self._grounds[cell.workload.name]
            place = self._directory / _plain(name)
            trace = place / "trace"
            trace.mkdir(parents=True)
            variables = {probe.TRACE: str(trace)}
            with Rig(name, cell.way, ground.target, place, command=self._command, variables=variables) as rig:
                measured = rig.run()
                records = list(rig.records())
            if measured.invalid is not None:
                self._say(f"{name}: {measured.invalid}")
                return None
            found = lanes.timeline(cell.name, cell.workload.name, cell.way, records, lanes.read_trace(trace))
            self._journal.put(name, 0, found)
            self._say(f"{name}: {len(found['lanes'])} lanes")
        return found


def _plain(name: str) -> str:
    return name.replace("/", "-").replace(" ", "-").replace("+", "-and-")


def _site_fault(ground: Ground, measured: Run) -> str | None:
    """Return why the site may have shaped a run's numbers, or None."""
    late_ms = measured.site_late_ms or 0.0
    limit_ms = max(LATE_MS, LATE_SHARE * ground.workload.latency_ms)
    if late_ms > limit_ms:
        return f"the site answered up to {late_ms:.0f} ms late (p95), more than {limit_ms:.0f} ms"
    if ground.alone_pages_s < load.HEADROOM * measured.pages_s:
        return (
            f"the site alone serves {ground.alone_pages_s:.0f} pages/s, less than {load.HEADROOM:.0f} times "
            f"the {measured.pages_s:.0f} of this trial"
        )
    return None


def cells(workloads: Sequence[Workload], ways: Sequence[Way]) -> Iterator[Cell]:
    """Yield every way on every workload."""
    for workload in workloads:
        for way in ways:
            yield Cell(workload, way)
