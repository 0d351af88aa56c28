"""The chart of latencies: how long a page was fetched, waited for its parse and was parsed, by way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.report import drawing
from lab.report.palette import QUIET, look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from lab.report.reading import Trial

#: Measure in the result -> its heading.
_STAGES = {"fetch_ms": "fetch", "parse_wait_ms": "wait for the parse", "parse_ms": "parse"}
#: Least that is drawn, in milliseconds: a logarithm has no zero, and fetches are timed in whole ones.
_LEAST_MS = 0.1
_ROW_IN = 0.23


def has(trial: Trial) -> bool:
    """Tell whether any latency of the trial is known."""
    return trial.valid and any(trial.measure("latency", stage, "p50") is not None for stage in _STAGES)


def shown(trials: Sequence[Trial]) -> list[Trial]:
    """Return the fastest trial of each series that has latencies, in the order of the result."""
    best: dict[str, Trial] = {}
    for trial in filter(has, trials):
        kept = best.get(trial.series)
        if kept is None or (trial.pages_s or 0.0) > (kept.pages_s or 0.0):
            best[trial.series] = trial
    return list(best.values())


def height(trials: Sequence[Trial]) -> float:
    """Return the height of the panel in inches."""
    return 0.95 + _ROW_IN * len(_STAGES) * (len(shown(trials)) + 1)


def draw(axes: Axes, trials: Sequence[Trial]) -> None:
    """Draw one group of rows per stage, one row per way."""
    ways = shown(trials)
    axes.set_xscale("log")
    ticks, row = [], 0
    for stage, heading in _STAGES.items():
        axes.text(
            0,
            row,
            heading,
            transform=axes.get_yaxis_transform(),
            va="center",
            weight="bold",
            color=drawing.INK,
        )
        for trial in ways:
            row += 1
            ticks.append((row, trial))
            _draw_row(axes, row, trial, stage)
        row += 1
    axes.set_yticks([at for at, _ in ticks], [drawing.short(trial.way) for _, trial in ticks], fontsize=9.5)
    for tick, (_, trial) in zip(axes.get_yticklabels(), ticks, strict=True):
        tick.set_color(look(trial.pool).ink.light)
    axes.set_ylim(row - 0.4, -0.7)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("milliseconds (log scale): p50, p95, p99")
    drawing.decades(axes.xaxis)


def _draw_row(axes: Axes, row: int, trial: Trial, stage: str) -> None:
    points = [trial.measure("latency", stage, name) for name in ("p50", "p95", "p99")]
    p50, p95, p99 = (None if point is None else max(_LEAST_MS, point) for point in points)
    if p50 is None:
        axes.text(
            0.5, row, "not measured", transform=axes.get_yaxis_transform(), va="center", color=QUIET.light
        )
        return
    pool = look(trial.pool)
    colour = pool.ink.light
    if p99 is not None:
        axes.plot([p50, p99], [row, row], color=colour, linewidth=1)
        axes.plot(p99, row, "|", color=colour, markersize=7, markeredgewidth=1.4)
    if p95 is not None:
        axes.plot([p50, p95], [row, row], color=colour, linewidth=3.5, solid_capstyle="butt")
    axes.plot(p50, row, pool.marker, color=colour, markersize=7)
