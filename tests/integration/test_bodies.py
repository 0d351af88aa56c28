"""Bodies between fetch and parse: how many bytes there may be, who counts them, what becomes of those that expire."""

from __future__ import annotations

import pytest
import redis
import standin

from crawl import keys, lifecycle, names
from crawl.batches import Renewal
from crawl.frontier import renew

KB = 1024
BODY = b"x" * 10 * KB


def _counted(frontier):
    found = frontier.client.hmget(keys.crawl(frontier.crawl), "body_bytes", "coming")
    return tuple(int(value or 0) for value in found)


def _lease(frontier, options, most_body_bytes=10**9, window=100, **more):
    return frontier.lease(options, window=window, slots=4, most_body_bytes=most_body_bytes, **more)


def _stored(frontier):
    """Return how many bytes of bodies Redis really holds."""
    found = frontier.client.scan_iter(f"{keys.bodies_prefix(frontier.crawl)}*", count=1000)
    return sum(len(body) for key in found for body in frontier.client.hvals(key))


def _fetch(frontier, batch, options, body=BODY, **more):
    assert standin.fetched(frontier, standin.start(frontier, batch, options), options, body=body, **more)


@pytest.fixture
def hosts(frontier):
    """Twenty URLs, each on a host of its own."""
    options = standin.options()
    standin.admit(frontier, options, *(f"http://{number}.{frontier.crawl}.test/" for number in range(20)))
    return options


def test_the_count_is_what_redis_holds(frontier, hosts):
    """Through lease, fetched, complete and a repeated call of each; at the end it is nothing."""
    batches = _lease(frontier, hosts, window=6).batches
    assert _counted(frontier) == (0, 6)
    for batch in batches:
        _fetch(frontier, batch, hosts)

    assert _counted(frontier) == (_stored(frontier), 0) == (6 * len(BODY), 0)
    for batch in batches[:4]:
        loaded = standin.load(frontier, batch.lease, hosts)
        assert standin.complete(frontier, loaded, hosts)
        assert not standin.complete(frontier, loaded, hosts)
    assert _counted(frontier) == (_stored(frontier), 0) == (2 * len(BODY), 0)
    for batch in batches[4:]:
        standin.complete(frontier, standin.load(frontier, batch.lease, hosts), hosts)
    assert _counted(frontier) == (0, 0)


def test_what_is_put_back_is_not_under_way_any_more(frontier, hosts):
    """Released by `start` (a pause), handed back by `fetched`, taken back by the reaper."""
    options = standin.options(lease_s=0.2)
    first, second, third = _lease(frontier, options, window=3).batches
    assert standin.fetched(frontier, standin.start(frontier, second, options), options, count=0)
    standin.start(frontier, third, options)
    frontier.client.hset(keys.crawl(frontier.crawl), "state", "paused")
    frontier.start(first.lease, nonce="n", worker="w", options=options)
    assert _counted(frontier) == (0, 1)
    standin.overdue(frontier)
    frontier.reap(options)

    assert _counted(frontier) == (0, 0)


def test_a_count_that_is_wrong_mends_itself(frontier, hosts):
    """Where nothing is leased, nothing is under way."""
    frontier.client.hset(keys.crawl(frontier.crawl), mapping={"body_bytes": 10**12, "coming": 7})

    assert len(_lease(frontier, hosts, window=2).batches) == 2
    assert _counted(frontier) == (0, 2)


def test_bodies_that_stay_with_the_worker_are_not_counted(frontier, hosts):
    """A fused crawl puts none into Redis."""
    (batch,) = _lease(frontier, hosts, window=1).batches
    _fetch(frontier, batch, hosts, store=False)

    assert _counted(frontier) == (0, 0)


def test_nothing_new_is_leased_while_too_many_bodies_wait(frontier, hosts):
    """Parsing is slower than fetching: the bodies stay below the limit, whatever the window says."""
    most = 5 * len(BODY)
    fetched = []
    for _ in range(10):
        leased = _lease(frontier, hosts, most)
        for batch in leased.batches:
            _fetch(frontier, batch, hosts)
            fetched.append(batch)
    assert len(fetched) == 5
    assert _stored(frontier) == most
    # No time makes room: the pump sleeps until a report wakes it.
    assert (leased.batches, leased.next_ms) == ([], None)

    standin.complete(frontier, standin.load(frontier, fetched[0].lease, hosts), hosts)

    assert len(_lease(frontier, hosts, most).batches) == 1


def test_what_is_under_way_counts_as_what_pages_brought_before(frontier, hosts):
    """A window of hundreds is not handed out on an empty Redis, to come back all at once."""
    (first,) = _lease(frontier, hosts, window=1).batches
    _fetch(frontier, first, hosts)
    standin.complete(frontier, standin.load(frontier, first.lease, hosts), hosts)

    assert len(_lease(frontier, hosts, 3 * len(BODY)).batches) == 3
    assert _lease(frontier, hosts, 3 * len(BODY)).batches == []


