"""The pump service: serves every crawl that nobody else pumps, each in a thread of its own.

Several services may run on one Redis. A crawl has one owner, by an expiring mark; whoever sees it without one takes it,
so a service that dies is replaced by any other. A service ends only when it is told to.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import redis

from crawl import broker, connection, keys, lifecycle, names, records
from crawl.errors import DamagedCrawlError, PoolcrawlError
from crawl.frontier import Frontier
from producer import fleet
from producer.pump import AWAY, LOST, Pump
from producer.seeds import Intake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from celery import Celery
    from redis.client import PubSub

    from crawl.records import CrawlOptions

log = logging.getLogger(__name__)

#: Seconds between two looks at the crawls that run, and between two at all crawls there are (what was not told).
LOOK_S = 1.0
LOOK_AT_ALL_S = 15.0
#: Crawls one service pumps at once; further ones wait, or go to another service.
MOST_CRAWLS = 100
#: Seconds until a crawl is tried again that could not be pumped (Redis was full, say).
AGAIN_S = 30.0
#: Seconds the service waits for Redis in one look; it looks again for ever.
PATIENCE_S = 5.0
#: Seconds its threads get to end.
END_S = 5.0
#: Seconds after which a cancel is taken for interrupted, if what the crawl held is still there.
CANCEL_S = 30.0


class _EndingError(Exception):
    """The service is told to end."""


class Service:
    """Pumps what nobody pumps. `say` gets one-line messages, `watch` is called about every second and may raise."""

    def __init__(
        self,
        url: str,
        *,
        say: Callable[[str], None],
        watch: Callable[[], None] = lambda: None,
        memory_limit_bytes: int | None = None,
        bodies_bytes: int | None = None,
    ) -> None:
        self.name = fleet.service_name()
        self._url = url
        self._say = say
        self._watch = watch
        self._memory_limit = memory_limit_bytes
        self._bodies_bytes = bodies_bytes
        self._client = connection.connect(url, connections=4, patience_s=PATIENCE_S)
        self._app: Celery = broker.make_app(url)
        self._stop = threading.Event()
        #: Crawls seen running, by us or by others; looked at every second.
        self._running: set[str] = set()
        self._mine: dict[str, threading.Thread] = {}
        self._not_before: dict[str, float] = {}
        self._told: set[str] = set()

    def stop(self) -> None:
        """Have `run` end; from any thread, and from a signal's handler."""
        self._stop.set()

    def run(self) -> None:
        """Serve until told to stop, through outages of Redis."""
        away = False
        try:
            while not self._stop.is_set():
                try:
                    with self._client.pubsub(ignore_subscribe_messages=True) as channel:
                        channel.subscribe(keys.states())
                        self._beat()
                        if away:
                            self._say("Redis is back")
                        away = False
                        self._serve(channel)
                except (*AWAY, redis.exceptions.OutOfMemoryError) as error:
                    if not away:
                        full = isinstance(error, redis.exceptions.OutOfMemoryError)
                        self._say(f"Redis is {'full' if full else 'away'} ({error}); waiting")
                    away = True
                    self._watch()
                    self._stop.wait(LOOK_S)
        finally:
            self._end()

    def _serve(self, channel: PubSub) -> None:
        all_at = 0.0
        while not self._stop.is_set():
            self._watch()
            self._beat()
            now = time.monotonic()
            if now >= all_at:
                all_at = now + LOOK_AT_ALL_S
                self._look(name.decode() for name in self._client.zrange(keys.crawls(), 0, -1))
            else:
                self._look(self._running)
            message = channel.get_message(timeout=LOOK_S)
            while message is not None:
                self._running.add(message["data"].decode().partition(" ")[0])
                message = channel.get_message(timeout=0)

    def _beat(self) -> None:
        seconds, micros = self._client.time()
        now_ms = seconds * 1000 + micros // 1000
        with self._client.pipeline(transaction=False) as pipe:
            pipe.zadd(keys.pumps(), {self.name: now_ms + int(fleet.SERVICE_ALIVE_S * 1000)})
            pipe.zremrangebyscore(keys.pumps(), "-inf", now_ms - 60_000)
            pipe.execute()

    def _look(self, crawls: Iterable[str]) -> None:
        """Look at crawls, and take those that run and that nobody pumps or submits."""
        looked = list(crawls)
        for name in [name for name, thread in self._mine.items() if not thread.is_alive()]:
            del self._mine[name]
        fields = ("state", "schema", "cleared", "ended_at")
        for first in range(0, len(looked), 500):
            part = looked[first : first + 500]
            with self._client.pipeline(transaction=False) as pipe:
                for name in part:
                    pipe.hmget(keys.crawl(name), *fields)
                    pipe.exists(keys.pump(name), keys.submitter(name))
                pipe.time()
                *answers, clock = pipe.execute()
            for name, about, marks in zip(part, answers[::2], answers[1::2], strict=True):
                try:
                    self._consider(name, about, marked=bool(marks), now_s=clock[0])
                except DamagedCrawlError as error:
                    self._once(f"{name}: left alone: {error}")

    def _consider(self, name: str, about: list[bytes | None], *, marked: bool, now_s: int) -> None:
        state, schema, cleared, ended = about
        if state == names.RUNNING.encode():
            self._running.add(name)
        else:
            self._running.discard(name)
        if state is None or schema is None:
            return
        layout = records.number_of(name, "its schema", schema)
        if layout != records.SCHEMA:
            layouts = f"layout {layout}, this one has {records.SCHEMA}"
            self._once(f"{name}: left alone, it was made by another release ({layouts})")
            return
        if (
            state == names.CANCELLED.encode()
            and cleared is None
            and records.number_of(name, "its ended_at", ended or 0) / 1000 < now_s - CANCEL_S
        ):
            self._finish_cancel(name)
        if state != names.RUNNING.encode() or marked or name in self._mine:
            return
        if time.monotonic() < self._not_before.get(name, 0.0):
            return
        if len(self._mine) >= MOST_CRAWLS:
            self._once(f"{MOST_CRAWLS} crawls are pumped; others wait until one of them ends")
            return
        self._take(name)

    def _once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._say(line)

    def _finish_cancel(self, name: str) -> None:
        frontier = Frontier(self._client, name)
        stored = frontier.options()
        if stored is not None:
            lifecycle.clear(frontier, stored[0], self._say)
            self._say(f"{name}: cleared, its cancel had been interrupted")

    def _take(self, name: str) -> None:
        stored = Frontier(self._client, name).options()
        if stored is None:
            return
        client = connection.connect(self._url, connections=4)
        frontier = Frontier(client, name)

        def watch() -> None:
            if self._stop.is_set():
                raise _EndingError

        pump = Pump(
            client,
            self._app,
            frontier,
            stored[0],
            watch=watch,
            say=lambda line: self._say(f"{name}: {line}"),
            memory_limit_bytes=self._memory_limit,
            bodies_bytes=self._bodies_bytes,
            worker_wait_s=None,
            redis_away_s=float("inf"),
            stand_by=False,
        )
        if not pump.take():
            pump.close()
            _disconnect(client)
            return
        self._say(f"{name}: taken")
        thread = threading.Thread(
            target=self._pump, args=(name, pump, frontier, stored[0]), name=f"pump {name}", daemon=True
        )
        self._mine[name] = thread
        thread.start()

    def _pump(self, name: str, pump: Pump, frontier: Frontier, options: CrawlOptions) -> None:
        """Pump one crawl until it ends; what goes wrong is said, and tried again later."""
        try:
            self._complete_seeds(name, frontier, options)
            state = pump.run()
            self._say(f"{name}: lost, another producer pumps it" if state == LOST else f"{name}: {state}")
        except _EndingError:
            self._say(f"{name}: left")
        except (PoolcrawlError, redis.RedisError, OSError) as error:
            self._later(name, str(error))
        except Exception as error:
            log.exception("pumping %s", name)
            self._later(name, f"{type(error).__name__}: {error}")
        finally:
            pump.close()
            _disconnect(frontier.client)

    def _later(self, name: str, why: str) -> None:
        self._not_before[name] = time.monotonic() + AGAIN_S
        self._say(f"{name}: left for {AGAIN_S:.0f} s: {why}")

    def _complete_seeds(self, name: str, frontier: Frontier, options: CrawlOptions) -> None:
        """End the submission of who was killed, if the options name all seeds; else the crawl waits for them."""
        is_open, unnamed = frontier.client.hmget(keys.crawl(name), "seeds_open", "unnamed_seeds")
        if is_open != b"1":
            return
        if unnamed is None and options.recrawl is None:
            intake = Intake(frontier, options)
            intake.admit_named()
            intake.close()
        else:
            self._say(
                f"{name}: its seed source was cut; what is there is crawled, and it ends after the same seeds "
                "were submitted again"
            )

    def _end(self) -> None:
        self._stop.set()
        until = time.monotonic() + END_S
        for thread in self._mine.values():
            thread.join(max(0.0, until - time.monotonic()))
        try:
            self._client.zrem(keys.pumps(), self.name)
        except AWAY as error:
            log.debug("the service's sign of life expires by itself: %s", error)
        _disconnect(self._client)


def _disconnect(client: redis.Redis) -> None:
    """Close every connection of a client made by `connection.connect`, whose `close` leaves its pool alone."""
    client.connection_pool.disconnect()
