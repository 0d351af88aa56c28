"""What one process, thread, greenlet or coroutine costs, measured: `python -m lab.ladder.costs TASK.json`.

Each kind is measured in a process of its own, so that none finds memory that another one has left.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from lab.ladder.kinds import KINDS, burn
from lab.measure import cores, memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.ladder.kinds import Kind

#: Parses of the speed-up on many cores, and CPU of each, milliseconds.
BURNS, BURN_MS = 10, 50.0
#: How often what takes time is tried.
TRIES = 3
#: Those that raise one number, and how often each does.
COUNTERS, TIMES = 4, 1_000_000
#: How long the neighbour computes, milliseconds.
GAP_MS = 300.0


def _seconds(function: Callable[..., Any], *arguments: Any) -> float:
    """Return what a call takes, the best of a few: anything else on the machine can only slow one down."""
    taken = []
    for _ in range(TRIES):
        began = time.perf_counter()
        function(*arguments)
        taken.append(time.perf_counter() - began)
    return min(taken)


def _bytes() -> int:
    """Return the memory of this process, shared pages by share, and of its children."""
    return memory(psutil.Process().pid)


def _held_bytes(kind: Kind) -> float:
    """Return the memory of one that does nothing."""
    with kind.hold(1):
        pass
    before, n = _bytes(), kind.how_many["hold"]
    with kind.hold(n):
        return (_bytes() - before) / n


def measure(name: str) -> dict[str, Any]:
    """Return the costs of a kind.

    `create_us`: made and ended; `switch_us`: the turn passed to another one; `kb`: memory (10^3 bytes) of one that only
    waits; `speed_up`: how many times faster all cores parse than one; `kept_percent`: how much of what they added up
    without a lock is there in the end; `gap_ms`: longest pause while a neighbour computes for GAP_MS.
    """
    kind = KINDS[name]()
    many = kind.how_many
    kind.create(3)
    kb = _held_bytes(kind) / 1000
    one_core, all_cores = _seconds(_burn_here), _seconds(kind.burn, BURNS, BURN_MS)
    return {
        "kind": name,
        "create_us": round(_seconds(kind.create, many["create"]) / many["create"] * 1e6, 1),
        "switch_us": round(_seconds(kind.pass_on, many["pass_on"]) / many["pass_on"] * 1e6, 2),
        "kb": round(kb, 1),
        "speed_up": round(one_core / all_cores, 2),
        "cores": cores(),
        "kept_percent": round(100 * kind.count(COUNTERS, TIMES) / (COUNTERS * TIMES), 1),
        "gap_ms": round(kind.gap(GAP_MS) * 1000, 1),
    }


def _burn_here() -> None:
    for _ in range(BURNS):
        burn(BURN_MS)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    kind_name = json.loads(path.read_text(encoding="utf-8"))["kind"]
    path.with_suffix(".result").write_text(json.dumps(measure(kind_name)), encoding="utf-8")
