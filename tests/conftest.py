"""What every test tier shares: a clean environment, and one Hypothesis profile."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

import hypothesis
import pytest

_TESTS = Path(__file__).parent
#: Test modules that start whole stacks or measure; `features` does by its conftest.
_STARTS = re.compile(r"^(from|import) (stack|equal|lab|embedded)\b", re.MULTILINE)

# No deadline per example: two cores are shared with real worker processes, so a slow example proves nothing.
hypothesis.settings.register_profile("poolcrawl", deadline=None)
hypothesis.settings.load_profile("poolcrawl")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the developer's own CRAWL_* variables away, so that a test sees the defaults it expects."""
    for name in list(os.environ):
        if name.upper().startswith("CRAWL_"):
            monkeypatch.delenv(name)


@cache
def _lane(path: Path) -> str:
    """Return which tests stay together, in one process and in order, where several run (`--dist loadgroup`).

    Whole stacks and measurements take both cores and know time limits, so they never run beside each other. Anything
    else stays with its module, for the sake of fixtures that are made once.
    """
    if path.is_relative_to(_TESTS / "unit"):
        return path.name
    heavy = path.parent.name == "features" or _STARTS.search(path.read_text())
    return "stacks" if heavy else path.name


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tell pytest-xdist the lanes; nothing changes without it."""
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            item.add_marker(pytest.mark.xdist_group(_lane(item.path)))
