"""What is read from timelines: parses at once, stops, the sentence, the trace."""

from __future__ import annotations

import itertools
import json

import pytest
from labresult import timeline as made_up

from crawl.errors import UsageError
from lab.report import timeline
from lab.report.sentence import caption
from lab.report.trace import to_trace, write_traces


def _lane(slot, *spans, worker="w@vm", kind="thread"):
    """Return a lane; a span is (kind, start, end) or (kind, start, end, runs)."""
    fields = ("kind", "start_ms", "end_ms", "runs")
    return {
        "worker": worker,
        "slot": slot,
        "kind": kind,
        "spans": [{"url": "http://h.test/", **dict(zip(fields, span, strict=False))} for span in spans],
    }


def _timeline(*lanes):
    return {
        "name": "heavy/threads-2",
        "workload": "heavy",
        "way": "threads-2",
        "pool": "threads",
        "lanes": [*lanes],
    }


def test_parses_that_ran_at_the_same_time_are_counted() -> None:
    """Two parses of 10 ms that share 5 ms: two at most, and 20 ms of parsing in 15 ms."""
    found = timeline.side_by_side(_timeline(_lane("a", ("parse", 0, 10)), _lane("b", ("parse", 5, 15))))

    assert (2, pytest.approx(20 / 15)) == found


def test_parses_that_take_turns_never_ran_at_once() -> None:
    """Both are under way from 0 to 20 ms, but only the runs count."""
    turns = _timeline(
        _lane("a", ("parse", 0, 20, [[0, 5], [10, 15]])), _lane("b", ("parse", 0, 20, [[5, 10], [15, 20]]))
    )

    assert (1, 1.0) == timeline.side_by_side(turns)


def test_an_overlap_shorter_than_a_clock_can_tell_is_none() -> None:
    """Two clocks that disagree by 50 microseconds prove nothing."""
    row = _timeline(_lane("a", ("parse", 0, 10.05)), _lane("b", ("parse", 10, 20)))

    assert 1 == timeline.side_by_side(row).most


@pytest.mark.parametrize("lanes", [[], [_lane("a")], [_lane("a", ("fetch", 0, 5))]])
def test_a_timeline_without_parses_has_none_at_once(lanes) -> None:
    """Nothing is no error."""
    assert (0, 0.0) == timeline.side_by_side(_timeline(*lanes))


def test_broken_spans_are_left_out() -> None:
    """Null times, an end before the start, runs outside the span: what is left is read."""
    row = _timeline(
        _lane(
            "a", ("parse", None, 5), ("parse", 9, 3), ("parse", 10, 20, [[5, 12], [None, 3], "x", [18, 30]])
        ),
    )

    assert [(10.0, 12.0), (18.0, 20.0)] == timeline.read(row).ran()


def test_the_longest_stop_of_other_slots_is_measured() -> None:
    """A parse of 20 ms during which the other slot made a step after 8 ms stopped it for 12 ms."""
    row = _timeline(_lane("a", ("parse", 0, 20)), _lane("b", ("fetch", 1e-9, 8), ("fetch", 25, 30)))

    assert {"w@vm": [(8.0, 20.0)]} == timeline.stops(timeline.read(row))


def test_a_step_of_the_parsing_slot_itself_is_no_step_of_another() -> None:
    """Its own fetch, which a clock lets end within the parse, does not shorten the stop."""
    row = _timeline(_lane("a", ("fetch", 0, 10), ("parse", 5, 20)), _lane("b", ("fetch", 0, 30)))

    assert {"w@vm": [(5.0, 20.0)]} == timeline.stops(timeline.read(row))


def test_slots_of_other_worker_processes_stop_nobody() -> None:
    """A step elsewhere says nothing about this interpreter, and a worker of one slot has nobody to stop."""
    row = _timeline(_lane("a", ("parse", 0, 20)), _lane("b", ("fetch", 0, 8), worker="v@vm"))

    assert {} == timeline.stops(timeline.read(row))


@pytest.mark.parametrize(
    ("pool", "said"),
    [
        ("prefork", "Processes run side by side: while any page was parsed, 1."),
        (
            "threads",
            "Threads take turns: up to 4 parses were under way at the same moment, but never more than one",
        ),
        (
            "gevent",
            "One parse stops all the others: while a page was parsed, no other greenlet made a step for up to 2",
        ),
    ],
)
def test_the_sentence_says_what_is_to_be_seen(pool: str, said: str) -> None:
    """The same heavy pages: side by side in processes, in turns in threads, one for all in greenlets."""
    assert caption(timeline.read(made_up("heavy", pool))).startswith(said)


def test_the_sentence_follows_the_numbers_and_not_the_pool() -> None:
    """What calls itself prefork and took turns is said to take turns."""
    row = {**made_up("heavy", "threads"), "pool": "prefork", "way": "prefork-4"}

    assert "take turns" in caption(timeline.read(row))


def test_where_little_is_parsed_the_sentence_speaks_of_requests() -> None:
    """With half a millisecond of parsing a page, who shares the processor with whom is no matter."""
    assert "how many requests wait for the site at once" in caption(timeline.read(made_up("web", "gevent")))


