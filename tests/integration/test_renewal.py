"""Renewal: one call keeps a process's leases of any crawl alive, up to each one's last moment."""

from __future__ import annotations

import standin

from crawl import keys, names
from crawl.batches import Renewal
from crawl.frontier import renew


def _renewal(frontier, started, lease_s=30.0, nonce=None):
    return Renewal(frontier.crawl, started.lease, started.host, nonce or started.nonce, lease_s)


def _expiry(frontier, lease):
    return frontier.client.zscore(keys.leases(frontier.crawl), keys.lease(frontier.crawl, lease))


def _started(frontier, options, url):
    standin.admit(frontier, options, url)
    (batch,) = standin.lease(frontier, options)
    return standin.start(frontier, batch, options)


def test_a_renewed_lease_is_not_reclaimed(frontier, host):
    """Lease and mark at the host both get a further lease time."""
    options = standin.options(lease_s=0.1)
    started = _started(frontier, options, f"http://{host}/")
    first = _expiry(frontier, started.lease)

    answers = renew(frontier.client, [_renewal(frontier, started)])
    standin.wait_until(frontier.client, first)

    assert answers == [names.RUNNING]
    assert _expiry(frontier, started.lease) > first
    assert frontier.reap(options) == ([], [], 0)
    mark = frontier.client.zscore(keys.host_out(host), keys.lease(frontier.crawl, started.lease))
    assert mark == _expiry(frontier, started.lease)


def test_renewal_ends_at_an_absolute_deadline(frontier, host):
    """A request that never ends is not kept alive for ever, however eagerly its process renews."""
    options = standin.options(lease_s=0.2, total_timeout_s=0.1)
    started = _started(frontier, options, f"http://{host}/")
    last = started.now_ms + 200 + 100

    renew(frontier.client, [_renewal(frontier, started)])
    capped = _expiry(frontier, started.lease)
    standin.wait_until(frontier.client, last)
    late = renew(frontier.client, [_renewal(frontier, started)])

    assert capped == last
    assert late == ["gone"]
    assert _expiry(frontier, started.lease) == last
    assert frontier.reap(options)[2] == 1


def test_what_is_not_held_is_gone(frontier, host):
    """Reclaimed, handed over, closed, or another worker's: the process learns that it holds it no longer."""
    options = standin.options(lease_s=0.02)
    started = _started(frontier, options, f"http://{host}/")
    stranger = renew(frontier.client, [_renewal(frontier, started, nonce="other")])
    standin.overdue(frontier)
    frontier.reap(options)

    assert stranger == ["gone"]
    assert renew(frontier.client, [_renewal(frontier, started)]) == ["gone"]
    assert frontier.client.zcard(keys.leases(frontier.crawl)) == 0
    assert frontier.client.zcard(keys.host_out(host)) == 0


def test_a_fetched_batch_is_renewed_by_who_parses_it(frontier, host):
    """The fetch's nonce ends with the fetch; the parse has its own."""
    options = standin.options()
    started = _started(frontier, options, f"http://{host}/")
    standin.fetched(frontier, started, options)
    unparsed = renew(frontier.client, [_renewal(frontier, started)])
    standin.load(frontier, started.lease, options, nonce="p")

    parsing = renew(frontier.client, [_renewal(frontier, started, nonce="p")])

    assert (unparsed, parsing) == (["gone"], [names.RUNNING])


def test_one_call_renews_leases_of_several_crawls_and_tells_each_ones_state(new_frontier, host):
    """A worker serves all crawls; a paused one is told so with the renewal."""
    one, two = new_frontier(), new_frontier()
    options = standin.options()
    first = _started(one, options, f"http://a.{host}/")
    second = _started(two, options, f"http://b.{host}/")
    two.client.hset(keys.crawl(two.crawl), "state", names.PAUSED)
    gone = Renewal(one.crawl, "l99", f"a.{host}", "n", 30.0)

    answers = renew(one.client, [_renewal(one, first), gone, _renewal(two, second)])

    assert answers == [names.RUNNING, "gone", names.PAUSED]
