"""The lab's worker: burned CPU time, and when it really ran."""

from __future__ import annotations

import time

import pytest

from lab import probe


def test_burning_takes_the_cpu_time_that_was_asked_for():
    """Measured by the thread's own clock, so a busy machine does not shorten it."""
    began = time.thread_time()
    looks = list(probe.burn(15))
    used_ms = 1000 * (time.thread_time() - began)

    assert 15 <= used_ms < 30
    assert len(looks) > 15


def test_pauses_part_the_runs():
    """Somebody else had the interpreter from 0.004 to 0.010."""
    moments = iter([0.001, 0.002, 0.0025, 0.004, 0.010, 0.0105])
    # Steps of a millisecond or less belong together; 1.5 ms are a pause already.
    assert probe.runs(moments, 0.0005) == [(0.0005, 0.0025), (0.004, 0.004), (0.010, 0.0105)]


def test_nothing_burned_is_one_run_without_length():
    """A page that asks for nothing is still parsed at some moment."""
    assert probe.runs(iter(()), 7.0) == [(7.0, 7.0)]


def test_a_trace_has_one_line_a_page(tmp_path):
    """What is read again is what was noted."""
    from lab.lanes import read_trace

    trace = probe.Trace(tmp_path)
    trace.note("http://a.test/1", [(1.0, 2.0)])
    trace.note("http://a.test/2", [(2.0, 2.5), (3.0, 3.5)])

    assert read_trace(tmp_path) == {
        "http://a.test/1": [(1.0, 2.0)],
        "http://a.test/2": [(2.0, 2.5), (3.0, 3.5)],
    }


@pytest.mark.parametrize("cpu_ms", [0.0, 5.0])
def test_a_page_is_read_as_ever_and_costs_what_it_asks_for(tmp_path, cpu_ms):
    """The records must be those of any worker."""
    from worker.parse import parse

    body = f"<!-- parse-ms: {cpu_ms:.3f} --><title>T</title><a href='/x'>x</a>".encode()
    arguments = ("http://a.test/", body, "text/html", "utf-8", 100)
    began = time.thread_time()
    document = probe.dearer(probe.Trace(tmp_path))(*arguments)
    used_ms = 1000 * (time.thread_time() - began)

    assert parse(*arguments) == document
    assert used_ms >= cpu_ms
    assert [1] == [len(path.read_text().splitlines()) for path in tmp_path.iterdir()]
