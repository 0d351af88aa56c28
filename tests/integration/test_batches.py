"""How many URLs one message carries, and how many messages are in flight."""

from __future__ import annotations

import msgspec
import standin

from crawl import keys
from crawl.records import decode_entry, encode_entry


def _history(frontier, host, expected_ms):
    """Give a host a known pace."""
    frontier.client.hset(keys.host(host), "expected_ms", str(expected_ms))


def test_a_host_without_history_is_asked_for_one_url_at_a_time(frontier, host):
    """Nobody knows how slow it is, so nothing waits behind its first answers."""
    options = standin.options(batch=20)
    standin.admit(frontier, options, *standin.pages(host, 10))

    batches = standin.lease(frontier, options, window=3)

    assert [batch.count for batch in batches] == [1, 1, 1]


def test_a_batch_carries_about_a_second_of_work(frontier, host):
    """Size is the time budget over the expected time, at least 1 and at most `CRAWL_BATCH`."""
    options = standin.options(batch=20)
    standin.admit(frontier, options, *standin.pages(host, 200))

    sizes = {}
    for expected_ms in (1, 10, 50, 5000):
        _history(frontier, host, expected_ms)
        sizes[expected_ms] = standin.lease(frontier, options, window=len(sizes) + 1)[0].count

    assert sizes == {1: 20, 10: 20, 50: 20, 5000: 1}


def test_a_slow_hosts_batch_is_its_share_of_the_budget(frontier, host):
    """At 200 ms a request, five fit into a second."""
    options = standin.options(batch=20)
    standin.admit(frontier, options, *standin.pages(host, 100))
    _history(frontier, host, 200)

    assert standin.lease(frontier, options, window=1, slots=1)[0].count == 5


def test_a_backlog_is_spread_over_free_slots_only_where_requests_are_slow(frontier, host):
    """Six URLs and four free slots: two each above 50 ms a request, all in one batch below."""
    options = standin.options(batch=20)
    slow, quick = f"slow.{host}", f"quick.{host}"
    _history(frontier, slow, 60)
    _history(frontier, quick, 40)
    standin.admit(frontier, options, *standin.pages(slow, 6))
    first = standin.lease(frontier, options, window=1, slots=4)
    standin.admit(frontier, options, *standin.pages(quick, 6))

    second = [batch for batch in standin.lease(frontier, options, window=50, slots=4) if quick in batch.url]

    assert [batch.count for batch in first] == [2]
    assert [batch.count for batch in second] == [6]


def test_the_pace_of_a_host_is_learned_from_its_reports(frontier, host):
    """After the first report its URLs travel together; later reports move the pace slowly."""
    options = standin.options(batch=20)
    standin.admit(frontier, options, *standin.pages(host, 30))
    (first,) = standin.lease(frontier, options, window=1)
    standin.visit(frontier, first, options, ms=100)
    (second,) = standin.lease(frontier, options, window=1, slots=1)
    standin.visit(frontier, second, options, ms=200)

    assert (first.count, second.count) == (1, 10)
    assert float(frontier.client.hget(keys.host(host), "expected_ms")) == 130.0


def test_a_batch_of_one_is_the_classic_shape(frontier, host):
    """`CRAWL_BATCH=1` gives one task per URL, however quick the host is."""
    options = standin.options(batch=1)
    _history(frontier, host, 1)
    standin.admit(frontier, options, *standin.pages(host, 5))

    assert [batch.count for batch in standin.lease(frontier, options)] == [1] * 5


def test_retries_and_marked_urls_travel_alone(frontier, host):
    """A URL that failed before, or that was in a batch which killed a worker, takes nobody with it."""
    options = standin.options(batch=20)
    _history(frontier, host, 1)
    standin.admit(frontier, options, *standin.pages(host, 6))
    origin = f"http://{host}"
    queue = keys.queue(frontier.crawl, 0, origin)
    for position, change in ((2, {"attempts": 1}), (4, {"alone": True})):
        request = decode_entry(standin.entries(frontier, origin)[position])
        frontier.client.lset(queue, position, encode_entry(msgspec.structs.replace(request, **change)))

    batches = standin.lease(frontier, options)

    assert [(batch.count, batch.url[-2:]) for batch in batches] == [
        (2, "/0"),
        (1, "/2"),
        (1, "/3"),
        (1, "/4"),
        (1, "/5"),
    ]


def test_the_window_bounds_what_is_in_flight_until_complete(frontier, host):
    """Leases count until their records are written, so slow parsing throttles the pump."""
    options = standin.options(batch=1)
    standin.admit(frontier, options, *standin.pages(host, 10))
    batches = standin.lease(frontier, options, window=3)
    started = standin.start(frontier, batches[0], options)
    standin.fetched(frontier, started, options)

    while_fetched = standin.lease(frontier, options, window=3)
    standin.complete(frontier, standin.load(frontier, batches[0].lease, options), options)
    after = standin.lease(frontier, options, window=3)

    assert (len(batches), len(while_fetched), len(after)) == (3, 0, 1)


def test_seventy_hosts_get_their_turn_in_two_calls(frontier, host):
    """One call looks at 64 hosts at most; the next one goes on with those it has not looked at."""
    options = standin.options(batch=1)
    hosts = [f"h{number}.{host}" for number in range(70)]
    standin.admit(frontier, options, *(url for name in hosts for url in standin.pages(name, 2)))

    first = standin.lease(frontier, options, window=1000)
    second = standin.lease(frontier, options, window=1000)

    assert len(first) == 64
    assert {batch.url.split("/")[2] for batch in first[:64]} | {
        batch.url.split("/")[2] for batch in second[:6]
    } == set(hosts)


def test_hosts_that_cannot_be_asked_do_not_hide_one_that_can(frontier, host):
    """A hundred hosts on hold leave the due set while they wait, so the free one is found in the second call."""
    options = standin.options(batch=1)
    held = [f"h{number}.{host}" for number in range(100)]
    for name in held:
        frontier.client.hset(keys.host(name), "hold", standin.now_ms(frontier.client) + 60_000)
    standin.admit(frontier, options, *(f"http://{name}/" for name in held))
    standin.admit(frontier, options, f"http://free.{host}/")

    found = [batch.url for _ in range(2) for batch in standin.lease(frontier, options)]

    assert found == [f"http://free.{host}/"]


def test_one_busy_host_does_not_starve_another(frontier, host):
    """A served host goes to the tail: with room for four batches, two hosts get two each."""
    options = standin.options(batch=1)
    standin.admit(frontier, options, *standin.pages(f"big.{host}", 100))
    standin.admit(frontier, options, *standin.pages(f"small.{host}", 2))

    batches = standin.lease(frontier, options, window=4)

    assert sorted(batch.url.split("/")[2].split(".")[0] for batch in batches) == [
        "big",
        "big",
        "small",
        "small",
    ]
