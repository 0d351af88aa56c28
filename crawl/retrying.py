"""A new generation: URLs that have failed are admitted again, and keep their record until the newer one is there."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from crawl import failures, keys, names, records, results, tombstones, urls
from crawl.batches import Again
from crawl.errors import UsageError
from crawl.frontier import RETRIED_PER_CALL, Frontier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import redis

    from crawl.failures import Failure
    from crawl.records import CrawlOptions

#: Redirects that are followed back to count a URL's hops; no chain is longer (`--max-redirects`).
_MOST_HOPS = 100
#: States in which a crawl takes URLs again; as in `lua/retry.lua`.
_OPEN = (names.RUNNING, names.PAUSED, names.FINISHED)


class Retried(msgspec.Struct):
    """What a retry came to; `generation` is 0 when nothing was admitted.

    `waiting` URLs were marked by an earlier retry and have no newer record yet, `left` failures are of other reasons.
    `state` is the crawl's before. Of `trimmed` failures nobody knows the URL: they are not tried again.
    """

    crawl: str
    generation: int = 0
    retried: int = 0
    waiting: int = 0
    left: int = 0
    reasons: dict[str, int] = {}
    state: str = ""
    trimmed: int = 0


class _Came(msgspec.Struct):
    """What is read of a record to know how its URL was found."""

    via: str
    parent: str | None = None
    redirect_to: str | None = None


def retry(
    client: redis.Redis,
    crawl: str,
    reasons: Sequence[str] = (),
    pages: Sequence[str] = (),
    tell: Callable[[int], None] = lambda _: None,
) -> Retried:
    """Admit failed URLs again: those of these reasons, these canonical URLs, or what may pass by itself.

    Killed and repeated it does the rest. `tell` gets the number so far after each slice. Raises UnknownCrawlError, and
    UsageError when the crawl is cancelled, or a URL has no failure.
    """
    frontier = Frontier(client, crawl)
    stored = frontier.options()
    if stored is None:
        raise results.unknown(client, crawl)
    options, _, _, state = stored
    if state not in _OPEN:
        raise _wrong_state(crawl, state)
    told = Retried(crawl, reasons={}, state=state)
    generation = (
        records.number_of(crawl, "its generation", client.hget(keys.crawl(crawl), "generation") or 0) + 1
    )
    if options.drop_query:
        pages = [urls.drop_query(page, options.drop_query) for page in pages]
    if pages:
        found = _named(client, crawl, pages, options.seen_buckets)
    else:
        found = _chosen(client, crawl, reasons, generation, told)
    while part := list(itertools.islice(found, RETRIED_PER_CALL)):
        marked = client.hmget(keys.retried(crawl), [str(urls.fingerprint(one.url)) for one, _ in part])
        new = [each for each, mark in zip(part, marked, strict=True) if mark is None]
        told.waiting += len(part) - len(new)
        if not new:
            continue
        while new:
            new = _admit(frontier, options, new, generation, told)
        tell(told.retried)
    if not pages:
        told.trimmed = failures.trimmed(client, crawl, options.seen_buckets)
    return told


def _admit(
    frontier: Frontier,
    options: CrawlOptions,
    new: Sequence[tuple[Failure, bytes]],
    generation: int,
    told: Retried,
) -> list[tuple[Failure, bytes]]:
    """Admit one slice; return what of it has to be tried once more."""
    again = _again(frontier.client, frontier.crawl, new, generation)
    admitted, waiting, changed, state = frontier.retry(again, generation, options=options)
    if state not in _OPEN:
        raise _wrong_state(frontier.crawl, state)
    other = [each for each in new if str(urls.fingerprint(each[0].url)) in changed]
    moved = _moved(frontier, other) if other else []
    told.retried += admitted
    told.waiting += waiting
    if admitted:
        told.generation = generation
        tried = Counter(failure.reason or "" for failure, _ in new)
        tried.subtract(failure.reason or "" for failure, _ in other)
        told.reasons = dict(Counter(told.reasons) + tried)
    return moved


def _moved(frontier: Frontier, changed: Sequence[tuple[Failure, bytes]]) -> list[tuple[Failure, bytes]]:
    """Return what failed as before and has got another depth since it was read: a look has found a shorter way."""
    stored = frontier.stored([failure.url for failure, _ in changed])
    moved = []
    for (failure, _), now in zip(changed, stored, strict=True):
        if now is not None:
            again = failures.of_record(now)
            if msgspec.structs.replace(again, depth=failure.depth) == failure:
                moved.append((again, now))
    return moved


def _wrong_state(crawl: str, state: str) -> UsageError:
    remedy = f"`poolcrawl crawl --recrawl {crawl}` crawls the same again, in a crawl of its own"
    return UsageError(f"crawl '{crawl}' is {state}, so nothing of it can be tried again; {remedy}")


def _chosen(
    client: redis.Redis, crawl: str, reasons: Sequence[str], generation: int, told: Retried
) -> Iterator[tuple[Failure, bytes]]:
    """Yield what failed for these reasons, or what may pass by itself; the other failures are counted."""
    for failure, line in failures.without_page(client, crawl):
        if failure.generation >= generation:
            # Tried again meanwhile, and failed once more: once per generation is enough.
            continue
        if failure.reason in reasons if reasons else failure.may_pass:
            yield failure, line
        elif failure.failed:
            told.left += 1


def _named(
    client: redis.Redis, crawl: str, pages: Sequence[str], buckets: int
) -> Iterator[tuple[Failure, bytes]]:
    """Yield the failures of these URLs. Raises UsageError, before the first, when one of them has none."""
    frontier, found = Frontier(client, crawl), []
    for page in dict.fromkeys(pages):
        (line,) = frontier.stored([page])
        if line is None and tombstones.of_url(client, crawl, page, buckets) is not None:
            message = (
                f"the record of {page} was trimmed, so it cannot be tried again in crawl '{crawl}': it is in "
                f"{tombstones.place(client, crawl)}; `poolcrawl crawl {page}` crawls it anew"
            )
            raise UsageError(message)
        if line is None:
            message = (
                f"{page} has no record in crawl '{crawl}', so it cannot be tried again; "
                f"`poolcrawl why {crawl} {page}` says what became of it"
            )
            raise UsageError(message)
        failure = failures.of_record(line)
        if failure.outcome not in ("failed", "skipped"):
            what = failure.outcome if failure.status is None else f"{failure.outcome}, {failure.status}"
            message = f"{page} has not failed in crawl '{crawl}' ({what}); only what failed is tried again"
            raise UsageError(message)
        found.append((failure, line))
    yield from found


def _again(
    client: redis.Redis, crawl: str, found: Sequence[tuple[Failure, bytes]], generation: int
) -> list[Again]:
    """Return new requests: the place in the crawl as it was, attempts and losses from the start."""
    hops = _hops(client, crawl, [failure for failure, _ in found])
    seconds, micros = client.time()
    return [
        Again(
            records.FetchRequest(
                url=failure.url,
                depth=failure.depth,
                via=failure.via,
                parent=failure.parent,
                hops=hops.get(failure.url, 0),
                queued_ms=seconds * 1000 + micros // 1000,
                generation=generation,
            ),
            failure.outcome,
            failure.reason,
            line,
        )
        for failure, line in found
    ]


def _hops(client: redis.Redis, crawl: str, found: Iterable[Failure]) -> dict[str, int]:
    """Return how many redirects led to each URL, of those that a redirect led to; records do not hold it."""
    decoder = msgspec.json.Decoder(_Came)
    hops: dict[str, int] = {}
    # The URL it is about, the one that is looked at, and what led to that.
    at = [(one.url, one.url, one.parent) for one in found if one.via in (names.REDIRECT, names.SITEMAP)]
    frontier = Frontier(client, crawl)
    for _ in range(_MOST_HOPS):
        led = [each for each in at if each[2] is not None]
        if not led:
            break
        lines = frontier.stored([parent for _, _, parent in led if parent is not None])
        at = []
        for (url, target, parent), line in zip(led, lines, strict=True):
            came = None if line is None else decoder.decode(line)
            if came is not None and parent is not None and came.redirect_to == target:
                hops[url] = hops.get(url, 0) + 1
                at.append((url, parent, came.parent))
    return hops
