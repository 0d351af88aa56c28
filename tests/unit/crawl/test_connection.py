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


def test_a_replica_counts_as_away():
    """A failover makes one of a primary, and new connections lead to the new one."""
    error = BaseParser.parse_error("READONLY You can't write against a read only replica.")

    assert isinstance(error, connection.ReplicaError)
    assert isinstance(error, redis.ConnectionError)
    assert str(error).startswith("it is a replica and takes no writes: You can't write")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("READONLY You can't write against a read only replica.", "is a replica.*to the primary"),
        ("NOPERM User x has no permissions to run the 'eval' command", "'eval' command.*operating.md"),
        (
            "ERR The user executing the script can't run this command or subcommand script: a1, on @user_script:1.",
            "may not do.*can't run.*operating.md",
        ),
        (
            "ERR ACL failure in script: User x has no permissions to run the 'zrem' command script: a1.",
            "may not do.*'zrem' command.*operating.md",
        ),
        (
            "CROSSSLOT Keys in request don't hash to the same slot",
            "of a cluster.*same slot.*cluster-enabled no",
        ),
        ("MOVED 1234 127.0.0.1:7001", "of a cluster.*cluster-enabled no"),
        ("CLUSTERDOWN Hash slot not served", "of a cluster.*not served.*cluster-enabled no"),
        ("NOREPLICAS Not enough good replicas to write.", "replicated with.*Not enough.*wait"),
        (
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "replicated with.*Link with MASTER is down.*to the primary",
        ),
        ("ERR unknown command 'EVAL'", "asked for.*unknown command 'EVAL'.*operating.md"),
        ("NOAUTH Authentication required.", "refuses the password.*CRAWL_REDIS_PASSWORD_FILE"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "refuses the password"),
    ],
)
def test_what_a_server_refuses_is_explained_without_the_password(answer, words):
    """One sentence with the remedy; it ends a command with exit code 3."""
    with (
        pytest.raises(UnavailableError, match=words) as caught,
        connection.explained("redis://x:secret-word@127.0.0.1:9/0"),
    ):
        raise BaseParser.parse_error(answer)
    assert "secret-word" not in str(caught.value)


def test_a_worker_outlives_a_broker_that_refuses_or_cannot_write():
    """Celery reconnects after both, instead of ending."""
    app = make_app("redis://127.0.0.1:9/0")
    transport = app.connection().transport

    assert app.conf.broker_channel_error_retry
    assert issubclass(connection.DiskFullError, transport.connection_errors)
    assert issubclass(connection.ReplicaError, transport.connection_errors)
    assert issubclass(redis.exceptions.OutOfMemoryError, transport.channel_errors)


@pytest.mark.parametrize(
    "fault",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EFBIG, "File too large"),
        PermissionError(errno.EACCES, "Permission denied", "/a/file"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "/a/file"),
    ],
    ids=lambda fault: fault.strerror,
)
def test_a_file_of_ours_is_not_taken_for_a_redis_that_is_away(fault):
    """`poolcrawl export > /full/disk` reads from Redis meanwhile."""
    with pytest.raises(type(fault)) as caught, connection.explained("redis://127.0.0.1:9/0"):
        raise fault
    assert caught.value is fault


@pytest.mark.parametrize(
    "fault",
    [redis.ConnectionError("lost"), ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")],
)
def test_a_socket_that_fails_is_a_redis_that_is_away(fault):
    """A socket's errors name no file."""
    with (
        pytest.raises(UnavailableError, match="cannot reach Redis"),
        connection.explained("redis://127.0.0.1:9/0"),
    ):
        raise fault
