"""What `poolcrawl doctor` makes of a Redis' memory, and of a stack that ends while it is looked at."""

from __future__ import annotations

import os

import pytest
import redis

from crawl import settings
from crawl.connection import MEMORY_REMEDY
from embedded import detached
from embedded.ports import free_port
from embedded.processes import identify
from embedded.state import DETACHED, Run, State
from poolcrawl import checkup

MB = 2**20


@pytest.mark.parametrize(
    ("used", "maxmemory", "given", "ok", "found"),
    [
        (40 * MB, 0, None, True, "40.0 MB, without a limit"),
        (40 * MB, 100 * MB, None, True, "40.0 MB of 100.0 MB, 40 %"),
        (90 * MB - 1, 100 * MB, None, True, "90.0 MB of 100.0 MB, 89 %"),
        (90 * MB, 100 * MB, None, False, "90.0 MB of 100.0 MB, 90 %; crawls pause from 90 % on"),
        (101 * MB, 100 * MB, None, False, "101.0 MB of 100.0 MB, 101 %; crawls pause from 90 % on"),
        (46 * MB, 100 * MB, 50, False, "46.0 MB of 50.0 MB, 92 %; crawls pause from 90 % on"),
        (46 * MB, 0, 50, False, "46.0 MB of 50.0 MB, 92 %; crawls pause from 90 % on"),
        (46 * MB, 100 * MB, 200, True, "46.0 MB of 100.0 MB, 46 %"),
    ],
)
def test_a_redis_that_is_nearly_full_fails(used, maxmemory, given, ok, found):
    """By its own limit or by CRAWL_MAX_REDIS_MB, whichever is less; with the remedy."""
    own = settings.load({} if given is None else {"CRAWL_MAX_REDIS_MB": str(given)})
    check = checkup._memory({"used_memory": used, "maxmemory": maxmemory}, own)

    assert ("redis memory", ok, found, MEMORY_REMEDY) == (check.what, check.ok, check.found, check.remedy)


def test_a_stack_that_ends_while_it_is_looked_at_fails_one_check_and_hides_none(monkeypatch):
    """It answered a moment ago, and its server is gone."""
    run = Run(identify("poolcrawl", os.getpid()), DETACHED, f"redis://127.0.0.1:{free_port()}/0", ())
    monkeypatch.setattr(detached, "left_up", lambda _: run)
    checks = checkup.run(settings.load({}))

    assert (False, "redis") == (checks[-1].ok, checks[-1].what)
    assert checks[-1].found.startswith("cannot reach Redis at redis://127.0.0.1:")
    assert {"python", "embedded server", "state directory"} < {check.what for check in checks}


def test_a_stack_whose_server_loads_its_data_is_not_up_yet(monkeypatch):
    """It answers that it is loading: neither doctor nor `crawl --detach` ends of that."""

    def loading(_url):
        raise redis.BusyLoadingError

    run = Run(identify("poolcrawl", os.getpid()), DETACHED, "redis://127.0.0.1:9/0", ())
    monkeypatch.setattr(State, "read_run", lambda _: run)
    monkeypatch.setattr(detached, "answers", loading)

    assert detached.left_up(State(settings.load({}).state_dir)) is None
