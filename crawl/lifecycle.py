"""What a person does to a crawl as a whole: pause, resume, cancel, delete; docs/lifecycle.md has the states."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from crawl import keys, names, records, tombstones
from crawl.errors import UnknownCrawlError, UsageError
from crawl.frontier import Frontier
from crawl.results import unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

    from crawl.records import CrawlOptions

#: Seconds workers get to hand back what they were asking for when their crawl was cancelled; a worker hears of it at
#: once, one that missed the notice with its next renewal.
HAND_BACK_S = 5.0
#: Keys looked at and removed per round trip.
_SLICE = 200
_POLL_S = 0.1
#: Seconds between two lines about a long removal.
_LINE_S = 5.0


#: PERSIST takes no memory: after it even a full Redis takes the rest.
_CLEARED = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('PERSIST', KEYS[1])
  redis.call('HSET', KEYS[1], 'cleared', 1)
end
"""


class Change(msgspec.Struct, frozen=True):
    """What a verb did: the crawl's state before and after it. `pumped` tells whether anybody sends its batches now."""

    crawl: str
    before: str
    state: str
    pumped: bool


class Cancelled(msgspec.Struct, frozen=True):
    """What a cancel came to: the state before, URLs that ended without a record, and records that are kept."""

    crawl: str
    before: str
    state: str
    cancelled: int
    records: int


class Deleted(msgspec.Struct, frozen=True):
    """What a delete removed."""

    crawl: str
    keys: int


def _options(frontier: Frontier) -> CrawlOptions:
    """Return a crawl's options. Raises UnknownCrawlError, or UsageError for one of another release."""
    stored = frontier.options()
    if stored is None:
        raise unknown(frontier.client, frontier.crawl)
    return stored[0]


def _pumped(client: redis.Redis, crawl: str) -> bool:
    return bool(client.exists(keys.pump(crawl)))


def _wrong(crawl: str, state: str, verb: str, remedy: str) -> UsageError:
    if state == names.DELETED:
        remedy = f"`poolcrawl delete {crawl}` goes on with removing it"
    message = f"crawl '{crawl}' is {state}, so there is nothing to {verb}; {remedy}"
    return UsageError(message)


def pause(client: redis.Redis, crawl: str) -> Change:
    """Have nothing more of a crawl leased. Raises UsageError unless it runs or is paused already."""
    frontier = Frontier(client, crawl)
    _options(frontier)
    before = frontier.pause(names.BY_USER)
    if before not in (names.RUNNING, names.PAUSED):
        raise _wrong(crawl, before, "pause", "`poolcrawl list` shows which crawls run")
    return Change(crawl, before, names.PAUSED, _pumped(client, crawl))


def resume(client: redis.Redis, crawl: str) -> Change:
    """Let a paused crawl go on. Raises UsageError unless it is paused or runs already."""
    frontier = Frontier(client, crawl)
    _options(frontier)
    before = frontier.resume()
    if before not in (names.RUNNING, names.PAUSED):
        remedy = (
            f"`poolcrawl crawl --name {crawl}` with further URLs opens it again"
            if before == names.FINISHED
            else "a cancelled crawl stays cancelled, crawl again under another --name"
        )
        raise _wrong(crawl, before, "resume", remedy)
    return Change(crawl, before, names.RUNNING, _pumped(client, crawl))


def cancel(client: redis.Redis, crawl: str, say: Callable[[str], None] = lambda _: None) -> Cancelled:
    """End a crawl for good and take away what it holds; its records stay.

    Repeated, or after a kill in the middle, it goes on where it was. Raises UsageError for a finished crawl.
    """
    frontier = Frontier(client, crawl)
    options = _options(frontier)
    before = frontier.cancel()
    if before not in (names.RUNNING, names.PAUSED, names.CANCELLED):
        remedy = f"its records are there; `poolcrawl delete {crawl}` removes them"
        raise _wrong(crawl, before, "cancel", remedy)
    clear(frontier, options, say)
    counts = client.hget(keys.counts(crawl), "cancelled")
    kept = int(client.hlen(keys.records(crawl))) + tombstones.count(client, crawl)
    ended = records.number_of(crawl, "its count 'cancelled'", counts or 0)
    return Cancelled(crawl, before, names.CANCELLED, ended, kept)


