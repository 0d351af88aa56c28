"""Processes told apart by pid and start time, since pids are used again."""

from __future__ import annotations

import contextlib
import os
import signal

import msgspec
import psutil

#: Two readings of one process's start may differ by a step of the system clock.
_SAME_START_S = 2.0


class Process(msgspec.Struct, frozen=True):
    """One process of a stack, as `run.json` has it. `started` is in seconds since the epoch."""

    name: str
    pid: int
    started: float

    def alive(self) -> bool:
        """Say whether this very process still runs; another one that got its pid does not count, nor does a zombie."""
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.started) < _SAME_START_S
            return same and found.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            # We started it as this user, so a process we may not look at is somebody else's.
            return False

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process, if it is still the same one."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill_group(self) -> None:
        """SIGKILL this process and its process group, if it leads one of its own."""
        if not self.alive():
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, signal.SIGKILL)
            else:
                os.kill(self.pid, signal.SIGKILL)


def identify(name: str, pid: int) -> Process:
    """Return the running process `pid`; one that ended already gets a start time that matches nothing."""
    try:
        return Process(name, pid, psutil.Process(pid).create_time())
    except psutil.Error:
        return Process(name, pid, 0.0)
