"""What the pump sends with, when the broker fails under it."""

from __future__ import annotations

import pytest
from stack import PrivateServer

from crawl import broker, keys, names
from crawl.batches import Batch

BATCH = Batch("l1", "page", 1, "http://a.test/")


@pytest.fixture
def server(tmp_path):
    """A Redis of the test's own."""
    with PrivateServer(tmp_path / "server") as server:
        yield server


@pytest.fixture
def sender(server):
    """A sender whose publisher is open."""
    sender = broker.Sender(broker.make_app(server.url), "full", names.PIPELINE_CALLBACK)
    yield sender
    sender.close()


def test_a_closed_channel_costs_no_batch(server, sender):
    """A Redis that was full leaves kombu with a closed channel; the producer ended on it with an AttributeError."""
    sender.fetch([BATCH])
    channel = sender._producer.channel
    # As a failed attempt to connect again left it.
    channel.connection = channel._pool = None
    sender.fetch([BATCH])

    assert 2 == server.client.llen(keys.BROKER_PREFIX + names.FETCH_QUEUE)


def test_an_error_that_a_new_publisher_meets_as_well_is_shown(server, sender, monkeypatch):
    """Taken for an outage it would be waited out for ever, with batches leased that nobody is sent."""
    monkeypatch.setattr(sender._app, "send_task", lambda *_, **__: None.missing)
    with pytest.raises(AttributeError, match="missing"):
        sender.fetch([BATCH])
