"""When a crawl is finished, what `status` shows on the way, and which crawls a release refuses."""

from __future__ import annotations

import pytest
import standin

from crawl import keys, names, results
from crawl.errors import UnknownCrawlError, UsageError


def test_a_crawl_ends_when_nothing_waits_nothing_is_leased_and_the_seeds_are_closed(frontier, host):
    """Each of these alone keeps it running."""
    options = standin.options(batch=1)
    frontier.create(options)
    seen = [frontier.finish()]
    standin.admit(frontier, options, f"http://{host}/")
    seen.append(frontier.finish())
    (batch,) = standin.lease(frontier, options)
    seen.append(frontier.finish())
    standin.fetched(frontier, standin.start(frontier, batch, options), options)
    seen.append(frontier.finish())
    assert standin.complete(frontier, standin.load(frontier, batch.lease, options), options)

    assert seen == [names.RUNNING] * 4
    assert frontier.lease(options, window=1, slots=1).ended
    assert frontier.finish() == names.FINISHED
    assert frontier.finish() == names.FINISHED
    assert frontier.lease(options, window=1, slots=1).state == names.FINISHED


def test_a_delayed_url_keeps_its_crawl_running(frontier, host):
    """A retry in five minutes is work that is left."""
    options = standin.options()
    standin.admit(frontier, options, f"http://{host}/")
    (batch,) = standin.lease(frontier, options)
    standin.fetched(frontier, standin.start(frontier, batch, options), options)
    loaded = standin.load(frontier, batch.lease, options)
    later = standin.now_ms(frontier.client) + 300_000
    frontier.complete(batch.lease, [], [(loaded.requests[0], later)], standin.links(options), options=options)

    leased = frontier.lease(options, window=1, slots=1)

    assert (leased.ended, leased.next_ms) == (False, later)
    assert frontier.finish() == names.RUNNING


def test_a_suspect_keeps_its_crawl_running(frontier, host):
    """It still has to get its record."""
    options = standin.options(lease_s=0.01)
    standin.admit(frontier, options, f"http://{host}/")
    standin.start(frontier, standin.lease(frontier, options)[0], options)
    standin.overdue(frontier)
    frontier.reap(options)

    assert frontier.finish() == names.RUNNING
    assert not frontier.lease(options, window=0, slots=1).ended


def test_the_end_is_read_from_the_sets_not_from_a_count(frontier, host):
    """Were a count ever wrong, the crawl would still end, and `audit` would tell what is missing."""
    options = standin.options()
    standin.admit(frontier, options, f"http://{host}/")
    frontier.client.hset(keys.levels(frontier.crawl), "0", 7)
    standin.visit(frontier, standin.lease(frontier, options)[0], options)

    assert frontier.lease(options, window=1, slots=1).ended


def test_an_empty_crawl_ends(frontier):
    """Seeds that were all refused leave nothing to do."""
    options = standin.options()
    standin.admit(frontier, options)

    assert frontier.lease(options, window=1, slots=1).ended
    assert frontier.finish() == names.FINISHED


def test_further_seeds_reopen_a_finished_crawl(frontier, host):
    """It runs again, with its old records kept and a new revision of its options."""
    options = standin.options()
    standin.admit(frontier, options, f"http://{host}/1")
    standin.visit(frontier, standin.lease(frontier, options)[0], options)
    frontier.finish()
    before = frontier.options()

    frontier.reopen(options)
    standin.admit(frontier, options, f"http://{host}/1", f"http://{host}/2")
    (batch,) = standin.lease(frontier, options)

    assert batch.url == f"http://{host}/2"
    assert before[2] != frontier.options()[2]
    assert results.status(frontier.client, frontier.crawl).ended_ms is None
    assert results.status(frontier.client, frontier.crawl).done == 1


def test_status_adds_up_in_every_state(frontier, host):
    """Waiting is what is admitted, has no record and is not leased; no number is ever negative."""
    options = standin.options(batch=1, lease_s=0.01)
    standin.admit(frontier, options, *standin.pages(host, 5))
    seen = []

    def _look():
        status = results.status(frontier.client, frontier.crawl)
        seen.append((status.waiting, status.leased, status.done))

    _look()
    one, two, three, _, _ = standin.lease(frontier, options)
    _look()
    standin.visit(frontier, one, options)
    standin.fetched(frontier, standin.start(frontier, two, options), options)
    standin.start(frontier, three, options)
    _look()
    standin.overdue(frontier)
    frontier.reap(options)
    _look()

    assert seen == [(5, 0, 0), (0, 5, 0), (0, 4, 1), (1, 3, 1)]


def test_a_crawl_is_made_once(frontier):
    """Making it again returns the stored options, whatever was asked for now."""
    first = standin.options(batch=7)

    made = frontier.create(first)
    again = frontier.create(standin.options(batch=9))

    assert made == (True, first, names.RUNNING)
    assert again == (False, first, names.RUNNING)


def test_a_crawl_of_another_release_is_refused(frontier):
    """Mixed releases must not write into each other's layout: every way in names the crawl and the remedy."""
    options = standin.options()
    frontier.create(options)
    frontier.client.hset(keys.crawl(frontier.crawl), "schema", "99")

    for way_in in (
        lambda: frontier.create(options),
        frontier.options,
        lambda: results.status(frontier.client, frontier.crawl),
    ):
        with pytest.raises(UsageError, match=rf"'{frontier.crawl}' was made by another release .*--name"):
            way_in()


def test_an_unknown_crawl_is_refused_with_those_there_are(frontier, new_frontier):
    """The message helps to find the right name."""
    frontier.create(standin.options())

    with pytest.raises(UnknownCrawlError, match=frontier.crawl):
        results.status(frontier.client, "nobody")
    assert results.resolve(frontier.client, None) == frontier.crawl
    assert new_frontier().options() is None
