"""How a workload is crawled in a trial: pool, slots, worker processes, and where pages are parsed."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import Any

from crawl.errors import UsageError
from worker import pools


@dataclass(frozen=True)
class Way:
    """One way to crawl. `concurrency` is the slots of each of `processes` worker processes.

    With `parse_pool`, fetch and parse are split: `parse_processes` worker processes of that pool and of
    `parse_concurrency` slots each serve the parse queue, and the others serve only fetch.
    """

    pool: str
    concurrency: int
    processes: int = 1
    pipeline: str = "callback"
    batch: int = 20
    events: bool = False
    parse_pool: str | None = None
    parse_concurrency: int = 0
    parse_processes: int = 1

    @property
    def slots(self) -> int:
        """How many requests can be under way at once."""
        return self.concurrency * self.processes

    @property
    def name(self) -> str:
        """How tables and JSON call it, such as `gevent-100`, `threads-32x2`, `gevent-100+prefork-2/fused/b1/events`."""
        parts = [_group(self.pool, self.concurrency, self.processes)]
        if self.parse_pool:
            parts.append(_group(self.parse_pool, self.parse_concurrency, self.parse_processes))
        name = "+".join(parts)
        if self.pipeline != "callback":
            name += f"/{self.pipeline}"
        if self.batch != 20:
            name += f"/b{self.batch}"
        return name + ("/events" if self.events else "")

    def row(self) -> dict[str, Any]:
        """Return the way for JSON, with what is derived."""
        return {**asdict(self), "way": self.name, "slots": self.slots}


def _group(pool: str, concurrency: int, processes: int) -> str:
    return f"{pool}-{concurrency}" + (f"x{processes}" if processes > 1 else "")


_GROUP = re.compile(r"(?P<pool>[a-z]+)-(?P<slots>[0-9]+)(?:x(?P<processes>[0-9]+))?")
_BATCH = re.compile(r"b([0-9]+)")
_RANGE = re.compile(r"[a-z]+-\d+(\.\.|:|,)\d+")
#: Most worker processes of a group, and slots of one of them; more is a typing error.
MOST_PROCESSES = 512
MOST_SLOTS = 2000


def parse(text: str) -> Way:
    """Return the way that a name such as `gevent-100x2+prefork-2/fused/b1/events` spells.

    Raises UsageError, in one line, for what is no way or what no pool can do.
    """
    head, *flags = text.strip().split("/")
    fetch, plus, parse_group = head.partition("+")
    pool, concurrency, processes = _parse_group(fetch, text)
    way = Way(pool, concurrency, processes)
    if plus:
        parse_pool, parse_concurrency, parse_processes = _parse_group(parse_group, text)
        way = replace(
            way,
            parse_pool=parse_pool,
            parse_concurrency=parse_concurrency,
            parse_processes=parse_processes,
        )
    for flag in flags:
        way = _flagged(way, flag, text)
    return way


def _parse_group(text: str, whole: str) -> tuple[str, int, int]:
    match = _GROUP.fullmatch(text)
    if match is None:
        if _RANGE.match(text):
            message = (
                f"'{whole}': a range of slots means autoscale, which a measurement cannot use (and which ends a "
                "threads worker); give one number, as in threads-32"
            )
        else:
            message = f"'{whole}' is no way to crawl; expected POOL-SLOTS, such as gevent-100 or threads-32x2"
        raise UsageError(message)
    pool, slots, processes = match["pool"], int(match["slots"]), int(match["processes"] or 1)
    row = pools.TABLE.get(pool)
    if row is None:
        message = f"'{whole}': '{pool}' is none of {', '.join(pools.TABLE)}"
        raise UsageError(message)
    most = row.most_concurrency or MOST_SLOTS
    if not 1 <= slots <= most:
        message = f"'{whole}': a {pool} worker has 1 to {most} slots, not {slots}"
        raise UsageError(message)
    if not 1 <= processes <= MOST_PROCESSES:
        message = f"'{whole}': expected 1 to {MOST_PROCESSES} worker processes, not {processes}"
        raise UsageError(message)
    pools.check_installed(row)
    return pool, slots, processes


def _flagged(way: Way, flag: str, whole: str) -> Way:
    if flag == "events":
        return replace(way, events=True)
    if flag == "fused":
        if way.parse_pool:
            message = (
                f"'{whole}': fused parses where it fetches, so nothing is split; leave out one of the two"
            )
            raise UsageError(message)
        return replace(way, pipeline="fused")
    match = _BATCH.fullmatch(flag)
    if match and 1 <= int(match[1]) <= 1000:
        return replace(way, batch=int(match[1]))
    message = f"'{whole}': '{flag}' is none of fused, events, b1 to b1000"
    raise UsageError(message)


def default(pool: str, *, processes: int = 1) -> Way:
    """Return a pool with its default number of slots."""
    return Way(pool, pools.TABLE[pool].default_concurrency(), processes)
