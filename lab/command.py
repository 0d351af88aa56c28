"""The `bench` verb: its options, and which of its measurements they ask for."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from crawl.settings import MOST
from lab.site import DEFAULT_PAGES
from lab.trial import PIPELINES, POOLS
from lab.workload import MOST_HOSTS, MOST_LATENCY_MS, MOST_PAGES, PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable

#: Pages and rounds of the comparison of pipelines: enough to see the order of the pools in a minute or two.
QUICK_PAGES = 1000
QUICK_REPEAT = 1
#: Rounds beside Scrapy.
PEERS_REPEAT = 3
#: Rounds of the lab.
LAB_REPEAT = 2
#: The workloads of the default run.
DEFAULT_WORKLOADS = ("lan", "web", "heavy", "mixed")
#: A site of fewer pages has no room for the links of a page.
FEWEST_PAGES = 50
#: Options that ask for the comparison of pipelines on one site without latency.
_OF_PIPELINES = ("peers", "pipelines")
#: Options that mean nothing there.
_OF_LAB = (
    *(
        "workloads",
        "ways",
        "grid",
        "replay",
        "report",
        "compare",
        "result",
        "guarantees",
        "timelines",
        "prove",
    ),
    *("latency_ms", "latency_sigma", "latency_least_ms", "latency_most_ms", "hosts", "page_kb", "links"),
    *("parse_ms", "errors", "tls", "seed"),
)
#: Options that say by themselves what is measured, and what else goes with each of them.
_ALONE = {
    "result": ("result", "report", "compare", "as_json"),
    "prove": ("prove", "report", "repeat", "as_json"),
    "replay": (
        *(
            "replay",
            "ways",
            "grid",
            "pools",
            "concurrency",
            "pages",
            "hosts",
            "seed",
            "errors",
            "tls",
            "repeat",
        ),
        *("report", "compare", "as_json", "keep", "guarantees", "timelines"),
    ),
}
#: Options of the features; no other one means anything there.
_OF_FEATURES = ("features", "pages", "repeat", "pools", "keep", "as_json")
#: Pages and rounds of the features: noise of a run is a few percent, so medians of several count.
FEATURES_PAGES = 2000
FEATURES_REPEAT = 5
#: Options of the memory budget; no other one means anything there.
_OF_MEMORY = ("memory", "repeat", "keep", "as_json")
#: Options of the ladder; no other one means anything there.
_OF_LADDER = ("ladder", "only", "parse_ms", "repeat", "as_json")


class Words(click.ParamType):  # type: ignore[type-arg]  # generic only in the newest releases
    """A comma-separated choice of words, each once, in the order given; with `every`, that word means all of them."""

    name = "list"

    def __init__(self, allowed: tuple[str, ...], every: str | None = None) -> None:
        self.allowed = allowed
        self.every = every

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the words; fail in one line that names the first one that is none."""
        if isinstance(value, tuple):
            return value
        if self.every is not None and value.strip() == self.every:
            return self.allowed
        words = tuple(dict.fromkeys(word.strip() for word in value.split(",") if word.strip()))
        unknown = [word for word in words if word not in self.allowed]
        if unknown:
            self.fail(f"'{unknown[0]}' is none of {', '.join(self.allowed)}", param, ctx)
        if not words:
            self.fail(f"empty; give one or more of {', '.join(self.allowed)}", param, ctx)
        return words


