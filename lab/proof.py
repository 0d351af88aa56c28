"""Whether the advice is right where nobody tuned it: workloads drawn by a seed, and a judge with a grid measured apart.

The advised way comes from trials of its own; the grid is measured afterwards, the advised way within it. The best of a
grid is partly the luckiest of it, so the judge is stricter than a coin, never kinder.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING

from crawl.errors import UsageError
from lab import spread
from lab.advice import choose
from lab.forecast import predict, shortlist
from lab.goal import THROUGHPUT
from lab.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lab.forecast import Costs
    from lab.results import Row
    from lab.way import Way

#: How far the advised way may stay behind the best of the grid, unless the best's own spread is wider.
ALLOWED = 0.1
#: Seconds that a pool of two slots would take for a drawn workload: enough to tell ways apart, cheap enough to repeat.
TWO_SLOTS_S = 16.0
#: Ways that the advice is made from: every pool, and a few more of those that should be fast.
COARSE_WAYS = 8
#: CPU ms that a page costs a worker beside its parse_ms, roughly.
OWN_MS = 1.5
FEWEST_PAGES = 60
MOST_PAGES = 1500
#: Pages per host at least: a host of one page has no connection to keep.
HOST_PAGES = 3
#: Every how manyth workload has no latency at all, or no parse_ms: a logarithm has no zero.
_ONE_IN = 5


def draw(seed: int, count: int = 6) -> tuple[Workload, ...]:
    """Return workloads such as `drawn-1-a`, always the same for a seed; none of them is a preset.

    Latency (0 to 1500 ms in the median), parse_ms (0 to 30), hosts (4 to 64) and size (3 to 100 kB) are drawn evenly
    over their logarithm, each zero in one workload of five; up to a tenth of the pages are errors.
    """
    if not 1 <= count <= len(ascii_lowercase):
        message = f"{count} drawn workloads; expected 1 to {len(ascii_lowercase)}"
        raise UsageError(message)
    return tuple(_draw(seed, letter) for letter in ascii_lowercase[:count])


@dataclass(frozen=True)
class Verdict:
    """What the judge found: `ratio` is advised to best in pages per second, `allowed` the least ratio that holds."""

    best: str | None
    advised: str
    ratio: float | None
    allowed: float
    held: bool
    sentence: str


_NOTHING = Verdict(
    None, "nothing", None, 1 - ALLOWED, held=False, sentence="nothing was advised: no trial was valid"
)


def judge(advised_way: str, grid_trials: Iterable[Row]) -> Verdict:
    """Return whether the advised way is as fast as the grid's best, within ALLOWED or the best's spread if larger.

    `grid_trials` are those of one workload. A way that the grid has no valid trial of does not hold, nor does anything
    in a grid without a valid trial.
    """
    ranked = THROUGHPUT.rank(grid_trials)
    if not ranked:
        why = f"{advised_way}: the grid has no valid trial to judge by"
        return Verdict(None, advised_way, None, 1 - ALLOWED, held=False, sentence=why)
    best = ranked[0]
    allowed = _allowed(best)
    found = next((trial for trial in ranked if trial["way"] == advised_way), None)
    if found is None:
        why = f"{advised_way}: the grid has no valid trial of it; its best is {best['way']}"
        return Verdict(best["way"], advised_way, None, allowed, held=False, sentence=why)
    ratio = found["pages_s"] / best["pages_s"]
    held = ratio >= allowed
    return Verdict(
        best["way"],
        advised_way,
        round(ratio, 3),
        round(allowed, 3),
        held,
        _say(found, best, allowed, held=held),
    )


def prove(
    workloads: Iterable[Workload],
    grid: Sequence[Way],
    cores: int,
    coarse: Callable[[Workload, Sequence[Way]], Row],
    fine: Callable[[Workload, Sequence[Way]], Row],
    costs: Costs | None = None,
) -> list[tuple[str, Verdict]]:
    """Return the verdict on each workload, by its name.

    `coarse` and `fine` measure a workload in some ways and return a result: first the few ways of the model's
    shortlist, of which the advice is made, then the grid with the advised way in it. They share no run.
    """
    found = []
    for workload in workloads:
        tried = shortlist(predict(workload, cores, grid, costs), COARSE_WAYS)
        chosen = choose(coarse(workload, tried)["trials"])
        if chosen is None:
            found.append((workload.name, _NOTHING))
            continue
        advised = next(way for way in tried if way.name == chosen["way"])
        trials = fine(workload, tuple(dict.fromkeys((*grid, advised))))["trials"]
        found.append((workload.name, judge(advised.name, trials)))
    return found


def summarise(verdicts: Sequence[Verdict]) -> str:
    """Return how often the advice held, for people."""
    held = sum(verdict.held for verdict in verdicts)
    return f"the advice held on {held} of {len(verdicts)} drawn workloads"


def _draw(seed: int, letter: str) -> Workload:
    rng = random.Random(f"{seed}:{letter}")
    latency_ms = _zero_or(rng, 5, 1500)
    parse_ms = _zero_or(rng, 0.5, 30)
    sigma = round(rng.uniform(0.2, 0.8), 2)
    hosts = round(_log_uniform(rng, 4, 64))
    workload = Workload(
        f"drawn-{seed}-{letter}",
        pages=MOST_PAGES,
        hosts=hosts,
        latency_ms=latency_ms,
        latency_sigma=sigma,
        page_kb=round(_log_uniform(rng, 3, 100), 1),
        parse_ms=parse_ms,
        errors=rng.choice((0.0, round(rng.uniform(0.01, 0.1), 3))),
        seed=rng.randrange(1, 1_000_000),
    )
    pages = _pages(latency_ms, sigma, parse_ms)
    return workload.with_(pages=pages, hosts=min(hosts, pages // HOST_PAGES))


def _pages(latency_ms: float, sigma: float, parse_ms: float) -> int:
    """Return the pages that two slots crawl in TWO_SLOTS_S, a lognormal's mean being above its median."""
    page_s = (latency_ms * math.exp(sigma**2 / 2) + parse_ms + OWN_MS) / 1000
    return min(max(round(2 * TWO_SLOTS_S / page_s), FEWEST_PAGES), MOST_PAGES)


def _zero_or(rng: random.Random, least: float, most: float) -> float:
    return 0.0 if rng.randrange(_ONE_IN) == 0 else round(_log_uniform(rng, least, most), 1)


def _log_uniform(rng: random.Random, least: float, most: float) -> float:
    return math.exp(rng.uniform(math.log(least), math.log(most)))


def _allowed(best: Row) -> float:
    """Return the least ratio to the best that holds: the best's own slowest run, if that is slower than ALLOWED."""
    found = spread.of(best, THROUGHPUT.read)
    return 1 - ALLOWED if found is None else min(1 - ALLOWED, found.least / found.median)


def _say(found: Row, best: Row, allowed: float, *, held: bool) -> str:
    if found is best:
        return f"{found['way']}: it is the best of the grid, {best['pages_s']:.0f} pages/s"
    verb = "holds" if held else "does not hold"
    return (
        f"{found['way']} {verb}: {found['pages_s']:.0f} pages/s are {found['pages_s'] / best['pages_s']:.2f} of the "
        f"best of the grid, {best['way']} ({best['pages_s']:.0f}); {allowed:.2f} were asked for"
    )
