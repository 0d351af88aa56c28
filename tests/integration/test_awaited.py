"""The Redis client of coroutine slots: the same answers and errors as the blocking one, and nobody else waits."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest
import redis

from crawl import scripts
from worker import awaited
from worker.coroutines import Loop, current


@pytest.fixture
def loop():
    made = Loop(8)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def connect(loop):
    """A function that makes clients, which end with the test."""
    clients = []

    def make(url: str, connections: int) -> redis.Redis:
        clients.append(awaited.connect(url, connections))
        return clients[-1]

    yield make
    for client in clients:
        loop.submit(client.close).result(10)


def calls(client):
    """Return what each kind of call gives that the frontier makes: commands, scans, scripts, pipelines, errors."""
    client.delete("awaited")
    client.hset("awaited", mapping={"a": "1", "b": b"\xff\0"})
    found = [client.hgetall("awaited"), client.hmget("awaited", "a", "c"), client.hget("awaited", "none")]
    found.append(client.sadd("awaited-set", *range(50)))
    found.append(sorted(client.sscan_iter("awaited-set", count=10)))
    for transaction in (True, False):
        with client.pipeline(transaction=transaction) as pipe:
            pipe.hset("awaited", "c", "3")
            pipe.pexpire("awaited", 60_000)
            pipe.hgetall("awaited")
            pipe.eval("return {1, 'two', redis.status_reply('ok')}", 0)
            found.append(pipe.execute())
            found.append(len(pipe))
    client.delete("awaited-set")
    for call in (
        lambda: client.evalsha("0" * 40, 0),
        lambda: client.incr("awaited"),
        lambda: client.pipeline(transaction=False).evalsha("0" * 40, 0).execute(),
    ):
        try:
            found.append(call())
        except redis.RedisError as error:
            found.append(type(error))
    return found


def test_a_slot_gets_what_the_blocking_client_gets(server, client, loop, connect):
    """Types, bytes, empty answers and exceptions are the same, in a slot and outside of one."""
    made = connect(server.url, 4)
    expected = calls(client)
    inside = loop.submit(lambda: calls(made)).result(10)
    outside = calls(made)

    assert expected == inside
    assert expected == outside
    assert [redis.exceptions.NoScriptError, redis.ResponseError, redis.exceptions.NoScriptError] == expected[
        -3:
    ]


def test_a_verb_the_server_has_forgotten_is_loaded_from_a_slot(own_server, loop, connect):
    """After a restart of the server the script is sent again, as everywhere."""
    made = connect(own_server.url, 4)
    with pytest.raises(redis.ResponseError, match="user_script"):
        loop.submit(lambda: scripts.run(made, "load", [], [])).result(10)

    assert [True] == redis.Redis.from_url(own_server.url).script_exists(scripts.digest("load"))


def test_more_slots_than_connections_take_turns(server, loop, connect):
    """Eight slots on two connections all get their answers."""
    made = connect(server.url, 2)

    futures = [loop.submit(lambda n=n: [made.echo(f"{n}") for _ in range(20)]) for n in range(8)]

    assert [[b"%d" % n] * 20 for n in range(8)] == [future.result(10) for future in futures]


def test_a_server_that_hangs_holds_up_only_who_asks_it(own_server, loop, connect):
    """While Redis is frozen the other slots go on; when it thaws the answer comes."""
    made = connect(own_server.url, 4)
    loop.submit(made.ping).result(10)
    own_server.process.send_signal(signal.SIGSTOP)
    try:
        asked = loop.submit(made.ping)
        begun = time.monotonic()
        loop.submit(lambda: [current().wait(asyncio.sleep(0.01)) for _ in range(10)]).result(10)
        took = time.monotonic() - begun
        still = asked.done()
    finally:
        own_server.process.send_signal(signal.SIGCONT)

    assert (took < 1, still) == (True, False)
    assert asked.result(10) is True


def test_a_server_that_is_gone_is_an_error_that_tasks_know(own_server, loop, connect):
    """Refused connections end as redis-py's ConnectionError, after the same silent repetitions."""
    made = connect(own_server.url, 4)
    loop.submit(made.ping).result(10)
    own_server.kill()

    with pytest.raises(redis.ConnectionError):
        loop.submit(made.ping).result(30)
