"""What a recrawl takes from the crawl before it: options, and every seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from crawl import names, results, tombstones
from crawl.errors import UsageError
from crawl.frontier import Frontier
from producer.seeds import MOST_NAMED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import redis

    from crawl.records import CrawlOptions


class _Told(msgspec.Struct):
    """What a record tells of how its URL came to be admitted."""

    url: str
    via: str


_told = msgspec.json.Decoder(_Told)


def look(
    client: redis.Redis,
    older: str,
    newer: str | None,
    given: Mapping[str, Any],
    say: Callable[[str], None],
    *,
    seeded: bool = False,
) -> CrawlOptions:
    """Return the older crawl's options.

    Raises UnknownCrawlError, or UsageError for a crawl of itself, and for one whose seeds went with its trimmed
    records, unless it is `seeded` from elsewhere.
    """
    if older == newer:
        message = f"'{older}' cannot be the recrawl of itself; leave --name out, or choose another one"
        raise UsageError(message)
    stored = Frontier(client, older).options()
    if stored is None:
        raise results.unknown(client, older)
    options, _, _, state = stored
    trimmed = tombstones.count(client, older)
    if trimmed:
        told = f"crawl '{older}': {tombstones.told(trimmed, tombstones.place(client, older))}"
        if Frontier(client, older).has_unnamed_seeds() and not seeded:
            message = f"{told}, and so are seeds of a file or a stream; give those again with --seeds"
            raise UsageError(message)
        say(f"{told}; those pages are asked for in full, and seeds among them only if they are named again")
    if state != names.FINISHED:
        say(f"crawl '{older}' is {state}, not finished: what it has not reached yet is asked for as new")
    if not msgspec.structs.replace(options, **given).reads_as(options):
        say(f"pages are read otherwise than in '{older}', so all of them are asked for in full")
    return options


def options(
    older: CrawlOptions,
    given: Mapping[str, Any],
    *,
    seeds: Iterable[str],
    resolve: tuple[str, ...],
    allow: tuple[str, ...],
) -> CrawlOptions:
    """Return the older crawl's options with what was given on the command line in their place, and further seeds."""
    return msgspec.structs.replace(
        older,
        **given,
        seeds=tuple(dict.fromkeys((*older.seeds, *seeds)))[:MOST_NAMED],
        # Of two addresses for one name the later one counts.
        resolve=(*older.resolve, *resolve),
        allow_addresses=tuple(dict.fromkeys((*(older.allow_addresses or ()), *allow))) or None,
    )


def seeds(client: redis.Redis, older: str) -> Iterator[str]:
    """Yield the older crawl's seeds that its options do not name; reads all its records when there are any."""
    stored = Frontier(client, older)
    if not stored.has_unnamed_seeds():
        return
    for _, line in results.lines(client, older):
        told = _told.decode(line)
        if told.via == names.SEED:
            yield told.url
