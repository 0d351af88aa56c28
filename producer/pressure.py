"""Memory pressure: how much less is leased, and which seeds are admitted, as Redis comes near to its limit.

Up to SLOW of the limit nothing changes. Above, the window shrinks, and a stream's seeds come in by the second; from
PAUSE on nothing is leased or admitted any more. What is left then is kept for batches under way, whose records and new
links must go in: their number is bounded so that half of what is left should hold them (`room_bytes`).
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from crawl import keys
from crawl.connection import MEMORY_REMEDY, memory_limit
from crawl.errors import StoppedError
from crawl.frontier import FIRST_EXTRA_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

#: Shares of the memory limit: from here less and less is leased, and from here nothing.
SLOW = 0.75
PAUSE = 0.9
#: It goes on when there is so many times the room below which it paused.
RESUME = 1.2
#: Seconds without any lease in flight after which a paused crawl stops.
STALL_S = 10.0
#: The same when the leases in flight stay what they are: where Redis is full to the last byte, no worker can begin.
STUCK_S = 90.0
#: Share of the memory limit that bodies between fetch and parse may take, and bytes where there is no limit.
BODIES_SHARE = 0.25
BODIES_BYTES = 256 * 2**20
#: Seconds between two looks where there is a limit: a small Redis may fill up within one second.
LOOK_S = 0.1
#: Seconds between two slices of a stream's seeds while memory is short.
SEEDS_S = 1.0

#: Notes why a crawl stands, unless it was cancelled or deleted meanwhile. PERSIST takes no memory: after it even a full
#: Redis takes the rest.
_MARK = """
if redis.call('HGET', KEYS[1], 'state') ~= 'running' then return 0 end
redis.call('PERSIST', KEYS[1])
redis.call('HSET', KEYS[1], 'paused_by', 'memory')
return 1
"""


class Pressure:
    """Looks after the memory of one crawl's Redis. `look` at least every second, the rest as often as you like."""

    def __init__(
        self,
        client: redis.Redis,
        crawl: str,
        *,
        say: Callable[[str], None] = lambda _: None,
        limit_bytes: int | None = None,
        bodies_bytes: int | None = None,
    ) -> None:
        self._client = client
        self._crawl = crawl
        self._say = say
        self._given_limit = limit_bytes
        self._given_bodies = bodies_bytes
        self._used = self._limit = 0
        self._page_bytes = 0
        self._paused_at: float | None = None
        self._slowed = False
        self._leases = -1
        self._moved_at = 0.0
        self._seeds_at = 0.0
        self._measured_at = 0.0

    @property
    def paused(self) -> bool:
        """Whether nothing may be leased."""
        return self._paused_at is not None

    @property
    def most_body_bytes(self) -> int:
        """How many bytes of bodies may wait for their parse."""
        if self._given_bodies is not None:
            return self._given_bodies
        return int(self._limit * BODIES_SHARE) if self._limit else BODIES_BYTES

    @property
    def room_bytes(self) -> int | None:
        """Bytes that may come of what is under way, None without a limit; the other half covers what was misjudged."""
        return max(0, self._limit - self._used) // 2 if self._limit else None

    @property
    def _reserve(self) -> float:
        """Room below which nothing is leased: a tenth of the limit, and what `lease` asks for one page."""
        # Twice what one page takes on its way; but with a quarter of the limit left, and once as much, the next goes:
        # with nothing asked for, none would ever show that most are small.
        page = 3 * self._page_bytes
        return max(self._limit * (1 - PAUSE), min(2 * page, max(page, self._limit * (1 - SLOW))))

    @property
    def _room(self) -> float:
        return self._limit - self._used if self._limit else math.inf

    @property
    def _share(self) -> float:
        return self._used / self._limit if self._limit else 0.0

    @property
    def _told(self) -> str:
        return f"Redis holds {self._used / 2**20:.0f} MB of {self._limit / 2**20:.0f} MB"

    def measure(self) -> None:
        """Read how much Redis holds, and what this crawl's pages bring."""
        self._measured_at = time.monotonic()
        info = self._client.info("memory")
        self._used = int(info["used_memory"])
        self._limit = memory_limit(info, self._given_limit) or 0
        body, extra = self._client.hmget(keys.crawl(self._crawl), "page_bytes", "page_extra")
        self._page_bytes = int(body or 0) + int(extra or FIRST_EXTRA_BYTES)

    def look(self) -> None:
        """Measure, say what changes, and pause or go on. Raises StoppedError when a paused crawl comes to nothing."""
        self.measure()
        if self._room <= self._reserve:
            self._pause()
        elif self._paused_at is not None and self._room > RESUME * self._reserve:
            self._paused_at = None
            self._unmark()
            self._say(f"{self._told}; going on")
        slowed = self._share >= SLOW
        if slowed and not self._slowed and self._paused_at is None:
            self._say(f"memory is short: {self._told}; going slower")
        self._slowed = slowed
        if self._paused_at is not None:
            self._stop_if_stalled()

    def refused(self) -> None:
        """Note that Redis refused a write for lack of memory, then look."""
        self.measure()
        self._pause()
        self.look()

    def _pause(self) -> None:
        if self._paused_at is not None:
            return
        self._paused_at = self._moved_at = time.monotonic()
        self._mark()
        self._say(f"paused: memory. {self._told}; {MEMORY_REMEDY}")

    def _mark(self) -> bool:
        """Note in the crawl why it stands; False where it does not run any more."""
        return bool(self._client.eval(_MARK, 1, keys.crawl(self._crawl)))

    def _unmark(self) -> None:
        # What a person has paused meanwhile stays so.
        if self._client.hget(keys.crawl(self._crawl), "paused_by") == b"memory":
            self._client.hdel(keys.crawl(self._crawl), "paused_by")

    def _stop_if_stalled(self) -> None:
        assert self._paused_at is not None
        now = time.monotonic()
        leases = int(self._client.zcard(keys.leases(self._crawl)))
        if leases != self._leases:
            self._leases, self._moved_at = leases, now
        idle = not leases and now - self._paused_at > STALL_S
        if idle or now - self._moved_at > STUCK_S:
            if not self._mark():
                # Cancelled or deleted meanwhile: the next lease says so.
                return
            message = (
                f"paused: memory. {self._told}, and nothing is in flight that would free some; {MEMORY_REMEDY}, "
                f"then continue with `poolcrawl crawl --name {self._crawl}`"
            )
            raise StoppedError(message)

    def window(self, wanted: int) -> int:
        """Return how many batches may be in flight, of those wanted: fewer and fewer, at last none.

        Raises StoppedError as `look` does.
        """
        if self._limit and time.monotonic() - self._measured_at > LOOK_S:
            self.look()
        if self._paused_at is not None:
            return 0
        if self._share <= SLOW:
            return wanted
        return max(1, math.ceil(wanted * (PAUSE - self._share) / (PAUSE - SLOW)))

    def takes_seeds(self) -> bool:
        """Whether a further slice of seeds may be admitted now."""
        if self._paused_at is not None:
            return False
        now = time.monotonic()
        if self._share >= SLOW and now - self._seeds_at < SEEDS_S:
            return False
        self._seeds_at = now
        return True

    def require_room_for_seeds(self) -> None:
        """Raise StoppedError when Redis is too full for further seeds; the crawl is told to be paused."""
        self.measure()
        if self._room <= self._reserve:
            raise self.no_room_for_seeds()

    def no_room_for_seeds(self) -> StoppedError:
        """Mark the crawl as paused and return the error that says so."""
        self.measure()
        self._mark()
        return StoppedError(
            f"paused: memory. {self._told}, before all seeds were admitted; {MEMORY_REMEDY}, then continue with "
            f"`poolcrawl crawl --name {self._crawl}` and the same seeds"
        )
