"""Leases: started once, handed back uncharged, and what a repeated or late report does."""

from __future__ import annotations

import threading

import msgspec
import standin

from crawl import keys, names
from crawl.batches import Started


def test_a_batch_is_started_by_one_worker_only(frontier, batch_of_four):
    """The second delivery of a message gets `taken`; the first one's repeated call gets the batch again."""
    batch, options = batch_of_four

    first = standin.start(frontier, batch, options, nonce="a")
    second = frontier.start(batch.lease, nonce="b", worker="w", options=options)
    again = standin.start(frontier, batch, options, nonce="a")

    assert second == "taken"
    assert again.requests == first.requests
    assert [request.url for request in first.requests] == [
        f"http://{frontier.crawl}.test/{number}" for number in range(4)
    ]


def test_of_many_deliveries_at_once_one_starts(frontier, batch_of_four, server):
    """`start` is a compare-and-set, whoever comes when."""
    batch, options = batch_of_four
    gate = threading.Barrier(8)
    answers = []

    def _deliver(number):
        gate.wait()
        answers.append(frontier.start(batch.lease, nonce=f"n{number}", worker="w", options=options))

    threads = [threading.Thread(target=_deliver, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(isinstance(answer, Started) for answer in answers) == 1
    assert answers.count("taken") == 7


def test_a_lease_nobody_knows_is_taken(frontier):
    """A message of a crawl that was deleted, or of a lease long closed, ends without a trace."""
    options = standin.options()
    frontier.create(options)

    assert frontier.start("l77", nonce="a", worker="w", options=options) == "taken"


def test_a_paused_crawl_releases_what_was_sent(frontier, batch_of_four, host):
    """The batch goes back to the front in its order, uncharged, and its host is free for others."""
    batch, options = batch_of_four
    standin.admit(frontier, options, f"http://{host}/later")
    before = standin.entries(frontier, f"http://{host}")
    frontier.client.hset(keys.crawl(frontier.crawl), "state", names.PAUSED)

    answer = frontier.start(batch.lease, nonce="a", worker="w", options=options)

    assert answer == names.PAUSED
    assert standin.waiting(frontier, f"http://{host}") == [*standin.pages(host, 4), f"http://{host}/later"]
    assert all(entry.startswith("0 0 0 ") for entry in standin.entries(frontier, f"http://{host}"))
    assert standin.entries(frontier, f"http://{host}")[-1:] == before
    assert frontier.client.zcard(keys.host_out(host)) == 0
    assert frontier.client.zcard(keys.leases(frontier.crawl)) == 0


def test_a_paused_crawl_leases_nothing(frontier, host):
    """The pump learns the state from the answer to `lease`."""
    options = standin.options()
    standin.admit(frontier, options, f"http://{host}/")
    frontier.client.hset(keys.crawl(frontier.crawl), "state", names.PAUSED)

    leased = frontier.lease(options, window=9, slots=4)

    assert (leased.state, leased.batches, leased.next_ms) == (names.PAUSED, [], None)


def test_what_was_not_begun_goes_back_to_the_front_uncharged(frontier, batch_of_four, host):
    """A batch that runs out of time hands over what it has; the rest keeps its order and its attempts."""
    batch, options = batch_of_four
    standin.admit(frontier, options, f"http://{host}/later")
    started = standin.start(frontier, batch, options)

    standin.fetched(frontier, started, options, count=2)
    loaded = standin.load(frontier, batch.lease, options)

    assert standin.waiting(frontier, f"http://{host}") == [
        f"http://{host}/2",
        f"http://{host}/3",
        f"http://{host}/later",
    ]
    assert {entry[:6] for entry in standin.entries(frontier, f"http://{host}")} == {"0 0 0 "}
    assert [request.url for request in loaded.requests] == standin.pages(host, 2)


def test_a_batch_in_which_nothing_was_begun_leaves_no_trace(frontier, batch_of_four, host):
    """A worker that drains gives the whole batch back and closes its lease."""
    batch, options = batch_of_four
    started = standin.start(frontier, batch, options)

    standin.fetched(frontier, started, options, count=0)

    assert standin.waiting(frontier, f"http://{host}") == standin.pages(host, 4)
    assert frontier.client.exists(keys.lease(frontier.crawl, batch.lease)) == 0
    assert frontier.client.zcard(keys.leases(frontier.crawl)) == 0
    assert frontier.client.zcard(keys.host_out(host)) == 0


def test_fetched_repeated_after_a_lost_reply_is_ok_and_changes_nothing(frontier, batch_of_four):
    """The worker cannot know whether its report arrived, so it may say it twice."""
    batch, options = batch_of_four
    started = standin.start(frontier, batch, options)

    first = standin.fetched(frontier, started, options, count=2)
    image = standin.image(frontier)
    again = standin.fetched(frontier, started, options, count=2)

    assert (first, again) == (True, True)
    assert standin.image(frontier) == image


def test_a_report_after_the_lease_was_reclaimed_is_stale_and_leaves_no_body(frontier, host):
    """Somebody else has the URL by now; what the late worker brings is dropped, its bodies too."""
    options = standin.options(lease_s=0.02)
    standin.admit(frontier, options, f"http://{host}/")
    (batch,) = standin.lease(frontier, options)
    started = standin.start(frontier, batch, options)
    standin.overdue(frontier)
    frontier.reap(options)
    image = standin.image(frontier)

    kept = standin.fetched(frontier, started, options)

    assert kept is False
    assert standin.image(frontier) == image


def test_another_workers_report_is_stale(frontier, batch_of_four):
    """Only the nonce that started a batch may end it."""
    batch, options = batch_of_four
    started = standin.start(frontier, batch, options, nonce="a")

    assert standin.fetched(frontier, msgspec.structs.replace(started, nonce="b"), options) is False
    assert standin.fetched(frontier, started, options) is True
