"""Overdue leases: what is re-sent, what goes back, who is charged, and how a URL that kills workers ends."""

from __future__ import annotations

import itertools

import msgspec
import pytest
import standin

from crawl import keys, names, results
from crawl.records import decode_entry, encode_entry

SHORT = 0.03


@pytest.fixture
def options():
    """Leases that end after 30 ms."""
    return standin.options(lease_s=SHORT, max_losses=3)


def _batch(frontier, host, options, count=1):
    """Return one sent batch of `count` URLs."""
    frontier.client.hset(keys.host(host), "expected_ms", "1")
    standin.admit(frontier, options, *standin.pages(host, count))
    (batch,) = standin.lease(frontier, options)
    assert batch.count == count
    return batch


def _suspects(frontier):
    rows = frontier.client.lrange(keys.suspects(frontier.crawl), 0, -1)
    return [decode_entry(row.decode().split(" ", 1)[1]) for row in rows]


def test_nothing_is_done_before_a_lease_is_overdue(frontier, host):
    """A lease in time is nobody's business."""
    calm = standin.options()
    _batch(frontier, host, calm)

    assert frontier.reap(calm) == ([], [], 0)


def test_an_overdue_sent_batch_is_sent_again_not_fetched_by_another(frontier, host, options):
    """Its message was lost or waits in the broker: the same lease is sent once more, uncharged."""
    batch = _batch(frontier, host, options, 3)
    standin.overdue(frontier)

    fetch, parse, reclaimed = frontier.reap(options)

    assert (fetch, parse, reclaimed) == ([batch], [], 0)
    assert len(standin.start(frontier, batch, options).requests) == 3
    assert results.status(frontier.client, frontier.crawl).losses == 0


def test_a_batch_is_sent_again_at_most_once_per_lease_time(frontier, host, options):
    """A long queue in the broker must not be fed with copies."""
    _batch(frontier, host, options)
    standin.overdue(frontier)
    sent = []
    for _ in range(40):
        before_ms = standin.now_ms(frontier.client)
        if frontier.reap(options)[0]:
            sent.append((before_ms, standin.now_ms(frontier.client)))
        standin.wait_until(frontier.client, standin.now_ms(frontier.client) + 1)

    assert len(sent) >= 2
    assert all(later[1] - earlier[0] >= SHORT * 1000 for earlier, later in itertools.pairwise(sent))


def test_an_overdue_fetched_batch_has_its_parse_sent_again(frontier, host, options):
    """The pages are here; only the parse is missing."""
    batch = _batch(frontier, host, options, 2)
    standin.fetched(frontier, standin.start(frontier, batch, options), options)
    standin.overdue(frontier)

    fetch, parse, reclaimed = frontier.reap(options)

    assert (fetch, parse, reclaimed) == ([], [batch], 0)
    assert standin.complete(frontier, standin.load(frontier, batch.lease, options), options)
    assert results.status(frontier.client, frontier.crawl).losses == 0


def test_a_fetched_batch_whose_bodies_are_gone_is_fetched_again(frontier, host, options):
    """Nothing can be parsed, nobody died over it: it goes back uncharged."""
    batch = _batch(frontier, host, options, 2)
    standin.fetched(frontier, standin.start(frontier, batch, options), options)
    frontier.client.delete(keys.bodies(frontier.crawl, batch.lease))
    standin.overdue(frontier)

    fetch, parse, reclaimed = frontier.reap(options)

    assert (fetch, parse, reclaimed) == ([], [], 2)
    assert standin.waiting(frontier, f"http://{host}") == standin.pages(host, 2)
    assert results.status(frontier.client, frontier.crawl).losses == 0


def test_a_fused_batch_whose_worker_died_is_fetched_again(frontier, host, options):
    """In the fused pipeline the bodies died with the worker; no page may become a record without its body."""
    batch = _batch(frontier, host, options, 2)
    standin.fetched(frontier, standin.start(frontier, batch, options), options, store=False)
    standin.overdue(frontier)

    assert frontier.reap(options) == ([], [], 2)
    assert standin.waiting(frontier, f"http://{host}") == standin.pages(host, 2)


def test_a_batch_without_bodies_needs_none_to_be_parsed(frontier, host, options):
    """Redirects and failures are kept in the references."""
    batch = _batch(frontier, host, options, 2)
    standin.fetched(frontier, standin.start(frontier, batch, options), options, body=b"")
    standin.overdue(frontier)

    assert frontier.reap(options) == ([], [batch], 0)


