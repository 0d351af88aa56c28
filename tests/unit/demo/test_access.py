"""The access log as the site's memory."""

from __future__ import annotations

import json

from demo.access import AccessLog


def test_only_failed_first_answers_are_recalled(tmp_path):
    """A page that was asked for and answered well is no failure that was already paid."""
    path = tmp_path / "log"
    log = AccessLog(path)
    log.write("crawl a", "GET", "beta.demo.test", "/flaky", 500)
    log.write("crawl b", "GET", "beta.demo.test", "/other", 200)
    log.close()

    again = AccessLog(path)

    assert not again.first_time("crawl a", "beta.demo.test", "/flaky")
    assert again.first_time("crawl b", "beta.demo.test", "/other")
    again.close()


def test_a_line_cut_off_by_a_kill_is_passed_over(tmp_path):
    """The log may end anywhere; lines after a restart are whole again."""
    path = tmp_path / "log"
    path.write_text('{"time": 1, "agent": "cra')

    log = AccessLog(path)
    log.write("crawl a", "GET", "beta.demo.test", "/", None)
    log.close()

    assert json.loads(path.read_text().splitlines()[-1])["agent"] == "crawl a"


def test_without_a_file_nothing_is_written_but_first_times_are_known():
    """The memory works for the server's own life at least."""
    log = AccessLog()
    log.write("crawl a", "GET", "beta.demo.test", "/", 200)

    assert log.first_time("crawl a", "beta.demo.test", "/flaky")
    assert not log.first_time("crawl a", "beta.demo.test", "/flaky")
    log.close()
