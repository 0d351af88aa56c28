"""The guarantees are measured with a real worker: kept where they are, failing where they are not or were broken."""

from __future__ import annotations

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
line = command.argv(settings.load())
sys.argv = ["celery", *line[3:]]
from celery.__main__ import main
main()
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


def check_one(path, guarantee, before):
    """Check one guarantee of a worker that runs `before` first."""
    worker = (sys.executable, "-P", "-c", before + WORKER)
    return guarantees.check(("threads",), path, print, guarantees=(guarantee,), worker_command=worker)


@pytest.mark.slow
def test_a_pool_s_guarantees_are_measured(tmp_path):
    """One real worker against real servers; what the pool table calls missing is measured, and fails."""
    said = []
    found = guarantees.check(("threads",), tmp_path, said.append)

    kept = {one.guarantee: one.kept for one in found}
    assert {"deadline": True, "kill": True, "drain": True, "recycling": False} == kept, said
    assert len(said) == 4
    assert all(one.pool == "threads" and any(map(str.isdigit, one.measured)) for one in found)


def test_a_drain_that_drops_what_it_holds_is_found(tmp_path):
    """A planted bug: exit code 0, at once, and requests that have to be made again."""
    (found,) = check_one(tmp_path, "drain", DROPS)

    assert not found.kept
    assert "exit code 0" in found.measured
    assert "requested twice" in found.measured, found


def test_a_worker_that_recycles_its_memory_is_found(tmp_path):
    """The check can succeed: a worker that grew, ended of itself and lost nothing keeps the guarantee."""
    (found,) = check_one(tmp_path, "recycling", RECYCLES)

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
    log = directory.path / "state" / "threads" / "logs" / "crawl-undisturbed.log"
    wait_for(log.exists, "the first crawl")
    inside = len(directory.left())
    running.interrupt(signal.SIGINT)
    running.ended(30)

    assert inside >= 4
    assert directory.left() == []
