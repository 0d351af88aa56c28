"""One loop over non-blocking sockets, without a library: the state machine of `select_loop` and `selector_loop`.

They differ only in how they wait: `select` is handed all sockets anew each time and looks at each of them, epoll and
kqueue keep the list in the kernel and name only the sockets on which something has happened.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from lab.ladder.descriptors import SPARE, raise_limit
from lab.ladder.fresh import note
from lab.ladder.pages import Parsed, body_of, parse, request

if TYPE_CHECKING:
    from collections.abc import Iterable


class Waiter(Protocol):
    """The one thing that differs: waiting until some of many sockets can go on."""

    def watch(self, connection: socket.socket, *, writing: bool) -> None:
        """Wait for this socket from now on, until it can be written to or until it can be read."""

    def forget(self, connection: socket.socket) -> None:
        """Wait for this socket no longer."""

    def wait(self) -> Iterable[socket.socket]:
        """Block until at least one socket can go on; return all that can."""


class Download:
    """A page under way: first connecting, then sending, then receiving. No step ever waits."""

    def __init__(self, page: str, waiter: Waiter) -> None:
        parts = urlsplit(page)
        self.waiter = waiter
        self.unsent = request(page)
        self.received = b""
        self.connection = socket.socket()
        self.connection.setblocking(False)
        # Returns at once, while the connection is being made: it is made when the socket can be written to.
        self.connection.connect_ex((parts.hostname, parts.port))
        waiter.watch(self.connection, writing=True)

    def go_on(self) -> bool:
        """Do what can be done without waiting; return whether the page is complete."""
        if self.unsent:
            self.unsent = self.unsent[self.connection.send(self.unsent) :]
            if not self.unsent:
                self.waiter.watch(self.connection, writing=False)
            return False
        some = self.connection.recv(65536)
        self.received += some
        if some:
            return False
        self.waiter.forget(self.connection)
        self.connection.close()
        return True


def idle_sockets(page: str, count: int) -> list[socket.socket]:
    """Return connections on which nothing ever happens. Raises UsageError when so many cannot be open."""
    parts = urlsplit(page)
    raise_limit(count + SPARE)
    return [socket.create_connection((parts.hostname or "", parts.port or 80)) for _ in range(count)]


def crawl(pages: list[str], slots: int, waiter: Waiter, idle: int) -> list[Parsed]:
    """Fetch with at most `slots` pages under way, beside `idle` sockets that are watched as well."""
    quiet = idle_sockets(pages[0], idle)
    for connection in quiet:
        waiter.watch(connection, writing=False)
    waiting, results = deque(pages), list[Parsed]()
    under_way: dict[socket.socket, Download] = {}
    wakeups, waiting_cpu_s = 0, 0.0
    while waiting or under_way:
        while waiting and len(under_way) < slots:
            download = Download(waiting.popleft(), waiter)
            under_way[download.connection] = download
        used = time.thread_time()
        ready = waiter.wait()
        waiting_cpu_s += time.thread_time() - used
        wakeups += 1
        done = [connection for connection in ready if under_way[connection].go_on()]
        results += [parse(body_of(under_way.pop(connection).received)) for connection in done]
    note(wakeups=wakeups, cpu_us_per_wakeup=round(waiting_cpu_s / wakeups * 1e6, 1))
    for connection in quiet:
        waiter.forget(connection)
        connection.close()
    return results
