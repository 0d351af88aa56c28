"""What the slots of a trial did, moment by moment, and what of it is worth saying. Times are milliseconds.

A parse that has `runs` really ran in those stretches only and waited for its turn in between; one without is taken to
have run all along, and then nothing is said about turns.
"""

from __future__ import annotations

import itertools
import re
import statistics
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lab.report import reading

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What is side by side for less than this in all counts as measured by a clock that is not exact.
_NOISE_MS = 0.1
#: From so many parses at once, on average while any runs, they run side by side; below they take turns.
SIDE_BY_SIDE = 1.15
#: Below this share of one CPU's time, parsing does not decide how fast a crawl is.
LITTLE_PARSING = 0.25
#: A parse that kept every other slot from a step for this share of its time stopped them.
_STOPPED = 0.8
#: What is shown of a timeline: so many usual parses, or fetches where parsing is little.
_PARSES, _FETCHES = 40, 6
#: How many stretches are compared for the one that is shown.
_TRIED = 200
#: Least that is shown.
_LEAST_MS = 20.0

#: From, to.
Stretch = tuple[float, float]


@dataclass(frozen=True)
class Span:
    """What a slot did without pause: one fetch or one parse; `runs` is None where it is not known."""

    kind: str
    url: str
    start: float
    end: float
    runs: tuple[Stretch, ...] | None

    @property
    def ran(self) -> tuple[Stretch, ...]:
        """When it ran, as far as known."""
        return ((self.start, self.end),) if self.runs is None else self.runs


@dataclass(frozen=True)
class Lane:
    """One slot of one worker process."""

    worker: str
    slot: str
    kind: str
    spans: tuple[Span, ...]

    def busy(self, within: Stretch) -> float:
        """Return how long the slot did something within a stretch."""
        return sum(max(0.0, min(each.end, within[1]) - max(each.start, within[0])) for each in self.spans)


@dataclass(frozen=True)
class Timeline:
    """All slots of one trial, ordered by worker and slot."""

    name: str
    workload: str
    way: str
    pool: str
    lanes: tuple[Lane, ...]

    @property
    def whole(self) -> Stretch:
        """From the first start to the last end; (0, 0) when nothing happened."""
        spans = [span for lane in self.lanes for span in lane.spans]
        return (min(s.start for s in spans), max(s.end for s in spans)) if spans else (0.0, 0.0)

    def spans(self, kind: str) -> list[Span]:
        """Return all spans of a kind."""
        return [span for lane in self.lanes for span in lane.spans if span.kind == kind]

    def ran(self) -> list[Stretch]:
        """Return when parses ran, of all lanes."""
        return [run for span in self.spans("parse") for run in span.ran]


class SideBySide(NamedTuple):
    """How many parses really ran at the same moment: at most, and on average while any ran."""

    most: int
    mean: float


def read(row: dict[str, Any]) -> Timeline:
    """Return a timeline of a result; what has no times is left out."""
    trial = reading.trials({"trials": [row]})[0]
    lanes = [_lane(lane) for lane in reading.objects(row, "lanes")]
    lanes.sort(key=lambda lane: (lane.worker, _natural(lane.slot)))
    return Timeline(f"{trial.workload}/{trial.way}", trial.workload, trial.way, trial.pool, tuple(lanes))


def side_by_side(row: dict[str, Any]) -> SideBySide:
    """Return how many parses of a timeline of a result ran at once, in all lanes together."""
    return at_once(read(row).ran())


def at_once(stretches: Iterable[Stretch]) -> SideBySide:
    """Return how many of the stretches share a moment, leaving out what lasts less than a clock can tell."""
    levels = _levels(stretches)
    shared = [level for level in levels if sum(ms for up, ms in levels.items() if up >= level) >= _NOISE_MS]
    total = sum(levels.values())
    mean = sum(level * ms for level, ms in levels.items()) / total if total else 0.0
    return SideBySide(max(shared, default=min(levels, default=0)), mean)


def _levels(stretches: Iterable[Stretch]) -> dict[int, float]:
    """Return for each number of stretches at once how long it was that many; zero left out."""
    changes = sorted(change for start, end in stretches for change in ((start, 1), (end, -1)))
    levels: dict[int, float] = {}
    level, since = 0, 0.0
    for at, change in changes:
        if level and at > since:
            levels[level] = levels.get(level, 0.0) + at - since
        level, since = level + change, at
    return levels


def stops(timeline: Timeline) -> dict[str, list[Stretch]]:
    """Return by worker the longest stretches in which one of its slots parsed and no other made a step.

    A step is the start or end of a span. Workers of one slot have none.
    """
    found = {}
    for worker, lanes in _by_worker(timeline.lanes):
        if len(lanes) > 1:
            steps = sorted((at, place) for place, lane in enumerate(lanes) for at in _edges(lane))
            runs = [(run, place) for place, lane in enumerate(lanes) for run in _runs(lane)]
            found[worker] = [_longest(run, place, steps) for run, place in sorted(runs)]
    return found