def clear(frontier: Frontier, options: CrawlOptions, say: Callable[[str], None] = lambda _: None) -> None:
    """Free the hosts and the memory of a cancelled crawl, in slices."""
    until = time.monotonic() + HAND_BACK_S
    told = time.monotonic()
    while left := frontier.clear(options, force=False):
        now = time.monotonic()
        if now > until:
            say(
                f"{left} batches were not handed back in time; their hosts stay reserved until their leases end"
            )
            frontier.clear(options, force=True)
            break
        if now - told > 1.0:
            told = now
            say(f"waiting for workers to hand back {left} batches")
        time.sleep(_POLL_S)
    frontier.forget()
    # What bounds the admission of URLs; nothing is admitted any more.
    frontier.client.unlink(keys.patterns(frontier.crawl), keys.host_pages(frontier.crawl))
    # Not into the hash of one that somebody else has deleted meanwhile.
    frontier.client.eval(_CLEARED, 1, keys.crawl(frontier.crawl))


def delete(
    client: redis.Redis, crawl: str, *, force: bool = False, say: Callable[[str], None] = lambda _: None
) -> Deleted:
    """Remove a crawl with all it has in Redis; with `force` one that has not ended is cancelled first.

    Killed in the middle it goes on where it was when it is repeated. Raises UsageError for a crawl that has not ended,
    and without `force` for one of another release, whose state nobody here can judge.
    """
    frontier = Frontier(client, crawl)
    try:
        options = _options(frontier)
    except UnknownCrawlError:
        raise
    except UsageError as error:
        if not force:
            message = f"{error}; `poolcrawl delete {crawl} --force` removes it, if that release's workers have ended"
            raise UsageError(message) from None
        return _removed(frontier, say)
    state = frontier.delete()
    if state in (names.RUNNING, names.PAUSED):
        if not force:
            message = (
                f"crawl '{crawl}' is {state}; end it first with `poolcrawl cancel {crawl}`, "
                "or give --force, which does that"
            )
            raise UsageError(message)
        cancel(client, crawl, say)
        state = frontier.delete()
    elif state in (names.CANCELLED, names.DELETED):
        clear(frontier, options, say)
    return _removed(frontier, say)


def _removed(frontier: Frontier, say: Callable[[str], None]) -> Deleted:
    client, crawl = frontier.client, frontier.crawl
    frontier.forget()
    removed = _unlink_parts(client, crawl, say)
    with client.pipeline(transaction=True) as pipe:
        pipe.unlink(keys.crawl(crawl))
        pipe.zrem(keys.crawls(), crawl)
        gone, _ = pipe.execute()
    return Deleted(crawl, removed + int(gone))


def _unlink_parts(client: redis.Redis, crawl: str, say: Callable[[str], None]) -> int:
    """Remove every key that belongs to a crawl but its own hash; a thread of the server frees their memory."""
    removed = 0
    told = time.monotonic()
    for names_ in _slices(client, keys.part(crawl, "*")):
        removed += int(client.unlink(*names_))
        if time.monotonic() - told > _LINE_S:
            told = time.monotonic()
            say(f"{removed} keys removed")
    return removed


def _slices(client: redis.Redis, pattern: str) -> Iterator[list[bytes]]:
    # By name and not by a list of parts: what a later part leaves behind must go as well. Names of crawls hold no
    # character that a pattern minds.
    cursor = 0
    while True:
        cursor, found = client.scan(cursor, match=pattern, count=_SLICE * 5)
        for first in range(0, len(found), _SLICE):
            yield found[first : first + _SLICE]
        if cursor == 0:
            return
