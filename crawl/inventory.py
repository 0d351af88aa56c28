"""What the audit compares, kept in a temporary file, so that memory does not grow with the crawl."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

#: Rows per statement; fingerprints named in one query.
SLICE = 1000
#: Kilobytes of the temporary file that are kept in memory.
_CACHE_KB = 64 * 1024

#: `record.is_own` says whether the record's URL has the fingerprint that it is kept under. `stone` is a trimmed record,
#: `kept` what a file holds of it: its row of the digest.
_TABLES = """
CREATE TABLE admitted (f INTEGER PRIMARY KEY);
CREATE TABLE unmet (f INTEGER PRIMARY KEY);
CREATE TABLE pending (f INTEGER PRIMARY KEY);
CREATE TABLE retried (f INTEGER PRIMARY KEY, met INTEGER DEFAULT 0);
CREATE TABLE entry (f INTEGER, g INTEGER, n INTEGER, PRIMARY KEY (f, g)) WITHOUT ROWID;
CREATE TABLE record (f INTEGER PRIMARY KEY, g INTEGER, is_own INTEGER, url TEXT);
CREATE TABLE stone (f INTEGER PRIMARY KEY, g INTEGER, hash BLOB);
CREATE TABLE damaged (f INTEGER PRIMARY KEY);
CREATE TABLE kept (f INTEGER PRIMARY KEY, row BLOB, url TEXT);
"""


class Inventory:
    """Fingerprints by where they were met: admitted, waiting, in the results stream, with a record or a tombstone."""

    def __init__(self, store: sqlite3.Connection) -> None:
        self._store = store
        self._store.isolation_level = None
        self._store.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        self._store.execute("PRAGMA journal_mode = OFF")
        self._store.executescript(_TABLES)

    def _write(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._store.execute("BEGIN")
        self._store.executemany(statement, rows)
        self._store.execute("COMMIT")

    def admit(self, fingerprints: Iterable[str]) -> None:
        """Take down what was admitted; all of it is unmet so far."""
        self._write("INSERT OR IGNORE INTO admitted VALUES (?)", ((int(one),) for one in fingerprints))
        self._store.execute("INSERT INTO unmet SELECT f FROM admitted")

    def look(self, retried: Iterable[str], pending: Iterable[str]) -> None:
        """Take down what waits to be tried again, then what waits or is leased; what was there before is replaced."""
        self._write("INSERT OR IGNORE INTO retried (f) VALUES (?)", ((int(one),) for one in retried))
        self._store.execute("DELETE FROM pending")
        self._write("INSERT OR IGNORE INTO pending VALUES (?)", ((int(one),) for one in pending))
        self._store.execute("UPDATE retried SET met = 1 WHERE f IN (SELECT f FROM pending)")

    def list_(self, entries: Iterable[tuple[str, int]]) -> None:
        """Add entries of the results stream: fingerprint and generation."""
        self._write(
            "INSERT INTO entry VALUES (?, ?, 1) ON CONFLICT (f, g) DO UPDATE SET n = n + 1",
            ((int(fingerprint), generation) for fingerprint, generation in entries),
        )

    def record(self, rows: Iterable[tuple[str, int, bool, str]]) -> None:
        """Take down records: fingerprint, generation, whether that is its own, URL."""
        self._write(
            "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)",
            ((int(fingerprint), generation, own, url) for fingerprint, generation, own, url in rows),
        )

    def damage(self, fingerprints: Iterable[str]) -> None:
        """Take down under which fingerprints something is kept that cannot be read as a record."""
        self._write("INSERT OR IGNORE INTO damaged VALUES (?)", ((int(one),) for one in fingerprints))

    def damaged(self) -> Iterator[int]:
        """Yield under which fingerprints something is kept that cannot be read as a record."""
        return self._column("SELECT f FROM damaged")

    def is_admitted(self, fingerprint: int) -> bool:
        """Whether a URL was admitted when that was looked at."""
        return self._number("SELECT count(*) FROM admitted WHERE f = ?", fingerprint) > 0

    def bury(self, stones: Iterable[tuple[str, int, bytes]]) -> None:
        """Take down trimmed records: fingerprint, generation, hash of the row of the digest."""
        self._write(
            "INSERT OR REPLACE INTO stone VALUES (?, ?, ?)",
            ((int(fingerprint), generation, digest) for fingerprint, generation, digest in stones),
        )

    def keep(self, lines: Iterable[tuple[str, bytes, bytes, str]]) -> None:
        """Take down of a file's lines (fingerprint, hash, row, URL) those of trimmed records that are as they were."""
        self._write(
            "INSERT OR REPLACE INTO kept SELECT f, ?3, ?4 FROM stone WHERE f = ?1 AND hash = ?2",
            ((int(fingerprint), digest, row, url) for fingerprint, digest, row, url in lines),
        )

    def forget_met(self) -> int:
        """Strike out what waits, was trimmed or is in the results stream; return how much was not met yet."""
        for table in ("pending", "entry", "stone"):
            self._store.execute(f"DELETE FROM unmet WHERE f IN (SELECT f FROM {table})")  # noqa: S608 - a constant
        return self._count("unmet")

    def unmet(self) -> Iterator[int]:
        """Yield what was admitted, waits nowhere, and is not in the results stream."""
        return self._column("SELECT f FROM unmet")

    def astray(self) -> Iterator[int]:
        """Yield what was to be tried again and waited nowhere."""
        return self._column("SELECT f FROM retried WHERE NOT met")

    def without_record(self) -> Iterator[int]:
        """Yield what is in the results stream and has no record."""
        return self._column(
            "SELECT DISTINCT f FROM entry WHERE f NOT IN (SELECT f FROM record UNION ALL SELECT f FROM damaged) "
            "AND NOT EXISTS (SELECT 1 FROM stone WHERE stone.f = entry.f AND stone.g >= entry.g)"
        )

    def unlisted(self) -> Iterator[int]:
        """Yield what has a record whose generation is not in the results stream, though the URL is."""
        return self._column(
            "SELECT f FROM record WHERE f IN (SELECT f FROM entry) "
            "AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.f = record.f AND entry.g = record.g)"
        )

    def twice(self) -> Iterator[tuple[int, int]]:
        """Yield what is more than once in the results stream for one generation, and how often too many."""
        return iter(self._store.execute("SELECT f, sum(n - 1) FROM entry GROUP BY f HAVING sum(n - 1) > 0"))

    def listed_though_buried(self) -> Iterator[tuple[int, int]]:
        """Yield what was trimmed and is in the results stream for the same generation; trimming takes that away."""
        # Once too often each: what is there twice beside it `twice` tells.
        return iter(self._store.execute("SELECT f, 1 FROM entry JOIN stone USING (f, g)"))

    def beyond(self) -> Iterator[int]:
        """Yield what is in the results stream for a later generation than its record's."""
        return self._column(
            "SELECT DISTINCT entry.f FROM entry JOIN record USING (f) WHERE entry.g > record.g"
        )

    def strangers(self) -> Iterator[int]:
        """Yield what has a record or is in the results stream, and was not admitted when that was looked at."""
        return self._column(
            "SELECT f FROM record WHERE f NOT IN (SELECT f FROM admitted) "
            "UNION SELECT f FROM entry WHERE f NOT IN (SELECT f FROM admitted) "
            "UNION SELECT f FROM stone WHERE f NOT IN (SELECT f FROM admitted) "
            "UNION SELECT f FROM damaged WHERE f NOT IN (SELECT f FROM admitted)"
        )

    def misplaced(self) -> Iterator[int]:
        """Yield fingerprints under which the record of another URL is kept."""
        return self._column("SELECT f FROM record WHERE NOT is_own")

    def absent(self) -> Iterator[int]:
        """Yield what was trimmed and no line of the file was like."""
        return self._column("SELECT f FROM stone WHERE f NOT IN (SELECT f FROM kept)")

    def by_url(self) -> Iterator[list[tuple[int, bytes | None]]]:
        """Yield the fingerprint of each record, and its row where a file has it, by URL and in slices."""
        found = self._store.execute(
            "SELECT f, NULL, url FROM record UNION ALL SELECT f, row, url FROM kept "
            "WHERE f NOT IN (SELECT f FROM record) ORDER BY 3"
        )
        rows = ((fingerprint, row) for fingerprint, row, _ in found)
        while part := list(itertools.islice(rows, SLICE)):
            yield part

    def url_of(self, fingerprint: int) -> str | None:
        """Return the URL of the record that is kept under a fingerprint, in Redis or in the file."""
        query = "SELECT url FROM record WHERE f = ?1 UNION ALL SELECT url FROM kept WHERE f = ?1"
        row = self._store.execute(query, (fingerprint,)).fetchone()
        return None if row is None else str(row[0])

    def newest(self, fingerprint: int) -> int | None:
        """Return the latest generation for which the results stream lists a fingerprint."""
        row = self._store.execute("SELECT max(g) FROM entry WHERE f = ?", (fingerprint,)).fetchone()
        return None if row[0] is None else int(row[0])

    def records(self) -> int:
        """Return how many records there are, trimmed ones with them."""
        return self._number(
            "SELECT count(*) FROM (SELECT f FROM record UNION SELECT f FROM stone UNION SELECT f FROM damaged)"
        )

    def buried(self) -> int:
        """Return how many records were trimmed."""
        return self._count("stone")

    def tried_again(self) -> int:
        """Return how many URLs have been tried again, or are to be."""
        return self._number(
            "SELECT count(*) FROM (SELECT f FROM entry WHERE g > 0 UNION SELECT f FROM stone WHERE g > 0 "
            "UNION SELECT f FROM retried)"
        )

    def waiting(self) -> int:
        """Return how many URLs wait or are leased and have no record, or wait for a newer one."""
        return self._number(
            "SELECT count(*) FROM pending "
            "WHERE f NOT IN (SELECT f FROM entry UNION ALL SELECT f FROM stone) "
            "OR f IN (SELECT f FROM retried WHERE met)"
        )

    def _count(self, table: str) -> int:
        return self._number(f"SELECT count(*) FROM {table}")  # noqa: S608 - a constant

    def _number(self, query: str, *values: int) -> int:
        return int(self._store.execute(query, values).fetchone()[0])

    def _column(self, query: str) -> Iterator[int]:
        return (row[0] for row in self._store.execute(query))
