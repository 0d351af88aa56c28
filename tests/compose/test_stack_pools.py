"""The crawl in containers, in every pool: its end, Flower in a browser, the death of every worker."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from compose import browser
from compose.crawls import LONG_RUNNING, finishes, healthy, progress, up_in_small_steps
from compose.stack import wait_for

from crawl.names import FETCH_TASK, PARSE_TASK

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.timeout(480)

#: Pool -> longest demo crawl, in seconds: solo fetches one page at a time, some of which take seconds on purpose.
POOLS = {"solo": 300, "threads": 120, "prefork": 120, "gevent": 120, "asyncio": 120}


@pytest.fixture(scope="session", params=POOLS)
def pool(request, stack):
    """The stack's workers on one pool; session scope, so that pytest runs all tests of a pool together."""
    stack.settings["CRAWL_POOL"] = request.param
    return request.param


class TestEveryPool:
    def test_the_demo_crawl_ends_well_and_everything_else_stays_up(self, stack, digests, pool):
        """`docker compose up`: the producer exits 0 with the one digest; the services stay, all healthy."""
        stack.up()
        log = finishes(stack, digests, pool, POOLS[pool])

        address = f"http://127.0.0.1:{stack.flower_port}"
        lines = [line for line in log.splitlines() if line.strip()]
        for line in (lines[0], lines[-1]):
            assert address in line, log
            assert "make flower-password" in line, log
        wait_for(lambda: healthy(stack, *LONG_RUNNING), "all services healthy", 30)

    def test_flower_shows_the_workers_and_every_task_in_a_browser(self, stack, pool):
        """Worker names say the pool; each fetch has one parse of its own, all succeeded, with readable arguments."""
        address = f"http://127.0.0.1:{stack.flower_port}"
        with browser.opened(address, "poolcrawl", stack.flower_password()) as page:
            workers = browser.worker_names(page)
            rows, known = wait_for(
                lambda: _told(page, workers), "Flower shows as many parses as fetches, all ended", 30
            )

        assert workers
        assert all(pool in name for name in workers), workers
        assert {FETCH_TASK, PARSE_TASK} == {row["name"] for row in rows}
        assert {"SUCCESS"} == {row["state"] for row in rows}
        assert all("http" in row["args"] or re.search(r"\d", row["args"]) for row in rows), rows[:3]
        assert not any("<html" in row["args"] + row["result"] for row in rows)

        shown = {row["uuid"]: row for row in rows}
        fetches = [uuid for uuid, row in shown.items() if row["name"] == FETCH_TASK]
        parents = [_parent(known[uuid]) for uuid, row in shown.items() if row["name"] == PARSE_TASK]
        assert sorted(fetches) == sorted(parents)

    def test_a_crawl_survives_the_death_of_every_worker(self, stack, digests, pool):
        """SIGKILL in the middle; restarted by the engine, the crawl ends as if nothing had happened."""
        up_in_small_steps(stack)
        done = wait_for(lambda: progress(stack), "20 % of the crawl is done", POOLS[pool], every_s=0.2)
        before = stack.containers("worker")[0]
        # Every process of the container but its init, which ends with them: what the kernel does when memory is out.
        stack.compose("exec", "-T", "worker", "sh", "-c", "kill -9 -1", check=False)

        assert 20 <= done <= 80
        wait_for(
            lambda: stack.containers("worker")[0]["RestartCount"] > before["RestartCount"], "a restart", 30
        )
        finishes(stack, digests, f"{pool}, killed at {done:.0f} %", POOLS[pool] + 120)


def _told(page: Page, workers: list[str]) -> tuple[list[dict[str, str]], dict[str, dict[str, Any]]] | None:
    """Return the tasks as Flower shows and as it tells them; None while it has not heard of all: events come late."""
    rows = [row for row in browser.tasks(page) if any(w in row["worker"] for w in workers)]
    ended = Counter(row["name"] for row in rows if row["state"] == "SUCCESS")
    complete = 0 < ended.total() == len(rows) and ended[FETCH_TASK] == ended[PARSE_TASK]
    return (rows, browser.api_tasks(page)) if complete else None


def _parent(task: dict[str, object]) -> object:
    return task.get("parent_id") or task.get("parent")
