"""What the pump sends with, when the broker fails under it."""

from __future__ import annotations

import pytest
from kombu.exceptions import OperationalError
from stack import PrivateServer

from crawl import broker, keys, names
from crawl.batches import Batch


def test_a_closed_channel_is_an_outage_and_the_next_send_goes_through(tmp_path):
    """A Redis that was full leaves kombu with a closed channel; the producer ended on it with an AttributeError."""
    batch = Batch("l1", "page", 1, "http://a.test/")
    with PrivateServer(tmp_path / "server") as server:
        sender = broker.Sender(broker.make_app(server.url), "full", names.PIPELINE_CALLBACK)
        sender.fetch([batch])
        channel = sender._producer.channel
        # As a failed attempt to connect again left it.
        channel.connection = channel._pool = None
        with pytest.raises(OperationalError, match="channel was closed"):
            sender.fetch([batch])
        sender.fetch([batch])
        sender.close()

        assert 2 == server.client.llen(keys.BROKER_PREFIX + names.FETCH_QUEUE)
