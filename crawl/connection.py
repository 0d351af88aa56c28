"""Redis clients, made in one place with explicit values (redis-py's defaults differ by constructor)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import redis
from redis._parsers.base import BaseParser
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from crawl import keys, names
from crawl.errors import StoppedError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

#: Seconds to connect; a server that needs longer is treated as away.
CONNECT_TIMEOUT_S = 5.0
#: Seconds for one answer. Longer than any blocking read of ours (1 s) and any script.
ANSWER_TIMEOUT_S = 15.0
#: Silent repetitions after a lost connection. Every verb says what a repeated call returns.
RETRIES = 3
#: What only a file or a pipe can fail with, never a socket that connects.
_OF_FILES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EPIPE})
#: What only a server says that shares its keys with others: our scripts touch keys of several slots.
_OF_CLUSTERS = (
    redis.exceptions.AskError,
    redis.exceptions.ClusterCrossSlotError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
)
#: How a server says that a user may not do what a script does, without the code NOPERM: Redis 7.0, and Valkey.
_NOT_IN_SCRIPTS = ("The user executing the script", "ACL failure in script")


class DiskFullError(redis.BusyLoadingError):
    """A server that is there and takes no writes, because it cannot keep them: its disk is full, as a rule.

    To redis-py that is a mistake in a command, and it ends whoever made one: a producer, and a Celery worker that only
    waits for work. It passes like any outage once there is room, so it is one, to every client of this process and to
    Celery's.
    """

    def __str__(self) -> str:
        return f"it cannot write to its disk, free space there: {super().__str__()}"


class ReplicaError(redis.BusyLoadingError):
    """A server that only copies another one, and takes no writes.

    A failover does that to the one that was the primary. The address leads to the new one then, but only on a new
    connection, so it counts as an outage, too: connections are made again, and whoever survives outages goes on.
    """

    def __str__(self) -> str:
        return f"it is a replica and takes no writes: {super().__str__()}"


# There is no public way to tell redis-py, or Celery's transport on it, what a code means.
BaseParser.EXCEPTION_CLASSES["MISCONF"] = DiskFullError
BaseParser.EXCEPTION_CLASSES["READONLY"] = ReplicaError


def connect(url: str, connections: int = 20, patience_s: float | None = None) -> redis.Redis:
    """Return a client that answers in bytes; `connections` bounds its pool. Nothing is sent yet.

    With `patience_s` it gives up after that many seconds and repeats nothing.
    """
    return redis.Redis(connection_pool=pool(url, connections, patience_s))


def pool(url: str, connections: int, patience_s: float | None = None) -> redis.BlockingConnectionPool:
    """Return the connections of a client as `connect` makes it."""
    repeats = Retry(_backoff(), RETRIES if patience_s is None else 0)
    values = _values(connections, ANSWER_TIMEOUT_S if patience_s is None else patience_s)
    return redis.BlockingConnectionPool.from_url(url, retry=repeats, **values)


def awaited_pool(url: str, connections: int) -> redis.asyncio.BlockingConnectionPool:
    """Return the same for a client of `redis.asyncio`, which only one event loop may use."""
    import redis.asyncio
    from redis.asyncio.retry import Retry as AwaitedRetry

    repeats = AwaitedRetry(_backoff(), RETRIES)
    values = _values(connections, ANSWER_TIMEOUT_S)
    return redis.asyncio.BlockingConnectionPool.from_url(url, retry=repeats, **values)


def _backoff() -> ExponentialBackoff:
    return ExponentialBackoff(cap=1.0, base=0.05)


def _values(connections: int, answer_s: float) -> dict[str, Any]:
    return {
        "max_connections": connections,
        "timeout": answer_s,
        "socket_connect_timeout": min(CONNECT_TIMEOUT_S, answer_s),
        "socket_timeout": answer_s,
        "socket_keepalive": True,
        "health_check_interval": 30,
        "retry_on_error": [redis.ConnectionError, redis.TimeoutError],
    }


def place(url: str) -> str:
    """Return where a Redis URL points, without its credentials, for messages to people."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rsplit('@', 1)[-1]}"


def check(client: redis.Redis, url: str) -> None:
    """Raise UnavailableError, in one sentence with the remedy, unless the server answers."""
    with explained(url):
        client.ping()


#: What to do about a Redis that is full.
MEMORY_REMEDY = (
    "raise maxmemory (or CRAWL_MAX_REDIS_MB), or make room with `poolcrawl export CRAWL --output FILE --trim`"
)
#: The one `maxmemory-policy` under which Redis refuses a write instead of throwing away what it was given.
KEEPING_POLICY = "noeviction"


def dropping_policy(memory: Mapping[str, Any]) -> str | None:
    """Return the eviction policy by which a server (its INFO memory) would drop work, or None.

    Any policy but `noeviction` does as soon as `maxmemory` is set. `volatile-*` spares queues and records, but not
    what has a time to live: fetched bodies, and the marks by which hosts are left alone and a crawl has one pump.
    """
    policy = str(memory.get("maxmemory_policy") or KEEPING_POLICY)
    return None if policy == KEEPING_POLICY or not int(memory.get("maxmemory") or 0) else policy


