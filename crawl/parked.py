"""Parked URLs: what a budget or a trap kept out of a crawl, why, and how it is admitted after all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from crawl import keys, names, records, traps, urls
from crawl.errors import UsageError
from crawl.frontier import Frontier
from crawl.links import Links

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import redis

    from crawl.records import CrawlOptions, FetchRequest

#: URLs released per call.
SLICE = 1000
#: URLs shown of each pattern.
SAMPLES = 3


class Parked(msgspec.Struct, frozen=True):
    """One parked URL; `pattern` is its host where that host's budget is spent."""

    url: str
    parent: str | None
    depth: int
    via: str
    pattern: str
    reason: str
    detail: str


class Group(msgspec.Struct):
    """What is parked of one pattern (or host)."""

    pattern: str
    reason: str
    detail: str
    count: int = 0
    samples: list[dict[str, str | None]] = []


class Listing(msgspec.Struct):
    """All that is parked; `not_kept` URLs were only counted, because there is no room for more."""

    crawl: str
    parked: int
    not_kept: int
    groups: list[Group]


class Released(msgspec.Struct):
    """What a release came to: URLs admitted, those left parked by the page limit, and the state before."""

    crawl: str
    patterns: list[str]
    released: int
    left: int
    state: str


def parked_entry(client: redis.Redis, crawl: str, url: str) -> Parked | None:
    """Return why a canonical URL is parked, or None when it is not."""
    value = client.hget(keys.parked(crawl), str(urls.fingerprint(url)))
    return None if value is None else _parked(*_decoded(value))


def listing(client: redis.Redis, crawl: str) -> Listing:
    """Return what is parked, by pattern, the largest group first."""
    groups: dict[str, Group] = {}
    for pattern, request in _entries(client, crawl):
        group = groups.get(pattern)
        if group is None:
            reason = traps.reason_of(pattern)
            group = groups[pattern] = Group(pattern, reason.word, reason.detail, samples=[])
        group.count += 1
        if len(group.samples) < SAMPLES:
            group.samples.append({"url": request.url, "parent": request.parent})
    return Listing(
        crawl=crawl,
        parked=sum(group.count for group in groups.values()),
        not_kept=int(client.hget(keys.counts(crawl), "parked unkept") or 0),
        groups=sorted(groups.values(), key=lambda group: (-group.count, group.pattern)),
    )


def release(client: redis.Redis, crawl: str, pattern: str | None) -> Released:
    """Admit what is parked of a pattern or a host (None: everything) and raise its budget by what it was.

    Raises UsageError when nothing of that pattern is parked.
    """
    frontier = Frontier(client, crawl)
    stored = frontier.options()
    chosen = [
        (name, request) for name, request in _entries(client, crawl) if pattern is None or name == pattern
    ]
    if stored is None or not chosen:
        what = f"nothing of the pattern '{pattern}' is parked" if pattern else "nothing is parked"
        message = f"{what} in crawl '{crawl}'; `poolcrawl parked {crawl}` lists what is"
        raise UsageError(message)
    options, _, _, state_now = stored
    if state_now in names.OVER:
        message = f"crawl '{crawl}' was {state_now}, so nothing of it can be released"
        raise UsageError(message)
    found = Released(crawl, sorted({name for name, _ in chosen}), 0, 0, "")
    for first in range(0, len(chosen), SLICE):
        part = chosen[first : first + SLICE]
        links = _links([request for _, request in part], options)
        admitted, left, state = frontier.release(links, _allowances(part, options), options=options)
        found.released += admitted
        found.left += left
        found.state = found.state or state
    return found


def _links(requests: list[FetchRequest], options: CrawlOptions) -> Links:
    links = Links(finite=options.depth is not None, buckets=options.seen_buckets)
    for request in requests:
        fingerprint = links.offer(request.url)
        if fingerprint is not None:
            pattern = traps.pattern_of(request.url) if options.traps == "park" else None
            links.put(fingerprint, request, pattern)
    return links


def _allowances(part: list[tuple[str, FetchRequest]], options: CrawlOptions) -> Mapping[str, int]:
    """Return how many more URLs each pattern and host may have; a trap, which has no budget, gets a calendar's."""
    return {name: traps.budget_of(name, options) or options.calendar_budget for name, _ in part}


def _entries(client: redis.Redis, crawl: str) -> Iterator[tuple[str, FetchRequest]]:
    for _, value in client.hscan_iter(keys.parked(crawl), count=SLICE):
        yield _decoded(value)


def _decoded(value: bytes) -> tuple[str, FetchRequest]:
    pattern, _, entry = value.decode().partition(" ")
    return pattern, records.decode_entry(entry)


def _parked(pattern: str, request: FetchRequest) -> Parked:
    reason = traps.reason_of(pattern)
    return Parked(
        url=request.url,
        parent=request.parent,
        depth=request.depth,
        via=request.via,
        pattern=pattern,
        reason=reason.word,
        detail=reason.detail,
    )