def test_without_runs_nothing_is_said_about_turns() -> None:
    """Spans that overlap may have taken turns or not; the sentence says that this was not recorded."""
    row = _timeline(_lane("a", ("parse", 0, 10)), _lane("b", ("parse", 5, 15)))

    assert "was not recorded" in caption(timeline.read(row))


def test_a_picture_shows_the_stretch_with_most_spans() -> None:
    """Of a crawl of 1000 ms, 20 ms are shown where most happened."""
    busy = [("fetch", 500 + place, 500.5 + place) for place in range(20)]
    found = timeline.read(_timeline(_lane("a", ("fetch", 0, 1), *busy, ("fetch", 990, 1000))))

    assert (500.0, 520.0) == timeline.window(found, 20.0)


def test_a_picture_shows_the_stretch_with_most_parsing() -> None:
    """Parses under way at the same time are what it is there to show, wherever more spans begin."""
    fetches = [("fetch", 500 + place, 500.5 + place) for place in range(20)]
    lanes = [_lane(slot, *fetches, ("parse", 700, 715), ("fetch", 990, 1000)) for slot in "ab"]

    assert (700.0, 720.0) == timeline.window(timeline.read(_timeline(*lanes)), 20.0)


def test_the_busiest_lanes_are_kept_in_their_order() -> None:
    """thread-2 comes before thread-10, and the idle one is left out."""
    lanes = [
        _lane("thread-10", ("fetch", 0, 9)),
        _lane("thread-1", ("fetch", 0, 1)),
        _lane("thread-2", ("fetch", 0, 5)),
    ]
    found = timeline.busiest(timeline.read(_timeline(*lanes)), (0, 10), 2)

    assert ["thread-2", "thread-10"] == [lane.slot for lane in found]


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_a_trace_has_the_shape_that_viewers_read(pool: str) -> None:
    """Required keys, names for each process and thread, whole numbers, nothing that overlaps on one thread."""
    trace = to_trace(made_up("heavy", pool))
    events = trace["traceEvents"]
    complete = [event for event in events if event["ph"] == "X"]
    named = {(event["pid"], event["tid"]) for event in events if event["name"] == "thread_name"}
    processes = {event["pid"] for event in events if event["name"] == "process_name"}

    assert {"X", "M", "C"} == {event["ph"] for event in events}
    assert all({"name", "ph", "pid", "tid"} <= event.keys() for event in events)
    assert all(isinstance(event[key], int) and event[key] >= 0 for event in complete for key in ("ts", "dur"))
    assert {(event["pid"], event["tid"]) for event in complete} <= named
    assert {event["pid"] for event in complete} == processes
    for _, track in itertools.groupby(
        sorted(complete, key=lambda e: (e["tid"], e["ts"])), lambda e: e["tid"]
    ):
        for event, following in itertools.pairwise(track):
            assert event["ts"] + event["dur"] <= following["ts"]
    assert trace == json.loads(json.dumps(trace))


def test_a_trace_keeps_every_span() -> None:
    """120 fetches and 120 parses, each with its page's address; the stretches of turns on tracks of their own."""
    events = to_trace(made_up("heavy", "threads"))["traceEvents"]
    names = [event["name"] for event in events if event["ph"] == "X"]

    assert (120, 120) == (names.count("fetch"), names.count("parse"))
    assert names.count("runs") > 120
    assert all(e["args"]["url"].startswith("http://host") for e in events if e["name"] in {"fetch", "parse"})


def test_spans_that_overlap_by_a_clock_are_cut() -> None:
    """A slot does one thing at a time, so the later span begins where the earlier ended."""
    row = _timeline(_lane("a", ("fetch", 0, 10), ("parse", 9.5, 12)))
    found = [(e["ts"], e["dur"]) for e in to_trace(row)["traceEvents"] if e["ph"] == "X"]

    assert [(0, 10_000), (10_000, 2_000)] == found


def test_the_counter_ends_at_zero() -> None:
    """What a viewer draws as parses at once goes back to none."""
    counts = [
        e["args"]["parses"] for e in to_trace(made_up("heavy", "prefork"))["traceEvents"] if e["ph"] == "C"
    ]

    assert (2, 0) == (max(counts), counts[-1])


def test_traces_are_written_under_names_that_are_files(tmp_path) -> None:
    """A way's name holds slashes and pluses; its file does not leave the directory."""
    row = {
        **_timeline(_lane("a", ("fetch", 0, 1))),
        "workload": "../web",
        "way": "gevent-100+prefork-2/fused",
    }
    result = {"schema": 1, "trials": [], "timelines": [row]}
    paths = write_traces(result, tmp_path / "new")

    assert [tmp_path / "new" / "timeline-web-gevent-100+prefork-2-fused.trace.json"] == paths
    assert "traceEvents" in json.loads(paths[0].read_text())


def test_what_is_no_result_is_refused_in_one_line(tmp_path) -> None:
    """Not a traceback."""
    with pytest.raises(UsageError, match="not a result of the lab"):
        write_traces({"trails": []}, tmp_path)
