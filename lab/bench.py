"""The benchmark: the site, its own speed, the trials in rounds, the marks."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from crawl import settings
from crawl.errors import ViolationError
from lab import load, marks, memory, peer
from lab.conditions import conditions
from lab.rig import Rig, Target, lone_server
from lab.running import directory
from lab.site import generate
from lab.trial import SCRAPY, WORKERS, Run, Summary, summarise
from lab.way import Way
from lab.webserver import serve
from worker import pools

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.marks import Mark
    from lab.webserver import Server


@dataclass(frozen=True)
class Plan:
    """What to run. `concurrency` None is each pool's default; `keep` is where everything is kept, None for nowhere."""

    pages: int
    repeat: int
    pools: tuple[str, ...]
    pipelines: tuple[str, ...]
    peers: bool = False
    concurrency: int | None = None
    keep: Path | None = None

    @property
    def trials(self) -> dict[str, Way]:
        """The trials of ours by name, in the order of the table."""
        own = settings.load()
        return {
            f"{pool}/{pipeline}": Way(
                pool,
                self.concurrency or pools.TABLE[pool].default_concurrency(),
                processes=WORKERS,
                pipeline=pipeline,
                batch=own.batch,
                events=bool(own.events),
            )
            for pool in self.pools
            for pipeline in self.pipelines
        }


@dataclass
class Result:
    """What a benchmark found."""

    conditions: dict[str, Any]
    runs: dict[str, list[Run]] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)

    @property
    def summaries(self) -> list[Summary]:
        """The medians of every trial that ran."""
        return [summarise(name, runs) for name, runs in self.runs.items() if runs]

    def row(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {
            "conditions": self.conditions,
            "trials": [s.row() | {"each": [run.row() for run in self.runs[s.name]]} for s in self.summaries],
            "marks": [mark.row() for mark in self.marks],
        }


def run(plan: Plan, say: Callable[[str], None]) -> Result:
    """Run the benchmark. `say` gets one line of progress at a time.

    Raises UsageError when a setting is wrong, Scrapy is missing or the site has too little headroom, UnavailableError
    when something does not start, ViolationError when a trial did not crawl the site wholly and cleanly.
    """
    # Workers and crawls read the same variables: what is wrong with one of them is said before anything starts.
    settings.load()
    if plan.peers:
        peer.require()
    with directory(plan.keep) as place:
        site = generate(place / "www", plan.pages)
        with serve(site.root, place / "server") as server:
            alone = load.measure(load.of_site(server.port, plan.pages))
            mean_kb = site.bytes / site.pages / 1000
            say(
                f"site: {site.pages} pages of {mean_kb:.1f} kB on {server.kind}, {alone:.0f} pages/s by itself"
            )
            if server.note:
                say(server.note)
            result = Result(_conditions(plan, server, alone, mean_kb))
            _rounds(plan, server, alone, place, result, say)
        default_batch = not os.environ.get("CRAWL_BATCH")
        result.marks = marks.of_trials(result.summaries, plan.concurrency, default_batch=default_batch)
        if plan.peers:
            result.marks += marks.of_memory(_footprints(place / "memory", say))
    return result


def _rounds(
    plan: Plan, server: Server, alone: float, directory: Path, result: Result, say: Callable[[str], None]
) -> None:
    """Run every trial once per round, so that what else the machine does meets all of them alike."""
    names = list(plan.trials) + ([SCRAPY] if plan.peers else [])
    result.runs = {name: [] for name in names}
    for number in range(1, plan.repeat + 1):
        for name, way in plan.trials.items():
            place = directory / f"{name.replace('/', '-')}-{number}"
            with Rig(name, way, Target((server.url,), plan.pages, plan.pages), place) as rig:
                # The peer has no warm-up that could be told apart: all of the crawl counts, for both.
                measured = replace(rig.run(), steady_pages=None, steady_s=None)
            if measured.invalid is not None:
                message = f"{name}: {measured.invalid}"
                raise ViolationError(message)
            _note(result, name, measured, number, plan.repeat, say)
            load.require_headroom(alone, measured.pages_s, name)
            _require_equal(result)
        if plan.peers:
            measured = peer.run(server.url, plan.pages, directory / f"{SCRAPY}-{number}")
            _note(result, SCRAPY, measured, number, plan.repeat, say)


def _note(result: Result, name: str, measured: Run, number: int, of: int, say: Callable[[str], None]) -> None:
    result.runs[name].append(measured)
    cpu = 1000 * measured.worker_cpu_s / measured.pages
    say(f"round {number} of {of}: {name} {measured.pages_s:.0f} pages/s, {cpu:.2f} worker CPU s/1000")


def _require_equal(result: Result) -> None:
    """Raise ViolationError unless all runs of ours came to the same records."""
    digests = {run.digest for runs in result.runs.values() for run in runs if run.digest}
    if len(digests) > 1:
        message = f"the trials do not agree on what the site holds: digests {', '.join(sorted(digests))}"
        raise ViolationError(message)


def _footprints(directory: Path, say: Callable[[str], None]) -> list[memory.Footprint]:
    """Measure the frontier's memory on a server of its own, which has no other client."""
    with lone_server(directory) as client:
        return memory.footprints(client, say=say)


def _conditions(plan: Plan, server: Server, alone: float, mean_kb: float) -> dict[str, Any]:
    return {
        "pages": plan.pages,
        "mean_kb": round(mean_kb, 1),
        "repeat": plan.repeat,
        "concurrency": plan.concurrency,
        "server": server.kind,
        "note": server.note,
        "site_pages_s": round(alone),
        **conditions(),
    }
