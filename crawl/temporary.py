"""A database in a temporary file, for what would not fit into memory."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from crawl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Where SQLite keeps temporary files, in its order: https://www.sqlite.org/tempfiles.html, section 5.
_PLACES = ("/var/tmp", "/usr/tmp", "/tmp", ".")  # noqa: S108 - named in messages, never written to
#: What a folder that is full or cannot be written looks like to SQLite (https://www.sqlite.org/rescode.html).
_OF_FOLDERS = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
)


@contextmanager
def database(what: str) -> Iterator[sqlite3.Connection]:
    """Yield an empty database that is gone after the block; `what` names in messages who keeps something there.

    Raises UsageError, in the block as well, when its folder is full or cannot be written.
    """
    try:
        # Without a name it is a file of SQLite's own that no other process sees, as soon as its cache is full.
        with closing(sqlite3.connect("")) as store:
            yield store
    except sqlite3.OperationalError as error:
        # The higher bits say more, in kinds that grow with SQLite's releases.
        if error.sqlite_errorcode & 0xFF not in _OF_FOLDERS:
            raise
        message = (
            f"{what} keeps what it compares in a temporary file, which {folder()} does not take ({error}); make room "
            "there, or set TMPDIR to a folder that can be written and has room"
        )
        raise UsageError(message) from None


def folder() -> str:
    """Return where SQLite puts temporary files: the first folder that can be written."""
    given = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"))
    places = [place for place in (*given, *_PLACES) if place]
    found = (place for place in places if Path(place).is_dir() and os.access(place, os.W_OK | os.X_OK))
    return next(found, f"none of {', '.join(places)}")
