"""What every test tier shares: a clean environment, and one Hypothesis profile."""

from __future__ import annotations

import os

import hypothesis
import pytest

# No deadline per example: two cores are shared with real worker processes, so a slow example proves nothing.
hypothesis.settings.register_profile("poolcrawl", deadline=None)
hypothesis.settings.load_profile("poolcrawl")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the developer's own CRAWL_* variables away, so that a test sees the defaults it expects."""
    for name in list(os.environ):
        if name.upper().startswith("CRAWL_"):
            monkeypatch.delenv(name)
