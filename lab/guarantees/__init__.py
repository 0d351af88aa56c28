"""guarantees: what a pool must keep beside its speed, measured with real workers, servers and signals.

`site` is the website and the witness, `stage` a pool's worker on a private server, `checks` what is done to it,
`finding` the judges, `table` the answer for people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawl.errors import UsageError
from lab.guarantees.checks import CHECKS, undisturbed
from lab.guarantees.finding import Finding
from lab.guarantees.site import Site
from lab.guarantees.stage import Stage
from lab.guarantees.table import of_findings
from worker import pools as table_of_pools

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["CHECKS", "Finding", "check", "of_findings"]


def check(
    pools: tuple[str, ...],
    directory: Path,
    say: Callable[[str], None],
    *,
    guarantees: Sequence[str] = tuple(CHECKS),
    worker_command: Sequence[str] | None = None,
) -> list[Finding]:
    """Check each guarantee of each pool, one pool after the other; about 20 seconds a pool.

    State and logs are kept in `directory`, one folder per pool; `say` gets one line per finding. `worker_command` is
    started instead of `poolcrawl worker`. Raises UsageError for a pool there is not, SettingError for one whose package
    is missing, UnavailableError when something does not start.
    """
    for pool in pools:
        if pool not in table_of_pools.TABLE:
            message = f"'{pool}' is no pool; choose of {', '.join(table_of_pools.TABLE)}"
            raise UsageError(message)
        table_of_pools.check_installed(table_of_pools.TABLE[pool])
    found: list[Finding] = []
    with Site() as site:
        for pool in pools:
            with Stage(pool, directory / pool, site, worker_command=worker_command) as stage:
                digest = undisturbed(stage)
                for guarantee in guarantees:
                    found.append(CHECKS[guarantee](stage, digest))
                    say(_line(found[-1]))
    return found


def _line(one: Finding) -> str:
    return f"{one.pool}: {one.guarantee} {'kept' if one.kept else 'FAILS'}: {one.measured}"