def test_a_single_url_whose_worker_died_is_charged_a_loss_and_becomes_a_suspect(frontier, host, options):
    """It may have killed the worker, so it is set apart."""
    batch = _batch(frontier, host, options)
    standin.start(frontier, batch, options)
    standin.overdue(frontier)

    assert frontier.reap(options) == ([], [], 1)
    (suspect,) = _suspects(frontier)
    status = results.status(frontier.client, frontier.crawl)
    assert (suspect.losses, suspect.attempts, suspect.alone) == (1, 0, True)
    assert (status.losses, status.waiting, status.leased, status.suspects) == (1, 1, 0, 1)


def test_a_batch_whose_worker_died_is_taken_apart_uncharged(frontier, host, options):
    """Nobody knows which of its URLs it was: each travels alone next time, in the old order."""
    batch = _batch(frontier, host, options, 3)
    standin.start(frontier, batch, options)
    standin.overdue(frontier)
    frontier.reap(options)

    again = standin.lease(frontier, options)

    assert [(one.count, one.url) for one in again] == [(1, url) for url in standin.pages(host, 3)]
    assert results.status(frontier.client, frontier.crawl).losses == 0


def test_one_suspect_is_in_flight_and_alone(frontier, host, options):
    """Whatever a suspect kills, it kills nobody else's work, and no second suspect muddles the verdict."""
    suspects = [f"http://{letter}.{host}/" for letter in "ab"]
    standin.admit(frontier, options, *suspects)
    for batch in standin.lease(frontier, options):
        standin.start(frontier, batch, options)
    standin.overdue(frontier)
    frontier.reap(options)
    calm = standin.options()

    (first,) = standin.lease(frontier, calm)
    none = standin.lease(frontier, calm)
    standin.visit(frontier, first, calm)
    (second,) = standin.lease(frontier, calm)

    assert {first.url, second.url} == set(suspects)
    assert (first.count, second.count) == (1, 1)
    assert none == []


def test_a_suspect_in_flight_does_not_hold_up_the_others(frontier, host, options):
    """Ordinary URLs go on beside it."""
    batch = _batch(frontier, host, options)
    standin.start(frontier, batch, options)
    standin.overdue(frontier)
    frontier.reap(options)
    calm = standin.options()
    standin.admit(frontier, calm, *standin.pages(f"b.{host}", 2))

    assert len(standin.lease(frontier, calm)) == 3


def test_a_url_that_kills_every_worker_ends_as_lost(frontier, host, options):
    """After `CRAWL_MAX_LOSSES` it is doomed: a worker writes its record without a request, and the crawl ends."""
    batch = _batch(frontier, host, options)
    deaths = 0
    while (started := standin.start(frontier, batch, options)).doom is None:
        deaths += 1
        standin.overdue(frontier)
        resent, _, _ = frontier.reap(options)
        batch = resent[0] if resent else standin.lease(frontier, options)[0]
    standin.fetched(frontier, started, options, said=standin.report(started, requests=0), body=b"")
    loaded = standin.load(frontier, batch.lease, options)
    lost = standin.result(frontier.crawl, loaded.requests[0], "failed", "lost")
    frontier.complete(batch.lease, [lost], [], standin.links(options), options=options)

    assert (deaths, started.doom, started.requests[0].losses) == (3, "lost", 3)
    assert results.status(frontier.client, frontier.crawl).reasons == {"lost": 1}
    assert frontier.finish() == names.FINISHED


def test_a_doomed_url_stays_doomed_when_it_is_given_back(frontier, host, options):
    """A pause at the wrong moment must not have it kill a further worker."""
    batch = _batch(frontier, host, options)
    queue = keys.queue(frontier.crawl, 0, f"http://{host}")
    standin.fetched(frontier, standin.start(frontier, batch, options), options, count=0)
    doomed = decode_entry(standin.entries(frontier, f"http://{host}")[0])
    frontier.client.lset(queue, 0, encode_entry(msgspec.structs.replace(doomed, losses=3, alone=True)))

    batches = standin.lease(frontier, options) or standin.lease(frontier, options)

    assert [standin.start(frontier, one, options).doom for one in batches] == ["lost"]


