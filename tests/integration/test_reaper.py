"""Overdue leases: what is re-sent, what goes back, who is charged, and how a URL that kills workers ends."""

from __future__ import annotations

import itertools

import msgspec
import pytest
import standin

from crawl import keys, names, results
from crawl.batches import Renewal
from crawl.frontier import renew
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


def _die(frontier, batch, options, *, sole=False):
    """Have the worker of a batch die over it; return its URLs' next batch, or its doomed one."""
    started = standin.start(frontier, batch, options)
    if sole:
        frontier.isolate(batch.lease, started.nonce)
    standin.overdue(frontier)
    resent, _, _ = frontier.reap(options)
    return resent[0] if resent else standin.lease(frontier, options)[0]


def _suspect(frontier, host, options):
    """Return a sent batch of one URL that was there at two deaths."""
    batch = _die(frontier, _batch(frontier, host, options), options)
    return _die(frontier, batch, options)


def test_a_single_url_whose_worker_died_travels_alone_uncharged(frontier, host, options):
    """The worker may have died of anything else it did; one death makes nobody a suspect."""
    batch = _batch(frontier, host, options)
    standin.start(frontier, batch, options)
    standin.overdue(frontier)

    assert frontier.reap(options) == ([], [], 1)
    status = results.status(frontier.client, frontier.crawl)
    assert (status.losses, status.waiting, status.suspects) == (0, 1, 0)
    assert {entry[:6] for entry in standin.entries(frontier, f"http://{host}")} == {"0 0 1 "}


def test_a_url_that_was_there_at_two_deaths_is_a_suspect_uncharged(frontier, host, options):
    """It is set apart, but others were there as well."""
    batch = _die(frontier, _batch(frontier, host, options), options)
    standin.start(frontier, batch, options)
    standin.overdue(frontier)

    assert frontier.reap(options) == ([], [], 1)
    (suspect,) = _suspects(frontier)
    status = results.status(frontier.client, frontier.crawl)
    assert (suspect.losses, suspect.attempts, suspect.suspect) == (0, 0, True)
    assert (status.losses, status.waiting, status.leased, status.suspects) == (0, 1, 0, 1)


def test_what_ran_out_while_redis_was_away_is_held_against_nobody(frontier, host, options):
    """Its worker may well live: it had nobody to hand its pages to. An isolated suspect is not charged either."""
    batch = _suspect(frontier, host, options)
    started = standin.start(frontier, batch, options)
    frontier.isolate(batch.lease, started.nonce)
    standin.overdue(frontier)
    (before,) = [request.deaths for request in started.requests]

    assert frontier.reap(options, blameless=True)[2] == 1
    assert [(one.losses, one.deaths) for one in _suspects(frontier)] == [(0, before)]
    assert results.status(frontier.client, frontier.crawl).losses == 0


def test_a_suspect_whose_process_did_something_else_too_is_not_charged(frontier, host, options):
    """It had not been isolated: it may be innocent, so it stays a suspect and nothing more."""
    again = _die(frontier, _suspect(frontier, host, options), options)

    assert standin.start(frontier, again, options).requests[0].losses == 0
    assert results.status(frontier.client, frontier.crawl).losses == 0


def test_isolation_in_the_fetch_does_not_count_for_the_parse(frontier, host, options):
    """Between the two the process does other things; each stage is isolated for itself."""
    batch = _suspect(frontier, host, options)
    started = standin.start(frontier, batch, options)
    frontier.isolate(batch.lease, started.nonce)
    standin.fetched(frontier, started, options)
    standin.load(frontier, batch.lease, options)
    standin.overdue(frontier)

    assert frontier.reap(options) == ([], [], 1)
    assert results.status(frontier.client, frontier.crawl).losses == 0


def test_a_parse_of_an_isolated_suspect_that_kills_is_charged_at_once(frontier, host, options):
    """It is not tried twice: that would be two deaths for one charge."""
    batch = _suspect(frontier, host, options)
    standin.fetched(frontier, standin.start(frontier, batch, options), options)
    loaded = standin.load(frontier, batch.lease, options)
    frontier.isolate(batch.lease, loaded.nonce)
    standin.overdue(frontier)

    assert frontier.reap(options) == ([], [], 1)
    assert [suspect.losses for suspect in _suspects(frontier)] == [2]
    assert results.status(frontier.client, frontier.crawl).losses == 2


