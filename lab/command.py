"""The `bench` verb."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from lab.site import DEFAULT_PAGES
from lab.trial import PIPELINES, POOLS

#: Pages and rounds without --peers: enough to see the order of the pools in a minute or two.
QUICK_PAGES = 1000
QUICK_REPEAT = 1
#: Rounds with --peers.
PEERS_REPEAT = 3
#: A site of fewer pages has no room for the links of a page; a larger one is no longer a benchmark but a download.
FEWEST_PAGES = 50
MOST_PAGES = 200_000


class Words(click.ParamType):  # type: ignore[type-arg]  # generic only in the newest releases
    """A comma-separated choice of words, each once, in the order given."""

    name = "list"

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self.allowed = allowed

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the words; fail in one line that names the first one that is none."""
        if isinstance(value, tuple):
            return value
        words = tuple(dict.fromkeys(word.strip() for word in value.split(",") if word.strip()))
        unknown = [word for word in words if word not in self.allowed]
        if unknown:
            self.fail(f"'{unknown[0]}' is none of {', '.join(self.allowed)}", param, ctx)
        if not words:
            self.fail(f"empty; give one or more of {', '.join(self.allowed)}", param, ctx)
        return words


@click.command(
    epilog="Example: poolcrawl bench --pools threads,gevent --pages 2000 --repeat 3\n\n"
    "With Scrapy beside it, and the marks: make bench-peers"
)
@click.option(
    "--peers", is_flag=True, help="Run Scrapy on the same site in the same rounds, and check the marks."
)
@click.option(
    "--pages",
    type=click.IntRange(FEWEST_PAGES, MOST_PAGES),
    metavar="N",
    help=f"Pages of the generated site.  [default: {QUICK_PAGES}; with --peers {DEFAULT_PAGES}]",
)
@click.option(
    "--repeat",
    type=click.IntRange(1, 100),
    metavar="N",
    help=f"Rounds; every trial runs once in each.  [default: {QUICK_REPEAT}; with --peers {PEERS_REPEAT}]",
)
@click.option(
    "--pools", type=Words(POOLS), default=POOLS, metavar="LIST", help="Pools to try.  [default: all]"
)
@click.option(
    "--pipelines",
    type=Words(PIPELINES),
    default=PIPELINES,
    metavar="LIST",
    help="Pipelines to try.  [default: both]",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Slots of each of the two worker processes.  [default: the pool's own]",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one line of JSON to stdout; the tables go to stderr."
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the site, state directories and logs in DIR, which must be empty or new.",
)
def bench(  # one parameter per option
    *,
    peers: bool,
    pages: int | None,
    repeat: int | None,
    pools: tuple[str, ...],
    pipelines: tuple[str, ...],
    concurrency: int | None,
    as_json: bool,
    keep: Path | None,
) -> int:
    """Measure the crawl of a generated site under each pool and pipeline, two worker processes each.

    The site is served on this machine without latency or delay, so the numbers are the crawler's own cost. Ends with 1
    when a mark is missed or a trial did not crawl the site wholly, with 2 when the site is too slow to measure by.
    """
    # The command line reads this module for every verb; the benchmark's own imports wait until it is used.
    from rich.console import Console

    from lab import bench as benchmark
    from lab import table

    if keep is not None and keep.exists() and any(keep.iterdir()):
        message = f"--keep: {keep} is not empty; give a new directory"
        raise click.UsageError(message)
    plan = benchmark.Plan(
        pages=pages or (DEFAULT_PAGES if peers else QUICK_PAGES),
        repeat=repeat or (PEERS_REPEAT if peers else QUICK_REPEAT),
        pools=pools,
        pipelines=pipelines,
        peers=peers,
        concurrency=concurrency,
        keep=keep,
    )
    result = benchmark.run(plan, say=lambda line: click.echo(line, err=True))
    # A pipe has no width of its own, and a table that is cut cannot be read.
    console = Console(stderr=as_json)
    if not console.is_terminal:
        console = Console(stderr=as_json, width=100)
    for part in (
        table.of_speed(result.summaries),
        table.of_cost(result.summaries),
        table.of_marks(result.marks),
    ):
        console.print(part)
    if as_json:
        sys.stdout.write(json.dumps(result.row()) + "\n")
    return 0 if all(mark.held for mark in result.marks) else 1
