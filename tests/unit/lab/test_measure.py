"""The arithmetic of readings: cumulative, at a moment, and with children that are gone."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from lab import measure
from lab.measure import CpuTimes, Sampler, at, total_cpu

#: Burns half a second of CPU in a child that has ended, then says so and waits for its input to close.
_PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.5: pass"], check=True)
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_tree_counts_live_processes_and_those_they_outlived():
    """CPU of a recycled pool child is not forgotten."""
    assert total_cpu([CpuTimes(1.0, 0.25), CpuTimes(2.0, 0.0)]) == pytest.approx(3.25)


def test_a_moment_between_two_readings_lies_on_their_line():
    """CPU between two moments does not depend on when the sampler happened to look."""
    series = [(10.0, 1.0), (12.0, 3.0), (13.0, 3.0)]

    assert at(series, 11.0) == pytest.approx(2.0)
    assert at(series, 12.5) == pytest.approx(3.0)


def test_moments_outside_the_readings_get_the_nearest_one():
    """Nothing is extrapolated."""
    series = [(10.0, 1.0), (12.0, 3.0)]

    assert at(series, 9.0) == 1.0
    assert at(series, 99.0) == 3.0
    assert at([], 5.0) == 0.0


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells the time of reaped children"
)
def test_a_child_that_ended_still_counts():
    """A real process that burned its CPU in a child that is gone reads as having burned it."""
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        used = measure.cpu(parent.pid)

    # The kernel counts in ticks of 10 ms and rounds down, for the parent and for the child.
    assert used >= 0.45


def test_a_process_that_is_gone_reads_as_nothing():
    """A worker that ends while it is sampled does not end the benchmark."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    gone = process.pid

    assert not psutil.pid_exists(gone)
    assert measure.cpu(gone) == 0.0
    assert measure.memory(gone) == 0


def test_a_sampler_keeps_the_peak_and_rising_cpu():
    """Peaks are of one moment; a reading below an earlier one (a tree that ends) is dropped."""
    moments = iter(range(100))
    with Sampler({"worker-1": os.getpid()}, clock=lambda: float(next(moments))) as sampler:
        sampler.sample_memory()
    readings = [value for _, value in sampler.tracks["worker-1"].cpu]

    assert sorted(readings) == readings
    assert len(readings) >= 2
    assert sampler.worker_peak_bytes == sampler.workers_peak_bytes > 1_000_000
