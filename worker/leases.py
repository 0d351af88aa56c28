"""Keeps this process's leases alive: one thread, one Redis call for all of them.

A lease that cannot be renewed in time is treated as lost locally, whatever Redis thinks: somebody else may hold its
URLs by then.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING, Protocol

import redis

from crawl import names
from crawl.frontier import renew

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crawl.batches import Renewal

log = logging.getLogger(__name__)


class Abortable(Protocol):
    """A request that can be ended from another thread."""

    def abort(self) -> None:
        """End it now."""


#: What a lease is told that is worth nothing any more: somebody else has its URLs, or nobody wants them.
_WORTHLESS = frozenset({"gone", *names.OVER})
#: Crawls whose last change is remembered; it matters for a batch that begins just then.
_MOST_TOLD = 1000


class Held:
    """One lease this process holds, as last heard of."""

    def __init__(self, renewal: Renewal) -> None:
        self.renewal = renewal
        self.state = names.RUNNING
        self.good_until = time.monotonic() + renewal.lease_s
        self._request: Abortable | None = None

    def asking(self, request: Abortable) -> None:
        """Note the request that is under way, to be aborted when the lease is lost or the crawl cancelled."""
        self._request = request
        if not self.kept():
            # Told between two requests, when there was none to abort.
            request.abort()

    def abort(self) -> None:
        """End the request that is under way: somebody else may ask for its URL by now."""
        if self._request is not None:
            self._request.abort()

    def kept(self) -> bool:
        """Whether the lease is still ours, as far as this process can know."""
        return self.state not in _WORTHLESS and time.monotonic() < self.good_until

    def usable(self) -> bool:
        """Whether the crawl runs and the lease is still ours, as far as this process can know."""
        return self.state == names.RUNNING and self.kept()


class Renewer:
    """Renews every registered lease each third of the shortest `lease_s`."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._held: dict[tuple[str, str], Held] = {}
        #: Crawl -> state, and when it was told; a batch that began before that minds it.
        self._told: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        #: Set when the thread sleeps longer than a new lease can wait.
        self._changed = threading.Event()
        self._pause_s = math.inf
        self._thread: threading.Thread | None = None

    def hold(self, renewal: Renewal, since: float = math.inf) -> Held:
        """Keep a lease alive until it is dropped; it was asked for at `since`, a time of `time.monotonic`."""
        held = Held(renewal)
        with self._lock:
            state, at = self._told.get(renewal.crawl, (names.RUNNING, -math.inf))
            if at >= since:
                held.state = state
            self._held[renewal.crawl, renewal.lease] = held
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lease-renewer", daemon=True)
                self._thread.start()
            if renewal.lease_s / 3 < self._pause_s:
                self._changed.set()
        return held

    def drop(self, held: Held) -> None:
        """Stop renewing a lease."""
        with self._lock:
            self._held.pop((held.renewal.crawl, held.renewal.lease), None)

    def told(self, crawl: str, state: str) -> None:
        """Take a crawl's new state to heart at once: pause, or abort what is under way for a cancelled one."""
        with self._lock:
            if len(self._told) >= _MOST_TOLD:
                self._told.clear()
            self._told[crawl] = state, time.monotonic()
            held = [one for one in self._held.values() if one.renewal.crawl == crawl]
            # What was worth nothing stays so: a crawl of the same name may have been made since.
            held = [one for one in held if one.state not in _WORTHLESS]
            for one in held:
                one.state = state
        for one in held:
            if not one.kept():
                one.abort()

    def _pauses(self) -> Iterator[float]:
        while True:
            with self._lock:
                self._changed.clear()
                held = list(self._held.values())
                self._pause_s = min((one.renewal.lease_s for one in held), default=30.0) / 3
            # A lease that could not be renewed ends on time, not at the next renewal.
            ends_s = min((one.good_until for one in held), default=math.inf) - time.monotonic()
            yield min(self._pause_s, max(ends_s, 0.05))

    def _run(self) -> None:
        for pause in self._pauses():
            if self._changed.wait(pause):
                continue
            with self._lock:
                batch = list(self._held.values())
            if batch:
                self._renew(batch)
            for held in batch:
                if not held.kept():
                    held.abort()

    def _renew(self, batch: list[Held]) -> None:
        asked = time.monotonic()
        try:
            states = renew(self._client, [held.renewal for held in batch])
        except redis.RedisError as error:
            log.warning("cannot renew %d leases: %s", len(batch), error)
            return
        for held, state in zip(batch, states, strict=True):
            held.state = state
            if state != "gone":
                held.good_until = asked + held.renewal.lease_s
