"""Pictures of timelines: one lane per slot, coloured by waiting, fetching, parsing."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

from lab.report import drawing, reading, timeline
from lab.report.palette import FETCHING, HELD, HELD_LINE, PARSING, QUIET, TURN, TURN_LINE, WAITING, Ink, look
from lab.report.sentence import caption

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from lab.report.timeline import Lane, Stretch, Timeline

#: Most lanes of a picture; the busiest are shown.
MOST_LANES = 24
#: Height in inches of a lane, few and many of them, and of all that is not a lane.
_LANE_IN, _THIN_LANE_IN, _FRAME_IN = 0.3, 0.15, 1.25
#: Width in inches of a picture that stands alone or on a wide screen.
_WIDE_IN = 10.5
#: Share of a picture's width that can be seen.
_SEEN = 1 / 3000
#: From so many lanes they are thin.
_MANY = 10


class Shown(NamedTuple):
    """What of a timeline is in its picture."""

    timeline: Timeline
    within: Stretch
    lanes: list[Lane]

    @property
    def height(self) -> float:
        """Height of the picture in inches."""
        each = _LANE_IN if len(self.lanes) < _MANY else _THIN_LANE_IN
        return _FRAME_IN + each * len(self.lanes)

    @property
    def left_out(self) -> str:
        """What is not in the picture, as a sentence; empty when everything is."""
        whole = self.timeline.whole
        said = []
        if self.within[1] - self.within[0] < (whole[1] - whole[0]) * 0.99:
            said.append(f"{_time(self.within[1] - self.within[0])} of {_time(whole[1] - whole[0])} are shown")
        missing = len(self.timeline.lanes) - len(self.lanes)
        if missing:
            said.append(
                f"{missing} of {len(self.timeline.lanes)} {timeline.kind(self.timeline)} are left out"
            )
        return f"{', '.join(said)}.".capitalize() if said else ""


class Picture(NamedTuple):
    """A timeline for a page: its SVG element for a phone and for a wide screen, what to look for, what is left out."""

    way: str
    narrow: str
    wide: str
    caption: str
    left_out: str


def shown(result: dict[str, Any]) -> dict[str, list[Shown]]:
    """Return what to show by workload; the timelines of a workload are shown for equally long."""
    by_workload: dict[str, list[Timeline]] = {}
    for row in reading.objects(result, "timelines"):
        found = timeline.read(row)
        if any(lane.spans for lane in found.lanes):
            by_workload.setdefault(found.workload, []).append(found)
    return {name: _cut(some) for name, some in by_workload.items()}


def _cut(timelines: list[Timeline]) -> list[Shown]:
    length = max(timeline.window_ms(each) for each in timelines)
    found = []
    for each in timelines:
        within = timeline.window(each, length)
        found.append(Shown(each, within, timeline.busiest(each, within, MOST_LANES)))
    return found


def page_picture(part: Shown, name: str) -> Picture:
    """Return the picture of one timeline for a page; `name` makes its ids unique there."""
    said = caption(part.timeline)
    label = f"{part.timeline.name}: {said}"
    narrow = _svg(part, f"{name}-narrow", label, drawing.PANEL_IN)
    return Picture(
        part.timeline.way, narrow, _svg(part, f"{name}-wide", label, _WIDE_IN), said, part.left_out
    )


def _svg(part: Shown, name: str, label: str, width: float) -> str:
    with drawing.style():
        figure, (axes,) = drawing.panels([part.height], width=width)
        _draw(axes, part, width)
        _legend(axes, [part], width)
        return drawing.page_svg(figure, name, label)


def write_timelines(result: dict[str, Any], directory: Path) -> list[Path]:
    """Write one SVG and PNG per workload, its timelines below each other, and return the files."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for workload, parts in shown(reading.checked(result)).items():
        with drawing.style():
            figure, panels = drawing.panels(
                [part.height + 0.2 for part in parts], width=_WIDE_IN, frame=drawing.FRAME_IN
            )
            for axes, part in zip(panels, parts, strict=True):
                _draw(axes, part, _WIDE_IN)
                _say(axes, part)
            _legend(panels[-1], parts, _WIDE_IN)
            drawing.entitle(figure, f"What each slot did: {drawing.short(workload)}")
            paths += drawing.write(figure, directory / f"timeline-{drawing.file_name(workload)}")
    return paths


def _draw(axes: Axes, part: Shown, width: float) -> None:
    start, end = part.within
    stops = _stops(part)
    for row, lane in enumerate(part.lanes):
        _draw_lane(axes, row, lane, part.within)
        _draw_held(axes, row, lane, stops.get(lane.worker, []))
    axes.set_xlim(start, end)
    axes.set_ylim(len(part.lanes) - 0.4, -0.6)
    axes.set_yticks(
        range(len(part.lanes)), _names(part.lanes), fontsize=9.5 if len(part.lanes) < _MANY else 7.5
    )
    axes.grid(visible=False)
    axes.set_title(drawing.short(part.timeline.way, 44), color=look(part.timeline.pool).ink.light)
    axes.set_xlabel("milliseconds since the crawl's first request")
    drawing.round_ticks(axes.xaxis, int(width))


