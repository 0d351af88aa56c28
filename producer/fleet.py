"""Which workers are alive, and how many slots they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from crawl import keys, names

if TYPE_CHECKING:
    import redis


class Worker(msgspec.Struct, frozen=True):
    """One live worker process, as its heartbeat says."""

    name: str
    pool: str
    slots: int
    queues: tuple[str, ...]
    busy: int


def alive(client: redis.Redis) -> list[Worker]:
    """Return the workers whose heartbeat has not expired."""
    seconds, micros = client.time()
    found = client.zrangebyscore(keys.workers(), seconds * 1000 + micros // 1000, "+inf")
    if not found:
        return []
    with client.pipeline(transaction=False) as pipe:
        for name in found:
            pipe.hmget(keys.worker(name.decode()), "pool", "slots", "queues", "busy")
        answers = pipe.execute()
    return [
        Worker(
            name=name.decode(),
            pool=answer[0].decode(),
            slots=int(answer[1]),
            queues=tuple(answer[2].decode().split(",")),
            busy=int(answer[3]),
        )
        for name, answer in zip(found, answers, strict=True)
        if answer[0] is not None
    ]


def fetch_slots(workers: list[Worker]) -> int:
    """Return how many requests the live workers can make at once."""
    return sum(worker.slots for worker in workers if names.FETCH_QUEUE in worker.queues)


def missing_stage(workers: list[Worker]) -> str | None:
    """Return the queue that no live worker serves, or None."""
    served = {queue for worker in workers for queue in worker.queues}
    return next((queue for queue in names.QUEUES if queue not in served), None)
