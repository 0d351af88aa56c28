"""Ctrl-C during work that must be finished."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def noted(note: Callable[[], None]) -> Iterator[None]:
    """Call `note` for each Ctrl-C inside the block instead of breaking it off; raise KeyboardInterrupt after it.

    Outside the main thread, which gets no Ctrl-C, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    count = 0

    def handler(*_: object) -> None:
        nonlocal count
        count += 1
        note()

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)
    if count:
        raise KeyboardInterrupt
