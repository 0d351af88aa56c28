"""The `guarantees` verb: what every pool keeps, as one matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lab.command import Words
from lab.trial import POOLS

#: Beside the pools: fetch and parse in workers of their own, of two pools.
SPLIT = "split"
COLUMNS = (*POOLS, SPLIT)
#: The checks; each answers for one guarantee or several.
CHECKS = ("deadline", "dns", "caps", "cancel", "kill", "drain", "stalled", "recycling", "crash", "hold")


@click.command(
    epilog="Examples: poolcrawl guarantees\n\n"
    "poolcrawl guarantees --pools gevent,split --only deadline,dns\n\n"
    "poolcrawl guarantees --json > guarantees.jsonl"
)
@click.option(
    "--pools",
    type=Words(COLUMNS),
    metavar="LIST",
    help=f"Columns of the matrix: {', '.join(COLUMNS)}.  [default: all that are installed]",
)
@click.option(
    "--only", type=Words(CHECKS), metavar="LIST", help=f"Checks: {', '.join(CHECKS)}.  [default: all]"
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One line of JSON to stdout per finding; the table goes to stderr.",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep state directories and logs in DIR, which must be empty or new.",
)
def guarantees(
    pools: tuple[str, ...] | None, only: tuple[str, ...] | None, as_json: bool, keep: Path | None
) -> int:
    """Try what each pool promises beside speed: deadlines, caps, cancel, drain, and that nothing is lost.

    Real workers meet servers, signals and pages that are out to break them. Everything runs on this machine: no Docker,
    no Redis of your own, nothing is sent beyond it. About a minute a pool, one pool after the other. Ends with 1 when
    a guarantee is not kept, with 2 for bad input.
    """
    if keep is not None and keep.exists() and any(keep.iterdir()):
        message = f"--keep: {keep} is not empty; give a new directory"
        raise click.UsageError(message)
    # The command line reads this module for every verb; what it takes to run is imported when it runs.
    return _run(pools, only or CHECKS, as_json=as_json, keep=keep)


def _run(asked: tuple[str, ...] | None, checks: tuple[str, ...], *, as_json: bool, keep: Path | None) -> int:
    import json
    import sys

    from rich.text import Text

    from crawl import settings
    from lab import guarantees as promises
    from lab import running, showing
    from worker import pools as table

    # Workers and crawls read the same variables: what is wrong with one of them is said before anything starts.
    settings.load()
    installed = tuple(
        name
        for name in COLUMNS
        if all(table.is_installed(table.TABLE[pool]) for pool in promises.pools_of(name))
    )
    found: list[promises.Finding] = []
    with running.directory(keep) as place:
        for number, name in enumerate(asked or installed, start=1):
            count = len(asked or installed)
            showing.say(f"{name} ({number} of {count}): {', '.join(checks)}; about a minute")
            each = promises.check((name,), place, showing.say, guarantees=checks)
            found += each
            if as_json:
                sys.stdout.writelines(json.dumps(one.row()) + "\n" for one in each)
                sys.stdout.flush()
    broken = [one for one in found if not one.kept]
    lines: list[Any] = [promises.of_matrix(found)]
    lines += [Text(f"{one.pool}: {one.guarantee} FAILS: {one.measured}", style="bold red") for one in broken]
    lines.append(Text(f"{len(found) - len(broken)} of {len(found)} guarantees kept"))
    showing.print_tables(lines, None, aside=as_json)
    return 1 if broken else 0
