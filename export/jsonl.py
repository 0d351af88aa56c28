"""JSON Lines: one page record per line, as it stands in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable


def write(stream: BinaryIO, records: Iterable[bytes]) -> int:
    """Write records; return how many bytes."""
    size = 0
    for record in records:
        size += stream.write(record)
        size += stream.write(b"\n")
    return size
