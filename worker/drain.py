"""A flag that every slot of a worker reads, in any pool: `worker is ending, finish the request and hand back the rest`.

One byte of memory shared with forked children, because a prefork child never sees the signal its parent got. Requests
get some seconds to finish; what hangs longer is cut and handed back, so that a worker ends within seconds whatever the
servers do, and nobody has to wait for the lease of one that had to be killed.
"""

from __future__ import annotations

import mmap
import threading
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that requests get to finish by themselves: less than half of the time in which the embedded stack's workers
#: have to end.
PATIENCE_S = 8.0
#: Seconds between two looks at the flag.
LOOK_S = 0.5

_flag = mmap.mmap(-1, 1)


def begin() -> None:
    """Start the drain; there is no way back."""
    _flag[0] = 1


def begun() -> bool:
    """Whether this worker is ending."""
    return _flag[0] == 1


class Abortable(Protocol):
    """A request that can be ended from another thread."""

    def abort(self) -> None:
        """End it now."""


class Cutter:
    """Cuts this process's requests that are still under way some seconds after the drain began."""

    def __init__(self, pause: Callable[[float], None] = time.sleep) -> None:
        self._pause = pause
        self._under_way: set[Abortable] = set()
        self._cut: set[Abortable] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self, request: Abortable) -> None:
        """Note a request that is under way."""
        self._under_way.add(request)
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="drain", daemon=True)
                    self._thread.start()

    def end(self, request: Abortable) -> bool:
        """Note that a request is over; return whether it was cut, and says nothing about its page."""
        self._under_way.discard(request)
        return request in self._cut

    def _run(self) -> None:
        while not begun():
            self._pause(LOOK_S)
        self._pause(PATIENCE_S)
        # No request begins any more.
        for request in list(self._under_way):
            self._cut.add(request)
            request.abort()
