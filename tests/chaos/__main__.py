"""`make chaos`: every fault in every pool, one row each; exits with 1 when a promise was broken.

`--ci` is what a change has to pass: a killed worker in every pool, and the other faults in one pool each. `--long`
kills somebody at random twenty times per pool. `--within` names what was not over in time, ends it and fails.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import psutil
from chaos.faults import FAULTS, LONG_OUTAGE_S, Fault
from chaos.run import KILLS, many_kills, play
from chaos.scene import GIVEN_UP
from stack import POOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from chaos.judge import Row

#: What happens in every pool for each change.
EVERYWHERE = ("worker killed",)
_HEAD = ("fault", "pool", "pages", "lost", "duplicate", "refetched", "resume s", "seconds", "verdict")
_WIDTHS = (32, 8, 5, 4, 9, 9, 8, 7, 7)
#: Seconds that scenes which are broken off get to write their logs.
_BROKEN_OFF_S = 5.0


def plays(faults: Iterable[Fault], pools: Iterable[str]) -> list[tuple[Fault, str]]:
    """Return every fault in every pool it makes sense in."""
    return [(fault, pool) for fault in faults for pool in pools if pool in (fault.pools or POOLS)]


def plays_of_a_change(faults: Iterable[Fault], pools: tuple[str, ...]) -> list[tuple[Fault, str]]:
    """Return a killed worker in every pool, and each other fault in one, the pools in turn."""
    chosen = []
    for number, fault in enumerate(faults):
        fitting = [pool for pool in pools if pool in (fault.pools or POOLS)]
        if fitting:
            one = fitting[number % len(fitting)]
            chosen += [(fault, pool) for pool in (fitting if fault.name in EVERYWHERE else [one])]
    return chosen


def _cells(row: Row) -> tuple[str, ...]:
    resumed = "-" if row.resume_s is None else f"{row.resume_s:.1f}"
    verdict = "ok" if row.good else "WRONG"
    numbers = (row.pages, row.lost, row.duplicate, row.refetched)
    return (row.fault, row.pool, *map(str, numbers), resumed, f"{row.seconds:.1f}", verdict)


def _line(cells: tuple[str, ...]) -> str:
    shown = [
        cell.ljust(width) if number < 2 else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    ]
    return "  ".join(shown).rstrip()


def _show(row: Row) -> None:
    print(_line(_cells(row)), f" ({row.note})" if row.note else "", flush=True)
    for wrong in row.wrong:
        print(f"    {wrong}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--pools", default=",".join(POOLS), help="comma-separated")
    parser.add_argument("--faults", default=";".join(FAULTS), help="names, separated by semicolons")
    parser.add_argument("--ci", action="store_true", help="one pool for most faults, and short outages")
    parser.add_argument("--long", action="store_true", help="20 kills at random moments per pool instead")
    parser.add_argument("--seed", type=int, default=None, help="of the random moments; printed")
    parser.add_argument("--jobs", type=int, default=1, help="scenes at the same time")
    parser.add_argument("--within", type=float, metavar="SECONDS", help="most time for all of it")
    parser.add_argument("--json", type=Path, help="file to append the rows to, one JSON object per line")
    parser.add_argument("--logs", type=Path, help="folder for the logs of scenes that went wrong")
    found = parser.parse_args()
    found.pools = tuple(found.pools.split(","))
    wanted = found.faults.split(";")
    for name, known in [*((name, FAULTS) for name in wanted), *((pool, POOLS) for pool in found.pools)]:
        if name not in known:
            parser.error(f"'{name}' is none of: {'; '.join(known)}")
    found.faults = [FAULTS[name] for name in wanted]
    return found


def _works(options: argparse.Namespace) -> list[tuple[str, Callable[[], Row]]]:
    """Return what is to be played, each with its name."""
    if options.long:
        seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
        print(f"seed {seed}", flush=True)
        return [
            (f"{KILLS} kills in {pool}", lambda pool=pool: many_kills(pool, seed, kept=options.logs))
            for pool in options.pools
        ]
    if not options.ci:
        os.environ.setdefault("CHAOS_OUTAGE_S", str(LONG_OUTAGE_S))
    chosen = (plays_of_a_change if options.ci else plays)(options.faults, options.pools)
    return [
        (f"{fault.name} in {pool}", lambda fault=fault, pool=pool: play(fault, pool, kept=options.logs))
        for fault, pool in chosen
    ]


def _note(row: Row, options: argparse.Namespace) -> None:
    _show(row)
    if options.json:
        with options.json.open("ab") as file:
            file.write(msgspec.json.encode(row) + b"\n")


def _break_off(played: Iterable[Future[Row]]) -> None:
    """End every process of the scenes under way. Their threads fail over it, and keep their logs if they are quick."""
    GIVEN_UP.set()
    for _ in range(2):
        # Twice: a server may be started at this moment.
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        wait(played, _BROKEN_OFF_S / 2)


def _play(options: argparse.Namespace) -> tuple[list[Row], list[str]]:
    """Play what was asked for, and print one row each; return the rows, and what there was no time for."""
    began = time.monotonic()
    rows: list[Row] = []
    left: list[str] = []
    threads = ThreadPoolExecutor(options.jobs)
    played = {name: threads.submit(work) for name, work in _works(options)}
    print(_line(_HEAD), flush=True)
    for name, future in played.items():
        wait([future], options.within and max(0.0, began + options.within - time.monotonic()))
        if future.done():
            rows.append(future.result())
            _note(rows[-1], options)
        else:
            left.append(name)
    threads.shutdown(wait=not left, cancel_futures=True)
    if left:
        _break_off([future for future in played.values() if not future.cancelled()])
    bad = [row for row in rows if not row.good]
    print(f"{len(rows)} crawls in {time.monotonic() - began:.0f} s, {len(bad)} of them broke a promise")
    return rows, left


def main() -> int:
    """Play what was asked for; return 1 when a promise was broken, or the time was over before all was played."""
    options = _options()
    os.environ.pop("PYTHONPATH", None)
    # Whatever a scene leaves is below this folder.
    tempfile.tempdir = tempfile.mkdtemp(prefix="chaos-")
    try:
        rows, left = _play(options)
    finally:
        shutil.rmtree(tempfile.tempdir, ignore_errors=True)
    if left:
        print(f"not over within {options.within:.0f} s: {'; '.join(left)}", flush=True)
        # Threads of scenes that were broken off may wait for what does not come any more.
        os._exit(1)
    return 0 if all(row.good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
