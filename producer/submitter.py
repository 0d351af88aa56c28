"""The mark of somebody who submits a crawl's seeds: meanwhile no pump service takes it.

It expires, so a submitter that was killed holds nobody up. What it leaves is an open seed source: then the crawl is
pumped but does not end, until somebody submits the seeds again.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from typing import TYPE_CHECKING, Self

import redis

from crawl import keys

if TYPE_CHECKING:
    from types import TracebackType

#: How long the mark lasts without renewal, seconds.
MARK_S = 10.0

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


class Submitter:
    """One submission. Use as a context manager; call `keep` at least every few seconds."""

    def __init__(self, client: redis.Redis, crawl: str) -> None:
        self._client = client
        self._key = keys.submitter(crawl)
        self._token = secrets.token_hex(8)
        self._kept_at = 0.0
        self._released = False

    def __enter__(self) -> Self:
        """Set the mark; the crawl need not exist yet."""
        self._set()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take the mark away; while Redis is away, it expires by itself."""
        with contextlib.suppress(redis.RedisError, OSError):
            self.release()

    def keep(self) -> None:
        """Renew the mark when it is time; nothing once it was released. While Redis is away, it is left at that."""
        if not self._released and time.monotonic() - self._kept_at >= MARK_S / 4:
            with contextlib.suppress(redis.RedisError, OSError):
                self._set()

    def _set(self) -> None:
        self._kept_at = time.monotonic()
        self._client.set(self._key, self._token, px=int(MARK_S * 1000))

    def release(self) -> None:
        """Say that the submission is over."""
        if not self._released:
            self._released = True
            self._client.eval(_RELEASE, 1, self._key, self._token)
