"""A trial from its runs: medians of the valid ones, and what one invalid run does to it."""

from __future__ import annotations

import pytest

from crawl.records import PageRecord
from lab import lanes
from lab.grid import Ground, _site_fault
from lab.origin import Origin
from lab.rig import Target
from lab.trial import Run, run_from_row, trial_row
from lab.way import parse
from lab.workload import PRESETS

GEVENT = parse("gevent-100")


def _run(**changes) -> Run:
    values = {
        "pages": 200,
        "seconds": 3.0,
        "wall_s": 4.0,
        "worker_cpu_s": 0.8,
        "steady_pages": 180,
        "steady_s": 2.0,
        "latency": {"fetch_ms": {"p50": 10.0}},
        "switches": 1000,
        "redis_net_bytes": 2_000_000,
        "digest": "aa",
    }
    return Run(**(values | changes))


def test_a_trial_is_the_median_of_its_runs_without_their_warm_up():
    """90 pages a second after the warm-up, whatever the first tenth took."""
    row = trial_row("web", GEVENT, [_run(), _run(steady_s=4.0), _run(steady_s=1.8)])

    assert (row["name"], row["way"], row["slots"]) == ("web/gevent-100", "gevent-100", 100)
    assert (row["runs"], row["valid"], row["invalid"]) == (3, True, None)
    assert (row["slowest"], row["pages_s"], row["fastest"]) == (45.0, 90.0, 100.0)
    assert row["worker_cpu"] == 4.0
    assert row["switches"] == 5.0
    assert row["redis_bytes"] == 10_000.0
    assert row["latency"] == {"fetch_ms": {"p50": 10.0}}


def test_one_invalid_run_makes_the_trial_invalid():
    """What dropped a page once may have dropped it elsewhere unseen; its figures are shown, and do not count."""
    row = trial_row("web", GEVENT, [_run(), _run(invalid="59 records")])

    assert (row["runs"], row["valid"], row["invalid"]) == (1, False, "59 records")
    assert row["pages_s"] == 90.0
    assert [run["valid"] for run in row["each"]] == [True, False]


def test_a_trial_without_a_valid_run_has_no_figures():
    """Null, not zero: zero would be a measurement."""
    row = trial_row("web", GEVENT, [_run(invalid="59 records")])

    assert not row["valid"]
    assert all(row[name] is None for name in ("pages_s", "worker_cpu", "workers_mb", "commands", "digest"))


def test_a_run_survives_the_journal():
    """An interrupted benchmark goes on with the runs it had."""
    run = _run(invalid="late", site_late_ms=3.5)

    assert run == run_from_row(run.row())


@pytest.mark.parametrize(
    ("workload", "late_ms", "alone", "said"),
    [
        ("web", 59.0, 30_000.0, None),
        ("web", 61.0, 30_000.0, "the site answered up to 61 ms late (p95), more than 60 ms"),
        ("lan", 26.0, 30_000.0, "the site answered up to 26 ms late (p95), more than 25 ms"),
        ("lan", 1.0, 269.0, "the site alone serves 269 pages/s, less than 3 times the 90 of this trial"),
        ("lan", 1.0, 271.0, None),
    ],
)
def test_a_site_that_shaped_the_numbers_makes_a_run_invalid(workload, late_ms, alone, said):
    """Late, or not three times as fast by itself: then it is the site that was measured."""
    ground = Ground(PRESETS[workload], Origin(1, 1, None), alone, Target((), 1, 1))

    assert said == _site_fault(ground, _run(site_late_ms=late_ms))


def test_a_timeline_has_a_lane_for_each_slot_and_what_really_ran():
    """Times are milliseconds from the first request; where there is a trace, it says when the parse was."""
    common = {"crawl": "c", "via": "seed", "parent": None, "depth": 0, "attempts": 1, "outcome": "ok"}
    places = {"worker": "w", "slot": "thread-10", "parse_worker": "w", "parse_slot": "thread-2"}
    times = {
        "started_at": "2026-11-25T00:00:01.000Z",
        "fetched_at": "2026-11-25T00:00:01.100Z",
        "parsed_at": "2026-11-25T00:00:01.160Z",
        "parse_ms": 30.0,
    }
    zero = 1795564801.0
    traced = PageRecord(url="http://a.test/", **common, **places, **times)
    plain = PageRecord(url="http://b.test/", **common, **(places | {"parse_slot": "thread-10"}), **times)
    trace = {"http://a.test/": [(zero + 0.12, zero + 0.13), (zero + 0.15, zero + 0.16)]}
    found = lanes.timeline("t", "web", parse("threads-10"), [traced, plain], trace)
    spans = {
        lane["slot"]: [(s["kind"], s["start_ms"], s["end_ms"]) for s in lane["spans"]]
        for lane in found["lanes"]
    }
    (of_trace,) = found["lanes"][0]["spans"]

    assert ["thread-2", "thread-10"] == list(spans)
    assert [("parse", pytest.approx(120), pytest.approx(160))] == spans["thread-2"]
    assert [[120, 130], [150, 160]] == [[round(at) for at in run] for run in of_trace["runs"]]
    assert ("parse", 130.0, 160.0) in spans["thread-10"]
    assert found["seconds"] == pytest.approx(0.16)
