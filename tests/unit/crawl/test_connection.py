"""What a server's refusals mean to our clients and to Celery's."""

from __future__ import annotations

import errno

import pytest
import redis
from redis._parsers.base import BaseParser

from crawl import connection
from crawl.broker import make_app
from crawl.errors import UnavailableError


def test_a_server_that_cannot_write_counts_as_away():
    """Its disk is full: whoever survives a lost connection survives that, and the message says what to do."""
    error = BaseParser.parse_error("MISCONF Errors writing to the AOF file: No space left on device")

    assert isinstance(error, connection.DiskFullError)
    assert isinstance(error, redis.ConnectionError)
    assert (
        str(error)
        == "it cannot write to its disk, free space there: Errors writing to the AOF file: No space left on device"
    )


def test_a_worker_outlives_a_broker_that_refuses_or_cannot_write():
    """Celery reconnects after both, instead of ending."""
    app = make_app("redis://127.0.0.1:9/0")
    transport = app.connection().transport

    assert app.conf.broker_channel_error_retry
    assert issubclass(connection.DiskFullError, transport.connection_errors)
    assert issubclass(redis.exceptions.OutOfMemoryError, transport.channel_errors)


def test_a_full_disk_of_ours_is_not_taken_for_a_redis_that_is_away():
    """`poolcrawl export > /full/disk` reads from Redis meanwhile."""
    with (
        pytest.raises(OSError, match="No space left"),
        connection.explained("redis://127.0.0.1:9/0"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(UnavailableError), connection.explained("redis://127.0.0.1:9/0"):
        raise redis.ConnectionError
