"""Readings of process trees: CPU seconds that survive the death of children, and peak memory.

CPU is cumulative (user plus system) and read at the ends of a span, so nothing is lost between samples: a live process
counts with its own time and, through the kernel's figure for reaped children, with that of the children it has
outlived. Memory is a level and has to be sampled; it is PSS where the system has it (Linux), which splits shared pages
among their users, else RSS, which counts them once per process.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: Seconds between two readings of CPU, and between two of memory (a PSS reading costs the kernel a page walk).
CPU_EVERY_S = 0.2
MEMORY_EVERY_S = 1.0

#: What `memory` counts on this system.
MEMORY_KIND = "PSS" if Path("/proc/self/smaps_rollup").exists() else "RSS"

#: Names of groups that are workers begin so.
WORKER = "worker"

_GONE = (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied)


@dataclass(frozen=True)
class CpuTimes:
    """Seconds of one process: its own and those of children that ended and were reaped."""

    own: float
    reaped: float


def total_cpu(times: Iterable[CpuTimes]) -> float:
    """CPU seconds of a tree from the times of its live processes."""
    return sum(t.own + t.reaped for t in times)


def cpu(pid: int) -> float:
    """CPU seconds of a process, its live descendants and the descendants they have reaped; 0 if it is gone.

    Descendants of a process that died without being reaped by an ancestor inside the tree are not counted, and macOS
    has no figure for reaped children.
    """
    return total_cpu(_cpu_times(p) for p in _tree(pid))


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory(pid: int) -> int:
    """Bytes of a process and its live descendants, PSS or RSS as MEMORY_KIND says."""
    return sum(_memory(p) for p in _tree(pid))


def switches(pid: int) -> tuple[int, int] | None:
    """Context switches of a process and its live descendants: (all, those that the system forced); None if unknown.

    On Linux the kernel counts them per thread, so the threads are added up; one that has ended is gone from the sum.
    """
    found = [_switches(process) for process in _tree(pid)]
    known = [pair for pair in found if pair is not None]
    return (sum(pair[0] for pair in known), sum(pair[1] for pair in known)) if known else None


def _switches(process: psutil.Process) -> tuple[int, int] | None:
    threads = Path(f"/proc/{process.pid}/task")
    if not threads.is_dir():
        try:
            counts = process.num_ctx_switches()
        except (*_GONE, NotImplementedError):
            return None
        return counts.voluntary + counts.involuntary, counts.involuntary
    whole = forced = 0
    for status in threads.glob("*/status"):
        try:
            lines = status.read_text().splitlines()
        except OSError:
            continue  # a thread that has just ended
        counts_by_name = dict(line.split(":", 1) for line in lines if "ctxt_switches" in line)
        involuntary = int(counts_by_name["nonvoluntary_ctxt_switches"])
        whole += int(counts_by_name["voluntary_ctxt_switches"]) + involuntary
        forced += involuntary
    return whole, forced


def at(series: list[tuple[float, float]], moment: float) -> float:
    """The value of a rising series of (time, value) at a moment, on the line between its neighbours.

    Before the first and after the last reading it is that reading; an empty series is 0.
    """
    if not series:
        return 0.0
    index = bisect_right(series, moment, key=lambda reading: reading[0])
    if index == 0:
        return series[0][1]
    if index == len(series):
        return series[-1][1]
    (t0, v0), (t1, v1) = series[index - 1], series[index]
    return v0 + (v1 - v0) * (moment - t0) / (t1 - t0)


@dataclass
class Track:
    """What was seen of one process tree."""

    cpu: list[tuple[float, float]] = field(default_factory=list)
    peak_bytes: int = 0


class Sampler:
    """Samples named process trees in a thread while a block runs; times are `time.time()`.

    `groups` names root pids. A sample whose process is gone is dropped, so a tree's last reading stays.
    """

    def __init__(self, groups: Mapping[str, int], clock: Callable[[], float] = time.time) -> None:
        self.groups = dict(groups)
        self.tracks = {name: Track() for name in groups}
        self.workers_peak_bytes = 0
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        self.sample_cpu()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.sample_cpu()
        # What is held at the end is held, however short the run was.
        self.sample_memory()

    def add(self, name: str, pid: int) -> None:
        """Follow one more tree from now on."""
        self.tracks[name] = Track()
        self.groups = {**self.groups, name: pid}

    def sample_cpu(self) -> None:
        """Append one CPU reading to each track."""
        for name, pid in self.groups.items():
            value = cpu(pid)
            readings = self.tracks[name].cpu
            # A tree that is ending reads lower than before: what it has used stays used.
            if value > 0 and (not readings or value >= readings[-1][1]):
                readings.append((self._clock(), value))

    def sample_memory(self) -> None:
        """Raise the peak of each tree, and of the workers' sum at one moment."""
        now = {name: memory(pid) for name, pid in self.groups.items()}
        for name, value in now.items():
            self.tracks[name].peak_bytes = max(self.tracks[name].peak_bytes, value)
        workers = sum(value for name, value in now.items() if name.startswith(WORKER))
        self.workers_peak_bytes = max(self.workers_peak_bytes, workers)

    @property
    def worker_peak_bytes(self) -> int:
        """The peak of the largest worker."""
        return max((t.peak_bytes for name, t in self.tracks.items() if name.startswith(WORKER)), default=0)

    def cpu_between(self, name: str, start: float, end: float) -> float:
        """Return the CPU seconds a tree used between two moments."""
        series = self.tracks[name].cpu
        return at(series, end) - at(series, start)

    def _run(self) -> None:
        next_memory = time.monotonic()
        while not self._stop.wait(CPU_EVERY_S):
            self.sample_cpu()
            if time.monotonic() >= next_memory:
                self.sample_memory()
                next_memory = time.monotonic() + MEMORY_EVERY_S


def _tree(pid: int) -> list[psutil.Process]:
    # The parent comes first: a child that ends between the two readings is then missing from this one, not doubled.
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except _GONE:
        return []


def _cpu_times(process: psutil.Process) -> CpuTimes:
    try:
        times = process.cpu_times()
    except _GONE:
        return CpuTimes(0.0, 0.0)
    reaped = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return CpuTimes(times.user + times.system, reaped)


def _memory(process: psutil.Process) -> int:
    try:
        if MEMORY_KIND == "PSS":
            return int(process.memory_full_info().pss)
        return int(process.memory_info().rss)
    except _GONE:
        return 0
