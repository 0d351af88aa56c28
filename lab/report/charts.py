"""Charts of trials: throughput against concurrency, CPU and memory against throughput, latencies.

Each chart has one panel per workload. A page shows the panels one by one; a file holds all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lab.report import drawing, latencies, reading
from lab.report.labels import Label, place, width_pt
from lab.report.palette import BAD, QUIET, look

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lab.report.reading import Trial

#: Height of a panel in inches.
_PANEL_IN = 3.4
#: Panels beside each other in a file.
_COLUMNS = 2
#: With more points than this in a panel only the ends of each series are named, the others by their slots.
_MOST_NAMES = 8
_INVALID = "\N{MULTIPLICATION SIGN} invalid, not counted"
#: Rates that differ by more than this are drawn on a logarithmic axis.
_WIDELY = 15
_DASHES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Chart:
    """One kind of chart: how a panel of it is drawn, how tall it is in inches, whether a trial has what it needs."""

    name: str
    title: str
    caption: str
    draw: Callable[[Axes, list[Trial]], None]
    height: Callable[[list[Trial]], float]
    has: Callable[[Trial], bool]

    def fitting(self, trials: Sequence[Trial]) -> dict[str, list[Trial]]:
        """Return the trials to draw by workload, only workloads with at least one that can be drawn."""
        by_workload: dict[str, list[Trial]] = {}
        for trial in trials:
            by_workload.setdefault(trial.workload, []).append(trial)
        return {name: some for name, some in by_workload.items() if any(map(self.has, some))}


def page_panels(chart: Chart, result: dict[str, Any]) -> list[str]:
    """Return one SVG element per workload, for a page; none where no trial has what the chart needs."""
    svgs = []
    for place_, (workload, some) in enumerate(chart.fitting(reading.trials(result)).items()):
        with drawing.style():
            figure = _figure(chart, {workload: some}, columns=1)
            svgs.append(drawing.page_svg(figure, f"{chart.name}-{place_}", f"{chart.title}: {workload}"))
    return svgs


def write_charts(result: dict[str, Any], directory: Path) -> list[Path]:
    """Write each chart as SVG and PNG into the directory, and return the files; a chart without data is left out."""
    directory.mkdir(parents=True, exist_ok=True)
    everything = reading.trials(reading.checked(result))
    paths = []
    for chart in CHARTS:
        fitting = chart.fitting(everything)
        if fitting:
            with drawing.style():
                figure = _figure(chart, fitting, columns=_COLUMNS, frame=drawing.FRAME_IN)
                drawing.entitle(figure, chart.title, chart.caption)
                paths += drawing.write(figure, directory / chart.name)
    return paths


def _figure(chart: Chart, by_workload: dict[str, list[Trial]], columns: int, frame: float = 0.0) -> Figure:
    figure, panels = drawing.panels(
        [chart.height(some) for some in by_workload.values()], columns, frame=frame
    )
    for axes, (workload, some) in zip(panels, by_workload.items(), strict=True):
        axes.set_title(drawing.short(workload))
        chart.draw(axes, some)
    return figure


def series(trials: Sequence[Trial]) -> dict[str, list[Trial]]:
    """Return the trials by series, each ordered by slots."""
    found: dict[str, list[Trial]] = {}
    for trial in sorted(trials, key=lambda each: each.slots):
        found.setdefault(trial.series, []).append(trial)
    return found


def one_concurrency_each(trials: Sequence[Trial]) -> bool:
    """Tell whether no series has two concurrencies: nothing is drawn against it then."""
    return all(len({each.slots for each in some}) == 1 for some in series(trials).values())


def draw_throughput(axes: Axes, trials: list[Trial]) -> None:
    """Draw pages/s against slots with the spread of runs, or bars where each series has one concurrency only."""
    if one_concurrency_each(trials):
        _draw_bars(axes, trials)
    else:
        _draw_lines(axes, trials)


def _draw_bars(axes: Axes, trials: list[Trial]) -> None:
    order = sorted(trials, key=lambda each: (each.valid, each.pages_s or 0.0))
    most = max((each.pages_s or 0.0) + each.spread[1] for each in order) or 1.0
    for row, trial in enumerate(order):
        if not trial.valid or trial.pages_s is None:
            axes.text(most * 0.01, row, _INVALID, va="center", color=BAD.light)
            continue
        _, hollow = _variant(trial, trials)
        axes.barh(
            row, trial.pages_s, height=0.62, color=look(trial.pool).ink.light,
            hatch="///" if hollow else None, edgecolor=drawing.SHEET, linewidth=0,
        )  # fmt: skip
        low, high = trial.spread
        axes.errorbar(trial.pages_s, row, xerr=[[low], [high]], color=drawing.INK, capsize=4, linewidth=1.3)
        axes.text(trial.pages_s + high + most * 0.02, row, f" {_figures(trial.pages_s)}", va="center")
    names = [drawing.short(each.way).replace("+", "\n+", 1) for each in order]
    axes.set_yticks(range(len(order)), names, fontsize=10, linespacing=1.0)
    _colour_ticks(axes, order)
    axes.set_xlim(0, most * 1.2)
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("pages/s")
    drawing.plain_numbers(axes.xaxis)


def _draw_lines(axes: Axes, trials: list[Trial]) -> None:
    axes.set_xscale("log")
    lines = [[each for each in some if each.valid] for some in series(trials).values()]
    names = [_draw_line(axes, line, trials) for line in lines if line]
    _mark_invalid(axes, trials)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("slots (requests at once, log scale)")
    axes.set_ylabel("pages/s")
    drawing.plain_numbers(axes.yaxis)
    _widen(axes, names)
    drawing.ticks_at(axes.xaxis, sorted({each.slots for each in trials}))
    _name(axes, names, [[(each.slots, each.pages_s or 0.0) for each in line] for line in lines if line])


def _draw_line(axes: Axes, drawn: list[Trial], among: list[Trial]) -> Label:
    slots, rates = [each.slots for each in drawn], [each.pages_s or 0.0 for each in drawn]
    spread = [[each.spread[side] for each in drawn] for side in (0, 1)]
    pool = look(drawn[0].pool)
    dashes, hollow = _variant(drawn[0], among)
    axes.errorbar(
        slots, rates, yerr=spread, color=pool.ink.light, marker=pool.marker, markersize=6.5, capsize=3,
        linestyle=dashes, elinewidth=1.2, markerfacecolor=drawing.SHEET if hollow else None,
    )  # fmt: skip
    return Label(slots[-1], rates[-1], drawing.short(drawn[0].series), pool.ink.light)


def _variant(trial: Trial, among: Sequence[Trial]) -> tuple[Literal["-", "--", ":", "-."], bool]:
    """Return the dashes of a series among those of its pool, and whether its marks are hollow."""
    kin = list(dict.fromkeys(each.series for each in among if each.pool == trial.pool))
    turn = sorted(kin, key=lambda name: (len(name), name)).index(trial.series)
    return _DASHES[turn % len(_DASHES)], turn > 0


def _mark_invalid(axes: Axes, trials: list[Trial]) -> None:
    bad = [each for each in trials if not each.valid]
    for trial in bad:
        height = trial.pages_s or 0.0
        axes.plot(trial.slots, height, "x", color=BAD.light, markersize=9, markeredgewidth=2, clip_on=False)
    if bad:
        axes.set_title(_INVALID, loc="right", color=BAD.light, fontsize=9.5, weight="normal")


def _against_throughput(axes: Axes, trials: list[Trial], measure: str, label: str) -> None:
    drawn = [each for each in trials if each.valid and each.measure(measure) is not None]
    few = len(drawn) <= _MOST_NAMES
    names, lines = [], []
    for some in series(drawn).values():
        pool = look(some[0].pool)
        _, hollow = _variant(some[0], drawn)
        points = [(each.pages_s or 0.0, each.measure(measure) or 0.0) for each in some]
        lines.append(points)
        axes.plot(*zip(*points, strict=True), color=pool.ink.light, linewidth=0.8, alpha=0.5)
        axes.plot(
            *zip(*points, strict=True), pool.marker, color=pool.ink.light, markersize=8,
            markerfacecolor=drawing.SHEET if hollow else None,
        )  # fmt: skip
        last = max(range(len(some)), key=lambda each: some[each].slots)
        for each, (x, y) in enumerate(points):
            text = some[each].way if few or each == last else str(some[each].slots)
            names.append(Label(x, y, drawing.short(text), pool.ink.light))
    _limit(axes, names)
    axes.set_ylabel(label)
    drawing.plain_numbers(axes.yaxis)
    _name(axes, sorted(names, key=lambda name: -len(name.text)), lines)


def _limit(axes: Axes, names: list[Label]) -> None:
    """Spread points over the panel: a logarithmic axis where rates differ widely, no room below where costs do not."""
    slow, fast = min(name.x for name in names), max(name.x for name in names)
    if slow > 0 and fast / slow >= _WIDELY:
        axes.set_xscale("log")
        axes.set_xlim(slow / 1.6, fast * 2)
        axes.set_xlabel("pages/s (log scale)")
        drawing.decades(axes.xaxis)
    else:
        axes.set_xlim(0, fast * 1.25 or 1)
        axes.set_xlabel("pages/s")
        drawing.plain_numbers(axes.xaxis)
    low, high = min(name.y for name in names), max(name.y for name in names)
    bottom = min(low - 0.5 * (high - low), 0.7 * high)
    axes.set_ylim(max(0, bottom) if low > high / 2 else 0, high * 1.15 + 0.2 * (high - low) or 1)


def _widen(axes: Axes, names: list[Label]) -> None:
    """Leave room to the right of the last slots for the names of the lines that end there."""
    low, high = axes.get_xlim()
    last = max(name.x for name in names)
    room = max(width_pt(name.text) for name in names if name.x == last) / (72 * drawing.PANEL_IN * 0.85)
    axes.set_xlim(low, max(high, low * (high / low) ** (1 / (1 - min(0.5, room)))))


def _name(axes: Axes, names: list[Label], lines: list[list[tuple[float, float]]]) -> None:
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]  # an axes of ours stands in a figure
    place(axes, names, lines)


def _colour_ticks(axes: Axes, rows: Sequence[Trial]) -> None:
    for tick, trial in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_color(look(trial.pool).ink.light if trial.valid else QUIET.light)


def _figures(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _panel_height(trials: list[Trial]) -> float:
    return max(2.0, 1.0 + 0.4 * len(trials)) if one_concurrency_each(trials) else _PANEL_IN


def _measured(measure: str) -> Callable[[Trial], bool]:
    return lambda trial: trial.valid and trial.measure(measure) is not None


CHARTS = (
    Chart(
        "throughput",
        "Throughput",
        "Pages per second, the median of the runs; whiskers reach from the slowest run to the fastest.",
        draw_throughput,
        _panel_height,
        lambda trial: trial.pages_s is not None,
    ),
    Chart(
        "cpu",
        "CPU against throughput",
        "Right is faster, low is cheaper. CPU seconds of all worker processes together per 1000 pages; "
        "the axis of costs need not begin at zero.",
        lambda axes, trials: _against_throughput(axes, trials, "worker_cpu", "workers' CPU s per 1000 pages"),
        lambda _: _PANEL_IN,
        _measured("worker_cpu"),
    ),
    Chart(
        "memory",
        "Memory against throughput",
        "Right is faster, low is leaner. Peak memory of all worker processes together in MB (million bytes).",
        lambda axes, trials: _against_throughput(axes, trials, "workers_mb", "workers' peak memory, MB"),
        lambda _: _PANEL_IN,
        _measured("workers_mb"),
    ),
    Chart(
        "latency",
        "Latency of a page",
        "Mark: half of the pages took at most this long (p50); thick line: up to p95; thin line: up to p99. "
        "The axis is logarithmic and begins at 0.1 ms. Of each pool the way with the most pages per second.",
        latencies.draw,
        latencies.height,
        latencies.has,
    ),
)
