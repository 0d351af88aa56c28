"""Timelines in the Trace Event Format, which Perfetto and chrome://tracing open.

Every worker is a process and every slot a thread there. A parse that took turns has a second track below its slot, with
the stretches in which it ran; a counter says how many parses ran at once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lab.report import drawing, reading, timeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.report.timeline import Lane, Span, Timeline

_Event = dict[str, Any]


def to_trace(row: dict[str, Any]) -> dict[str, Any]:
    """Return a timeline of a result as a trace; times there are whole microseconds."""
    found = timeline.read(row)
    return {
        "traceEvents": [*_of_workers(found), *_of_counter(found)],
        "displayTimeUnit": "ms",
        "otherData": {"trial": found.name, "pool": found.pool, "written_by": "poolcrawl bench"},
    }


def write_traces(result: dict[str, Any], directory: Path) -> list[Path]:
    """Write `timeline-WORKLOAD-WAY.trace.json` for each timeline into the directory, and return the files."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for row in reading.objects(reading.checked(result), "timelines"):
        trace = to_trace(row)
        paths.append(directory / f"timeline-{drawing.file_name(trace['otherData']['trial'])}.trace.json")
        paths[-1].write_text(json.dumps(trace, separators=(",", ":")) + "\n", encoding="utf-8")
    return paths


def _of_workers(found: Timeline) -> Iterator[_Event]:
    pids = {worker: pid for pid, worker in enumerate(dict.fromkeys(lane.worker for lane in found.lanes), 1)}
    for worker, pid in pids.items():
        yield _named("process_name", pid, 0, worker)
    for place, lane in enumerate(found.lanes, 1):
        yield from _of_lane(lane, pids[lane.worker], tid=place * 2)


def _of_lane(lane: Lane, pid: int, tid: int) -> Iterator[_Event]:
    yield from _track(pid, tid, lane.slot)
    yield from _apart([_of_span(span, pid, tid) for span in lane.spans])
    turns = [span for span in lane.spans if span.kind == "parse" and len(span.ran) > 1]
    if turns:
        yield from _track(pid, tid + 1, f"{lane.slot}: really runs")
        runs = [_complete("runs", run, pid, tid + 1) for span in turns for run in span.ran]
        yield from _apart(sorted(runs, key=lambda event: event["ts"]))


def _of_span(span: Span, pid: int, tid: int) -> _Event:
    event = _complete(span.kind, (span.start, span.end), pid, tid)
    event["args"] = {"url": span.url}
    if span.runs is not None:
        event["args"]["ran_ms"] = round(sum(to - since for since, to in span.runs), 3)
    return event


def _complete(name: str, stretch: timeline.Stretch, pid: int, tid: int) -> _Event:
    start, end = (round(at * 1000) for at in stretch)
    return {"name": name, "cat": "crawl", "ph": "X", "ts": start, "dur": end - start, "pid": pid, "tid": tid}


def _apart(events: list[_Event]) -> list[_Event]:
    """Cut what begins before the event in front of it ended: clocks and rounding overlap, a slot does not."""
    free = 0
    for event in events:
        end = event["ts"] + event["dur"]
        event["ts"] = max(event["ts"], free)
        event["dur"] = max(0, end - event["ts"])
        free = event["ts"] + event["dur"]
    return events


def _of_counter(found: Timeline) -> Iterator[_Event]:
    changes = sorted(change for start, end in found.ran() for change in ((start, 1), (end, -1)))
    level = 0
    for at, change in changes:
        level += change
        yield {
            "name": "parses that run at once", "cat": "crawl", "ph": "C", "ts": round(at * 1000), "pid": 0, "tid": 0,
            "args": {"parses": level},
        }  # fmt: skip


def _track(pid: int, tid: int, name: str) -> Iterator[_Event]:
    yield _named("thread_name", pid, tid, name)
    yield {"name": "thread_sort_index", "ph": "M", "pid": pid, "tid": tid, "args": {"sort_index": tid}}


def _named(what: str, pid: int, tid: int, name: str) -> _Event:
    return {"name": what, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}
