"""What `status` says a crawl takes of Redis: an estimate near the truth, in two round trips."""

from __future__ import annotations

import pytest
import redis
import standin

from crawl import keys, share
from crawl.frontier import Frontier


@pytest.fixture
def alone(own_server):
    """A server that holds one crawl only."""
    with redis.Redis.from_url(own_server.url) as client:
        yield Frontier(client, "alone")


def test_the_estimate_is_near_what_the_server_holds(alone):
    """Waiting, seen and done URLs, bodies and leases: within a quarter of the growth of `used_memory`."""
    client, options = alone.client, standin.options(seen_buckets=1024, batch=10)
    standin.admit(alone, options, "http://first.test/")
    empty = client.info("memory")["used_memory"]
    for number in range(40):
        standin.admit(alone, options, *standin.pages(f"{number}.alone.test", 500))
    for batch in standin.lease(alone, options, window=60):
        standin.visit(alone, batch, options)
    for batch in standin.lease(alone, options, window=20):
        standin.fetched(alone, standin.start(alone, batch, options), options, body=b"x" * 100_000)
    grown = client.info("memory")["used_memory"] - empty
    found = share.of_crawl(client, "alone")

    assert found.crawl == pytest.approx(grown, rel=0.25)
    assert found.used >= grown
    assert found.limit is None


def test_it_says_how_much_of_the_limit_the_server_holds(alone):
    """The smaller of maxmemory and CRAWL_MAX_REDIS_MB; per URL over all admitted."""
    standin.admit(alone, standin.options(), *standin.pages("limit.test", 100))
    alone.client.config_set("maxmemory", "50mb")
    found = share.of_crawl(alone.client, "alone")
    smaller = share.of_crawl(alone.client, "alone", 40 * 2**20)

    assert (found.limit, smaller.limit) == (50 * 2**20, 40 * 2**20)
    assert found.row(100)["redis_bytes_per_url"] == round(found.crawl / 100)
    (line,) = found.lines(100)
    assert "this crawl takes about" in line
    assert "of 50.0 MB" in line


def test_a_server_that_does_not_tell_is_no_failure(alone):
    """Managed servers forbid MEMORY USAGE to their users."""
    standin.admit(alone, standin.options(), "http://quiet.test/")
    alone.client.execute_command("ACL", "SETUSER", "default", "-memory|usage")
    found = share.of_crawl(alone.client, "alone")

    assert found.crawl is None
    (line,) = found.lines(1)
    assert line.startswith("  memory: Redis holds ")


def test_a_crawl_of_nothing_has_a_share(alone):
    """Before its first seed, and without a key of its own."""
    assert share.of_crawl(alone.client, "alone").crawl == 0
    alone.client.hset(keys.crawl("other"), "x", 1)
