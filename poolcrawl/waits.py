"""What a URL waited for, between its admission and the begin of its last request, as far as the data tells.

It is told from the attempts streams of every crawl on this Redis, because hosts are shared by all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from crawl import keys, names, results, urls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import redis

    from crawl.records import CrawlOptions

#: Batches read per round trip, and at most: of a wait of hours, its end.
_PAGE = 500
_MOST_BATCHES = 20_000
#: How long before a wait began its host may have been asked for it to matter (the longest delay), in milliseconds.
_BEFORE_MS = 60_000


class Wait(msgspec.Struct, frozen=True):
    """A part of a wait: what it was for (`robots`, `hold`, `pause`, `host` or `turn`), in words, milliseconds."""

    cause: str
    what: str
    ms: int


class _Span(NamedTuple):
    begin: int
    end: int


def waits(
    client: redis.Redis,
    url: str,
    begin_ms: int,
    end_ms: int,
    tries: Sequence[tuple[int, int]] = (),
) -> list[Wait]:
    """Return what the time from `begin_ms` to `end_ms` was for; `tries` are the URL's own requests (begin, end).

    Where several things held it up at once, the first of robots.txt, a hold, its own pause, and its host counts.
    """
    host, origin = urls.host_of(url), urls.origin_of(url)
    robots: list[_Span] = []
    holds: list[_Span] = []
    asked: list[_Span] = []
    for reported_ms, hold_ms, rows in _batches(client, host, begin_ms - _BEFORE_MS, end_ms):
        for row in rows:
            in_time = begin_ms <= row.end_ms <= end_ms
            if row.kind == names.ROBOTS and urls.origin_of(row.url) == origin and in_time:
                robots.append(_Span(begin_ms, row.end_ms))
            elif row.url != url:
                asked.append(_Span(row.start_ms, row.end_ms + row.delay_ms))
        if hold_ms:
            holds.append(_Span(reported_ms, hold_ms))
    own = [_Span(*one) for one in tries if one[1] <= end_ms]
    begins = [*(one.begin for one in own[1:]), end_ms]
    pauses = [_Span(one.end, begin) for one, begin in zip(own, begins, strict=False)]
    left, found = [_Span(begin_ms, max(begin_ms, end_ms))], []
    for cause, what, spans in (
        ("asked", "", own),
        ("robots", "for robots.txt", robots),
        ("hold", f"because {host} was on hold", holds),
        ("pause", "between its attempts", pauses),
        ("host", f"for {host}: its delay, and requests under way", asked),
    ):
        before = _length(left)
        left = _without(left, spans)
        if cause != "asked" and before > _length(left):
            found.append(Wait(cause, what, before - _length(left)))
    if rest := _length(left):
        found.append(Wait("turn", "for its turn: other URLs, a free slot, or a producer", rest))
    return found


def _batches(
    client: redis.Redis, host: str, first_ms: int, last_ms: int
) -> Iterator[tuple[int, int, list[results.Request]]]:
    """Yield the batches at a host that were reported in a time: when, until when it was held then, their requests."""
    needle = msgspec.json.encode(host)
    for crawl in results.crawls(client):
        # A request that began within the time was reported later than it began; two minutes cover the longest.
        end, read = str(last_ms + 120_000), 0
        while read < _MOST_BATCHES:
            batches = client.xrevrange(keys.attempts(crawl), max=end, min=str(max(0, first_ms)), count=_PAGE)
            for identifier, fields in batches:
                made, hold_ms = results.requests(crawl, identifier, fields, needle)
                if made:
                    rows = [row for row in made if row.host == host]
                    yield int(identifier.partition(b"-")[0]), hold_ms, rows
            read += len(batches)
            if len(batches) < _PAGE:
                break
            end = f"({batches[-1][0].decode()}"


def _length(spans: list[_Span]) -> int:
    return sum(span.end - span.begin for span in spans)


def _without(spans: list[_Span], cut: list[_Span]) -> list[_Span]:
    """Return what is left of spans in order when others are cut out of them."""
    left: list[_Span] = []
    ordered = sorted(cut)
    for span in spans:
        begin = span.begin
        for one in ordered:
            if one.end <= begin or one.begin >= span.end:
                continue
            if one.begin > begin:
                left.append(_Span(begin, one.begin))
            begin = max(begin, one.end)
        if begin < span.end:
            left.append(_Span(begin, span.end))
    return left


def now_for(client: redis.Redis, crawl: str, options: CrawlOptions, url: str) -> str:
    """Return in words what a URL that waits is waiting for now."""
    status = results.status(client, crawl)
    if status.state != names.RUNNING:
        return f"the crawl is {status.state}"
    host, origin = urls.host_of(url), urls.origin_of(url)
    hold, ended = client.hmget(keys.host(host), "hold", "ended")
    robots = client.hmget(keys.robots_prefix(options.view()) + origin, "fresh_until", "not_before")
    if not status.pumped:
        return f"no producer works on the crawl (`poolcrawl crawl --name {crawl}` continues it)"
    if options.robots == "obey" and int(robots[0] or 0) <= status.now_ms:
        later = int(robots[1] or 0) - status.now_ms
        return "for robots.txt" + (f", which is asked for again in {later / 1000:.1f} s" if later > 0 else "")
    if int(hold or 0) > status.now_ms:
        return f"{host} is on hold for {(int(hold) - status.now_ms) / 1000:.1f} s more"
    due_ms = int(ended or 0) + int(options.delay_s * 1000)
    if options.delay_s and due_ms > status.now_ms:
        return f"for {host}: its delay ends in {(due_ms - status.now_ms) / 1000:.1f} s"
    if client.zcard(keys.host_out(host)):
        return f"for {host}: requests are under way there"
    return "for its turn: other URLs, or a free slot"
