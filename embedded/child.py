"""One child process of a stack: started under a keeper, logged to a file, asked to end and waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from crawl.errors import UnavailableError
from embedded import interrupts
from embedded.processes import Process, identify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_KEEPER = Path(__file__).with_name("keeper.py")
#: Beyond a child's own grace: a keeper that has not ended by then is killed with its child, seconds.
KEEPER_MARGIN_S = 5.0
_TAIL_BYTES = 8192


class Child:
    """A command that runs under a keeper, and what to know about it.

    `watches` is the read end whose end-of-file means that the child must end; `holds` are descriptors its keeper keeps
    open for as long as the child runs. `grace_s` is the time between SIGTERM and SIGKILL.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        grace_s: float,
        watches: int,
        holds: tuple[int, ...] = (),
    ) -> None:
        self.name = name
        self.command = list(command)
        self.environment = dict(environment)
        self.log = log
        self.grace_s = grace_s
        self.watches = watches
        self.holds = holds
        self.started_at = 0.0
        self._said_from = 0
        self._keeper: subprocess.Popen[bytes] | None = None
        self.processes: tuple[Process, ...] = ()

    @property
    def pid(self) -> int:
        """Pid of the command itself, 0 before its start."""
        return self.processes[0].pid if self.processes else 0

    def start(self) -> None:
        """Start the command. Raises UnavailableError when it cannot be executed.

        Signals wait until the child is on record, so that an interrupt in between cannot leave it behind.
        """
        # The mask is for the keeper, which inherits it until it is ready. It does not protect this process alone: where
        # another thread exists the system hands the signal to that one, and Python raises in this one all the same.
        with interrupts.noted(lambda: None):
            held = signal.pthread_sigmask(signal.SIG_BLOCK, interrupts.NUMBERS)
            try:
                answer = self._spawn()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, held)
        if "!" in answer:
            message = f"cannot start {self.name}: {answer.partition('!')[2]}"
            raise UnavailableError(message)

    def _spawn(self) -> str:
        status, status_end = os.pipe()
        descriptors = (self.watches, status_end, *self.holds)
        keeper = [
            sys.executable,
            "-I",
            "-S",
            str(_KEEPER),
            str(self.watches),
            str(status_end),
            str(self.grace_s),
        ]
        keeper += [*map(str, self.holds), "--", *self.command]
        try:
            with self.log.open("ab") as log:
                self._said_from = log.tell()
                self._keeper = subprocess.Popen(
                    keeper,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=descriptors,
                    start_new_session=True,
                )
        finally:
            os.close(status_end)
        self.started_at = time.monotonic()
        with os.fdopen(status, "r", errors="replace") as lines:
            answer = lines.read()
        keeper_process = identify(f"{self.name} keeper", self._keeper.pid)
        pid = answer.partition("\n")[0]
        self.processes = (
            (identify(self.name, int(pid)), keeper_process) if pid.isdigit() else (keeper_process,)
        )
        return answer

    def exit_code(self) -> int | None:
        """Return the exit code of a command that has ended (128 + n for signal n), else None."""
        return None if self._keeper is None else self._keeper.poll()

    def alive(self) -> bool:
        """Say whether the command was started and has not ended."""
        return self._keeper is not None and self._keeper.poll() is None

    def lived_s(self) -> float:
        """Return the seconds since the last start."""
        return time.monotonic() - self.started_at

    def ask(self) -> None:
        """Ask the command to end; asked twice, it is killed."""
        if self._keeper is not None and self._keeper.poll() is None:
            self._keeper.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Wait for the end, as long as the grace; then kill."""
        if self._keeper is None:
            return
        try:
            self._keeper.wait(self.grace_s + KEEPER_MARGIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            self._keeper.wait()

    def kill(self) -> None:
        """SIGKILL command and keeper, now."""
        for process in self.processes:
            process.kill_group()

    def said(self, words: str) -> bool:
        """Whether words are among the first that the command has printed since its start; never for none."""
        try:
            with self.log.open("rb") as file:
                file.seek(self._said_from)
                return bool(words) and words.encode() in file.read(_TAIL_BYTES)
        except OSError:
            return False

    def last_line(self) -> str:
        """Return the last line the child printed, for an error message; empty when there is none."""
        return last_line(self.log)


def last_line(log: Path) -> str:
    """Return the last line of a log that says something."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip() and not line.startswith("keeper: ")]
    return said[-1] if said else ""
