"""What a crawl takes of its Redis: an estimate from samples, in two round trips however large the crawl is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import redis

from crawl import connection, keys
from crawl.frontier import Frontier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Members looked at in a large hash or stream, keys looked at of many alike.
MEMBERS = 50
KEYS = 100

#: Keys of a crawl that there is one of.
_SINGLE: tuple[Callable[[str], str], ...] = (
    *(
        keys.crawl,
        keys.queues,
        keys.levels,
        keys.delayed,
        keys.suspects,
        keys.leases,
        keys.counts,
        keys.hosts,
    ),
    *(
        keys.records,
        keys.retried,
        keys.results,
        keys.attempts,
        keys.scope_seeds,
        keys.patterns,
        keys.host_pages,
        keys.parked,
    ),
)


class Share(msgspec.Struct, frozen=True):
    """Bytes of Redis. `crawl` is None where the server does not tell (it forbids MEMORY USAGE), `limit` without one."""

    crawl: int | None
    used: int
    limit: int | None

    def row(self, admitted: int) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "redis_bytes": self.crawl,
            "redis_bytes_per_url": self._per_url(admitted),
            "redis_used_bytes": self.used,
            "redis_limit_bytes": self.limit,
        }

    def _per_url(self, admitted: int) -> int | None:
        return round(self.crawl / admitted) if self.crawl is not None and admitted else None

    @property
    def held(self) -> str:
        """What Redis holds, and of how much, for people."""
        return f"{_mb(self.used)}{f' of {_mb(self.limit)}' if self.limit else ', without a limit'}"

    def lines(self, admitted: int) -> Iterator[str]:
        """Yield it for people."""
        per_url = self._per_url(admitted)
        each = "" if per_url is None else f" ({per_url:,} bytes per URL)"
        own = "" if self.crawl is None else f"this crawl takes about {_mb(self.crawl)}{each}; "
        yield f"  memory: {own}Redis holds {self.held}"


def _mb(size: int) -> str:
    return f"{size / 2**20:,.1f} MB"


def of_crawl(client: redis.Redis, crawl: str, limit_bytes: int | None = None) -> Share:
    """Return the share of a crawl; `limit_bytes` is what Redis may use, if less than its own maxmemory."""
    info = client.info("memory")
    used, limit = int(info["used_memory"]), connection.memory_limit(info, limit_bytes)
    try:
        return Share(_estimate(client, crawl), used, limit)
    except redis.exceptions.ResponseError:
        return Share(None, used, limit)


def _estimate(client: redis.Redis, crawl: str) -> int:
    stored = Frontier(client, crawl).options()
    buckets = stored[0].seen_buckets if stored else 1
    with client.pipeline(transaction=False) as pipe:
        pipe.srandmember(keys.queues(crawl), KEYS)
        pipe.scard(keys.queues(crawl))
        pipe.zrange(keys.leases(crawl), 0, KEYS - 1)
        pipe.zcard(keys.leases(crawl))
        pipe.hget(keys.crawl(crawl), "body_bytes")
        queues, queue_count, leases, lease_count, bodies = pipe.execute()
    # Fingerprints spread evenly: every n-th bucket stands for all.
    sampled = range(0, buckets, max(1, buckets // KEYS))
    groups: list[tuple[list[Any], float]] = [
        (list(queues), queue_count / max(len(queues), 1)),
        (list(leases), lease_count / max(len(leases), 1)),
        ([keys.seen(crawl, bucket) for bucket in sampled], buckets / len(sampled)),
        ([keys.tombstones(crawl, bucket) for bucket in sampled], buckets / len(sampled)),
        ([name(crawl) for name in _SINGLE], 1.0),
    ]
    with client.pipeline(transaction=False) as pipe:
        for names, _ in groups:
            for name in names:
                pipe.memory_usage(name, samples=MEMBERS)
        sizes = iter(pipe.execute())
    total = float(bodies or 0)
    for names, each in groups:
        total += each * sum(next(sizes) or 0 for _ in names)
    return round(total)
