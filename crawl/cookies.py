"""A crawl's cookies in Redis: one hash per registrable domain, shared by all workers; only with `--cookies`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawl import keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import redis

#: Seconds after the last change until a domain's cookies are forgotten: they are secrets of a kind.
KEPT_S = 7 * 24 * 3600


def load(client: redis.Redis, crawl: str, domain: str) -> dict[bytes, bytes]:
    """Return what is stored for a domain: field -> cookie."""
    return dict(client.hgetall(keys.cookies(crawl, domain)))


def store(
    client: redis.Redis,
    crawl: str,
    domain: str,
    changed: Mapping[bytes, bytes],
    removed: Sequence[bytes],
) -> None:
    """Store what a batch changed, in one round trip; without a change, no trip at all."""
    if not changed and not removed:
        return
    key = keys.cookies(crawl, domain)
    with client.pipeline(transaction=True) as pipe:
        if removed:
            pipe.hdel(key, *removed)
        if changed:
            pipe.hset(key, mapping=dict(changed))
        pipe.expire(key, KEPT_S)
        pipe.execute()
