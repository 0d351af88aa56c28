"""What every test tier shares: a clean environment, and one Hypothesis profile."""

from __future__ import annotations

import os
import re
import signal
from functools import cache
from pathlib import Path

import hypothesis
import pytest

_TESTS = Path(__file__).parent
#: The lane of what measures, and of stacks with time limits.
_TIMED = "timed"
#: Test modules that start whole stacks or measure; `features` does by its conftest.
_STARTS = re.compile(r"^(from|import) (stack|equal|lab|embedded|chaos)\b", re.MULTILINE)
#: Of these, what asserts counts and contents and no upper bound of seconds that a busy machine could break: it runs
#: beside those that do, lest one process has nearly all of the waiting.
_ANY_PACE = re.compile(
    r"/features/|/integration/test_(bad_input|bad_robots|doctor|eviction|failures|http|recrawl|refusals|retry_detached|rights"
    r"|seeds|traps|why)\.py$"
)

#: Containers in one pool (`tests/compose`): whichever process is free takes the next pool to its stack.
_OF_POOL = re.compile(r"^TestEveryPool::.*(\[\w+\])$")

# A shell's background job ignores the interrupt, and so would every process that is started here and interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

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
def _lane(path: str) -> str:
    """Return which tests stay together, in one process and in order, where several run (`make test`).

    Measurements and stacks with time limits take both cores, so they never run beside each other. Anything else stays
    with its module, or folder, for the sake of fixtures that are made once.
    """
    if "/features/" in path:
        return "features"
    if "/unit/" in path or _ANY_PACE.search(path):
        return path
    return _TIMED if _STARTS.search((_TESTS.parent / path).read_text()) else path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest lane first, so that it begins at once; within a lane the order stays."""
    items.sort(key=lambda item: _lane(item.nodeid.partition("::")[0]) != _TIMED)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Give pytest-xdist the lanes."""
    from xdist.scheduler import LoadScopeScheduling

    class Lanes(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path, _, name = nodeid.partition("::")
            of_pool = _OF_POOL.search(name)
            return path + of_pool[1] if of_pool else _lane(path)

    return Lanes(config, log)