def test_a_batch_is_cut_to_what_there_is_room_for(frontier, host):
    """Twenty pages of one host in a message would be too many."""
    options = standin.options()
    frontier.client.hset(
        keys.host(host),
        mapping={"expected_ms": "1", f"delay {frontier.crawl}": 0, f"cap {frontier.crawl}": 8},
    )
    standin.admit(frontier, options, *standin.pages(host, 20))
    frontier.client.hset(keys.crawl(frontier.crawl), "page_bytes", 10 * KB)
    (batch,) = _lease(frontier, options, 70 * KB).batches

    assert batch.count == 7


def test_what_memory_is_left_bounds_what_is_under_way(frontier, hosts):
    """Each page brings its body, its record and its links, and each is there three times on its way."""
    frontier.client.hset(keys.crawl(frontier.crawl), mapping={"page_bytes": 10 * KB, "page_extra": 5 * KB})
    room = 4 * 3 * (10 * KB + 5 * KB)

    assert len(_lease(frontier, hosts, room_bytes=room).batches) == 4


def test_one_batch_may_always_go(frontier, hosts):
    """However large its bodies are: a crawl ends."""
    for _ in range(3):
        leased = _lease(frontier, hosts, 1, room_bytes=0)
        assert len(leased.batches) == 1
        _fetch(frontier, leased.batches[0], hosts)
        standin.complete(frontier, standin.load(frontier, leased.batches[0].lease, hosts), hosts)


def test_expired_bodies_are_fetched_again_and_charged_to_nobody(frontier, hosts):
    """Their time is over before a parse came: the URL waits again, without a loss, and its bodies count no more."""
    options = standin.options(lease_s=0.2)
    (batch,) = _lease(frontier, options, window=1).batches
    _fetch(frontier, batch, options)
    frontier.client.pexpire(keys.bodies(frontier.crawl, batch.lease), 1)
    standin.overdue(frontier)

    assert frontier.load(batch.lease, nonce="n", options=options, with_bodies=True) is None
    fetch, parse, reclaimed = frontier.reap(options)

    assert (fetch, parse, reclaimed) == ([], [], 1)
    assert _counted(frontier) == (0, 0)
    origin = batch.url.rstrip("/")
    (entry,) = standin.entries(frontier, origin)
    attempts, losses, *_ = entry.split(" ")
    assert (attempts, losses) == ("0", "0")
    assert b"losses" not in frontier.client.hkeys(keys.counts(frontier.crawl))
    (again,) = standin.lease(frontier, options, window=1)
    assert standin.visit(frontier, again, options)


@pytest.fixture
def full(own_server):
    """A frontier on a server of this test's own, with a fetched batch, and then full to the last byte."""
    from crawl.frontier import Frontier

    with redis.Redis.from_url(own_server.url) as client:
        frontier, options = Frontier(client, "full"), standin.options()
        standin.admit(frontier, options, *(f"http://{number}.full.test/" for number in range(3)))
        batches = standin.lease(frontier, options)
        _fetch(frontier, batches[0], options)
        started = standin.start(frontier, batches[1], options)
        # One of everything is loaded before: a script that must be loaded is no verb that was refused.
        done = standin.lease(frontier, options)
        assert done == []
        client.config_set("maxmemory", 1)
        yield frontier, options, batches, started


def test_a_full_redis_still_takes_what_was_parsed(full):
    """`load` and `complete` begin with a write that takes nothing; nothing that was fetched and read is lost."""
    frontier, options, batches, _ = full
    loaded = standin.load(frontier, batches[0].lease, options)

    assert standin.complete(frontier, loaded, options)
    assert standin.record_of(frontier, loaded.requests[0].url)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        standin.admit(frontier, options, "http://another.full.test/")


def test_bodies_that_a_full_redis_refused_are_fetched_again_uncharged(full):
    """The report came in without them, so the reaper knows that the worker lives."""
    frontier, options, batches, started = full
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        standin.fetched(frontier, started, options, body=BODY)
    frontier.client.config_set("maxmemory", 0)
    held = frontier.client.hget(keys.lease(frontier.crawl, batches[1].lease), "state")
    frontier.client.zadd(keys.leases(frontier.crawl), {keys.lease(frontier.crawl, batches[1].lease): 1})
    _, parse, reclaimed = frontier.reap(options)

    assert held == b"fetched"
    assert (parse, reclaimed) == ([], 1)
    assert b"losses" not in frontier.client.hkeys(keys.counts(frontier.crawl))


def test_a_full_redis_still_takes_what_makes_room_or_keeps_a_lease(full):
    """Renewals, what is sent again, the end of a crawl and its removal; who cancels does it to make room."""
    frontier, options, batches, started = full
    client, name = frontier.client, frontier.crawl
    renewal = Renewal(name, batches[1].lease, started.host, started.nonce, options.lease_s)

    assert renew(client, [renewal]) == [names.RUNNING]
    client.config_set("maxmemory", 0)
    client.zadd(keys.leases(name), {keys.lease(name, batches[0].lease): 1}, xx=True)
    client.config_set("maxmemory", 1)
    assert frontier.reap(options)[1] == [batches[0]]
    lifecycle.cancel(client, name)
    lifecycle.delete(client, name)
    assert not list(client.scan_iter(f"{keys.crawl(name)}*"))
