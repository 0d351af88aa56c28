"""Many sockets in one thread with the platform's best selector: epoll on Linux, kqueue on macOS and BSD.

Blocks: the loop, in the selector, until any socket can go on; no socket ever blocks. In parallel: the waiting only, a
parse stops the loop. Callback: none here; the kernel notes by itself which registered socket has become ready, and
hands over only those, so idle connections cost memory but no time.
"""

from __future__ import annotations

import selectors
from typing import TYPE_CHECKING

from lab.ladder.fresh import main, note
from lab.ladder.loop import crawl

if TYPE_CHECKING:
    import socket

    from lab.ladder.pages import Parsed


class Selector:
    """A waiter that tells the kernel once about each socket."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._known: set[socket.socket] = set()

    def watch(self, connection: socket.socket, *, writing: bool) -> None:
        """Register the socket, or change what it is waited for."""
        event = selectors.EVENT_WRITE if writing else selectors.EVENT_READ
        change = self._selector.modify if connection in self._known else self._selector.register
        change(connection, event)
        self._known.add(connection)

    def forget(self, connection: socket.socket) -> None:
        """Wait for this socket no longer."""
        self._selector.unregister(connection)
        self._known.discard(connection)

    def wait(self) -> list[socket.socket]:
        """Get the sockets that can go on, and only those."""
        return [key.fileobj for key, _ in self._selector.select()]  # type: ignore[misc]  # we registered sockets only


def run(pages: list[str], slots: int, idle: int = 0) -> list[Parsed]:
    """Crawl in one loop, with `idle` further sockets in it."""
    note(selector=selectors.DefaultSelector.__name__)
    return crawl(pages, slots, Selector(), idle)


if __name__ == "__main__":
    main(run)
