"""A process that a page holds for ever ends by itself, whichever way it is held."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from worker.watchdog import EXIT_CODE, Watchdog

HELD = """
import re, threading, time
from worker.watchdog import Watchdog

def parse():
    with watchdog.watching("http://a.test/page"):
        {what}

watchdog = Watchdog(0.5)
watchdog.start()
time.sleep(0.1)
thread = threading.Thread(target=parse, daemon=True)
thread.start()
thread.join(20)
"""
LOOP = "while True: pass"
PATTERN = "re.match('(a+)+$', 'a' * 64 + 'b')"


def _run(what):
    began = time.monotonic()
    code = HELD.format(what=what)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    return done, time.monotonic() - began


def test_a_loop_that_lets_other_threads_go_on_is_ended_with_its_url():
    """The watchdog's own thread sees it."""
    done, took_s = _run(LOOP)

    assert (done.returncode, took_s < 15) == (EXIT_CODE, True)
    assert "parsing http://a.test/page has taken 0.5 s (CRAWL_PARSE_TIMEOUT_S)" in done.stderr
    assert "in parse" in done.stderr


def test_code_that_holds_the_interpreter_is_ended_with_its_stack():
    """No thread runs any more; the timer that needs none fires."""
    done, took_s = _run(PATTERN)

    assert (done.returncode, took_s < 15) == (EXIT_CODE, True)
    assert "in parse" in done.stderr


def test_parses_that_end_in_time_are_left_alone():
    """Many of them, for longer in all than one may take."""
    code = HELD.replace("thread.join(20)", "").replace("thread.start()", "for _ in range(8): parse()")
    done = subprocess.run(
        [sys.executable, "-c", code.format(what="time.sleep(0.1)")],
        capture_output=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("pages", [1, 3])
def test_nothing_is_left_of_a_parse_that_ended(pages):
    """Also when it raised."""
    watchdog = Watchdog(60)
    for number in range(pages):
        with pytest.raises(ValueError, match="bad"), watchdog.watching(f"http://a.test/{number}"):
            raise ValueError("bad")

    assert watchdog._parses == {}
