"""What a stack whose parent was killed may have left behind."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedded.processes import Process
    from embedded.state import State

#: Time for workers that noticed their parent's end to finish what they do, seconds.
DRAIN_S = 5.0
#: Time for the server to write its data, seconds.
SERVER_S = 20.0
_POLL_S = 0.05


def clean(state: State, say: Callable[[str], None]) -> None:
    """End what `run.json` lists and still runs, the server last. The caller holds the directory's lock.

    Only processes whose pid and start time both match are touched.
    """
    run = state.read_run()
    if run is None:
        return
    left = [process for process in (*run.others, *run.server) if process.alive()]
    if left:
        say(f"cleaning up after poolcrawl {run.parent.pid}, which was killed: {_names(left)}")
    if not _ended(run.others, DRAIN_S):
        _kill(run.others)
    if not _ended(run.server, DRAIN_S):
        for process in run.server:
            process.send(signal.SIGTERM)
        if not _ended(run.server, SERVER_S):
            _kill(run.server)
    state.remove_run()


def _names(processes: list[Process]) -> str:
    return ", ".join(
        f"{process.name} ({process.pid})" for process in processes if "keeper" not in process.name
    )


def _ended(processes: tuple[Process, ...], patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while any(process.alive() for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _kill(processes: tuple[Process, ...]) -> None:
    for process in processes:
        process.kill_group()
    _ended(processes, DRAIN_S)
