"""A Redis that would drop work to make room is refused by every verb that gives it work, and `doctor` says so."""

from __future__ import annotations

import pytest
import standin
from stack import Directory, PrivateServer

from crawl import connection, names
from crawl.errors import UsageError
from crawl.frontier import Frontier

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
    "verb",
    [
        ("crawl", "http://127.0.0.1:9/"),
        ("demo",),
        ("worker",),
        ("pump",),
        ("resume", "here"),
        ("release", "here", "--all"),
        ("retry", "here"),
        ("retry", "here", "--detach"),
    ],
    ids=" ".join,
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


def test_a_refused_verb_has_changed_nothing(evicting):
    """A paused crawl stays paused, nothing is tried again; `cancel`, which gives no work, is let through."""
    directory, server = evicting
    frontier, options = Frontier(server.client, "there"), standin.options()
    standin.admit(frontier, options, "http://a.test/")
    frontier.pause(names.BY_USER)
    before = frontier.status()
    refused = [
        directory.run(*verb, CRAWL_REDIS_URL=server.url).code
        for verb in (("resume", "there"), ("release", "there", "--all"), ("retry", "there", "--detach"))
    ]
    after = frontier.status()
    cancel = directory.run("cancel", "there", CRAWL_REDIS_URL=server.url)

    assert [2, 2, 2] == refused
    assert ("paused", before[0]) == (before[0]["state"], after[0])
    assert cancel.code == 0, cancel.stderr


def test_doctor_says_it_too(evicting):
    """A check that fails, with the same setting to change."""
    directory, server = evicting
    done = directory.run("doctor", CRAWL_REDIS_URL=server.url)
    line = next(line for line in done.stdout.splitlines() if "redis eviction" in line)

    assert done.code == 1
    assert line.startswith("FAIL redis eviction: allkeys-lru, and maxmemory is set")
    assert "set maxmemory-policy noeviction" in line
