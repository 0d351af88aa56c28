"""Batches under way at a host hear of what changed there."""

from __future__ import annotations

import time

import pytest
import standin
from stack import wait_for

from crawl import connection
from crawl.batches import Refusal, RobotsAnswer
from worker.notices import Notices


@pytest.fixture
def notices(server):
    """A worker process that listens already."""
    listening = Notices(connection.connect(server.url, connections=1))
    listening.listen()
    wait_for(lambda: not listening.heard("nobody.test", time.monotonic()), "a listener")
    return listening


def _two_under_way(frontier, host, **changes):
    options = standin.options(batch=1, **changes)
    standin.admit(frontier, options, *standin.pages(host, 2), f"http://{host}:81/")
    batches = standin.lease(frontier, options)[-2:]
    return options, [standin.start(frontier, batch, options) for batch in batches]


def test_a_refusal_is_told_to_batches_under_way(frontier, host, notices):
    """Whoever asked before hears of it; a batch that begins later does not mind old notices."""
    began = time.monotonic()
    options, (first, _) = _two_under_way(frontier, host)
    said = standin.report(first, refusal=Refusal(status=429, began_ms=first.now_ms, pause_ms=1000))
    standin.fetched(frontier, first, options, said=said)

    wait_for(lambda: notices.heard(host, began), "the notice", 5)

    assert not notices.heard("other.test", began)
    assert not notices.heard(host, time.monotonic())


def test_a_delay_that_comes_up_is_told_to_batches_under_way(new_frontier, host, notices):
    """Another crawl asks for one, or a robots.txt does."""
    hasty, calm = new_frontier(), new_frontier()
    standin.pump(hasty, calm)
    began = time.monotonic()
    _two_under_way(hasty, host)
    slow = standin.options(delay_s=1.0)
    standin.admit(calm, slow, f"http://{host}/")
    assert standin.lease(calm, slow) == []

    wait_for(lambda: notices.heard(host, began), "the notice", 5)


def test_a_crawl_delay_is_told_to_batches_under_way(frontier, host, notices):
    """One origin's robots.txt speaks for the host while another origin is being asked."""
    began = time.monotonic()
    options, (first, _) = _two_under_way(frontier, host, robots="obey")
    standin.fetched(frontier, first, options)
    answer = RobotsAnswer(origin=first.origin, fresh_ms=60_000, delay_ms=500)
    loaded = standin.load(frontier, first.lease, options)
    frontier.complete(loaded.lease, [], [], standin.links(options), options=options, robots=answer)

    wait_for(lambda: notices.heard(host, began), "the notice", 5)


def test_a_batch_that_began_before_anybody_listened_ends(notices):
    """A notice may have been published in between: a new process listens only from its first batch on."""
    began = time.monotonic()

    assert Notices(None).heard("any.test", began)
    assert not notices.heard("any.test", began)


def test_a_batch_that_began_before_a_broken_connection_ends(notices, client):
    """What was published until it listened again is lost."""
    began = time.monotonic()
    client.client_kill_filter(_type="pubsub")

    wait_for(lambda: notices.heard("any.test", began), "that it minds the break", 5)
    wait_for(lambda: not notices.heard("any.test", time.monotonic()), "that it listens again", 5)


def test_what_is_remembered_is_bounded(monkeypatch):
    """A crawl of many hosts does not fill a worker's memory."""
    monkeypatch.setattr("worker.notices.MOST_HOSTS", 3)
    heard = Notices(None)
    for number in range(10):
        heard.note(f"{number}.test")

    assert len(heard._heard) <= 3
