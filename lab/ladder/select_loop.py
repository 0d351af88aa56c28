"""Many sockets in one thread with `select`: ask about all of them, each time.

Blocks: the loop, in `select`, until any socket can go on; no socket ever blocks. In parallel: the waiting only, a parse
stops the loop. Callback: none, the loop itself knows what is next for each page (`lab.ladder.loop`). The price of
polling: every call hands over all sockets and the kernel looks at each one, so idle connections cost time; and select
takes no descriptor from 1024 on, however many the process may have.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

from crawl.errors import UsageError
from lab.ladder.descriptors import FD_SETSIZE
from lab.ladder.fresh import main
from lab.ladder.loop import crawl

if TYPE_CHECKING:
    import socket

    from lab.ladder.pages import Parsed


class Select:
    """A waiter that keeps the two lists itself."""

    def __init__(self) -> None:
        self._reading: set[socket.socket] = set()
        self._writing: set[socket.socket] = set()

    def watch(self, connection: socket.socket, *, writing: bool) -> None:
        """Wait for this socket. Raises UsageError for one that select cannot take."""
        if connection.fileno() >= FD_SETSIZE:
            message = f"select takes only descriptors below {FD_SETSIZE}; use fewer sockets, or selectors"
            raise UsageError(message)
        self.forget(connection)
        (self._writing if writing else self._reading).add(connection)

    def forget(self, connection: socket.socket) -> None:
        """Wait for this socket no longer."""
        self._reading.discard(connection)
        self._writing.discard(connection)

    def wait(self) -> list[socket.socket]:
        """Hand all sockets to the kernel and get those back that can go on."""
        readable, writable, _ = select.select(self._reading, self._writing, ())
        return readable + writable


def run(pages: list[str], slots: int, idle: int = 0) -> list[Parsed]:
    """Crawl in one loop, with `idle` further sockets in it."""
    return crawl(pages, slots, Select(), idle)


if __name__ == "__main__":
    main(run)
