"""What a rung does as a process of its own: `python -m lab.ladder.RUNG TASK.json`, started by `lab.ladder.runner`.

A rung's module imports this one last, after what has to be patched. The clock runs around `run` alone: the start of the
interpreter and the imports are left out, the making of pools, threads and processes is not.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.ladder.pages import Parsed

_notes: dict[str, float | str] = {}


def note(**figures: float | str) -> None:
    """Leave figures that only this rung has; they stand beside its time."""
    _notes.update(figures)


def cpu_s() -> float:
    """Return the CPU seconds of this process and of the children it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(times.ru_utime + times.ru_stime for times in used)


def main(run: Callable[..., list[Parsed]]) -> None:
    """Run a rung as its task file says, and write what came of it beside that file."""
    path = Path(sys.argv[1])
    task = json.loads(path.read_text(encoding="utf-8"))
    began, began_at, used = time.perf_counter(), time.time(), cpu_s()
    try:
        results = run(task["pages"], task["slots"], **task["options"])
    except UsageError as error:
        found: dict[str, Any] = {"skipped": str(error)}
    else:
        found = {
            "wall_s": time.perf_counter() - began,
            "began_at": began_at,
            "ended_at": time.time(),
            "cpu_s": cpu_s() - used,
            "process": os.getpid(),
            "main_thread": threading.get_native_id(),
            "results": results,
            "notes": _notes,
        }
    path.with_suffix(".result").write_text(json.dumps(found), encoding="utf-8")