def test_a_parse_that_kills_its_worker_twice_is_taken_apart(frontier, host, options):
    """One more try for the batch; then its URLs are fetched one by one, so that one bad page costs only itself."""
    batch = _batch(frontier, host, options, 3)
    standin.fetched(frontier, standin.start(frontier, batch, options), options)
    seen = []
    for _ in range(2):
        standin.load(frontier, batch.lease, options)
        standin.overdue(frontier)
        fetch, parse, reclaimed = frontier.reap(options)
        seen.append((len(fetch), len(parse), reclaimed))

    assert seen == [(0, 1, 0), (0, 0, 3)]
    assert frontier.client.exists(keys.bodies(frontier.crawl, batch.lease)) == 0
    assert {entry[:6] for entry in standin.entries(frontier, f"http://{host}")} == {"0 0 1 "}


def test_a_page_whose_parse_kills_workers_is_charged(frontier, host, options):
    """A parse that had begun counts like a request that had begun."""
    batch = _batch(frontier, host, options)
    standin.fetched(frontier, standin.start(frontier, batch, options), options)
    for _ in range(2):
        standin.load(frontier, batch.lease, options)
        standin.overdue(frontier)
        frontier.reap(options)

    assert [suspect.losses for suspect in _suspects(frontier)] == [1]


def test_a_reclaimed_hosts_due_time_is_the_leases_end_plus_its_delay(frontier, host):
    """The dead worker's request may have reached the host until its lease ended."""
    options = standin.options(lease_s=SHORT, delay_s=2.0)
    standin.admit(frontier, options, *standin.pages(host, 2))
    (batch,) = standin.lease(frontier, options)
    standin.start(frontier, batch, options)
    expiry = frontier.client.zscore(keys.leases(frontier.crawl), keys.lease(frontier.crawl, batch.lease))
    standin.overdue(frontier)
    frontier.reap(options)

    leased = frontier.lease(options, window=9, slots=4)

    assert leased.batches == []
    assert expiry + 2000 <= leased.next_ms <= standin.now_ms(frontier.client) + 2000


def test_a_reclaimed_host_keeps_a_later_end(frontier, host):
    """Reclaiming never brings a host forward."""
    options = standin.options(lease_s=SHORT, delay_s=0.01)
    batch = _batch(frontier, host, options)
    standin.start(frontier, batch, options)
    later = standin.now_ms(frontier.client) + 60_000
    frontier.client.hset(keys.host(host), "ended", later)
    standin.overdue(frontier)
    frontier.reap(options)

    assert int(frontier.client.hget(keys.host(host), "ended")) == later


def test_reclaiming_frees_the_host_for_the_queues_that_wait_for_it(frontier, host):
    """They are looked at again as soon as the host is due, not when the lost lease would have ended."""
    options = standin.options(lease_s=SHORT, batch=1, host_concurrency=1)
    standin.admit(frontier, options, *standin.pages(host, 2))
    (batch,) = standin.lease(frontier, options)
    standin.start(frontier, batch, options)
    assert standin.lease(frontier, options) == []
    standin.overdue(frontier)
    frontier.reap(options)

    queue = keys.queue(frontier.crawl, 0, f"http://{host}")
    assert frontier.client.zscore(keys.due(frontier.crawl, 0), queue) <= standin.now_ms(frontier.client)


def test_one_call_looks_after_a_bounded_number(frontier, host):
    """After a long outage thousands of leases are overdue; no call holds Redis for all of them."""
    options = standin.options(lease_s=0.001, batch=1, host_concurrency=50)
    standin.admit(frontier, options, *standin.pages(host, 12))
    standin.lease(frontier, options)
    standin.overdue(frontier)
    calm = standin.options(host_concurrency=50)

    sizes = [len(frontier.reap(calm, limit=5)[0]) for _ in range(4)]

    assert sizes == [5, 5, 2, 0]


def test_a_lease_whose_hash_is_gone_is_forgotten(frontier, host, options):
    """A member without its lease must not keep the crawl from ending."""
    frontier.create(options)
    frontier.client.zadd(keys.leases(frontier.crawl), {keys.lease(frontier.crawl, "l9"): 1})

    assert frontier.reap(options) == ([], [], 0)
    assert frontier.client.zcard(keys.leases(frontier.crawl)) == 0
