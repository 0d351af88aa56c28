"""What has changed between two crawls: the verb `changes`, and how it judges."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import click
import msgspec

from crawl import names, results, settings, tombstones
from crawl.errors import UsageError
from crawl.frontier import Frontier
from embedded.attachment import reading
from poolcrawl.streams import reader_may_leave

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from crawl.results import Status

#: What may have become of a page, in the order of the summary.
WORDS = ("new", "changed", "gone", "unchanged", "unknown")


class Told(msgspec.Struct):
    """What a record tells of a page's state."""

    url: str
    outcome: str
    reason: str | None = None
    status: int | None = None
    sha256: str | None = None
    redirect_to: str | None = None

    @property
    def there(self) -> bool:
        """Whether there was a page: its content, or where it has moved to."""
        return self.outcome in ("ok", "redirect")

    @property
    def state(self) -> str:
        """The record in a word or two."""
        if self.outcome == "redirect":
            return f"redirect to {self.redirect_to}"
        return " ".join(str(part) for part in (self.outcome, self.reason, self.status) if part is not None)


class Change(msgspec.Struct):
    """One URL of either crawl; `change` is one of `WORDS`, `why` says what it was judged by."""

    change: str
    url: str
    why: str


_told = msgspec.json.Decoder(Told)


def judge(old: Told | None, new: Told | None, absent: str | None) -> Change | None:
    """Return what became of a page; None where neither crawl found one.

    `absent` says why a missing record of the newer crawl means nothing (it has not ended, a cap kept URLs out); None
    when it means that no link leads there any more.
    """
    if old is None or not old.there:
        if new is None or not new.there:
            return None
        before = "not found" if old is None else old.state
        return Change("new", new.url, f"before: {before}")
    if new is None:
        if absent is not None:
            return Change("unknown", old.url, absent)
        return Change("gone", old.url, "not found any more")
    if new.there:
        if (old.outcome, old.sha256, old.redirect_to) == (new.outcome, new.sha256, new.redirect_to):
            return Change("unchanged", old.url, "")
        both = old.outcome == new.outcome == "ok"
        return Change("changed", old.url, "content" if both else f"{old.state} -> {new.state}")
    if new.status in (404, 410):
        return Change("gone", old.url, f"answered {new.status}")
    return Change("unknown", old.url, new.state)


def absence(newer: Status) -> str | None:
    """Return why a URL without a record in this crawl may still be there; None when it would have been found."""
    if newer.state != names.FINISHED:
        return "not reached yet"
    capped = [reason for reason in newer.refused if reason.startswith("capped")]
    return "maybe kept out by a cap" if capped else None


def changes(client: redis.Redis, older: str, newer: str) -> Iterator[Change]:
    """Yield what became of every page of two crawls, each once, in bounded memory. Raises UnknownCrawlError.

    First the pages of the older crawl in the order of their completion, then those that only the newer one has.
    """
    first, second = results.status(client, older), results.status(client, newer)
    for one in (first, second):
        if one.trimmed:
            message = (
                f"crawl '{one.crawl}' cannot be compared: {tombstones.told(one.trimmed, one.trimmed_to)}; "
                "compare the exported files"
            )
            raise UsageError(message)
    absent = absence(second)
    for old, new in _pairs(client, older, newer):
        change = judge(old, new, absent)
        if change is not None:
            yield change
    for found, before in _pairs(client, newer, older):
        change = judge(None, found, None) if before is None else None
        if change is not None:
            yield change


def _pairs(client: redis.Redis, first: str, second: str) -> Iterator[tuple[Told, Told | None]]:
    """Yield every record of one crawl with that of the other, by the hundred."""
    other = Frontier(client, second)
    part: list[Told] = []

    def found() -> Iterator[tuple[Told, Told | None]]:
        lines = other.stored([told.url for told in part])
        for told, line in zip(part, lines, strict=True):
            yield told, None if line is None else _told.decode(line)

    for _, line in results.lines(client, first):
        part.append(_told.decode(line))
        if len(part) >= results.PAGE:
            yield from found()
            part.clear()
    if part:
        yield from found()


@click.command("changes", epilog="Example: poolcrawl changes monday tuesday | grep -v ^unchanged")
@click.argument("old")
@click.argument("new")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line, the counts in the last one.")
def changed(old: str, new: str, *, as_json: bool) -> int:
    """List what is new, changed, gone and unchanged between two crawls of the same pages."""
    counts: Counter[str] = Counter()
    with reading(settings.load()) as client, reader_may_leave():
        for change in changes(client, old, new):
            counts[change.change] += 1
            if as_json:
                print(msgspec.json.encode(change).decode())
            else:
                why = f"  ({change.why})" if change.why else ""
                print(f"{change.change:<9}  {change.url}{why}")
    counted = {word: counts[word] for word in WORDS}
    if as_json:
        print(json.dumps({"old": old, "new": new, "counts": counted}))
    else:
        print(f"{old} -> {new}: {', '.join(f'{word} {count}' for word, count in counted.items())}")
    return 0
