"""A prefork worker whose child ends before the worker is ready: one that was killed is replaced, others end it."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest
from chaos.link import Link
from stack import POOLCRAWL, Directory, PrivateServer, wait_for

from producer import fleet
from worker import deaths


@pytest.fixture
def begun(tmp_path):
    """A function that starts a worker whose Redis answers only when told; it returns worker, children, link and client.

    So the pool is there, and the worker is not ready.
    """
    directory = Directory(tmp_path)
    with PrivateServer(tmp_path / "server") as server, Link(server.port) as link, server.client as client:

        def begin(**settings):
            url = server.url.replace(str(server.port), str(link.port))
            running = directory.spawn(
                (*POOLCRAWL, "worker"),
                CRAWL_REDIS_URL=url,
                CRAWL_POOL="prefork",
                CRAWL_CONCURRENCY="2",
                **settings,
            )
            own = psutil.Process(running.process.pid)
            # The command has asked Redis by then, and the worker has not.
            wait_for(lambda: "celery" in own.cmdline(), "the worker's own process", every_s=0.005)
            link.silence()
            children = wait_for(lambda: len(own.children()) >= 2 and own.children(), "the pool's children")
            return running, children, link, client

        yield begin
    directory.end()


def test_a_child_that_is_killed_before_its_worker_is_ready_is_replaced(begun):
    """The worker comes up with all its slots, without a traceback, and ends as any other."""
    running, children, link, client = begun()
    children[0].kill()
    wait_for(lambda: children[0].status() == psutil.STATUS_ZOMBIE, "the child's end")
    early = running.stderr.read_text()
    link.silence(False)
    wait_for(lambda: fleet.alive(client), "the worker's sign of life")
    own = psutil.Process(running.process.pid)
    wait_for(lambda: len(own.children()) == 2 and children[0] not in own.children(), "another child")
    running.process.terminate()
    done = running.ended(40)

    assert "ready" not in early
    assert (0, False) == (done.code, "Traceback" in done.stderr), done.stderr


@pytest.mark.parametrize(
    ("codes", "goes_on"),
    [
        ([None, None], True),
        ([None, -9], True),
        ([-15, None], True),
        ([None, 0], False),
        ([None, 3], False),
        ([None, -11], False),
        ([-9, -9], False),
    ],
)
def test_children_that_cannot_start_still_end_their_worker(codes, goes_on):
    """Replacing such ones for ever would help nobody."""
    children = SimpleNamespace(
        did_start_ok=lambda: False, _pool=[SimpleNamespace(exitcode=code) for code in codes]
    )
    pool = SimpleNamespace(_pool=children)
    deaths.forgive_early(pool)

    assert goes_on == pool.did_start_ok()


def test_a_pool_without_children_is_left_alone():
    """Threads, greenlets and coroutines cannot be killed one by one."""
    pool = SimpleNamespace(_pool=object())
    deaths.forgive_early(pool)

    assert not hasattr(pool, "did_start_ok")