#: Flags and words that say what is measured.
_MEASURED: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--workloads",),
        {
            "type": Words(tuple(PRESETS), every="all"),
            "metavar": "LIST",
            "help": f"Presets: {', '.join(PRESETS)}, or `all`.  [default: {','.join(DEFAULT_WORKLOADS)}]",
        },
    ),
    (
        ("--ways",),
        {
            "metavar": "LIST",
            "help": "Ways to crawl, such as gevent-100,threads-32x2,gevent-100+prefork-2/fused/b1/events: pool and "
            "slots, worker processes, a pool for parsing, pipeline, batch, events.",
        },
    ),
    (("--grid",), {"is_flag": True, "help": "The full grid of ways, on all presets unless some are named."}),
    (
        ("--replay",),
        {"metavar": "CRAWL", "help": "A workload like a real crawl: its latency, size, parse cost."},
    ),
    (
        ("--prove",),
        {
            "type": click.IntRange(1, MOST),
            "metavar": "SEED",
            "help": "Judge the advice on six drawn workloads.",
        },
    ),
    (
        ("--guarantees",),
        {"is_flag": True, "help": "Also try what each pool keeps, as `poolcrawl guarantees` does."},
    ),
    (
        ("--timelines/--no-timelines",),
        {"default": None, "help": "Also what each slot did when.  [default: on]"},
    ),
)
#: Knobs of the site, which replace those of a preset: name, type, what it is.
_KNOBS: tuple[tuple[str, click.ParamType[Any], str], ...] = (
    ("--latency-ms", click.FloatRange(0, MOST_LATENCY_MS), "Median latency; lognormal by URL."),
    ("--latency-sigma", click.FloatRange(0, 3), "Its shape."),
    ("--latency-least-ms", click.FloatRange(0, MOST_LATENCY_MS), "Its least."),
    ("--latency-most-ms", click.FloatRange(0, MOST_LATENCY_MS), "Its most."),
    ("--hosts", click.IntRange(1, MOST_HOSTS), "Hosts that the pages are on."),
    ("--page-kb", click.FloatRange(0.5, 5000), "Mean size of a page."),
    ("--links", click.IntRange(1, 1000), "Links of a page."),
    ("--parse-ms", click.FloatRange(0, 10_000), "CPU time to parse a page."),
    ("--errors", click.FloatRange(0, 0.9), "Share of pages that answer 404."),
    ("--seed", click.IntRange(0, MOST), "What the site is drawn from."),
)


