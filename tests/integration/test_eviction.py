"""A Redis that would drop work to make room is refused by every verb that gives it work, and `doctor` says so."""

from __future__ import annotations

import pytest
from stack import Directory, PrivateServer

from crawl import connection
from crawl.errors import UsageError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

POLICIES = ("allkeys-lru", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-ttl")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory and a server with 50 MB."""
    directory = Directory(tmp_path_factory.mktemp("eviction"))
    with PrivateServer(directory.path / "server") as server:
        server.client.config_set("maxmemory", "50mb")
        yield directory, server
    directory.end()


@pytest.fixture
def evicting(place):
    """The same with a policy that evicts whatever it likes."""
    place[1].client.config_set("maxmemory-policy", "allkeys-lru")
    return place


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_that_evicts_is_refused_where_there_is_a_limit(place, policy):
    """volatile-* too: bodies, host marks and the pump's mark have a time to live."""
    _, server = place
    server.client.config_set("maxmemory-policy", policy)

    with pytest.raises(UsageError, match=f"maxmemory-policy {policy}.*set `maxmemory-policy noeviction`"):
        connection.refuse_eviction(server.client, server.url)


def test_what_never_evicts_is_taken(place):
    """`noeviction`, or no limit at all; a server that does not tell its policy is believed."""
    _, server = place
    server.client.config_set("maxmemory-policy", "noeviction")
    connection.refuse_eviction(server.client, server.url)

    assert connection.dropping_policy({"maxmemory": 0, "maxmemory_policy": "allkeys-lru"}) is None
    assert connection.dropping_policy({"used_memory": 1}) is None


@pytest.mark.parametrize(
    "verb", [("crawl", "http://127.0.0.1:9/"), ("demo",), ("worker",)], ids=lambda verb: verb[0]
)
def test_the_verbs_that_give_work_say_one_line_and_end_with_2(evicting, verb):
    """The line names the policy and the setting, and shows no password."""
    directory, server = evicting
    done = directory.run(*verb, CRAWL_REDIS_URL=server.url)

    assert done.code == 2
    assert done.stderr.count("\n") == 1
    assert "maxmemory-policy allkeys-lru" in done.stderr
    assert "maxmemory-policy noeviction" in done.stderr
    assert server.password not in done.stderr


def test_doctor_says_it_too(evicting):
    """A check that fails, with the same setting to change."""
    directory, server = evicting
    done = directory.run("doctor", CRAWL_REDIS_URL=server.url)
    line = next(line for line in done.stdout.splitlines() if "redis eviction" in line)

    assert done.code == 1
    assert line.startswith("FAIL redis eviction: allkeys-lru, and maxmemory is set")
    assert "set maxmemory-policy noeviction" in line
