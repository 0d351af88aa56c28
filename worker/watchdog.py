"""Ends this process, hard, when a page holds it for ever. Its leases are taken back; `worker/turns.py` says who pays.

Two guards, because there are two ways to hold a process. A parse that never ends but lets other threads go on (a loop
in Python, where slots are threads) is seen by the watchdog's own thread. Code that lets nobody go on (a pattern that
backtracks for ever; in gevent any loop) starves that thread: then `faulthandler`, whose timer runs in C and needs no
interpreter, is not wound up again and fires.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds between two looks, at most.
LOOK_S = 1.0
#: What a process exits with that was ended so, by either guard.
EXIT_CODE = 1


class Watchdog:
    """Watches the parses of one process; `limit_s` is the most time one may take."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._look_s = min(LOOK_S, limit_s / 4)
        self._parses: dict[int, tuple[float, str]] = {}
        self._started = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to watch, at the first call in this process."""
        with self._lock:
            if not self._started:
                self._started = True
                threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    @contextlib.contextmanager
    def watching(self, url: str) -> Iterator[None]:
        """Have a parse watched while the block runs."""
        # One slot parses one page at a time, and nothing else has this string's identity meanwhile.
        key = id(url)
        self._parses[key] = (time.monotonic(), url)
        try:
            yield
        finally:
            del self._parses[key]

    @contextlib.contextmanager
    def aside(self, url: str) -> Iterator[None]:
        """Have a wait within that parse not count as parsing: its time stands still while the block runs.

        For Redis, whose outages end by themselves and are nothing that the page does. `url` is the same object that is
        watched; where none is, nothing happens.
        """
        key = id(url)
        watched = self._parses.pop(key, None)
        began = time.monotonic()
        try:
            yield
        finally:
            if watched is not None:
                self._parses[key] = (watched[0] + time.monotonic() - began, url)

    def _run(self) -> None:
        output = sys.__stderr__
        if output is None:
            return
        # A crash in native code leaves a word in the log, too.
        faulthandler.enable(output)
        while True:
            faulthandler.dump_traceback_later(self._limit_s, exit=True, file=output)
            time.sleep(self._look_s)
            before = time.monotonic() - self._limit_s
            for began, url in list(self._parses.values()):
                if began < before:
                    self._end(url)

    def _end(self, url: str) -> None:
        line = (
            f"worker: parsing {url} has taken {self._limit_s:g} s (CRAWL_PARSE_TIMEOUT_S); this process ends, "
            "and what it had in hand is taken back"
        )
        with contextlib.suppress(OSError):
            sys.__stderr__.write(f"{line}\n")  # type: ignore[union-attr]
            faulthandler.dump_traceback(sys.__stderr__)  # type: ignore[arg-type]
        os._exit(EXIT_CODE)
