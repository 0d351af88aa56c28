"""The pool as Celery drives it: tasks at once, callbacks from the loop, messages sent elsewhere, a clean end."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
import time
from concurrent.futures import CancelledError
from types import SimpleNamespace

import pytest

from crawl.errors import SettingError
from crawl.settings import Settings
from worker import command, pools
from worker.asyncpool import TaskPool
from worker.coroutines import current


@pytest.fixture
def start():
    """A function that starts a pool of so many slots; its app only notes in which thread it sends."""
    made = []

    def _start(limit: int) -> TaskPool:
        sent: list[str] = []
        app = SimpleNamespace(sent=sent, send_task=lambda: sent.append(threading.current_thread().name))
        made.append(TaskPool(limit, app=app))
        made[-1].start()
        return made[-1]

    yield _start
    for pool in made:
        pool.terminate()


def wait(seconds: float) -> str:
    current().wait(asyncio.sleep(seconds))
    return threading.current_thread().name


def test_six_tasks_on_six_slots_take_the_time_of_one(start):
    """Each is accepted when it begins and calls back when it ends, in the loop's thread."""
    pool = start(6)
    accepted, returned = [], []
    begun = time.monotonic()

    results = [
        pool.apply_async(
            wait, (0.5,), accept_callback=lambda pid, at: accepted.append(pid), callback=returned.append
        )
        for _ in range(6)
    ]
    for result in results:
        result.result(10)

    assert time.monotonic() - begun < 1.5
    assert len(accepted) == 6
    assert ["coroutines"] * 6 == returned
    assert {"max-concurrency": 6, "running": 0}.items() <= {**pool.info, "running": 0}.items()


def test_a_task_that_waits_for_a_slot_is_not_accepted(start):
    """Celery acknowledges a message when its task begins: what never began goes back to the broker."""
    pool = start(1)
    accepted = []
    for number in range(3):
        pool.apply_async(
            wait,
            (0.3,),
            accept_callback=lambda pid, at, n=number: accepted.append(n),
            callback=lambda _: None,
        )
    while not accepted:
        time.sleep(0.01)

    pool.stop()

    assert [0] == accepted


def test_a_message_is_sent_by_a_thread_that_may_block(start):
    """Kombu blocks; in a slot that would stop all others."""
    pool = start(2)

    def task() -> None:
        wait(0)
        pool.app.send_task()

    pool.apply_async(task, callback=lambda _: None).result(5)
    pool.app.send_task()

    slot, outside = pool.app.sent
    assert slot.startswith("sender")
    assert outside == "MainThread"


def test_a_task_cut_short_is_no_lost_worker(start):
    """On a cold shutdown tasks end where they wait, without a word and without a callback; leases bring them back."""
    pool = start(2)
    accepted, returned = [], []
    results = [
        pool.apply_async(
            wait, (60,), accept_callback=lambda pid, at: accepted.append(pid), callback=returned.append
        )
        for _ in range(3)
    ]
    while len(accepted) < 2:
        time.sleep(0.01)
    begun = time.monotonic()
    pool.terminate_job(accepted[0])
    with pytest.raises(asyncio.CancelledError):
        results[0].result(5)
    going_on = results[1].running()
    results[1].terminate("TERM")
    results[2].terminate("TERM")
    pool.stop()

    assert time.monotonic() - begun < 2
    assert going_on
    assert [] == returned
    for result in results[1:]:
        with pytest.raises((asyncio.CancelledError, CancelledError)):
            result.result(0)


@pytest.mark.parametrize(("name", "remedy"), [("asyncio", "pip install"), ("gevent", "Python 3.12")])
def test_a_pool_whose_package_is_missing_says_what_to_do(monkeypatch, name, remedy):
    """One line that names the package, and the way out that fits it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(SettingError, match=f"needs the package {pools.TABLE[name].needs}.*{remedy}"):
        pools.check_installed(pools.TABLE[name])


def test_the_worker_s_command_names_celery_s_custom_pool():
    """Celery finds our class by a variable, the only one of its own that it is given."""
    line = command.argv(Settings(pool="asyncio", concurrency=7))
    row = pools.TABLE["asyncio"]

    assert ["--pool", "custom", "--concurrency", "7"] == line[line.index("--pool") :][:4]
    assert {"CELERY_CUSTOM_WORKER_POOL": f"{TaskPool.__module__}:{TaskPool.__name__}"} == row.environment
    assert TaskPool.__module__ == row.celery_module
