"""A folder of temporary files that is full or cannot be written is one sentence that names it."""

from __future__ import annotations

import resource
import sqlite3
from contextlib import contextmanager

import pytest

from crawl import inventory, temporary
from crawl.errors import UsageError


@contextmanager
def no_file_above(size):
    """Have this process write no file beyond some bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_folder_without_room_is_named_with_the_remedy(tmp_path, monkeypatch):
    """What SQLite puts on the disk when its cache is full does not fit there."""
    monkeypatch.setattr(inventory, "_CACHE_KB", 16)
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    with (
        pytest.raises(UsageError, match=r"^audit keeps .*set TMPDIR to a folder") as caught,
        no_file_above(20_000),
        temporary.database("audit") as store,
    ):
        inventory.Inventory(store).admit(str(number) for number in range(50_000))

    assert str(tmp_path) in str(caught.value)


def test_a_full_disk_is_named():
    """SQLite's own word for it is another than that for a write that failed."""
    tables = "".join(f"CREATE TABLE t{number} (f);" for number in range(20))
    with (
        pytest.raises(UsageError, match="database or disk is full"),
        temporary.database("audit") as store,
    ):
        store.executescript(f"PRAGMA max_page_count = 4; {tables}")


def test_a_folder_that_cannot_be_opened_is_named(tmp_path):
    """As where no folder can be written at all."""
    with pytest.raises(UsageError, match="unable to open database file"), temporary.database("audit"):
        sqlite3.connect(tmp_path / "nowhere" / "file").execute("CREATE TABLE t (f)")


def test_a_mistake_of_ours_is_no_full_disk():
    """It keeps its own words, and its traceback."""
    with pytest.raises(sqlite3.OperationalError, match="no such table"), temporary.database("audit") as store:
        store.execute("SELECT * FROM absent")


def test_the_folder_is_the_first_that_can_be_written(tmp_path, monkeypatch):
    """Of those that the environment names, then SQLite's own."""
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    assert temporary.folder() == str(tmp_path)


def test_where_no_folder_can_be_written_all_are_named(monkeypatch):
    """Then the message says which were tried."""
    monkeypatch.setattr(temporary, "_PLACES", ("nowhere-1", "nowhere-2"))
    monkeypatch.delenv("SQLITE_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "nowhere-0")

    assert temporary.folder() == "none of nowhere-0, nowhere-1, nowhere-2"
