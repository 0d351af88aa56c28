"""Signs of life: a key in Redis that the pump counts slots from, and a file for the container's health check.

The file is touched from the consumer loop, so it grows old when that loop hangs. The key is written by a thread: in
the solo pool a task blocks the loop, and a busy worker is not a dead one.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

import redis
from celery import bootsteps
from celery.worker import state

from crawl import connection, heartbeat, keys, settings
from worker import deaths, drain, memory, pools

log = logging.getLogger(__name__)

#: Seconds between two signs of life; the key expires after three.
PERIOD_S = 2.0
#: At which signs of life to look for leases of processes that have ended: at the first, and when the last sign of a
#: container's life before has expired.
_LOOKS = (0, 4)


class TouchHeartbeatFile(bootsteps.StartStopStep):
    """Touches CRAWL_HEARTBEAT_FILE from the consumer's timer."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._entry: Any = None

    def start(self, consumer: Any) -> None:
        """Begin, after every (re)connection."""
        path = settings.load().heartbeat_file
        if path is not None:
            file = heartbeat.HeartbeatFile(path, log.warning)
            file.touch()
            self._entry = consumer.timer.call_repeatedly(PERIOD_S, file.touch)

    def stop(self, consumer: Any) -> None:  # noqa: ARG002 - Celery hands it over
        """End, before every reconnection."""
        if self._entry is not None:
            self._entry.cancel()


def announce(name: str) -> None:
    """Write `poolcrawl:worker:<name>` every `PERIOD_S` seconds, from now on, in a thread of its own."""
    recycling = memory.Recycling(settings.load(), name)
    threading.Thread(target=_announce, args=(name, recycling), name="heartbeat", daemon=True).start()


def retract(name: str) -> None:
    """Count this worker out at once, instead of when its last sign of life expires."""
    try:
        client = connection.connect(settings.load().redis_address() or "", connections=1, patience_s=PERIOD_S)
        client.zrem(keys.workers(), name)
    except redis.RedisError as error:
        log.warning("the heartbeat expires by itself: %s", error)


def _announce(name: str, recycling: memory.Recycling) -> None:
    own = settings.load()
    client = connection.connect(own.redis_address() or "", connections=2)
    pool = pools.TABLE[own.pool]
    slots = own.concurrency or pool.default_concurrency()
    expiry_ms = int(PERIOD_S * 3000)
    ticks = 0
    while True:
        try:
            if drain.begun():
                client.zrem(keys.workers(), name)
                return
            seconds, micros = client.time()
            now_ms = seconds * 1000 + micros // 1000
            with client.pipeline(transaction=True) as pipe:
                pipe.hset(
                    keys.worker(name),
                    mapping={
                        "pool": own.pool,
                        "slots": slots,
                        "queues": ",".join(own.queues),
                        "busy": len(state.active_requests),
                        "pid": os.getpid(),
                    },
                )
                pipe.pexpire(keys.worker(name), expiry_ms)
                pipe.zadd(keys.workers(), {name: now_ms + expiry_ms})
                pipe.zremrangebyscore(keys.workers(), "-inf", now_ms - 60_000)
                pipe.execute()
            if ticks in _LOOKS:
                deaths.look(own.redis_address() or "")
            ticks += 1
        except redis.RedisError as error:
            log.warning("cannot write the heartbeat: %s", error)
        recycling.look()
        time.sleep(PERIOD_S)
