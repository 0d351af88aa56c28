"""How a slot waits: by blocking its thread, unless its pool runs many slots in one thread and put another way here.

The HTTP stack and the guard ask before each wait, so that they know no pool. A pool that patches the standard library
(gevent) needs nothing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

T = TypeVar("T")


class Slot(Protocol):
    """A slot that must not block its thread."""

    def wait_ready(self, descriptor: int, *, writing: bool, timeout_s: float | None) -> bool:
        """Wait until a descriptor can be read or written; False after that many seconds (None: never)."""

    def wait_done(self, future: Future[T], timeout_s: float | None) -> T:
        """Wait for another thread's result; raise TimeoutError after that many seconds (None: never)."""


def _nowhere() -> Slot | None:
    return None


_find: Callable[[], Slot | None] = _nowhere


def install(find: Callable[[], Slot | None]) -> None:
    """Let `find` say which slot its caller runs in; None means that it may block its thread."""
    global _find
    _find = find


def slot() -> Slot | None:
    """Return the slot the caller runs in, or None when it may block its thread."""
    return _find()


def done(future: Future[T], timeout_s: float | None) -> T:
    """Return another thread's result; raise TimeoutError after that many seconds (None: never)."""
    found = _find()
    return future.result(timeout_s) if found is None else found.wait_done(future, timeout_s)
