"""The journal: what was measured is not measured again."""

from __future__ import annotations

import contextlib

import pytest

from crawl.errors import UsageError
from lab.journal import NAME, Journal

PLAN = {"rounds": 2, "cells": [["a"]]}


def _put(directory, name, result) -> None:
    with _opened(directory) as journal:
        journal.put(name, 1, result)


def _opened(directory):
    return contextlib.closing(Journal(directory, PLAN))


def test_what_was_put_is_there_for_the_next_run_of_the_same_plan(tmp_path):
    """The whole point of a journal."""
    _put(tmp_path, "web/threads-4", {"pages": 5})
    with _opened(tmp_path) as again:
        found = (len(again), again.get("web/threads-4", 1), again.get("web/threads-4", 2))

    assert (1, {"pages": 5}, None) == found


def test_a_run_that_was_being_written_counts_as_not_made(tmp_path):
    """A kill tears the last line; what follows must not be glued to it."""
    _put(tmp_path, "a", {"pages": 5})
    with (tmp_path / NAME).open("a") as file:
        file.write('{"name": "b", "rou')
    _put(tmp_path, "c", {"pages": 6})
    with _opened(tmp_path) as again:
        found = (len(again), again.get("c", 1))

    assert (2, {"pages": 6}) == found


@pytest.mark.parametrize("text", ["[]\n", '{"other": 1}\n', "not json\n", '{"plan": {}}\n{"name": 1}\n'])
def test_a_file_that_is_no_journal_is_refused(tmp_path, text):
    """It may be somebody's only copy of something."""
    (tmp_path / NAME).write_text(text)

    with pytest.raises(UsageError, match="is no journal of a benchmark; give another directory"):
        Journal(tmp_path, PLAN)


def test_another_plan_is_refused(tmp_path):
    """Runs of other ways would be taken for these."""
    Journal(tmp_path, PLAN).close()

    with pytest.raises(UsageError, match="holds the runs of another benchmark"):
        Journal(tmp_path, {**PLAN, "rounds": 3})


def test_two_benchmarks_do_not_write_to_one_directory(tmp_path):
    """Their lines would be mixed; the lock ends with the first one, however it ends."""
    first = Journal(tmp_path, PLAN)
    with pytest.raises(UsageError, match="another benchmark is writing to"):
        Journal(tmp_path, PLAN)
    first.close()

    with _opened(tmp_path) as second:
        assert len(second) == 0


def test_a_directory_that_cannot_be_is_said_in_one_line(tmp_path):
    """A file stands in the way."""
    (tmp_path / "file").touch()

    with pytest.raises(
        UsageError, match=r"file/out cannot be written: Not a directory; give another directory"
    ):
        Journal(tmp_path / "file" / "out", PLAN)


def test_without_a_directory_it_remembers_all_the_same():
    """A run that is not kept is still a run of many parts."""
    journal = Journal(None, PLAN)
    journal.put("a", 1, {})

    assert journal.get("a", 1) == {}
