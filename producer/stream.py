"""Seeds of a pipe, read by a thread of its own while the crawl runs: a source that stalls stops nobody."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from crawl.errors import UsageError
from producer.seeds import SLICE, Complaints, Verdicts

if TYPE_CHECKING:
    from collections.abc import Callable

    from producer.seeds import Intake, SeedsFile

#: Seeds read ahead; then the source waits, as a pipe's writer does.
_AHEAD = 10 * SLICE


class Stream:
    """Reads a source from its making on; `step` admits what has come in. Not usable twice."""

    def __init__(self, source: SeedsFile, say: Callable[[str], None]) -> None:
        self.shown = source.shown
        self.open = True
        self._say = say
        self._verdicts = Verdicts(source, self._put_complaint)
        self._complaints = Complaints(source.shown, say)
        self._ready: queue.Queue[str | tuple[int, str] | UsageError | None] = queue.Queue(_AHEAD)
        self._slice: list[str] = []
        self._ended = False
        # Not joined: it may be blocked in a read for ever, and dies with the process.
        threading.Thread(target=self._read, name="seeds", daemon=True).start()

    def _put_complaint(self, number: int, error: str) -> None:
        self._ready.put((number, error))

    def _read(self) -> None:
        try:
            for url in self._verdicts:
                self._ready.put(url)
        except UsageError as error:
            self._ready.put(error)
        self._ready.put(None)

    def wait_for_first(self) -> None:
        """Wait for the first usable line. Raises UsageError when the source ends without one."""
        while not self._slice and not self._ended:
            self._take(self._ready.get())
        if not self._slice:
            self.open = False
            raise self._verdicts.useless()

    def _take(self, given: str | tuple[int, str] | UsageError | None) -> None:
        if isinstance(given, str):
            self._slice.append(given)
        elif isinstance(given, tuple):
            self._complaints.tell(*given)
        elif isinstance(given, UsageError):
            # What was read is crawled; a source that cannot be read at all was told before.
            self._say(str(given))
        else:
            self._ended = True
            self._complaints.end()

    def step(self, intake: Intake) -> None:
        """Admit at most one slice of what has come in; at the end, close the crawl's seed source.

        After a call that failed (Redis away) the next one goes on where it was.
        """
        while self.open and not self._ended and len(self._slice) < SLICE:
            try:
                self._take(self._ready.get_nowait())
            except queue.Empty:
                break
        if self._slice:
            room = intake.admit(self._slice, late=True)
            self._slice = []
            if not room:
                self._say(f"the crawl has its pages (--max-pages); the rest of {self.shown} is not read")
                self._ended = True
        if self._ended:
            intake.close()
            self.open = False
