"""Who may work beside whom in one process: any number of batches side by side, a suspect all by itself.

A suspect is a URL that was there when processes ended before. Whatever ends this one while nothing else runs in it was
the suspect, whichever pool this is and whichever crawls share the worker; so it may be charged, and nobody else is.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Self

from worker import waiting

if TYPE_CHECKING:
    from types import TracebackType


class Turns:
    """The turns of one process. Waiting is done without a lock, as a pool's slots must."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._alone = False
        self._wait_alone: deque[Future[None]] = deque()
        self._wait_beside: deque[Future[None]] = deque()

    def take(self, *, alone: bool) -> None:
        """Begin, as soon as there is nobody in the way. Whoever wants to be alone goes first."""
        with self._lock:
            free = not self._alone and not self._wait_alone
            if alone:
                free = free and not self._running
            if free:
                self._begin(alone=alone)
                return
            turn: Future[None] = Future()
            (self._wait_alone if alone else self._wait_beside).append(turn)
        waiting.done(turn, None)

    def _begin(self, *, alone: bool) -> None:
        if alone:
            self._alone = True
        else:
            self._running += 1

    def give_back(self, *, alone: bool) -> None:
        """End; whoever may begin now does."""
        begin: list[Future[None]] = []
        with self._lock:
            if alone:
                self._alone = False
            else:
                self._running -= 1
            if self._wait_alone:
                if not self._running and not self._alone:
                    self._begin(alone=True)
                    begin.append(self._wait_alone.popleft())
            elif not self._alone:
                while self._wait_beside:
                    self._begin(alone=False)
                    begin.append(self._wait_beside.popleft())
        for turn in begin:
            turn.set_result(None)


class Turn:
    """One task's turn; a context manager. It begins beside others and may come to be alone."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.alone = False

    def __enter__(self) -> Self:
        """Begin beside others."""
        self._turns.take(alone=False)
        return self

    def be_alone(self) -> None:
        """Return when this process does nothing else, and until the end of this turn."""
        if not self.alone:
            # Given back first: two that wait for each other to end would wait for ever.
            self._turns.give_back(alone=False)
            self.alone = True
            self._turns.take(alone=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End."""
        self._turns.give_back(alone=self.alone)
