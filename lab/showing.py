"""From the options of `bench` to its answer: what is measured, printed and written."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from crawl import results as crawls
from crawl import settings
from crawl.errors import UsageError
from crawl.records import record_from_json
from embedded.attachment import reading
from lab import comparison, files, forecast, guarantees, measure, proof, results, running, table, way
from lab import plan as plans
from lab.advice import sentences
from lab.command import DEFAULT_WORKLOADS, LAB_REPEAT
from lab.grid import Cell, cells
from lab.workload import MOST_LATENCY_MS, PRESETS, Workload
from worker import pools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from lab.plan import Plan
    from lab.way import Way

#: Width of tables where there is no terminal: a pipe has none of its own, and a table that is cut cannot be read.
WIDTH = 110
#: Pages of a replay, unless asked for otherwise.
REPLAY_PAGES = 240
_KNOBS = (
    *("pages", "hosts", "latency_ms", "latency_sigma", "latency_least_ms", "latency_most_ms", "page_kb"),
    *("links", "parse_ms", "errors", "tls", "seed"),
)


def say(line: str) -> None:
    """Tell a person how far it is."""
    click.echo(line, err=True)


def print_tables(parts: Iterable[RenderableType], row: dict[str, Any] | None, *, aside: bool = False) -> None:
    """Print to stdout; with a row, that as one line of JSON and everything else to stderr, as with `aside`."""
    aside = aside or row is not None
    console = Console(stderr=aside)
    if not console.is_terminal:
        console = Console(stderr=aside, width=WIDTH)
    for part in parts:
        console.print(part)
    if row is not None:
        sys.stdout.write(json.dumps(row) + "\n")


def bench(options: dict[str, Any]) -> int:
    """Measure what the options ask for and show it; return the exit code."""
    old = results.read(options["compare"]) if options["compare"] else None
    report: Path | None = options["report"]
    if report is not None:
        files.require(report)
    if options["prove"] is not None:
        with _told_when_interrupted(report):
            return _proof(options)
    if options["result"] is not None:
        result = results.read(options["result"])
    else:
        with _told_when_interrupted(report):
            result = running.run(_plan(options), say, report=report, keep=options["keep"])
    row = dict(result)
    if old is not None:
        row["compare"] = comparison.compare(old, result)
    # Files first: whoever reads the tables may stop reading.
    if report is not None:
        for path in files.write(result, report):
            say(f"wrote {path}")
    print_tables([*tables(result), *_compared(old, row)], row if options["as_json"] else None)
    return 0 if all(trial["valid"] for trial in result["trials"]) else 1


@contextmanager
def _told_when_interrupted(report: Path | None) -> Iterator[None]:
    """Say what becomes of the runs that were made when somebody ends the benchmark."""
    try:
        yield
    except KeyboardInterrupt:
        if report is None:
            say("interrupted; nothing was kept (with --report DIR the same command goes on)")
        else:
            say(f"interrupted; the runs so far are kept in {report}, and the same command continues there")
        raise


def tables(result: dict[str, Any]) -> Iterator[RenderableType]:
    """Yield what a person reads of a result."""
    console = Console()
    narrow = console.is_terminal and console.width < table.WIDE
    for workload in result["workloads"]:
        name = workload["name"]
        trials = [t for t in result["trials"] if t["workload"] == name]
        yield table.of_workload(name, trials, narrow=narrow)
        for trial in trials:
            if not trial["valid"]:
                yield Text(f"{trial['way']} is INVALID: {trial['invalid']}", style="bold red")
    findings = [guarantees.Finding.of(row) for row in result.get("guarantees") or ()]
    if findings:
        yield guarantees.of_findings(findings)
    for line in sentences(result.get("advice") or ()):
        yield Text(line)


def _compared(old: dict[str, Any] | None, row: dict[str, Any]) -> Iterator[RenderableType]:
    if old is None:
        return
    for difference in comparison.differences(old, row):
        yield Text(f"not the same: {difference.sentence}")
    yield comparison.table(row["compare"])


def _proof(options: dict[str, Any]) -> int:
    """Judge the advice on drawn workloads; return the exit code."""
    rounds = options["repeat"] or LAB_REPEAT

    def measured(part: str) -> Callable[[Workload, Sequence[Way]], dict[str, Any]]:
        def measure_in(workload: Workload, ways: Sequence[Way]) -> dict[str, Any]:
            report: Path | None = options["report"]
            place = None if report is None else report / f"{workload.name}-{part}"
            plan = plans.Plan(tuple(cells((workload,), ways)), rounds)
            return running.run(plan, say, report=place)

        return measure_in

    cores = measure.cores()
    drawn = proof.draw(options["prove"])
    verdicts = proof.prove(
        drawn, _installed(forecast.grid(cores)), cores, measured("advice"), measured("grid")
    )
    lines = [Text(f"{name}: {verdict.sentence}") for name, verdict in verdicts]
    summary = proof.summarise([verdict for _, verdict in verdicts])
    row = {
        "schema": 1,
        "kind": "proof",
        "seed": options["prove"],
        "verdicts": [[n, asdict(v)] for n, v in verdicts],
    }
    if options["report"] is not None:
        (options["report"] / "proof.json").write_text(json.dumps(row) + "\n", encoding="utf-8")
    print_tables([*lines, Text(summary)], row if options["as_json"] else None)
    return 0 if all(verdict.held for _, verdict in verdicts) else 1


def _installed(ways: Iterable[Way]) -> tuple[Way, ...]:
    return tuple(way for way in ways if pools.is_installed(pools.TABLE[way.pool]))


def _plan(options: dict[str, Any]) -> Plan:
    workloads = _workloads(options)
    cells = [Cell(workload, one) for workload in workloads for one in _ways(options, workload)]
    names = tuple(dict.fromkeys(cell.way.pool for cell in cells))
    lanes = plans.lane_cells(names) if options["timelines"] is not False else ()
    return plans.Plan(
        tuple(cells), options["repeat"] or LAB_REPEAT, lanes, names if options["guarantees"] else ()
    )


def _workloads(options: dict[str, Any]) -> tuple[Workload, ...]:
    knobs = {name: options[name] for name in _KNOBS if options[name] is not None}
    if options["replay"]:
        return (_replayed(options["replay"], knobs),)
    asked: tuple[str, ...] | None = options["workloads"]
    if asked is None and set(knobs) - {"pages", "seed"}:
        # A lognormal's tail: nearly nothing is beyond four times its median.
        most_ms = min(MOST_LATENCY_MS, max(3000.0, 4 * knobs.get("latency_ms", 0.0)))
        custom = Workload("custom", hosts=min(4, knobs.get("pages", 4)), latency_most_ms=most_ms)
        return (custom.with_(**knobs),)
    if asked is None:
        asked = tuple(PRESETS) if options["grid"] else DEFAULT_WORKLOADS
    # A site cannot have more hosts than pages, and most presets have many hosts.
    most = knobs.get("pages")
    return tuple(
        PRESETS[name].with_(**{"hosts": min(PRESETS[name].hosts, most or PRESETS[name].hosts), **knobs})
        for name in asked
    )


def _replayed(crawl: str, knobs: dict[str, Any]) -> Workload:
    from lab.replay import replay_workload

    with reading(settings.load()) as client:
        name = crawls.resolve(client, crawl)
        records = [record_from_json(line) for _, line in crawls.lines(client, name)]
    pages = knobs.pop("pages", REPLAY_PAGES)
    return replay_workload(name, records, pages).with_(**knobs)


def _ways(options: dict[str, Any], workload: Workload) -> tuple[Way, ...]:
    asked, slots = options["pools"], options["concurrency"]
    if options["ways"] is not None:
        if asked or slots or options["grid"]:
            message = "--ways says pools and slots already; leave out --pools, --concurrency and --grid"
            raise UsageError(message)
        return plans.ways(tuple(options["ways"].split(",")))
    if slots is not None:
        names = asked or tuple(
            name
            for name, pool in pools.TABLE.items()
            if pool.most_concurrency is None and pools.is_installed(pool)
        )
        return tuple(way.parse(f"{name}-{slots}") for name in names)
    found = plans.possible(plans.GRID) if options["grid"] else plans.ordinary(workload)
    if asked is None:
        return found
    for name in asked:
        pools.check_installed(pools.TABLE[name])
    there = {one.pool for one in found}
    more = tuple(way.default(name) for name in asked if name not in there)
    return tuple(one for one in found if one.pool in asked) + more
