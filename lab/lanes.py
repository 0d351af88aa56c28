"""The timeline of a small crawl: one lane per slot, with what it fetched and parsed, and when a parse really ran."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from lab.readings import seconds
from worker import pools

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from crawl.records import PageRecord
    from lab.way import Way

Runs = dict[str, list[tuple[float, float]]]


def read_trace(directory: Path) -> Runs:
    """Return when each page's parse really ran (seconds since the epoch), by URL, from what `lab.probe` noted."""
    found: Runs = {}
    for path in sorted(directory.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found[row["url"]] = [(start, end) for start, end in row["runs"]]
    return found


def timeline(name: str, workload: str, way: Way, records: Iterable[PageRecord], runs: Runs) -> dict[str, Any]:
    """Return the timeline for JSON; times in milliseconds from the first request."""
    asked = [r for r in records if r.started_at and r.fetched_at and r.parsed_at and r.outcome == "ok"]
    zero = min(seconds(record.started_at) for record in asked)
    spans: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for record in asked:
        fetched = _span("fetch", record.url, seconds(record.started_at), seconds(record.fetched_at), zero)
        spans[str(record.worker), str(record.slot)].append(fetched)
        ran = runs.get(record.url, [])
        # The record knows milliseconds, the trace microseconds: where there is one, it says when the parse was.
        end = ran[-1][1] if ran else seconds(record.parsed_at)
        start = ran[0][0] if ran else end - (record.parse_ms or 0.0) / 1000
        parsed = _span("parse", record.url, start, end, zero)
        parsed["runs"] = [[_ms(start, zero), _ms(end, zero)] for start, end in ran]
        spans[str(record.parse_worker), str(record.parse_slot)].append(parsed)
    last = max(span["end_ms"] for lane in spans.values() for span in lane)
    return {
        "name": name,
        "workload": workload,
        "way": way.name,
        "pool": way.pool,
        "seconds": round(last / 1000, 3),
        "lanes": [
            {
                "worker": worker,
                "slot": slot,
                "kind": slot.rpartition("-")[0] or pools.TABLE[way.pool].slot,
                "spans": sorted(lane, key=lambda span: float(span["start_ms"])),
            }
            for (worker, slot), lane in sorted(spans.items(), key=_order)
        ],
    }


def _order(lane: tuple[tuple[str, str], list[dict[str, Any]]]) -> tuple[str, int]:
    worker, slot = lane[0]
    number = slot.rpartition("-")[2]
    return worker, int(number) if number.isdecimal() else 0


def _span(kind: str, url: str, start: float, end: float, zero: float) -> dict[str, Any]:
    return {"kind": kind, "url": url, "start_ms": _ms(start, zero), "end_ms": _ms(max(start, end), zero)}


def _ms(moment: float, zero: float) -> float:
    return round((moment - zero) * 1000, 3)
