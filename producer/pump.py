"""The pump: leases what is due, sends it, looks after overdue leases, and knows when a crawl has ended.

It never polls: it sleeps until a worker's report wakes it, until the next URL is due, or for a second. No waiting URL
is ever in the broker.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from typing import TYPE_CHECKING

import redis
from kombu.exceptions import OperationalError

from crawl import keys, names
from crawl.broker import Sender
from crawl.errors import UnavailableError
from producer import fleet
from producer.again import SecondLook
from producer.pressure import Pressure
from producer.seeds import Intake

if TYPE_CHECKING:
    from collections.abc import Callable

    from celery import Celery

    from crawl.batches import Leased
    from crawl.frontier import Frontier
    from crawl.records import CrawlOptions
    from producer.stream import Stream

log = logging.getLogger(__name__)

#: How long a pump's mark lasts without renewal; the next owner waits as long.
OWNER_S = 10.0
#: Longest sleep without looking.
NAP_S = 1.0
#: Seconds to wait for the first worker that somebody else is to start.
WORKER_WAIT_S = 10.0
#: The same for workers of our own, which are seen to run: on a busy machine they take their time to start.
OWN_WORKER_WAIT_S = 60.0
#: Seconds Redis may be away before the crawl is left for later.
REDIS_AWAY_S = 120.0
#: Seconds between two looks at workers and memory.
LOOK_S = 1.0

#: What `run` returns when another producer took the crawl over, where it does not stand by.
LOST = "lost"

#: What Redis being away looks like: to our client, and to Celery's publisher.
AWAY = (redis.ConnectionError, redis.TimeoutError, OperationalError, OSError)

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"
_NOW = "local time = redis.call('TIME') local now = time[1] * 1000 + math.floor(time[2] / 1000) "
_WORKED = (
    "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end "
    + _NOW
    + "redis.call('HSET', KEYS[1], 'counted_at', now) "
    "return redis.call('HINCRBY', KEYS[1], 'active_ms', ARGV[1])"
)
#: An owner that was killed could not count its last seconds, but pages were done in them.
_CAUGHT_UP = (
    "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end "
    + _NOW
    + "local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1] "
    "local counted = tonumber(redis.call('HGET', KEYS[1], 'counted_at') or now) "
    "local missed = newest and tonumber(string.match(newest[1], '^%d+')) - counted or 0 "
    "redis.call('HSET', KEYS[1], 'counted_at', now) "
    "if missed > 0 then redis.call('HINCRBY', KEYS[1], 'active_ms', missed) end return missed"
)
_KEEP = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"


class Pump:
    """Serves one crawl until it ends. `watch` is called at least every second, and may raise to stop.

    A `stream` of seeds is admitted slice by slice meanwhile; the crawl does not end before it. Without `stand_by` it
    leaves a crawl that another producer has, instead of waiting for its turn. `worker_wait_s` None waits for no worker
    before it begins, `redis_away_s` says how long Redis may be away.
    """

    def __init__(
        self,
        client: redis.Redis,
        app: Celery,
        frontier: Frontier,
        options: CrawlOptions,
        *,
        watch: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda _: None,
        memory_limit_bytes: int | None = None,
        bodies_bytes: int | None = None,
        worker_wait_s: float | None = WORKER_WAIT_S,
        redis_away_s: float = REDIS_AWAY_S,
        stand_by: bool = True,
        stream: Stream | None = None,
    ) -> None:
        self._client = client
        self._frontier = frontier
        self._crawl = frontier.crawl
        self._options = options
        self._sender = Sender(app, self._crawl, options.pipeline)
        self._watch = watch
        self._say = say
        self._pressure = Pressure(
            client,
            self._crawl,
            say=say,
            limit_bytes=memory_limit_bytes,
            bodies_bytes=bodies_bytes,
        )
        self._worker_wait_s = worker_wait_s
        self._redis_away_s = redis_away_s
        self._stand_by = stand_by
        self._owns = False
        self._stream = stream
        self._intake = Intake(frontier, options)
        self._again = SecondLook(frontier, say)
        self._token = secrets.token_hex(8)
        self._workers: list[fleet.Worker] = []
        self._looked_at = 0.0
        self._was_away = False
        self._counted_at = time.monotonic()
        self._kept_at = 0.0
        self._reap_at = time.monotonic() + options.lease_s
        self._alone_since: float | None = None

    def run(self) -> str:
        """Pump until the crawl ends or is paused; return its state, or `LOST`.

        Raises UnavailableError when no worker appears or Redis stays away, StoppedError when Redis is full.
        """
        try:
            if not self._owns and not self._own():
                return LOST
            if self._streaming():
                # Only now: whoever pumped before would not have ended while the seed source was open.
                self._frontier.reopen(None, unnamed=True)
            # What an earlier pump was stopped by is looked at afresh; what a person paused stays so.
            if self._client.hget(keys.crawl(self._crawl), "state") == names.RUNNING.encode():
                self._client.hdel(keys.crawl(self._crawl), "paused_by")
            self._wait_for_worker()
            self._catch_up()
            while True:
                state = self._survive(self._turn)
                if state is not None:
                    return state
        finally:
            try:
                # In this order: a full Redis takes no count, but gives up the mark.
                self._client.eval(_RELEASE, 1, keys.pump(self._crawl), self._token)
                self._note_time()
            except redis.RedisError as error:
                log.debug("the pump's mark expires by itself: %s", error)
            self._sender.close()

    def take(self) -> bool:
        """Take the mark of the crawl's pump, if nobody has it; `run` then begins at once."""
        mark = keys.pump(self._crawl)
        self._owns = bool(self._client.set(mark, self._token, nx=True, px=int(OWNER_S * 1000)))
        self._kept_at = time.monotonic()
        return self._owns

    def close(self) -> None:
        """Give up what a pump that is never run holds."""
        self._sender.close()

    def _own(self) -> bool:
        """Take the mark, waiting for a dead owner's to expire; False where that is not wanted."""
        told = False
        while not self.take():
            if not self._stand_by:
                return False
            if not told:
                self._say(
                    f"another producer pumps '{self._crawl}'; waiting until it ends or its mark expires"
                )
                told = True
            self._watch()
            time.sleep(0.25)
            state = self._frontier.options()
            if state is None or (state[3] != names.RUNNING and not self._streaming()):
                break
        return True

    def _streaming(self) -> bool:
        return self._stream is not None and self._stream.open

    def _wait_for_worker(self) -> None:
        """Raise UnavailableError unless every stage has a live worker within `worker_wait_s`."""
        if self._worker_wait_s is None:
            return
        until = time.monotonic() + self._worker_wait_s
        while True:
            self._workers = fleet.alive(self._client)
            missing = fleet.missing_stage(self._workers)
            if missing is None:
                return
            self._watch()
            if time.monotonic() > until:
                what = (
                    "no worker is alive"
                    if not self._workers
                    else f"no live worker serves the queue '{missing}'"
                )
                message = (
                    f"{what} after {self._worker_wait_s:.0f} s; start one with `poolcrawl worker` "
                    "(or `docker compose up worker`) on the same CRAWL_REDIS_URL"
                )
                raise UnavailableError(message)
            time.sleep(0.1)

    def _survive(self, step: Callable[[], str | None]) -> str | None:
        """Run a step through outages of Redis. Raises UnavailableError when they last too long."""
        since: float | None = None
        while True:
            try:
                return step()
            except redis.exceptions.OutOfMemoryError:
                # Away at this moment, it is seen to be by the next step.
                with contextlib.suppress(*AWAY):
                    self._pressure.refused()
                    self._watch()
                time.sleep(0.5)
            except AWAY as error:
                now = time.monotonic()
                if since is None:
                    since = now
                    self._say(f"Redis is away ({error}); waiting")
                if now - since > self._redis_away_s:
                    away = f"Redis has been away for {self._redis_away_s:.0f} s"
                    message = f"{away}; the crawl is kept, continue it later"
                    raise UnavailableError(message) from None
                # Renewals failed as well meanwhile: give every worker one lease's time to renew.
                self._reap_at = time.monotonic() + self._options.lease_s
                self._was_away = True
                # What is shown comes from Redis as well.
                with contextlib.suppress(*AWAY):
                    self._watch()
                time.sleep(0.5)

    def _turn(self) -> str | None:
        """Look once: send what is due, or sleep. Return a state when the crawl is not running any more."""
        self._watch()
        now = time.monotonic()
        if now - self._looked_at >= LOOK_S:
            self._looked_at = now
            self._look()
        if now - self._kept_at >= OWNER_S / 3 and not self._keep():
            return LOST
        if now >= self._reap_at and self._workers:
            self._reap()
        if self._stream is not None and self._stream.open and self._pressure.takes_seeds():
            self._stream.step(self._intake)
        slots = fleet.fetch_slots(self._workers)
        window = self._pressure.window(self._options.window or max(2, 2 * slots))
        if not slots:
            # Nothing is sent to nobody: it would wait in the broker, and be sent again and again.
            window = 0
        leased = self._frontier.lease(
            self._options,
            window=window,
            slots=slots,
            most_body_bytes=self._pressure.most_body_bytes,
            room_bytes=self._pressure.room_bytes,
        )
        self._sender.fetch(leased.batches)
        if leased.state != names.RUNNING:
            return leased.state
        ended = leased.ended and not self._streaming()
        if not self._pressure.paused and self._again.step(ended=ended):
            return None
        if ended:
            state = self._frontier.finish()
            if state != names.RUNNING:
                return state
        if not leased.batches:
            self._nap(leased, full=leased.leased >= window)
        return None

    def _nap(self, leased: Leased, *, full: bool) -> None:
        nap_s = NAP_S
        # A window that is full is opened by a report, not by time.
        if leased.next_ms is not None and not full:
            nap_s = min(NAP_S, max(0.005, (leased.next_ms - leased.now_ms) / 1000))
        woken = self._client.blpop([keys.wake(self._crawl)], timeout=nap_s)
        if woken is not None and woken[1] == b"reap":
            # A worker is known to have ended: what it held need not wait for its leases' time.
            while self._reclaim(buried=True):
                pass

    def _look(self) -> None:
        self._workers = fleet.alive(self._client)
        missing = fleet.missing_stage(self._workers)
        if missing is None:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = time.monotonic()
            what = f"no live worker serves the queue '{missing}'" if self._workers else "no worker is alive"
            self._say(f"{what}; the crawl goes on when one is back")
        self._pressure.look()

    def _catch_up(self) -> None:
        """Begin to count the time, after what an owner before us did not live to count."""
        with contextlib.suppress(redis.exceptions.OutOfMemoryError):
            self._client.eval(_CAUGHT_UP, 2, keys.crawl(self._crawl), keys.results(self._crawl))
        self._counted_at = time.monotonic()

    def _note_time(self) -> None:
        """Count the time this crawl was worked on, so that a night between two runs is not part of it."""
        now = time.monotonic()
        # Of a crawl that was deleted meanwhile nothing may come back.
        worked_ms = int((now - self._counted_at) * 1000)
        self._client.eval(_WORKED, 1, keys.crawl(self._crawl), worked_ms)
        self._counted_at = now

    def _keep(self) -> bool:
        """Renew the mark; False when it is another's now and we do not stand by."""
        self._kept_at = time.monotonic()
        if self._client.eval(_KEEP, 1, keys.pump(self._crawl), self._token, int(OWNER_S * 1000)):
            # In this order: a full Redis takes no count, but renews the mark.
            self._note_time()
            return True
        # Frozen past its mark, or Redis forgot it: take it again, or wait for who has it now.
        with contextlib.suppress(redis.exceptions.OutOfMemoryError):
            self._note_time()
        return self._own()

    def _reap(self) -> None:
        # What ran out while Redis was away says nothing of its workers; they could not hand it over.
        if not self._reclaim(blameless=self._was_away):
            self._was_away = False
        self._reap_at = time.monotonic() + min(5.0, self._options.lease_s / 6)

    def _reclaim(self, *, buried: bool = False, blameless: bool = False) -> bool:
        """Look after overdue leases, or only those of processes known to have ended; say whether there were any."""
        fetch, parse, reclaimed = self._frontier.reap(self._options, buried=buried, blameless=blameless)
        self._sender.fetch(fetch)
        self._sender.parse(parse)
        if reclaimed:
            self._say(f"took back {reclaimed} URLs from workers that {'ended' if buried else 'went silent'}")
        return bool(fetch or parse or reclaimed)
