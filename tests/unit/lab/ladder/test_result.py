"""Rows, bounds and tables of the ladder."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from lab.ladder import table
from lab.ladder.pages import Parsed, latencies
from lab.ladder.result import Outcome, Result, Row, floor_s, schedule_s
from lab.ladder.rungs import RUNGS
from lab.ladder.runner import parsed_in


def _row(name="thread-fused", *outcomes, expected="d"):
    return Row.of(RUNGS[name], list(outcomes), expected)


def _done(wall_s, digest="d"):
    return Outcome(wall_s=wall_s, cpu_s=wall_s / 10, peak_mb=20.0, digest=digest, parsed_in="main thread")


def _result(*rows):
    return Result(rows=list(rows), costs=[], waits=latencies(), parse_ms=200.0, rounds=1)


@pytest.mark.parametrize(
    ("waits", "slots", "expected"),
    [([3, 1, 1, 1], 2, 3), ([1, 1, 1, 3], 2, 4), ([1, 2], 4, 2), ([2, 2, 2], 1, 6)],
)
def test_the_schedule_gives_the_next_page_to_whoever_is_free(waits, slots, expected):
    """What every pool does, without a parse; a long page at the end makes it long."""
    assert expected == schedule_s(waits, slots)


def test_no_schedule_beats_the_floor():
    """The longest page, or the waiting shared out."""
    assert floor_s([3, 1, 1, 1], 2) == 3
    assert floor_s([1, 1, 1, 1], 2) == 2
    assert floor_s(latencies(), 4) <= schedule_s(latencies(), 4)


def test_a_row_is_the_median_of_its_runs():
    """One slow run on a busy machine does not count."""
    row = _row("thread-fused", _done(3.0), _done(9.0), _done(2.0))

    assert (row.wall_s, row.fastest_s, row.slowest_s, row.runs) == (3.0, 2.0, 9.0, 3)
    assert row.invalid is None


def test_another_digest_makes_a_row_invalid():
    """In any of its runs: a way that sometimes loses a page is no way."""
    result = _result(_row("thread-fused", _done(3.0), _done(3.0, digest="other"), _done(3.0)))

    assert result.violations == ["thread-fused: digest other instead of d"]


def test_a_rung_that_fails_is_a_violation_and_has_no_time():
    """What it said stands in its row."""
    result = _result(_row("serial", Outcome(invalid="ended with 1 and said: no")))

    assert result.violations == ["serial: ended with 1 and said: no"]
    assert result.row()["rungs"][0]["wall_s"] is None


def test_a_rung_that_cannot_run_here_is_skipped_with_its_reason():
    """A missing package is no failure of the ladder."""
    result = _result(_row("gevent", Outcome(skipped="needs the package gevent")))

    assert result.violations == []
    assert result.row()["rungs"][0]["skipped"] == "needs the package gevent"


def test_times_are_told_only_for_the_same_work():
    """23 tasks are other work than ten, and without the serial rung there is nothing to compare with."""
    serial, fused, tasks = (
        _row("serial", _done(20.0)),
        _row("thread-fused", _done(5.0)),
        _row("thread-tasks", _done(8)),
    )

    assert [1.0, 4.0, None] == [_result(serial, fused, tasks).times(row) for row in (serial, fused, tasks)]
    assert _result(fused).times(fused) is None


def test_the_table_shows_every_rung_and_marks_the_invalid():
    """Also those without a time."""
    rows = (
        _row("serial", _done(20.0)),
        _row("select", _done(5.0, "x")),
        _row("gevent", Outcome(skipped="no gevent")),
    )
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(table.of_rungs(_result(*rows)))
    text = console.export_text()

    assert "parsed in" in text
    assert re.search(r"^serial +20\.00 +1\.00 +2\.00 +20 +- +main thread", text, re.MULTILINE)
    assert "INVALID: digest x instead of d" in text
    assert "skipped: no gevent" in text


def _parsed(process, thread):
    return Parsed("t", [], "s", process, thread, "name")


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([(1, 1), (1, 1)], "main thread"),
        ([(1, 5), (1, 5)], "1 other thread"),
        ([(1, 5), (1, 6)], "2 other threads"),
        ([(2, 2), (3, 3)], "2 other processes"),
        ([(2, 2), (2, 7)], "1 other process, 2 threads"),
        ([(1, 1), (2, 2)], "main thread and 1 other process"),
    ],
)
def test_where_the_parses_ran_is_said_in_words(places, expected):
    """The question behind the versions: who parses, and how many at a time."""
    assert expected == parsed_in([_parsed(*place) for place in places], process=1, main_thread=1)
