"""From bodies to records: a fetched batch is loaded as often as need be and completed once."""

from __future__ import annotations

import threading

import msgspec
import standin

from crawl import keys, names, results, urls
from crawl.batches import RobotsAnswer
from crawl.records import FetchRequest


def test_bodies_reach_the_parser_byte_for_byte(frontier, host):
    """A body is any bytes; it never passes through Lua or JSON."""
    options = standin.options()
    body = bytes(range(256)) * 40
    standin.admit(frontier, options, f"http://{host}/")
    (batch,) = standin.lease(frontier, options)

    standin.fetched(frontier, standin.start(frontier, batch, options), options, body=body)

    assert standin.load(frontier, batch.lease, options).bodies == {0: body}


def test_loading_twice_gives_both_the_same(frontier, batch_of_four):
    """A second delivery of the parse may work in parallel; `complete` lets one of them through."""
    batch, options = batch_of_four
    standin.fetched(frontier, standin.start(frontier, batch, options), options)

    one, two = (standin.load(frontier, batch.lease, options) for _ in range(2))

    assert (one.requests, one.fetched, one.bodies) == (two.requests, two.fetched, two.bodies)


def test_a_batch_that_is_not_fetched_cannot_be_loaded(frontier, batch_of_four):
    """A parse message that overtakes its fetch, or comes for an unknown lease, finds nothing."""
    batch, options = batch_of_four

    assert frontier.load(batch.lease, nonce="p", options=options, with_bodies=True) is None
    standin.start(frontier, batch, options)
    assert frontier.load(batch.lease, nonce="p", options=options, with_bodies=True) is None
    assert frontier.load("l77", nonce="p", options=options, with_bodies=True) is None


def test_a_batch_whose_bodies_expired_is_not_parsed_without_them(frontier, batch_of_four):
    """It is left to the reaper, which has it fetched again, instead of failing every page of it."""
    batch, options = batch_of_four
    standin.fetched(frontier, standin.start(frontier, batch, options), options)
    frontier.client.delete(keys.bodies(frontier.crawl, batch.lease))

    assert frontier.load(batch.lease, nonce="p", options=options, with_bodies=True) is None


def test_a_batch_without_any_body_is_parsed(frontier, batch_of_four):
    """Redirects and failures have no body and need none."""
    batch, options = batch_of_four
    standin.fetched(frontier, standin.start(frontier, batch, options), options, body=b"")

    assert standin.load(frontier, batch.lease, options).bodies == {}


