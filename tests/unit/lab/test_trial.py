"""Medians, marks, the table and the environment of a run."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from crawl.errors import UsageError
from lab import load, marks, table
from lab.counters import Counters, between
from lab.marks import Mark
from lab.memory import URL_LENGTH, Footprint, url
from lab.rig import environment
from lab.trial import Run, summarise
from lab.way import Way


def _run(**changes) -> Run:
    values = {
        "pages": 4000,
        "seconds": 4.0,
        "wall_s": 6.0,
        "worker_cpu_s": 8.0,
        "client_commands": 2000,
        "worker_bytes": 90_000_000,
    }
    return Run(**(values | changes))


def test_a_summary_is_the_median_per_page():
    """One bad round does not move a number."""
    summary = summarise(
        "threads/callback", [_run(), _run(seconds=5.0), _run(seconds=40.0, worker_cpu_s=80.0)]
    )

    assert summary.pages_s == pytest.approx(800.0)
    assert (summary.slowest, summary.fastest) == (pytest.approx(100.0), pytest.approx(1000.0))
    assert summary.worker_cpu == pytest.approx(2.0)
    assert summary.commands == pytest.approx(0.5)
    assert summary.worker_mb == pytest.approx(90.0)
    assert summary.producer_cpu is None


def test_marks_compare_with_scrapy_of_the_same_run():
    """Three times Scrapy is a promise of the callback pipeline of the pools that are meant to be fast."""
    summaries = [
        summarise("threads/callback", [_run(seconds=4.0)]),
        summarise("threads/fused", [_run(seconds=2.0)]),
        summarise("solo/callback", [_run(seconds=20.0)]),
        summarise("scrapy", [_run(seconds=16.0, client_commands=None)]),
    ]
    found = {mark.what: mark for mark in marks.of_trials(summaries, None)}

    assert found["times Scrapy, threads/callback"].value == pytest.approx(4.0)
    assert found["times Scrapy, threads/callback"].held
    assert not any("solo" in what or "fused" in what for what in found if what.startswith("times"))
    assert not any("scrapy" in what for what in found if what.startswith("client"))


def test_a_mark_that_could_not_be_measured_is_missed():
    """No number is no proof."""
    assert not Mark("client commands per page", 2.0, None).held
    assert Mark("at most", 2.0, 2.0).held
    assert not Mark("at least", 3.0, 2.9, at_most=False).held


def test_memory_marks_know_their_size():
    """The seen set has one limit per size, the waiting URL one for all."""
    found = marks.of_memory([Footprint(100_000, 120.0, 31.0), Footprint(1_000_000, 170.0, 11.0)])

    assert [mark.held for mark in found] == [True, False, False, True]


def test_the_gevent_mark_is_about_100_slots():
    """A smaller pool proves nothing about one of 100 slots."""
    summaries = [summarise("gevent/fused", [_run(worker_bytes=250_000_000)])]

    assert not marks.of_trials(summaries, None)[-1].held
    assert "gevent worker" not in marks.of_trials(summaries, 10)[-1].what


def test_the_mark_of_commands_is_about_the_default_batch():
    """One URL a message is the tutorial's shape, and costs what it costs."""
    summaries = [summarise("threads/callback", [_run(client_commands=80_000)])]

    assert [mark.held for mark in marks.of_trials(summaries, None)] == [False]
    assert marks.of_trials(summaries, None, default_batch=False) == []


def test_commands_of_clients_leave_out_scripts_and_the_readings_own():
    """A script that calls a hundred commands is one command of its client."""
    before = Counters(sent=10, processed=100, memory_bytes=1, peak_bytes=1)
    after = Counters(sent=52, processed=1142, memory_bytes=1, peak_bytes=1)
    traffic = between(before, after)

    assert traffic.sent == 40
    assert traffic.in_scripts == 1000


def test_a_server_that_cannot_tell_gives_no_number():
    """Redis has no command log of large requests."""
    before = Counters(sent=None, processed=1, memory_bytes=1, peak_bytes=1)

    assert between(before, before).sent is None


def test_a_site_without_headroom_is_refused():
    """Numbers near the site's own limit would be the site's."""
    load.require_headroom(3000.0, 1000.0, "threads/fused")

    with pytest.raises(UsageError, match="2999 pages/s, less than 3 times the 1000 of threads/fused"):
        load.require_headroom(2999.0, 1000.0, "threads/fused")


def test_the_rate_of_clients_side_by_side_spans_all_of_them():
    """A client that starts late does not make the site look faster."""
    spans = [load.Span(0.0, 2.0, 100), load.Span(1.0, 4.0, 300)]

    assert load.rate(spans) == pytest.approx(100.0)


def test_the_table_shows_trials_and_marks_in_words_a_person_can_read():
    """A missed mark is spelled, not only coloured."""
    out = io.StringIO()
    console = Console(file=out, width=80)
    summaries = [summarise("threads/callback", [_run()]), summarise("scrapy", [_run(seconds=20.0)])]
    console.print(table.of_speed(summaries))
    console.print(table.of_cost(summaries))
    console.print(table.of_marks([Mark("bytes per seen URL", 30.0, 31.5), Mark("other", 2.0, 1.0)]))
    text = out.getvalue()

    rows = [line for line in text.splitlines() if "threads/callback" in line]
    assert rows[0].split() == ["threads/callback", "1,000", "1,000", "1,000", "5.0", "2.00", "-", "-"]
    assert rows[1].split() == ["threads/callback", "0.50", "-", "-", "90", "-", "-"]
    assert all(len(line) <= 80 and "…" not in line for line in text.splitlines())
    assert "FAIL" in next(line for line in text.splitlines() if "seen URL" in line)
    assert "pass" in next(line for line in text.splitlines() if "other" in line)


def test_a_run_is_deaf_to_the_callers_stack_but_not_to_its_settings():
    """The caller's Redis is never measured, or written to; its batch size is."""
    caller = {
        "CRAWL_REDIS_URL": "redis://elsewhere",
        "CELERY_BROKER": "x",
        "CRAWL_POOL": "solo",
        "CRAWL_BATCH": "5",
        "PATH": "/bin",
    }
    found = environment(
        caller, Way("gevent", 50, pipeline="fused", batch=5), "redis://:p@127.0.0.1:1/0", Path("state")
    )

    assert found == {
        "CRAWL_REDIS_URL": "redis://:p@127.0.0.1:1/0",
        "CRAWL_STATE_DIR": "state",
        "CRAWL_POOL": "gevent",
        "CRAWL_PIPELINE": "fused",
        "CRAWL_ALLOW_ADDRESSES": "127.0.0.0/8",
        "CRAWL_EVENTS": "off",
        "CRAWL_CONCURRENCY": "50",
        "CRAWL_BATCH": "5",
        "PATH": "/bin",
    }


def test_measured_urls_are_of_the_promised_length_and_differ():
    """The marks are about URLs of 60 characters."""
    urls = [url(number) for number in (0, 1, 99_999, 999_999)]

    assert {URL_LENGTH} == {len(one) for one in urls}
    assert len(urls) == len(set(urls))