def _draw_lane(axes: Axes, row: int, lane: Lane, within: Stretch) -> None:
    seen = [span for span in lane.spans if span.end >= within[0] and span.start <= within[1]]
    parses = [span for span in seen if span.kind == "parse"]
    place = (row - 0.4, 0.8)
    axes.broken_barh([(within[0], within[1] - within[0])], place, facecolor=WAITING.light)
    fetches = [(span.start, span.end - span.start) for span in seen if span.kind == "fetch"]
    axes.broken_barh(fetches, place, facecolor=FETCHING.light, edgecolor=drawing.SHEET, linewidth=0.3)
    turns = [(span.start, span.end - span.start) for span in parses if _waits(span.ran, span.start, span.end)]
    axes.broken_barh(
        turns, place, facecolor=TURN.light, edgecolor=TURN_LINE.light, hatch="/////", linewidth=0
    )
    runs = _joined([run for span in parses for run in span.ran], (within[1] - within[0]) * _SEEN)
    axes.broken_barh(runs, place, facecolor=PARSING.light, edgecolor=PARSING.light, linewidth=0.5)


def _joined(runs: list[Stretch], gap: float) -> list[Stretch]:
    """Return starts and lengths of runs, those as one that are closer to each other than can be seen."""
    bars: list[Stretch] = []
    for since, to in runs:
        if bars and since - sum(bars[-1]) < gap:
            bars[-1] = (bars[-1][0], max(sum(bars[-1]), to) - bars[-1][0])
        else:
            bars.append((since, to - since))
    return bars


def _waits(ran: tuple[Stretch, ...], start: float, end: float) -> bool:
    return sum(to - since for since, to in ran) < end - start - 1e-6


def _draw_held(axes: Axes, row: int, lane: Lane, stretches: list[Stretch]) -> None:
    """Mark the parts of a lane's fetches during which a parse of another slot let none of them go on."""
    fetches = [(span.start, span.end) for span in lane.spans if span.kind == "fetch"]
    held = [(max(a, c), min(b, d)) for a, b in fetches for c, d in stretches if a < d and c < b]
    axes.broken_barh(
        [(since, to - since) for since, to in held], (row - 0.4, 0.8), facecolor=HELD.light,
        edgecolor=HELD_LINE.light, hatch="/////", linewidth=0,
    )  # fmt: skip


def _stops(part: Shown) -> dict[str, list[Stretch]]:
    """Return by worker when a parse stopped its other slots; empty when that seldom happened."""
    if not timeline.stopped_for(part.timeline):
        return {}
    start, end = part.within
    return {
        worker: [each for each in stretches if each[1] > start and each[0] < end]
        for worker, stretches in timeline.stops(part.timeline).items()
    }


def _names(lanes: list[Lane]) -> list[str]:
    workers = list(dict.fromkeys(lane.worker for lane in lanes))
    if len(workers) == 1:
        return [drawing.short(lane.slot, 18) for lane in lanes]
    return [f"{workers.index(lane.worker) + 1}: {drawing.short(lane.slot, 16)}" for lane in lanes]


def _say(axes: Axes, part: Shown) -> None:
    words = textwrap.wrap(" ".join(filter(None, (caption(part.timeline), part.left_out))), 130)
    axes.set_title(
        axes.get_title("left"), loc="left", pad=8 + 13 * len(words), color=look(part.timeline.pool).ink.light
    )
    axes.annotate(
        "\n".join(words), (0, 1), (0, 6), xycoords="axes fraction", textcoords="offset points", va="bottom",
        color=QUIET.light, fontsize=9.5,
    ).set_in_layout(False)  # fmt: skip


def _legend(axes: Axes, parts: list[Shown], width: float) -> None:
    from matplotlib.patches import Patch

    handles: list[Artist] = [
        Patch(facecolor=WAITING.light, label="waits"),
        Patch(facecolor=FETCHING.light, label="fetches"),
        Patch(facecolor=PARSING.light, label="parses"),
    ]
    spans = [span for part in parts for lane in part.lanes for span in lane.spans if span.kind == "parse"]
    if any(_waits(span.ran, span.start, span.end) for span in spans):
        label = "parse waits its turn"
        handles.append(_hatched(TURN, TURN_LINE, label))
    if any(map(_stops, parts)):
        handles.append(_hatched(HELD, HELD_LINE, "fetch cannot go on: a parse runs"))
    # An entry takes about an inch; what a phone has no room for goes into a second line.
    axes.figure.legend(
        handles=handles, loc="outside lower left", ncols=len(handles) if len(handles) < width else 3, fontsize=9,
        handlelength=1.3, handletextpad=0.4, columnspacing=1.1,
    )  # fmt: skip


def _hatched(ground: Ink, line: Ink, label: str) -> Artist:
    from matplotlib.patches import Patch

    return Patch(facecolor=ground.light, edgecolor=line.light, hatch="/////", linewidth=0, label=label)


def _time(ms: float) -> str:
    return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms:.0f} ms"
