"""What a killed run left behind is ended, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import msgspec
import pytest

from embedded import leftovers
from embedded.processes import Process, identify
from embedded.state import CRAWL, Run, State

GONE = Process("poolcrawl", 2**22 + 1, 1.0)


@dataclass
class Sleeper:
    """A process of ours, alone in its session as a stack's children are."""

    popen: subprocess.Popen[bytes]
    process: Process


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers, "DRAIN_S", 0.2)
    made = State(tmp_path)
    made.make()
    return made


@pytest.fixture
def sleeper():
    popen = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    yield Sleeper(popen, identify("worker-1", popen.pid))
    popen.kill()
    popen.wait()


def test_a_leftover_is_ended_and_named(state, sleeper):
    """Pid and start time match: it is ours."""
    said = []
    state.write_run(Run(GONE, CRAWL, "redis://x", (), (sleeper.process,)))

    leftovers.clean(state, said.append)

    assert sleeper.popen.wait(5) == -9
    assert f"worker-1 ({sleeper.popen.pid})" in said[0]
    assert state.read_run() is None


def test_a_process_that_got_a_leftovers_pid_is_not_touched(state, sleeper):
    """Pids are used again; the start time tells."""
    other = msgspec.structs.replace(sleeper.process, started=sleeper.process.started - 60)
    said = []
    state.write_run(Run(GONE, CRAWL, "redis://x", (), (other,)))

    leftovers.clean(state, said.append)

    assert sleeper.popen.poll() is None
    assert said == []


def test_without_a_run_there_is_nothing_to_clean(state):
    """A fresh directory, or a run that ended well."""
    said = []

    leftovers.clean(state, said.append)

    assert said == []


def test_a_process_that_ended_is_not_alive(sleeper):
    """Not even while nobody has waited for it."""
    sleeper.popen.kill()
    sleeper.popen.wait()

    assert not sleeper.process.alive()
