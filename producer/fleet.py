"""Which workers and pump services are alive, how many slots the workers have, and which crawls wait for a pump."""

from __future__ import annotations

import os
import secrets
import socket
from typing import TYPE_CHECKING

import msgspec

from crawl import keys, names

if TYPE_CHECKING:
    import redis


#: How long a pump service counts as alive after its last sign, seconds.
SERVICE_ALIVE_S = 15.0


class Service(msgspec.Struct, frozen=True):
    """One live pump service; `seen_s` is how long ago it gave its last sign of life, which it does every second."""

    name: str
    host: str
    pid: int
    seen_s: float


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


def service_name() -> str:
    """Return a name for a pump service of this process, which `services` takes apart again."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def services(client: redis.Redis) -> list[Service]:
    """Return the pump services whose last sign of life has not expired, by name."""
    seconds, micros = client.time()
    now_ms = seconds * 1000 + micros // 1000
    found = client.zrangebyscore(keys.pumps(), now_ms, "+inf", withscores=True)
    alive = []
    for name, expiry_ms in sorted(found):
        host, pid, _ = name.decode().rsplit("-", 2)
        seen_s = round(max(0.0, SERVICE_ALIVE_S - (expiry_ms - now_ms) / 1000), 1)
        alive.append(Service(name.decode(), host, int(pid), seen_s))
    return alive


def unowned(client: redis.Redis) -> list[str]:
    """Return the crawls that run, and that nobody pumps or submits, oldest first."""
    crawls = [name.decode() for name in client.zrange(keys.crawls(), 0, -1)]
    with client.pipeline(transaction=False) as pipe:
        for crawl in crawls:
            pipe.hget(keys.crawl(crawl), "state")
            pipe.exists(keys.pump(crawl), keys.submitter(crawl))
        answers = pipe.execute()
    about = zip(crawls, answers[::2], answers[1::2], strict=True)
    return [crawl for crawl, state, marks in about if state == names.RUNNING.encode() and not marks]
