"""Page records to a file or standard output, with a cursor beside the file that survives a kill.

The cursor (`FILE.cursor`) says which crawl the file holds, how far, and at which size. A later run cuts off what a kill
left half written and goes on from there, so every record stands in the file once.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import msgspec

from crawl import keys, results, tombstones
from crawl.errors import UsageError
from export import jsonl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import redis

#: Records between two cursors.
CHUNK = 1000


class Writer(Protocol):
    """Writes records in one format."""

    def __call__(self, stream: BinaryIO, records: Iterable[bytes]) -> int:
        """Write records; return how many bytes."""


FORMATS: dict[str, Writer] = {"jsonl": jsonl.write}


class Cursor(msgspec.Struct):
    """How far a file has come."""

    crawl_id: str
    last: str
    size: int
    records: int
    #: Whether records were trimmed into the file: it may be the only place where they are.
    trimmed: bool = False


def check_writable(name: str) -> None:
    """Raise UsageError, before any work is done, when a file cannot be written."""
    if not name:
        message = "--output: the name of the file is empty; name a file, or leave the option out"
        raise UsageError(message)
    path = Path(name)
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "it is a directory")
        existed = path.exists()
        with path.open("ab"):
            pass
        if not existed:
            path.unlink()
    except OSError as error:
        raise _unwritable(f"--output {name}", error) from None


def _unwritable(what: str, error: OSError) -> UsageError:
    return UsageError(
        f"{what} cannot be written: {error.strerror or error}; name a file in a folder of yours that has room"
    )


def to_stream(
    client: redis.Redis, crawl: str, format_name: str, stream: BinaryIO, *, what: str = "standard output"
) -> int:
    """Write all records of a crawl to a stream, called `what` in errors; return how many.

    Raises UsageError when it cannot be written, BrokenPipeError when its reader has gone.
    """
    written = 0

    def _counted() -> Iterable[bytes]:
        nonlocal written
        for _, line in results.lines(client, crawl):
            written += 1
            yield line

    try:
        FORMATS[format_name](stream, _counted())
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(what, error) from None
    return written


def to_file(
    client: redis.Redis,
    crawl: str,
    format_name: str,
    name: str,
    *,
    written: Callable[[list[tuple[str, bytes]]], None] | None = None,
) -> int:
    """Write a crawl's records to a file, continuing where an earlier run ended; return how many it holds now.

    `written` is given each (stream id, record) that is safely in the file, before the next ones are read.
    Raises UsageError when the file cannot be written, or holds records that were trimmed and that this would replace.
    """
    path = Path(name)
    if path.exists() and not path.is_file():
        # A device or a pipe has no size to go back to.
        with path.open("wb") as stream:
            return to_stream(client, crawl, format_name, stream, what=f"--output {name}")
    cursor = continued(client, crawl, path)
    try:
        with path.open("r+b" if cursor.size and path.exists() else "wb") as stream:
            stream.truncate(cursor.size)
            stream.seek(cursor.size)
            rows = results.lines(client, crawl, cursor.last)
            while chunk := list(itertools.islice(rows, CHUNK)):
                cursor.size += FORMATS[format_name](stream, (line for _, line in chunk))
                cursor.last = chunk[-1][0]
                cursor.records += len(chunk)
                cursor.trimmed = cursor.trimmed or written is not None
                stream.flush()
                os.fsync(stream.fileno())
                write_cursor(path, cursor)
                if written is not None:
                    written(chunk)
    except OSError as error:
        raise _unwritable(f"--output {name}", error) from None
    return cursor.records


def _cursor_path(path: Path) -> Path:
    # Beside the file itself, also where it is named by a symlink: one file, one cursor.
    path = Path(os.path.realpath(path))
    return path.with_name(path.name + ".cursor")


def cursor_of(path: Path) -> Cursor | None:
    """Return the cursor beside a file, whichever crawl it is of, or None."""
    try:
        return msgspec.json.decode(_cursor_path(path).read_bytes(), type=Cursor)
    except (OSError, msgspec.DecodeError):
        return None


def continued(client: redis.Redis, crawl: str, path: Path) -> Cursor:
    """Return a file's cursor, or a fresh one when the file holds something else or less than the cursor says.

    Raises UsageError where starting anew would destroy records that were trimmed.
    """
    crawl_id = (client.hget(keys.crawl(crawl), "id") or b"").decode()
    cursor = cursor_of(path)
    size = path.stat().st_size if path.exists() else 0
    if cursor is not None and cursor.crawl_id == crawl_id and size >= cursor.size:
        return cursor
    known = tombstones.is_place(tombstones.place(client, crawl), path)
    if size and (known or (cursor is not None and cursor.trimmed)):
        remedy = "name another file" + (" and leave --trim out" if known else "")
        message = (
            f"--output {path} holds records that were trimmed, maybe the only copy, and cannot be continued with "
            f"'{crawl}' (its cursor {_cursor_path(path).name} says otherwise, or is gone); put that back, or {remedy}"
        )
        raise UsageError(message)
    return Cursor(crawl_id=crawl_id, last="-", size=0, records=0)


def write_cursor(path: Path, cursor: Cursor) -> None:
    """Put a cursor beside its file, so that it survives a loss of power."""
    target = _cursor_path(path)
    beside = target.with_name(target.name + ".new")
    with beside.open("wb") as stream:
        stream.write(msgspec.json.encode(cursor))
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
