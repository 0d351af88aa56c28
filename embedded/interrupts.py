"""Ctrl-C, and its like, during work that must be finished."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


#: What may end a crawl from outside.
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def noted(note: Callable[[], None]) -> Iterator[None]:
    """Call `note` for each Ctrl-C inside the block instead of breaking it off; raise KeyboardInterrupt after it.

    The same for SIGTERM and SIGHUP where this process handles them; without a handler they end it as ever. Outside
    the main thread, which gets no Ctrl-C, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    count = 0

    def handler(*_: object) -> None:
        nonlocal count
        count += 1
        note()

    before = {number: signal.getsignal(number) for number in NUMBERS}
    handled = [number for number, found in before.items() if callable(found)]
    try:
        for number in handled:
            signal.signal(number, handler)
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])
    if count:
        raise KeyboardInterrupt
