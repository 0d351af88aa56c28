"""The journal: what was measured is not measured again."""

from __future__ import annotations

import pytest

from crawl.errors import UsageError
from lab.journal import NAME, Journal

PLAN = {"rounds": 2, "cells": [["a"]]}


def test_what_was_put_is_there_for_the_next_run_of_the_same_plan(tmp_path):
    """The whole point of a journal."""
    Journal(tmp_path, PLAN).put("web/threads-4", 1, {"pages": 5})
    again = Journal(tmp_path, PLAN)

    assert len(again) == 1
    assert again.get("web/threads-4", 1) == {"pages": 5}
    assert again.get("web/threads-4", 2) is None


def test_a_run_that_was_being_written_counts_as_not_made(tmp_path):
    """A kill tears the last line; what follows must not be glued to it."""
    Journal(tmp_path, PLAN).put("a", 1, {"pages": 5})
    with (tmp_path / NAME).open("a") as file:
        file.write('{"name": "b", "rou')
    Journal(tmp_path, PLAN).put("c", 1, {"pages": 6})
    found = Journal(tmp_path, PLAN)

    assert len(found) == 2
    assert found.get("c", 1) == {"pages": 6}


@pytest.mark.parametrize("text", ["", "[]\n", '{"other": 1}\n', "not json\n", '{"plan": {}}\n{"name": 1}\n'])
def test_a_file_that_is_no_journal_is_refused(tmp_path, text):
    """It may be somebody's only copy of something."""
    (tmp_path / NAME).write_text(text)

    with pytest.raises(UsageError, match="is no journal of a benchmark; give another directory"):
        Journal(tmp_path, PLAN)


def test_another_plan_is_refused(tmp_path):
    """Runs of other ways would be taken for these."""
    Journal(tmp_path, PLAN)

    with pytest.raises(UsageError, match="holds the runs of another benchmark"):
        Journal(tmp_path, {**PLAN, "rounds": 3})


def test_without_a_directory_it_remembers_all_the_same():
    """A run that is not kept is still a run of many parts."""
    journal = Journal(None, PLAN)
    journal.put("a", 1, {})

    assert journal.get("a", 1) == {}
