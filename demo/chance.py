"""Reproducible chance: draws and latencies that depend on the seed and a name only.

Python's `hash` differs by process, and most methods of `random.Random` may change between versions; the
documented exception is `random()` itself, so that is the only one used for content.
"""

from __future__ import annotations

import random
from hashlib import blake2b
from math import exp
from statistics import NormalDist
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

#: The site everybody means by "the demo site"; another seed gives other names, texts, links and latencies.
DEFAULT_SEED = 20261122

#: Ordinary pages: lognormal around this median, as small dynamic sites have it, and never above the cap.
MEDIAN_LATENCY_S = 0.020
LATENCY_SPREAD = 0.8
LATENCY_CAP_S = 0.150

#: Slow pages take from one to nearly three seconds; the rest of three is slack for busy machines.
SLOW_FROM_S = 1.0
SLOW_TO_S = 2.8


class Dice:
    """A stream of draws that is the same for the same seed and names, in every process and Python version."""

    def __init__(self, seed: int, *names: str) -> None:
        key = "\0".join((str(seed), *names))
        self._random = random.Random(int.from_bytes(blake2b(key.encode(), digest_size=16).digest(), "big"))

    def fraction(self) -> float:
        """Return the next number from 0 up to but not including 1."""
        return self._random.random()

    def between(self, low: int, high: int) -> int:
        """Return an integer from low to high, both included."""
        return low + int(self.fraction() * (high - low + 1))

    def choose(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[int(self.fraction() * len(options))]


def ordinary_latency(seed: int, url: str) -> float:
    """Return the seconds an ordinary page takes, in whole milliseconds."""
    draw = Dice(seed, "latency", url).fraction()
    normal = NormalDist().inv_cdf(min(max(draw, 1e-9), 1 - 1e-9))
    return round(min(MEDIAN_LATENCY_S * exp(LATENCY_SPREAD * normal), LATENCY_CAP_S), 3)


def slow_latency(seed: int, url: str) -> float:
    """Return the seconds a slow page takes, in whole milliseconds."""
    return round(SLOW_FROM_S + (SLOW_TO_S - SLOW_FROM_S) * Dice(seed, "slow", url).fraction(), 3)