def _lab_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of workloads and ways, in the order of the tables above."""
    function = click.option("--tls/--no-tls", default=None, help="Whether the site speaks TLS.")(function)
    for name, kind, meaning in reversed(_KNOBS):
        function = click.option(name, type=kind, metavar="X", help=meaning)(function)
    for names, settings in reversed(_MEASURED):
        function = click.option(*names, **settings)(function)
    return function


@click.command(
    epilog="Examples: poolcrawl bench\n\n"
    "poolcrawl bench --workloads web,heavy --ways prefork-2,gevent-100,gevent-100x2 --report DIR\n\n"
    "poolcrawl bench --latency-ms 80 --parse-ms 5 --hosts 20\n\n"
    "poolcrawl bench --replay mycrawl --compare old/result.json\n\n"
    "poolcrawl bench --pools threads,gevent --pages 2000 --repeat 3\n\n"
    "poolcrawl bench --ladder --only process-callback\n\n"
    "poolcrawl bench --memory\n\n"
    "With Scrapy beside it, and the marks: make bench-peers"
)
@_lab_options
@click.option(
    "--pages", type=click.IntRange(FEWEST_PAGES, MOST_PAGES), metavar="N", help="Pages of the site."
)
@click.option(
    "--repeat",
    "--rounds",
    type=click.IntRange(1, 100),
    metavar="N",
    help=f"Rounds; every trial runs once in each.  [default: {LAB_REPEAT}; with --peers {PEERS_REPEAT}]",
)
@click.option("--pools", type=Words(POOLS), metavar="LIST", help="Pools to try.  [default: all]")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Slots of a worker process.  [default: the pool's own]",
)
@click.option(
    "--pipelines",
    type=Words(PIPELINES),
    metavar="LIST",
    help="Compare pipelines instead, two worker processes each, on one host without latency.",
)
@click.option(
    "--ladder", is_flag=True, help="Climb the ladder instead: ten slow pages in every way there is."
)
@click.option(
    "--features", is_flag=True, help="What each feature of a crawl costs instead, in alternating runs."
)
@click.option(
    "--memory", is_flag=True, help="Bytes of Redis per URL, and the frontier's speed with a million waiting."
)
@click.option("--only", multiple=True, metavar="NAME", help="Only this rung of the ladder; may be repeated.")
@click.option("--peers", is_flag=True, help="The same beside Scrapy in the same rounds, and check the marks.")
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write report.html, result.json, .md, .csv and pictures there; interrupted, the same command goes on.",
)
@click.option(
    "--result",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Measure nothing: show an earlier result.json.",
)
@click.option(
    "--compare",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OLD.json",
    help="Also print the ratios to an earlier result.json.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one line of JSON to stdout; tables go to stderr."
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep sites, state directories and logs in DIR, which must be empty or new.",
)
def bench(**options: Any) -> int:
    """Crawl the same pages in different ways (pool, slots, processes) and say which one to choose, and why.

    Without options: four workloads, each crawled in the ways between which one chooses, in under five minutes.
    Everything runs on this machine. Ends with 1 when a trial is invalid or a mark is missed, with 2 for bad input.
    """
    keep: Path | None = options["keep"]
    if keep is not None and keep.exists() and any(keep.iterdir()):
        message = f"--keep: {keep} is not empty; give a new directory"
        raise click.UsageError(message)
    if options["ladder"] or options["only"]:
        _refuse(options, tuple(name for name in options if name not in _OF_LADDER), "--ladder")
        if options["parse_ms"] is not None and not math.isfinite(options["parse_ms"]):
            message = f"--parse-ms: {options['parse_ms']} is no time; give milliseconds"
            raise click.UsageError(message)
        from lab.ladder import showing as ladder

        few = (options["only"], options["parse_ms"], options["repeat"], options["as_json"])
        return ladder.bench(*few)
    if options["features"]:
        _refuse(options, tuple(name for name in options if name not in _OF_FEATURES), "--features")
        return _features(options)
    if options["memory"]:
        _refuse(options, tuple(name for name in options if name not in _OF_MEMORY), "--memory")
        return _memory(options)
    if any(options[name] for name in _OF_PIPELINES):
        _refuse(options, _OF_LAB, "--peers" if options["peers"] else "--pipelines")
        return _pipelines(options)
    for alone, beside in _ALONE.items():
        if options[alone] is not None:
            _refuse(options, tuple(name for name in options if name not in beside), f"--{alone}")
    # The command line reads this module for every verb; the lab's own imports wait until it is used.
    from lab import showing

    return showing.bench(options)


def _refuse(options: dict[str, Any], names: tuple[str, ...], beside: str) -> None:
    """Raise UsageError for the first option that means nothing beside another one."""
    for name in names:
        # Not by equality: a seed of 0 was given, too.
        if not any(options[name] is unset for unset in (None, False)) and options[name] != ():
            message = f"--{name.replace('_', '-')} means nothing beside {beside}; leave out one of them"
            raise click.UsageError(message)


def _features(options: dict[str, Any]) -> int:
    """Measure what each feature costs; return the exit code."""
    from lab import features, showing, table

    named: tuple[str, ...] = options["pools"] or ("threads",)
    if len(named) > 1:
        message = "--features takes one pool; name one with --pools"
        raise click.UsageError(message)
    plan = features.Plan(
        pages=options["pages"] or FEATURES_PAGES,
        repeat=options["repeat"] or FEATURES_REPEAT,
        pool=named[0],
        keep=cast("Path | None", options["keep"]),
    )
    result = features.run(plan, say=showing.say)
    parts = (table.of_features(result.rows()), table.of_marks(result.marks))
    showing.print_tables(parts, result.row() if options["as_json"] else None)
    return 0 if all(mark.held for mark in result.marks) else 1


def _memory(options: dict[str, Any]) -> int:
    """Measure what a frontier of a million URLs costs; return the exit code."""
    from lab import budget, showing, table

    plan = budget.Plan(keep=cast("Path | None", options["keep"]))
    if options["repeat"]:
        plan = replace(plan, rounds=options["repeat"])
    result = budget.run(plan, say=showing.say)
    row = result.row()
    parts = (table.of_frontier(row["throughput"]), table.of_marks(result.marks))
    showing.print_tables(parts, row if options["as_json"] else None)
    return 0 if all(mark.held for mark in result.marks) else 1


def _pipelines(options: dict[str, Any]) -> int:
    """Compare pools and pipelines, beside Scrapy if asked; return the exit code."""
    from lab import bench as benchmark
    from lab import showing, table

    peers = bool(options["peers"])
    plan = benchmark.Plan(
        pages=options["pages"] or (DEFAULT_PAGES if peers else QUICK_PAGES),
        repeat=options["repeat"] or (PEERS_REPEAT if peers else QUICK_REPEAT),
        pools=options["pools"] or POOLS,
        pipelines=options["pipelines"] or PIPELINES,
        peers=peers,
        concurrency=options["concurrency"],
        keep=cast("Path | None", options["keep"]),
    )
    result = benchmark.run(plan, say=showing.say)
    tables = (table.of_speed(result.summaries), table.of_cost(result.summaries), table.of_marks(result.marks))
    showing.print_tables(tables, result.row() if options["as_json"] else None)
    return 0 if all(mark.held for mark in result.marks) else 1