def test_two_parses_at_once_write_each_record_and_link_once(frontier, batch_of_four, host):
    """Whichever of two deliveries closes the lease first wins; the other one changes nothing."""
    batch, options = batch_of_four
    standin.fetched(frontier, standin.start(frontier, batch, options), options)
    gate = threading.Barrier(4)
    closed = []

    def _parse(number):
        loaded = standin.load(frontier, batch.lease, options)
        found = standin.links(options, f"http://{host}/new", f"http://{host}/new{number}")
        gate.wait()
        closed.append(standin.complete(frontier, loaded, options, found))

    threads = [threading.Thread(target=_parse, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    status = results.status(frontier.client, frontier.crawl)
    assert sorted(closed) == [False, False, False, True]
    assert (status.done, status.admitted, status.outcomes) == (4, 6, {"ok": 4})
    assert frontier.client.xlen(keys.results(frontier.crawl)) == 4
    assert len(standin.waiting(frontier, f"http://{host}")) == 2


def test_completing_again_is_gone_and_changes_nothing(frontier, batch_of_four, host):
    """A repeated call after a lost reply must not count or admit anything twice."""
    batch, options = batch_of_four
    standin.fetched(frontier, standin.start(frontier, batch, options), options)
    loaded = standin.load(frontier, batch.lease, options)
    assert standin.complete(frontier, loaded, options, standin.links(options, f"http://{host}/new"))
    image = standin.image(frontier)

    again = standin.complete(frontier, loaded, options, standin.links(options, f"http://{host}/other"))

    assert again is False
    assert standin.image(frontier) == image


def test_completing_after_the_lease_was_reclaimed_changes_nothing(frontier, host):
    """The URL waits again and will be fetched by somebody else: a late parse, even of many links, is too late."""
    options = standin.options(lease_s=0.02)
    standin.admit(frontier, options, f"http://{host}/")
    (batch,) = standin.lease(frontier, options)
    standin.fetched(frontier, standin.start(frontier, batch, options), options)
    loaded = standin.load(frontier, batch.lease, options)
    frontier.client.delete(keys.bodies(frontier.crawl, batch.lease))
    standin.overdue(frontier)
    assert frontier.reap(options)[2] == 1
    image = standin.image(frontier)

    many = standin.links(options, *standin.pages(f"new.{host}", 2500))
    closed = standin.complete(
        frontier, loaded, options, many, scope_seeds=["http://x.test/"], refused={"scope": 3}
    )

    assert closed is False
    assert standin.image(frontier) == image


def test_completing_deletes_bodies_and_lease(frontier, batch_of_four):
    """Nothing of a batch stays but its records, its attempts and the links it found."""
    batch, options = batch_of_four
    standin.visit(frontier, batch, options)

    assert frontier.client.exists(keys.bodies(frontier.crawl, batch.lease)) == 0
    assert frontier.client.exists(keys.lease(frontier.crawl, batch.lease)) == 0
    assert frontier.client.zcard(keys.leases(frontier.crawl)) == 0


def test_a_retry_waits_until_its_time_and_then_travels_first(frontier, host):
    """A transient failure costs an attempt, leaves no record, and is due at its not-before time, not earlier."""
    options = standin.options(batch=1)
    standin.admit(frontier, options, f"http://{host}/flaky")
    (batch,) = standin.lease(frontier, options)
    standin.fetched(frontier, standin.start(frontier, batch, options), options)
    loaded = standin.load(frontier, batch.lease, options)
    again = msgspec.structs.replace(loaded.requests[0], attempts=1)
    due_ms = standin.now_ms(frontier.client) + 300

    found = standin.links(options, f"http://{host}/new")
    frontier.complete(batch.lease, [], [(again, due_ms)], found, options=options)
    waiting = results.status(frontier.client, frontier.crawl)
    early = standin.lease(frontier, options, window=1)
    standin.wait_until(frontier.client, due_ms)
    (late,) = standin.lease(frontier, options, window=2)

    assert (waiting.waiting, waiting.delayed, waiting.done) == (2, 1, 0)
    assert [batch.url for batch in early] == [f"http://{host}/new"]
    assert late.url == f"http://{host}/flaky"
    assert standin.start(frontier, late, options).requests == [again]


def test_a_link_that_two_pages_share_is_admitted_once(frontier, host):
    """Also when both pages are completed in different batches at the same time."""
    options = standin.options(batch=1)
    standin.admit(frontier, options, *standin.pages(host, 2))
    for batch in standin.lease(frontier, options):
        standin.visit(frontier, batch, options, found=standin.links(options, f"http://{host}/shared"))

    assert standin.waiting(frontier, f"http://{host}") == [f"http://{host}/shared"]


def test_a_redirects_target_keeps_its_depth_and_hops(frontier, host):
    """A redirect is a link at the same depth; the frontier hands it out with its hop count and its origin."""
    options = standin.options(depth=0)
    source, target = f"http://{host}/from", f"https://www.{host}/to"
    standin.admit(frontier, options, source)
    (batch,) = standin.lease(frontier, options)
    standin.fetched(frontier, standin.start(frontier, batch, options), options)
    loaded = standin.load(frontier, batch.lease, options)
    found = standin.links(options)
    request = FetchRequest(url=target, depth=0, via=names.REDIRECT, parent=source, hops=1, queued_ms=5)
    found.put(urls.fingerprint(target), request)
    record = standin.result(frontier.crawl, loaded.requests[0], "redirect")
    frontier.complete(batch.lease, [record], [], found, options=options, scope_seeds=[target])

    (follow,) = standin.lease(frontier, options)
    started = standin.start(frontier, follow, options)
    standin.fetched(frontier, started, options)

    assert started.requests == [request]
    assert frontier.scope_seeds(0, standin.load(frontier, follow.lease, options).scope_count) == [target]
    assert results.status(frontier.client, frontier.crawl).outcomes == {"redirect": 1}


def test_surplus_links_of_a_page_all_arrive(frontier, host):
    """A page with more links than one call carries loses none of them."""
    options = standin.options()
    standin.admit(frontier, options, f"http://{host}/")
    (batch,) = standin.lease(frontier, options)
    found = standin.links(options, *standin.pages(f"new.{host}", 2500))

    assert standin.visit(frontier, batch, options, found=found)
    assert len(standin.waiting(frontier, f"http://new.{host}")) == 2500


def test_refused_links_and_outcomes_are_counted_by_reason(frontier, host):
    """`status` says why links were not admitted and why pages have no content."""
    options = standin.options(batch=1)
    standin.admit(frontier, options, f"http://{host}/")
    (batch,) = standin.lease(frontier, options)
    standin.fetched(frontier, standin.start(frontier, batch, options), options)
    loaded = standin.load(frontier, batch.lease, options)

    failed = standin.result(frontier.crawl, loaded.requests[0], "failed", "http")
    links = standin.links(options)
    frontier.complete(batch.lease, [failed], [], links, options=options, refused={"scope": 3, "depth": 2})

    status = results.status(frontier.client, frontier.crawl)
    assert (status.outcomes, status.reasons) == ({"failed": 1}, {"http": 1})
    assert status.refused == {"scope": 3, "depth": 2}


def test_scripts_are_loaded_again_after_the_server_forgot_them(frontier, batch_of_four):
    """A restarted server knows no script; every verb survives that, also those inside pipelines."""
    batch, options = batch_of_four
    frontier.client.script_flush()
    started = standin.start(frontier, batch, options)
    frontier.client.script_flush()
    assert standin.fetched(frontier, started, options)
    frontier.client.script_flush()
    loaded = standin.load(frontier, batch.lease, options)
    frontier.client.script_flush()
    robots = RobotsAnswer(origin="http://other.test")

    assert loaded.bodies[0] == b"<html>"
    assert standin.complete(frontier, loaded, options, robots=robots)