def test_robots_txt_of_workers_that_died_of_something_else_does_not_close_a_site(frontier, host):
    """It is asked for as often as needed; only a suspect by itself is charged."""
    options = standin.options(lease_s=SHORT, max_losses=3, robots="obey")
    standin.admit(frontier, options, *standin.pages(host, 1))
    for _ in range(5):
        (batch,) = standin.lease(frontier, options)
        assert batch.kind == names.ROBOTS
        started = standin.start(frontier, batch, options)
        standin.overdue(frontier)
        frontier.reap(options)

    assert started.requests[0].suspect
    assert frontier.robots(f"http://{host}") is None


def test_robots_txt_that_kills_workers_by_itself_closes_its_site(frontier, host):
    """Unreachable is disallowed, and the crawl ends."""
    options = standin.options(lease_s=SHORT, max_losses=3, robots="obey")
    standin.admit(frontier, options, *standin.pages(host, 1))
    deaths = 0
    while frontier.robots(f"http://{host}") is None:
        (batch,) = standin.lease(frontier, options)
        started = standin.start(frontier, batch, options)
        if started.requests[0].suspect:
            frontier.isolate(batch.lease, started.nonce)
        standin.overdue(frontier)
        frontier.reap(options)
        deaths += 1

    assert (deaths, frontier.robots(f"http://{host}")[1]) == (4, "deny")


def test_what_a_dead_process_held_is_reclaimed_before_its_time(frontier, host):
    """The pump is woken for it; a batch of a process that lives is left alone."""
    calm = standin.options()
    first = _batch(frontier, host, calm)
    second = _batch(frontier, f"b.{host}", calm)
    frontier.start(first.lease, nonce="a", worker="w", process="dead 1", options=calm)
    frontier.start(second.lease, nonce="b", worker="w", process="alive 2", options=calm)
    key = keys.lease(frontier.crawl, first.lease)

    assert frontier.bury([(key, "another")]) == 0
    assert frontier.bury([(key, "dead 1")]) == 1
    assert frontier.client.lindex(keys.wake(frontier.crawl), 0) == b"reap"
    assert frontier.reap(calm, buried=True) == ([], [], 1)
    assert frontier.reap(calm, buried=True) == ([], [], 0)


def test_what_nobody_is_to_blame_for_leaves_no_mark(frontier, host):
    """A stack that was ended with work in hand says nothing about that work."""
    calm = standin.options()
    batch = _batch(frontier, host, calm)
    standin.start(frontier, batch, calm)
    frontier.bury([(keys.lease(frontier.crawl, batch.lease), "")], blameless=True)
    frontier.reap(calm, buried=True)

    assert {entry[:6] for entry in standin.entries(frontier, f"http://{host}")} == {"0 0 0 "}


def test_a_renewal_digs_a_lease_out(frontier, host):
    """Whoever renews lives, whatever was thought of it."""
    calm = standin.options()
    batch = _batch(frontier, host, calm)
    started = standin.start(frontier, batch, calm)
    frontier.bury([(keys.lease(frontier.crawl, batch.lease), "")])
    renew(frontier.client, [Renewal(frontier.crawl, batch.lease, host, started.nonce, 30)])

    assert frontier.reap(calm, buried=True) == ([], [], 0)


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
    """No second suspect muddles the verdict."""
    suspects = [f"http://{letter}.{host}/" for letter in "ab"]
    standin.admit(frontier, options, *suspects)
    for _ in range(2):
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
    batch = _die(frontier, _batch(frontier, host, options), options)
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
        if started.requests[0].suspect:
            frontier.isolate(batch.lease, started.nonce)
        standin.overdue(frontier)
        resent, _, _ = frontier.reap(options)
        batch = resent[0] if resent else standin.lease(frontier, options)[0]
    standin.fetched(frontier, started, options, said=standin.report(started, requests=0), body=b"")
    loaded = standin.load(frontier, batch.lease, options)
    lost = standin.result(frontier.crawl, loaded.requests[0], "failed", "lost")
    frontier.complete(batch.lease, [lost], [], standin.links(options), options=options)

    assert (deaths, started.doom, started.requests[0].losses) == (4, "lost", 3)
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
    """One more try for the batch; then each URL is a suspect, uncharged: that was two deaths."""
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
    assert [(one.losses, one.suspect) for one in _suspects(frontier)] == [(0, True)] * 3


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
