"""Trimming: records that are safely in a file leave Redis in slices, and each leaves a tombstone."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from crawl import keys, tombstones, urls
from crawl.audit import Told, row_of
from crawl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from crawl.frontier import Frontier

#: Records, and bytes of them, per call: Redis hashes each to see that it is what stands in the file.
ROWS_PER_CALL = 200
BYTES_PER_CALL = 2 * 1024 * 1024


class _Told(Told):
    """What a tombstone is made of."""

    generation: int = 0


_told = msgspec.json.Decoder(_Told)


def trim(frontier: Frontier, rows: Sequence[tuple[str, bytes]], *, buckets: int, to: str) -> int:
    """Remove records, given as (stream id, record), that stand in the file `to`; return how many were.

    One that is not as given any more, is gone, waits to be tried again, or is damaged, stays. Safe to repeat and to
    interrupt.
    Raises UsageError where records were trimmed into another file, maybe while this one was written.
    """
    removed = 0
    for part in _slices(rows):
        done = frontier.trim(
            [
                (
                    identifier,
                    fingerprint := str(urls.fingerprint(told.url)),
                    int(fingerprint) % buckets,
                    hashlib.sha1(record, usedforsecurity=False).hexdigest(),
                )
                for identifier, record, told in part
            ],
            b"".join(
                tombstones.encode(
                    told.outcome, tombstones.row_hash(row_of(told)), told.sha256, told.generation
                )
                for _, _, told in part
            ),
            prefix=keys.tombstones_prefix(frontier.crawl),
            to=to,
        )
        if done < 0:
            raise second_file(frontier.crawl, tombstones.place(frontier.client, frontier.crawl))
        removed += done
    return removed


def second_file(crawl: str, place: str) -> UsageError:
    """Return the error for an export that would trim into a second file."""
    return UsageError(
        f"records of '{crawl}' were trimmed into {place}, which must hold all that are; go on with that file (if it "
        "was moved, move it and its cursor back), or export to another one without --trim"
    )


def _slices(rows: Sequence[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes, _Told]]]:
    part: list[tuple[str, bytes, _Told]] = []
    size = 0
    for identifier, record in rows:
        try:
            part.append((identifier, record, _told.decode(record)))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # a damaged one stays, for the audit to name
        size += len(record)
        if len(part) >= ROWS_PER_CALL or size >= BYTES_PER_CALL:
            yield part
            part, size = [], 0
    if part:
        yield part
