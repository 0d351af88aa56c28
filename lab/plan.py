"""What a bench run measures: which ways crawl which workloads, how often, and with what beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab import measure, way
from lab.grid import Cell
from lab.workload import PRESETS, Workload
from worker import pools

if TYPE_CHECKING:
    from lab.way import Way

#: The default run: for each preset the ways between which a person chooses, `{n}` being the cores.
DEFAULT: dict[str, tuple[str, ...]] = {
    "lan": ("prefork-{n}", "threads-32", "gevent-100", "asyncio-100"),
    "web": ("prefork-{n}", "threads-32", "threads-100", "gevent-100", "asyncio-100"),
    "heavy": (
        *("prefork-{n}", "threads-32", "gevent-100", "asyncio-100"),
        *("threads-32x{n}", "gevent-100x{n}"),
    ),
    "mixed": ("prefork-{n}", "threads-32", "gevent-100x{n}", "gevent-100+prefork-{n}"),
}
#: What any other workload is tried with.
ORDINARY = (
    *("prefork-{n}", "threads-32", "threads-100", "gevent-100", "asyncio-100"),
    *("gevent-100x{n}", "gevent-100+prefork-{n}"),
)
#: The full grid: slots of each pool, more processes, split services, and what pipeline, batch and events cost.
GRID = (
    *("prefork-1", "prefork-2", "prefork-4", "prefork-8", "threads-8", "threads-32", "threads-100"),
    *("gevent-8", "gevent-32", "gevent-100", "gevent-300", "asyncio-32", "asyncio-100", "asyncio-300"),
    *("threads-32x{n}", "gevent-100x{n}", "asyncio-100x{n}"),
    *("gevent-100+prefork-{n}", "threads-100+prefork-{n}", "asyncio-100+prefork-{n}"),
    *("prefork-{n}/fused", "gevent-100/fused", "gevent-100/b1", "gevent-100/events"),
)
#: The small crawl that timelines are drawn of: every way has four slots, one URL a message.
LANES = Workload(
    "lanes", pages=48, hosts=4, latency_ms=100, latency_sigma=0.4, latency_most_ms=400, parse_ms=20
)
LANE_WAYS = ("prefork-4/b1", "threads-4/b1", "gevent-4/b1", "asyncio-4/b1")


@dataclass(frozen=True)
class Plan:
    """What to measure. `guarantees` names the pools whose promises are tried."""

    cells: tuple[Cell, ...]
    rounds: int
    lanes: tuple[Cell, ...] = ()
    guarantees: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        """Return the plan for JSON: two equal rows are the same measurement."""
        return {
            "cells": [[cell.workload.row(), cell.way.row()] for cell in self.cells],
            "rounds": self.rounds,
            "lanes": [[cell.workload.row(), cell.way.row()] for cell in self.lanes],
            "guarantees": list(self.guarantees),
        }


def ways(names: tuple[str, ...]) -> tuple[Way, ...]:
    """Return the ways that names spell, each once; raises UsageError for what is none."""
    cores = measure.cores()
    return tuple(dict.fromkeys(way.parse(name.replace("{n}", str(cores))) for name in names))


def possible(names: tuple[str, ...]) -> tuple[Way, ...]:
    """Return the same without those whose pool cannot be had on this machine: nobody asked for them by name."""
    missing = {name for name, pool in pools.TABLE.items() if not pools.is_installed(pool)}
    there = (name for name in names if not missing & {group.partition("-")[0] for group in name.split("+")})
    return ways(tuple(there))


def ordinary(workload: Workload) -> tuple[Way, ...]:
    """Return the ways a workload is tried in by default."""
    preset = PRESETS.get(workload.name)
    known = preset is not None and preset.with_(pages=workload.pages) == workload
    return possible(DEFAULT[workload.name] if known and workload.name in DEFAULT else ORDINARY)


def lane_cells(asked: tuple[str, ...]) -> tuple[Cell, ...]:
    """Return the crawls that timelines of some pools are drawn of."""
    return tuple(Cell(LANES, one) for one in possible(LANE_WAYS) if one.pool in asked)
