"""Page records to a file or standard output, with a cursor beside the file that survives a kill.

The cursor (`FILE.cursor`) says which crawl the file holds, how far, and at which size. A later run cuts off what a kill
left half written and goes on from there, so every record stands in the file once. One process at a time writes a file.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import msgspec

from crawl import keys, results, tombstones
from crawl.errors import UsageError
from export import jsonl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
        if path.exists():
            with path.open("ab"):
                pass
            return
        with path.open("ab") as stream, contextlib.suppress(BlockingIOError):
            _lock(stream)  # Whoever holds it has begun to write it meanwhile.
            _remove_empty(path, stream)
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
    Raises UsageError when the file cannot be written, is written by another process, or holds records that were trimmed
    and that this would replace.
    """
    path = Path(name)
    if path.exists() and not path.is_file():
        # A device or a pipe has no size to go back to.
        with path.open("wb") as stream:
            return to_stream(client, crawl, format_name, stream, what=f"--output {name}")
    with held(name) as stream:
        return append(client, crawl, format_name, name, stream, written=written)


def append(
    client: redis.Redis,
    crawl: str,
    format_name: str,
    name: str,
    stream: BinaryIO,
    *,
    written: Callable[[list[tuple[str, bytes]]], None] | None = None,
) -> int:
    """Do what `to_file` does with a file that the caller has `held`, as `stream`."""
    path = Path(name)
    cursor = continued(client, crawl, path)
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
    return cursor.records


@contextlib.contextmanager
def held(name: str) -> Iterator[BinaryIO]:
    """Open a file as it is, or make an empty one, for this process alone until the block or the process ends.

    An error in the block removes a file that was made and is still empty. Raises UsageError when another process holds
    the file, or it cannot be written, also within the block. Where the file system has no locks, nothing is held.
    """
    path = Path(name)
    try:
        stream, made = _taken(path)
        with stream:
            try:
                yield stream
            except BaseException:
                if made:
                    _remove_empty(path, stream)
                raise
    except OSError as error:
        raise _unwritable(f"--output {name}", error) from None


def _taken(path: Path, tries: int = 10) -> tuple[BinaryIO, bool]:
    """Return a file, opened and locked but not truncated, and whether it was not there before."""
    made = not path.exists()
    try:
        descriptor = os.open(path, os.O_WRONLY | (os.O_CREAT if made else 0), 0o666)
    except FileNotFoundError:
        if made or not tries:
            raise
        return _taken(path, tries - 1)
    stream = os.fdopen(descriptor, "wb")
    try:
        _lock(stream)
    except BlockingIOError:
        stream.close()
        message = f"--output {path} is being written by another poolcrawl; let that end, or name another file"
        raise UsageError(message) from None
    # It may have been removed before it was locked: whoever makes a new one would not see the lock.
    if tries and not _is_there(path, stream):
        stream.close()
        return _taken(path, tries - 1)
    return stream, made


def _lock(stream: BinaryIO) -> None:
    """Lock a file until it is closed; raise BlockingIOError when it is locked. Without locks there, do nothing."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return


def _is_there(path: Path, stream: BinaryIO) -> bool:
    """Whether an open file is still the one that its name leads to."""
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _remove_empty(path: Path, stream: BinaryIO) -> None:
    """Remove a file that holds nothing, and not the symlink that names it."""
    if _is_there(path, stream) and not os.fstat(stream.fileno()).st_size:
        Path(os.path.realpath(path)).unlink()


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
    own = tombstones.is_place(tombstones.place(client, crawl), path)
    if size and (own or (cursor is not None and cursor.trimmed) or _is_place(client, path)):
        remedy = "name another file" + (" and leave --trim out" if own else "")
        message = (
            f"--output {path} holds records that were trimmed, maybe the only copy, and cannot be continued with "
            f"'{crawl}' (its cursor {_cursor_path(path).name} says otherwise, or is gone); put that back, or {remedy}"
        )
        raise UsageError(message)
    return Cursor(crawl_id=crawl_id, last="-", size=0, records=0)


def _is_place(client: redis.Redis, path: Path) -> bool:
    """Whether records of any crawl were trimmed into a file."""
    return any(tombstones.is_place(tombstones.place(client, crawl), path) for crawl in results.crawls(client))


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