def memory_limit(memory: Mapping[str, Any], given_bytes: int | None) -> int | None:
    """Return the bytes a server (its INFO memory) may hold: its maxmemory, or what was given if that is less."""
    limits = (given_bytes, int(memory.get("maxmemory") or 0))
    return min((limit for limit in limits if limit), default=None)


def refuse_eviction(client: redis.Redis, url: str) -> None:
    """Raise UsageError, with the setting to change, when the server would drop work to make room.

    Asks INFO, never CONFIG, which managed servers forbid.
    """
    policy = dropping_policy(client.info("memory"))
    if policy is not None:
        message = (
            f"Redis at {place(url)} has maxmemory-policy {policy}, which drops queued work when memory is short; "
            f"set `maxmemory-policy {KEEPING_POLICY}` (CONFIG SET, its configuration file, or the provider's settings)"
        )
        raise UsageError(message)


#: Writes where we write and where Celery does, and changes nothing; a full Redis takes it, a cluster does not.
_PROBE = "redis.call('ZREM', KEYS[1], ARGV[1]) redis.call('LTRIM', KEYS[2], 0, -1)"


def check_writes(client: redis.Redis, url: str) -> None:
    """Raise UnavailableError, in one sentence with the remedy, unless writes are taken: from us, and from Celery."""
    with explained(url):
        client.eval(_PROBE, 2, keys.workers(), f"{keys.BROKER_PREFIX}{names.FETCH_QUEUE}", "")
        # A user without channels is let in, too, and its workers would connect again and again. No host has this name.
        client.publish(keys.notices(), "")


def check_for_work(client: redis.Redis, url: str) -> None:
    """Raise UnavailableError unless the server answers and takes writes, UsageError if it would drop work."""
    check(client, url)
    with explained(url):
        refuse_eviction(client, url)
    check_writes(client, url)


def explained(url: str) -> AbstractContextManager[None]:
    """In the block, turn a Redis that is away or refuses us into UnavailableError, a full one into StoppedError."""
    from contextlib import contextmanager

    @contextmanager
    def _block() -> Iterator[None]:
        try:
            yield
        except redis.AuthenticationError as error:
            raise UnavailableError(_locked_out(url, f" ({error})")) from None
        except redis.exceptions.InvalidResponse:
            message = f"what answers at {place(url)} is no Redis; correct CRAWL_REDIS_URL"
            raise UnavailableError(message) from None
        except ReplicaError:
            message = (
                f"Redis at {place(url)} is a replica and takes no writes; set CRAWL_REDIS_URL to the primary, "
                "or make this one the primary (REPLICAOF NO ONE)"
            )
            raise UnavailableError(message) from None
        except redis.exceptions.OutOfMemoryError:
            message = f"paused: memory. Redis at {place(url)} is full and takes nothing more; {MEMORY_REMEDY}"
            raise StoppedError(message) from None
        except redis.ResponseError as error:
            raise _refused(url, error) from None
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            if isinstance(error, OSError) and (error.errno in _OF_FILES or error.filename is not None):
                # A file failed, maybe the one a person wants written; a socket has no file's name.
                raise
            message = f"cannot reach Redis at {place(url)} ({error}); start it, or correct CRAWL_REDIS_URL"
            raise UnavailableError(message) from None

    return _block()


def _locked_out(url: str, told: str = "") -> str:
    """Return what is wrong with the password of a URL, in one sentence with the remedy."""
    if redis.connection.parse_url(url).get("password"):
        return (
            f"{place(url)} refuses the password{told}; correct CRAWL_REDIS_URL or CRAWL_REDIS_PASSWORD_FILE"
        )
    # What it says then is about commands that nobody typed.
    return f"{place(url)} wants a password; give it in CRAWL_REDIS_URL or CRAWL_REDIS_PASSWORD_FILE"


def _refused(url: str, error: redis.ResponseError) -> UnavailableError:
    """Return what a server's answer that is no result comes to, in one sentence with the remedy."""
    told = " ".join(str(error).split())
    if "WRONGPASS" in told or "NOAUTH" in told:
        message = _locked_out(url)
    elif "DB index" in told:
        message = (
            f"Redis at {place(url)} has no database of that number ({told}); correct the number after "
            "the last / of CRAWL_REDIS_URL; /0 is always there"
        )
    elif isinstance(error, redis.exceptions.NoPermissionError) or any(
        words in told for words in _NOT_IN_SCRIPTS
    ):
        message = (
            f"Redis at {place(url)} refuses what its user may not do ({told}); give it the rights that "
            "docs/operating.md names (ACL SETUSER), or set CRAWL_REDIS_URL to another user's"
        )
    elif isinstance(error, redis.exceptions.MasterDownError) or "NOREPLICAS" in told:
        message = (
            f"Redis at {place(url)} has lost the servers it is replicated with ({told}); wait until they are back, "
            "or set CRAWL_REDIS_URL to the primary"
        )
    elif isinstance(error, _OF_CLUSTERS):
        message = (
            f"Redis at {place(url)} is one of a cluster, which cannot be used ({told}); set CRAWL_REDIS_URL to a "
            "server with `cluster-enabled no`"
        )
    else:
        message = (
            f"Redis at {place(url)} refuses what it is asked for ({told}); put that right there, or set "
            "CRAWL_REDIS_URL to a server as docs/operating.md describes it"
        )
    return UnavailableError(message)
