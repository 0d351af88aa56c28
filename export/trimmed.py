"""Export that trims: what is safely in the file, and behind its cursor, leaves Redis.

Safely means: written, synced to the disk, and counted by a cursor that is on the disk as well. A kill at any moment
leaves each record in the file, in Redis, or in both; the next run with `--trim` removes what is in both.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from crawl import results, tombstones, trimming
from crawl.errors import UsageError
from crawl.frontier import Frontier
from export import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import redis

    from export.files import Cursor

#: The one format whose lines are the records as they stand in Redis.
FORMAT = "jsonl"


class _Named(msgspec.Struct):
    """What is read of a line to know whose it is."""

    url: str
    generation: int = 0


class Trimmed(msgspec.Struct):
    """What an export came to: records in the file, those removed from Redis, those behind the cursor that were not.

    The latter are not in the file as they are in Redis, or wait to be tried again.
    """

    records: int = 0
    trimmed: int = 0
    kept: int = 0


def to_file(client: redis.Redis, crawl: str, name: str) -> Trimmed:
    """Write a crawl's records to a file, and remove from Redis what is safely there.

    Raises UsageError when the file cannot be written, or is written by another process, or is none, or is not the one
    into which records were trimmed before: whoever keeps only the file that `status` names must have them all.
    """
    path = Path(name)
    if path.exists() and not path.is_file():
        message = f"--trim needs a file, and {name} is none: what is not kept must not be trimmed"
        raise UsageError(message)
    frontier = Frontier(client, crawl)
    stored = frontier.options()
    if stored is None:
        raise results.unknown(client, crawl)
    place = tombstones.place(client, crawl)
    if place and not tombstones.is_place(place, path):
        raise trimming.second_file(crawl, place)
    # Spelled as before, since the script compares.
    buckets, to = stored[0].seen_buckets, place or os.path.realpath(path)
    found = Trimmed()

    def remove(rows: list[tuple[str, bytes]]) -> None:
        done = trimming.trim(frontier, rows, buckets=buckets, to=to)
        found.trimmed += done
        found.kept += len(rows) - done

    with files.held(name) as stream:
        cursor = files.continued(client, crawl, path)
        if place and not cursor.size:
            # Somebody has taken the file away: one begun anew would be a second one under the same name.
            raise trimming.second_file(crawl, place)
        if cursor.size:
            if not cursor.trimmed:
                cursor.trimmed = True
                files.write_cursor(path, cursor)
            # Not in one statement: `remove` counts there meanwhile.
            lacking = _remove_written(client, crawl, path, cursor, remove)
            found.kept += lacking
        found.records = files.append(client, crawl, FORMAT, name, stream, written=remove)
    return found


def _remove_written(
    client: redis.Redis,
    crawl: str,
    path: Path,
    cursor: Cursor,
    remove: Callable[[list[tuple[str, bytes]]], None],
) -> int:
    """Remove what earlier runs have written and Redis still has; return how much of it the file does not hold."""
    last = _place(cursor.last)
    rows = itertools.takewhile(lambda row: _place(row[0]) <= last, results.lines(client, crawl))
    behind = matched = 0

    def counted() -> Iterator[tuple[str, bytes]]:
        nonlocal behind
        for row in rows:
            behind += 1
            yield row

    with path.open("rb") as stream:
        there = _in_file(counted(), _lines(stream, cursor.size))
        while chunk := list(itertools.islice(there, files.CHUNK)):
            matched += len(chunk)
            remove(chunk)
    # Whoever edited the file keeps the records that it lacks.
    return behind - matched


def _in_file(rows: Iterable[tuple[str, bytes]], lines: Iterator[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield those rows whose record is a line of the file; both are in order of completion."""
    named = msgspec.json.Decoder(_Named)
    for row in rows:
        try:
            own = named.decode(row[1])
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        for line in lines:
            if line == row[1]:
                yield row
                break
            try:
                other = named.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            # An older record of a URL that was tried again stands before the newer one.
            if other.url == own.url and other.generation >= own.generation:
                break


def _lines(stream: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the lines of a file up to a size, without their ends."""
    for line in stream:
        size -= len(line)
        if size < 0:
            return
        yield line.rstrip(b"\n")


def _place(identifier: str) -> tuple[int, int]:
    """Return a stream id as numbers; the beginning is before all."""
    if identifier == "-":
        return (0, 0)
    ms, _, number = identifier.partition("-")
    return int(ms), int(number)