def _longest(run: Stretch, place: int, steps: list[tuple[float, int]]) -> Stretch:
    start, end = run
    inside = steps[bisect_right(steps, (start, len(steps))) : bisect_left(steps, (end, -1))]
    marks = [start, *(at for at, whose in inside if whose != place), end]
    return max(itertools.pairwise(marks), key=lambda each: each[1] - each[0])


def stopped_for(timeline: Timeline) -> float:
    """Return for how long a parse let no other slot of its worker make a step, at most; 0 when it seldom happens.

    Also 0 where little is parsed: then nothing happens during most parses because little happens at all.
    """
    if parsing_share(timeline) < LITTLE_PARSING:
        return 0.0
    parses = [sum(end - start for start, end in span.ran) for span in timeline.spans("parse")]
    longest = [end - start for stretches in stops(timeline).values() for start, end in stretches]
    if not parses or not longest or statistics.median(longest) < _STOPPED * statistics.median(parses):
        return 0.0
    return max(longest)


def parsing_share(timeline: Timeline) -> float:
    """Return how much of one CPU's time parses ran; above 1 when several ran side by side."""
    start, end = timeline.whole
    return sum(to - since for since, to in timeline.ran()) / (end - start) if end > start else 0.0


def window_ms(timeline: Timeline) -> float:
    """Return how much of a timeline to show so that single parses, or fetches, can be seen."""
    start, end = timeline.whole
    parses = [sum(to - since for since, to in span.ran) for span in timeline.spans("parse")]
    fetches = [span.end - span.start for span in timeline.spans("fetch")]
    if parses and parsing_share(timeline) >= LITTLE_PARSING:
        wanted = _PARSES * statistics.median(parses)
    else:
        wanted = _FETCHES * statistics.median(fetches) if fetches else end - start
    return min(end - start, max(_LEAST_MS, wanted))


def window(timeline: Timeline, length: float) -> Stretch:
    """Return the stretch of this length in which most was parsed, or most began where nothing was."""
    spans = [span for lane in timeline.lanes for span in lane.spans]
    start, end = timeline.whole
    if not spans or length >= end - start:
        return start, start + max(length, _LEAST_MS)
    parses = timeline.spans("parse")
    starts = sorted(span.start for span in spans)

    def worth(at: float) -> tuple[float, int]:
        parsed = sum(max(0.0, min(span.end, at + length) - max(span.start, at)) for span in parses)
        return round(parsed, 3), bisect_right(starts, at + length) - bisect_left(starts, at)

    begins = [min(at, end - length) for at in starts[:: max(1, len(starts) // _TRIED)]]
    begin = max(begins, key=worth)
    return begin, begin + length


def busiest(timeline: Timeline, within: Stretch, most: int) -> list[Lane]:
    """Return the lanes that did most within a stretch, in the timeline's order."""
    by_work = sorted(timeline.lanes, key=lambda lane: -lane.busy(within))[:most]
    return [lane for lane in timeline.lanes if lane in by_work]


def kind(timeline: Timeline, count: int = 2) -> str:
    """Return what slots are called here: thread, processes, greenlets..."""
    found = {lane.kind for lane in timeline.lanes}
    word = found.pop() if len(found) == 1 else "slot"
    return word if count == 1 else word + ("es" if word.endswith("s") else "s")


def _lane(row: dict[str, Any]) -> Lane:
    spans = [span for each in reading.objects(row, "spans") if (span := _span(each))]
    spans.sort(key=lambda span: (span.start, span.end))
    name = reading.text(row.get("kind")) or "slot"
    return Lane(reading.text(row.get("worker")), reading.text(row.get("slot")) or "?", name, tuple(spans))


def _span(row: dict[str, Any]) -> Span | None:
    start, end = reading.number(row.get("start_ms")), reading.number(row.get("end_ms"))
    if start is None or end is None or end < start:
        return None
    found = row.get("runs")
    runs = None if not isinstance(found, list) else tuple(_stretches(found, start, end))
    return Span(reading.text(row.get("kind")), reading.text(row.get("url")), start, end, runs)


def _stretches(found: list[Any], start: float, end: float) -> Iterable[Stretch]:
    for each in found:
        since, to = map(reading.number, each) if isinstance(each, list) and len(each) == 2 else (None, None)
        if since is not None and to is not None and max(since, start) < min(to, end):
            yield max(since, start), min(to, end)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part or 0), word) for word, part in re.findall(r"(\D+)(\d*)", name)]


def _by_worker(lanes: Iterable[Lane]) -> list[tuple[str, list[Lane]]]:
    return [(worker, list(some)) for worker, some in itertools.groupby(lanes, key=lambda lane: lane.worker)]


def _edges(lane: Lane) -> Iterable[float]:
    return (at for span in lane.spans for at in (span.start, span.end))


def _runs(lane: Lane) -> Iterable[Stretch]:
    return (run for span in lane.spans if span.kind == "parse" for run in span.ran)
