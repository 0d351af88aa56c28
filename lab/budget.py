"""The memory budget of a frontier: bytes per URL and speed with a million URLs, each against its mark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab import frontierload, marks, memory
from lab.conditions import conditions
from lab.rig import lone_server
from lab.running import directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.frontierload import Comparison
    from lab.marks import Mark
    from lab.memory import Footprint


@dataclass(frozen=True)
class Plan:
    """What to measure: sizes of the seen set, sizes of the frontiers whose speed is compared, and rounds."""

    sizes: tuple[int, ...] = memory.SIZES
    few: int = frontierload.FEW
    many: int = frontierload.MANY
    rounds: int = frontierload.ROUNDS
    keep: Path | None = None


@dataclass(frozen=True)
class Result:
    """What was found."""

    conditions: dict[str, Any]
    footprints: list[Footprint]
    comparisons: list[Comparison]
    marks: list[Mark]

    def row(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {
            "conditions": self.conditions,
            "memory": [one.row() for one in self.footprints],
            "throughput": [one.row() for one in self.comparisons],
            "marks": [mark.row() for mark in self.marks],
        }


def run(plan: Plan, say: Callable[[str], None]) -> Result:
    """Measure. Raises UnavailableError when no server starts."""
    with directory(plan.keep) as place:
        with lone_server(place / "memory") as client:
            footprints = memory.footprints(client, plan.sizes, say)
        # Another server: what the first one has freed would lie between what this one takes.
        with lone_server(place / "throughput") as client:
            comparisons = frontierload.compare(
                client, few=plan.few, many=plan.many, rounds=plan.rounds, say=say
            )
    found = marks.of_memory(footprints) + marks.of_throughput(comparisons)
    return Result({"rounds": plan.rounds, **conditions()}, footprints, comparisons, found)
