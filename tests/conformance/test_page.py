"""docs/conformance.md shows what the tests hold; the data themselves are held by the other modules here."""

from __future__ import annotations

import deviations


def test_the_page_shows_every_suite_and_every_deviation():
    """`.venv/bin/python tests/deviations.py` writes its tables from tests/conformance/known."""
    assert deviations.page() == deviations.PAGE.read_text()


def test_every_deviation_has_a_reason():
    """A number alone would hide a fault."""
    bare = [
        (suite.name, case)
        for suite in deviations.suites()
        for case, reason in suite.deviations.items()
        if not reason or reason == deviations.UNEXPLAINED
    ]

    assert [] == bare
