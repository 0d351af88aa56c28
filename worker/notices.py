"""What this process hears while it asks hosts: who refuses or has a delay now, and which crawl was paused or cancelled.

The first two end the batches under way at that host, the others those of that crawl.

One thread, one Redis connection, nothing to do until something is published; a slot reads a dictionary. It is a hint:
no batch begins before Redis allows it, a batch that began before this process listened ends with the request it is at,
and one whose notice is lost ends within `BATCH_BUDGET_S` and hears of its crawl with the next renewal.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING

import redis

from crawl import keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.client import PubSub

log = logging.getLogger(__name__)

#: Seconds between two looks at a silent connection, and before another attempt at a broken one.
LOOK_S = 10.0
AGAIN_S = 1.0
#: Hosts remembered; a notice matters for about a second.
MOST_HOSTS = 10_000


class Notices:
    """Listens on the channels of notices; `told` gets each crawl whose state changed, with the new state."""

    def __init__(self, client: redis.Redis, told: Callable[[str, str], None] = lambda _, __: None) -> None:
        self._client = client
        self._told = told
        self._heard: dict[str, float] = {}
        #: Since when it listens, of `time.monotonic`. What was published before then is not known.
        self._since = math.inf
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pause = threading.Event()

    def listen(self) -> None:
        """Begin to listen, at the first call."""
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
                    self._thread.start()

    def heard(self, host: str, since: float) -> bool:
        """Whether there was a notice of a host since a time of `time.monotonic`, or may have been."""
        return since < self._since or self._heard.get(host, 0.0) >= since

    def note(self, host: str) -> None:
        """Remember a notice."""
        if len(self._heard) >= MOST_HOSTS:
            self._heard.clear()
        self._heard[host] = time.monotonic()

    def _run(self) -> None:
        while True:
            try:
                with self._client.pubsub() as channel:
                    channel.subscribe(keys.notices(), keys.states())
                    self._read(channel)
            except (redis.RedisError, OSError) as error:
                self._since = math.inf
                log.debug("no notices for now: %s", error)
                self._pause.wait(AGAIN_S)

    def _read(self, channel: PubSub) -> None:
        while True:
            message = channel.get_message(timeout=LOOK_S)
            if message is None:
                continue
            if message["type"] == "subscribe":
                # The client subscribes again by itself after a broken connection, too.
                self._since = time.monotonic()
                continue
            text = message["data"].decode()
            if message["channel"].decode() == keys.states():
                crawl, _, state = text.partition(" ")
                self._told(crawl, state)
            else:
                self.note(text)
