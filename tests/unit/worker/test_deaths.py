"""Which processes are known to have ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from worker import deaths


@pytest.fixture
def other():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def _name(pid, host=None):
    own = deaths.mark(f"threads-4-1@{host or socket.gethostname()}").split(" ")
    return " ".join([own[0], own[1], str(pid), str(deaths._start(pid))])


def test_a_process_that_runs_has_not_ended(other):
    """Neither this one nor another."""
    assert not deaths.ended(_name(os.getpid()), ())
    assert not deaths.ended(_name(other.pid), ())


def test_a_process_that_was_killed_has_ended_even_as_a_zombie(other):
    """Its parent may take its time to notice."""
    name = _name(other.pid)
    other.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)

    assert deaths.ended(name, ())
    other.wait()
    assert deaths.ended(name, ())


def test_a_pid_that_is_used_again_is_another_process(other):
    """The start tells them apart."""
    worker, namespace, pid, start = _name(other.pid).split(" ")

    assert deaths.ended(f"{worker} {namespace} {pid} {start}1", ())


def test_of_another_machine_nothing_is_known():
    """Only its lease's time tells."""
    assert not deaths.ended(_name(2**22 + 1, host="elsewhere"), ())


def test_in_a_container_started_again_the_sign_of_life_decides():
    """Its pids are new, so those of the life before say nothing."""
    worker, _, pid, start = _name(os.getpid()).split(" ")
    name = f"{worker} pid:[1] {pid} {start}"

    assert deaths.ended(name, ())
    assert not deaths.ended(name, {worker})
