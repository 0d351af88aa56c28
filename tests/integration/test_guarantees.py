"""The guarantees are measured with a real worker: kept where they are, failing where they are not or were broken."""

from __future__ import annotations

import json
import signal
import sys

import pytest
from stack import ROOT, Directory, wait_for

from crawl.errors import UnavailableError
from lab import guarantees

#: A worker as `poolcrawl worker` starts it, in one process with what stands before.
WORKER = """
import sys
from crawl import settings
from worker import command
line = command.argv(settings.load(), "lab.planted:app")
sys.argv = ["celery", *line[3:]]
from celery.__main__ import main
main()
"""
#: One whose deadlines come two seconds late, and whose cap on bodies is a hundred times too high.
LATE = """
from time import monotonic
from worker import fetch, sockets
def left(self):
    if monotonic() > self._deadline + 2:
        raise sockets.DeadlineError("late")
    return max(min(self._deadline + 2 - monotonic(), self._pace), 0.001)
sockets._Bounded._left = left
raw = fetch._raw
fetch._raw = lambda answer, limit, **how: raw(answer, 100 * limit, **how)
"""
#: One that gives names up three seconds late.
LATE_NAMES = """
from worker.guard import Names
targets = Names.targets
Names.targets = lambda self, host, port, timeout: targets(self, host, port, timeout + 3)
"""
#: One that lets hanging requests hang while it drains.
PATIENT = """
from worker import drain
drain.PATIENCE_S = 600
"""
#: One whose drain drops what it holds: it ends at once and says that all went well.
DROPS = """
import os
from worker import drain
drain.begin = lambda: os._exit(0)
"""
#: One that asks itself to end when it has grown; the stack then starts a new one.
RECYCLES = """
import os, signal, threading, time
from lab import measure
def watch():
    while measure.memory(os.getpid()) < 150e6:
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=watch, daemon=True).start()
"""
#: What the matrix of the quick checks has rows for.
MATRIX = (
    *("deadline-header", "deadline-body", "deadline-silence", "deadline-connect", "deadline-dns"),
    *("deadline-tls", "cap-raw", "cap-unpacked", "drain"),
)
FAILS = (sys.executable, "-I", "-c", "raise SystemExit('no such pool today')")
CHECK = """
import sys
from pathlib import Path
from lab import guarantees
guarantees.check(("threads",), Path(sys.argv[1]), print)
"""


@pytest.fixture
def directory(tmp_path):
    made = Directory(tmp_path)
    yield made
    made.end()


def check_some(path, checks, before):
    """Make some checks of a worker that runs `before` first."""
    worker = (sys.executable, "-P", "-c", before + WORKER)
    return guarantees.check(("threads",), path, print, guarantees=checks, worker_command=worker)


def test_the_matrix_of_a_pool_is_printed(directory):
    """By one command, with real workers against real servers: a line for machines each, a table for people."""
    checks = ("--only", "deadline,dns,caps,drain")
    done = directory.run("guarantees", "--pools", "gevent", "--json", *checks)
    found = {row["guarantee"]: row for row in map(json.loads, done.stdout.splitlines())}

    assert set(MATRIX) == set(found), done.stderr
    assert all(row["kept"] and row["pool"] == "gevent" for row in found.values()), done.stderr
    assert done.code == 0
    assert "guarantees, pool by pool" in done.stderr
    assert directory.left() == []


def test_a_worker_that_breaks_its_promises_is_found(tmp_path, monkeypatch):
    """Planted bugs in the crawler's own code, one for each kind of promise about requests; nothing else is blamed."""
    # Nobody need wait longer for a worker that does not end.
    monkeypatch.setattr("lab.guarantees.finding.STALLED_S", 3.0)
    found = check_some(tmp_path, ("deadline", "dns", "caps", "stalled"), LATE + LATE_NAMES + PATIENT)
    broken = {one.guarantee for one in found if not one.kept}
    late = {"deadline-header", "deadline-body", "deadline-silence", "deadline-tls", "deadline-dns"}

    assert broken == {*late, "cap-raw", "drain-stalled"}, found


def test_a_drain_that_drops_what_it_holds_is_found(tmp_path):
    """A planted bug: exit code 0, at once, and requests that have to be made again."""
    (found,) = check_some(tmp_path, ("drain",), DROPS)

    assert not found.kept
    assert "exit code 0" in found.measured
    assert "requested twice" in found.measured, found


def test_a_worker_that_recycles_its_memory_is_found(tmp_path):
    """The check can succeed: a worker that grew, ended of itself and lost nothing keeps the guarantee."""
    (found,) = check_some(tmp_path, ("recycling",), RECYCLES)

    assert found.kept, found
    assert ", replaced; lost 0, duplicate 0, repeated requests 0" in found.measured


def test_a_worker_that_does_not_start_is_one_line_with_its_last_words(tmp_path):
    """Nothing is measured then, and nothing is called kept or failing."""
    with pytest.raises(UnavailableError, match="no such pool today"):
        guarantees.check(("threads",), tmp_path, print, worker_command=FAILS)


def test_an_interrupted_check_leaves_no_process(directory):
    """Ctrl-C in the middle of a crawl: server, worker and producer end."""
    command = (sys.executable, "-P", "-c", CHECK, str(directory.path / "state"))
    running = directory.spawn(command, PYTHONPATH=str(ROOT))
    log = directory.path / "state" / "threads" / "deadline" / "logs" / "crawl-undisturbed.log"
    wait_for(log.exists, "the first crawl")
    inside = len(directory.left())
    running.interrupt(signal.SIGINT)
    running.ended(30)

    assert inside >= 4
    assert directory.left() == []
