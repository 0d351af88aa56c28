"""What a waiting and a seen URL cost in Redis, measured on a private server through the frontier's own `add`.

The server's `used_memory` is read with everything in it, then again after all but the seen set was deleted: the second
reading, less the empty server's, is the seen set; the difference between the two is what waited.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crawl import keys, records, tombstones, urls
from crawl.frontier import Frontier
from crawl.links import LINKS_PER_CALL, Links
from crawl.names import LINK

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

#: Characters of each URL (issue 2, F).
URL_LENGTH = 60
#: Sizes of the seen set at which it is measured.
SIZES = (100_000, 1_000_000)
_ORIGIN = "http://memory.test"
_CRAWL = "memory"
#: Keys deleted per call.
_SLICE = 5000


@dataclass(frozen=True)
class Footprint:
    """Bytes of Redis per URL when `urls` have been admitted; `waiting` is over those that then waited."""

    urls: int
    waiting: float
    seen: float
    #: Of a trimmed record; measured at the largest size only.
    tombstone: float | None = None

    def row(self) -> dict[str, Any]:
        """Return it for JSON."""
        stone = None if self.tombstone is None else round(self.tombstone, 1)
        waiting, seen = round(self.waiting, 1), round(self.seen, 1)
        return {"urls": self.urls, "waiting": waiting, "seen": seen, "tombstone": stone}


def url(number: int) -> str:
    """Return the n-th URL, of exactly URL_LENGTH characters."""
    head = f"{_ORIGIN}/section-{number // 1000:04d}/"
    tail = f"-{number:07d}.html"
    return head + "page".ljust(URL_LENGTH - len(head) - len(tail), "x") + tail


def footprints(
    client: redis.Redis, sizes: tuple[int, ...] = SIZES, say: Callable[[str], None] = lambda _: None
) -> list[Footprint]:
    """Fill a frontier step by step and read its cost at each size. The server must be empty and our own."""
    frontier = Frontier(client, _CRAWL)
    options = records.CrawlOptions(seeds=(f"{_ORIGIN}/",))
    frontier.create(options)
    base = _used(client)
    found: list[Footprint] = []
    admitted = 0
    for size in sizes:
        say(f"frontier memory at {size:,} URLs")
        _add(frontier, options, admitted, size)
        everything = _used(client)
        _keep_seen(client)
        seen = _used(client)
        stones = None
        if size == sizes[-1]:
            _put_tombstones(client, options.seen_buckets, size)
            stones = (_used(client) - seen) / size
        found.append(Footprint(size, (everything - seen) / (size - admitted), (seen - base) / size, stones))
        admitted = size
    return found


def _add(frontier: Frontier, options: records.CrawlOptions, first: int, end: int) -> None:
    queued_ms = int(time.time() * 1000)
    for start in range(first, end, LINKS_PER_CALL):
        links = Links(finite=False, buckets=options.seen_buckets)
        parent = url(start)
        for number in range(start, min(end, start + LINKS_PER_CALL)):
            request = records.FetchRequest(
                url=url(number), depth=3, via=LINK, parent=parent, queued_ms=queued_ms
            )
            fingerprint = links.offer(request.url)
            if fingerprint is not None:
                links.put(fingerprint, request)
        frontier.add(links, max_pages=None)


def _put_tombstones(client: redis.Redis, buckets: int, size: int) -> None:
    """Put the tombstone of every URL, as if all records had been trimmed."""
    for first in range(0, size, _SLICE):
        with client.pipeline(transaction=False) as pipe:
            for number in range(first, min(first + _SLICE, size)):
                fingerprint = urls.fingerprint(url(number))
                row = hashlib.sha256(str(number).encode()).digest()
                stone = tombstones.encode("ok", row, row.hex())
                pipe.hset(keys.tombstones(_CRAWL, fingerprint % buckets), str(fingerprint), stone)
            pipe.execute()


def _keep_seen(client: redis.Redis) -> None:
    """Delete everything of the crawl but its seen set."""
    prefix = keys.seen_prefix(_CRAWL).encode()
    doomed = [key for key in client.scan_iter(count=_SLICE) if not key.startswith(prefix)]
    for first in range(0, len(doomed), _SLICE):
        client.delete(*doomed[first : first + _SLICE])
    # Valkey frees large values in a thread of its own.
    while int(client.info("memory")["lazyfree_pending_objects"]):
        time.sleep(0.01)


def _used(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])
