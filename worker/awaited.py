"""A Redis client for ordinary code in coroutine slots: the slot waits, the loop talks, by `redis.asyncio`.

Outside of a slot it is the blocking client that `crawl.connection` makes.
"""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio

from crawl import connection
from worker import coroutines


class _Pipeline(redis.client.Pipeline):
    """Commands that travel together; gathered as ever, sent by the loop."""

    awaited: redis.asyncio.Redis

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send what was gathered and return the answers."""
        slot = coroutines.current()
        if slot is None:
            return list(super().execute(raise_on_error))
        pipe = self.awaited.pipeline(transaction=self.transaction)
        for args, options in self.command_stack:
            pipe.execute_command(*args, **options)
        self.reset()
        return list(slot.wait(pipe.execute(raise_on_error)))


class AwaitedRedis(redis.Redis):
    """A client whose every command is awaited where a slot gives it."""

    awaited: redis.asyncio.Redis

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command and return its answer."""
        slot = coroutines.current()
        if slot is None:
            return super().execute_command(*args, **options)
        return slot.wait(self.awaited.execute_command(*args, **options))

    def close(self) -> None:
        """Close what is open; the awaited connections only when called in a slot."""
        slot = coroutines.current()
        if slot is not None:
            slot.wait(self.awaited.aclose(close_connection_pool=True))
        super().close()
        self.connection_pool.disconnect()

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> _Pipeline:
        """Return a pipeline of this client."""
        made = _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        made.awaited = self.awaited
        return made


def connect(url: str, connections: int) -> AwaitedRedis:
    """Return a client that answers in bytes, with the limits of `connection.connect`."""
    client = AwaitedRedis(connection_pool=connection.pool(url, connections))
    client.awaited = redis.asyncio.Redis(connection_pool=connection.awaited_pool(url, connections))
    return client
