"""guarantees: what a pool must keep beside its speed, measured with real workers, servers and signals.

`site` is the website and the witness, with what is `hostile` on it, `stage` a column's workers on a private server.
`meetings` (with hostile servers), `endings` (from outside) and `fatal` (pages) are what is done to them, `checks` the
list of it; `finding` and `verdicts` are the judges, `table` the answer for people.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING

from crawl.errors import UsageError
from lab.guarantees.checks import CHECKS, GUARANTEES, LANES, undisturbed
from lab.guarantees.finding import Finding
from lab.guarantees.site import Site
from lab.guarantees.stage import Stage, columns, pools_of
from lab.guarantees.table import of_findings, of_matrix
from worker import pools as table_of_pools

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["CHECKS", "GUARANTEES", "Finding", "check", "columns", "of_findings", "of_matrix", "pools_of"]


def check(
    names: tuple[str, ...],
    directory: Path,
    say: Callable[[str], None],
    *,
    guarantees: Sequence[str] = tuple(CHECKS),
    worker_command: Sequence[str] | None = None,
) -> list[Finding]:
    """Make the checks named in each column (a pool, or `split`), one column after the other; about a minute each.

    State and logs are kept in `directory`, one folder per column and lane; `say` gets one line per finding.
    `worker_command` is started instead of the worker with planted faults, which three of the checks cannot do without.
    Raises UsageError for a column there is not, SettingError for one whose package is missing, UnavailableError when
    something does not start.
    """
    for name in names:
        if name not in columns():
            message = f"'{name}' is no pool; choose of {', '.join(columns())}"
            raise UsageError(message)
        for pool in pools_of(name):
            table_of_pools.check_installed(table_of_pools.TABLE[pool])
    lanes = [tuple(one for one in lane if one in guarantees) for lane in LANES]
    found: list[Finding] = []
    for name in names:
        found += _column(name, [lane for lane in lanes if lane], directory / name, say, worker_command)
    return found


def _column(
    name: str,
    lanes: list[tuple[str, ...]],
    directory: Path,
    say: Callable[[str], None],
    worker_command: Sequence[str] | None,
) -> list[Finding]:
    """Run the lanes of one column side by side; return what they found, in the order of GUARANTEES."""
    over = threading.Event()

    def run(lane: tuple[str, ...]) -> list[Finding]:
        found: list[Finding] = []
        place = directory / lane[0]
        with Site() as site, Stage(name, place, site, worker_command=worker_command, over=over) as stage:
            digest = undisturbed(stage)
            for guarantee in lane:
                each = CHECKS[guarantee](stage, digest)
                found += each
                for one in each:
                    say(_line(one))
        return found

    found: list[Finding] = []
    with ThreadPoolExecutor(len(lanes), "lane") as threads:
        running = [threads.submit(run, lane) for lane in lanes]
        try:
            for done in as_completed(running):
                found += done.result()
        finally:
            # What ends one lane ends the others, too; a lane that is over does not mind.
            over.set()
    order = list(GUARANTEES)
    return sorted(found, key=lambda one: order.index(one.guarantee))


def _line(one: Finding) -> str:
    return f"{one.pool}: {one.guarantee} {'kept' if one.kept else 'FAILS'}: {one.measured}"
