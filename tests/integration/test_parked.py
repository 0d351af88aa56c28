"""Budgets in the frontier: what is over one is parked, counted once, listed, and admitted when it is released."""

from __future__ import annotations

import pytest
import standin

from crawl import keys, names, parked, results, traps, urls
from crawl.audit import audit
from crawl.errors import UsageError
from crawl.links import Links
from crawl.records import FetchRequest

LIMITED = {"pattern_budget": 3, "calendar_budget": 2}


def found_on(opts, host, *paths, depth=1):
    """Return links of the host's first page, as a worker offers them."""
    links = Links(finite=opts.depth is not None, buckets=opts.seen_buckets)
    parent = f"http://{host}/"
    for path in paths:
        url = f"http://{host}{path}"
        fingerprint = links.offer(url)
        if fingerprint is not None:
            request = FetchRequest(url=url, depth=depth, via=names.LINK, parent=parent, queued_ms=1)
            links.put(fingerprint, request, traps.pattern_of(url) if opts.traps == "park" else None)
    return links


def complete(frontier, opts, links):
    """Complete the batch that is due, with these links; return how many of them were kept out."""
    batch = standin.lease(frontier, opts)[0]
    started = standin.start(frontier, batch, opts)
    standin.fetched(frontier, started, opts)
    frontier.load(batch.lease, nonce="p", options=opts, with_bodies=False)
    closed, kept_out = frontier.complete(batch.lease, [], [], links, options=opts)
    assert closed
    return kept_out


def crawl_with(frontier, host, *paths, **changes):
    """Return the options of a crawl of one page that links to these paths, and how many of them were kept out."""
    opts = standin.options(batch=1, **{**LIMITED, **changes})
    standin.admit(frontier, opts, f"http://{host}/")
    return opts, complete(frontier, opts, found_on(opts, host, *paths))


def test_a_pattern_ends_at_its_budget(frontier, host):
    """What is over it is parked, the rest is admitted, and pages with names of their own are not counted."""
    names_ = [f"/about/{letter}" for letter in "abcdefgh"]
    _, kept_out = crawl_with(frontier, host, *(f"/p/{n}" for n in range(8)), *names_)
    listing = parked.listing(frontier.client, frontier.crawl)

    assert 5 == kept_out == listing.parked
    assert 1 + 3 + 8 == results.status(frontier.client, frontier.crawl).admitted
    assert [f"{host}/p/{{n}}"] == [group.pattern for group in listing.groups]
    assert {b"3"} == set(frontier.client.hvals(keys.patterns(frontier.crawl)))
    assert f"http://{host}/" == listing.groups[0].samples[0]["parent"]


def test_a_calendar_has_the_smaller_budget(frontier, host):
    """The same crawl, other URLs."""
    _, kept_out = crawl_with(frontier, host, *(f"/cal?month=2024-0{n}" for n in range(1, 9)))

    assert 6 == kept_out
    assert {"budget": 6} == results.status(frontier.client, frontier.crawl).refused


def test_a_trap_gets_nothing(frontier, host):
    """Repeated segments need no budget to be recognised."""
    _, kept_out = crawl_with(frontier, host, "/a/a/a", "/a/a/a/a", "/b")

    assert 2 == kept_out
    assert {"trap": 2} == results.status(frontier.client, frontier.crawl).refused


def test_what_was_parked_is_counted_once(frontier, host):
    """Every page of a site may link to it again."""
    opts, _ = crawl_with(frontier, host, "/a/a/a", "/b")
    complete(frontier, opts, found_on(opts, host, "/a/a/a"))

    assert {"trap": 1} == results.status(frontier.client, frontier.crawl).refused


def test_what_a_crawl_knows_is_not_parked(frontier, host):
    """A URL admitted within the budget stays admitted, however often it is found afterwards."""
    opts, _ = crawl_with(frontier, host, *(f"/p/{n}" for n in range(3)))
    complete(frontier, opts, found_on(opts, host, "/p/0", "/p/1", "/p/2"))

    assert {} == results.status(frontier.client, frontier.crawl).refused


def test_a_host_ends_at_its_budget_with_its_seeds_counted(frontier, host):
    """`--max-pages-per-host` is for every URL of the host, pattern or not, and never keeps a seed out."""
    opts = standin.options(batch=1, max_pages_per_host=4)
    standin.admit(frontier, opts, *(f"http://{host}/seed-{letter}" for letter in "abcde"))
    kept_out = complete(frontier, opts, found_on(opts, host, "/x"))

    assert (5, 1) == (results.status(frontier.client, frontier.crawl).admitted, kept_out)
    assert [host] == [group.pattern for group in parked.listing(frontier.client, frontier.crawl).groups]


def test_a_host_budget_needs_no_traps(frontier, host):
    """Switched off, traps cost no key; the host's budget counts on its own."""
    _, kept_out = crawl_with(frontier, host, "/1", "/2", "/3", traps="ignore", max_pages_per_host=2)

    assert 2 == kept_out
    assert 0 == frontier.client.exists(keys.patterns(frontier.crawl))


def test_without_traps_and_budgets_nothing_is_written(frontier, host):
    """What is off costs nothing."""
    _, kept_out = crawl_with(frontier, host, "/a/a/a", *(f"/p/{n}" for n in range(9)), traps="ignore")
    part = [keys.patterns, keys.host_pages, keys.parked]

    assert 0 == kept_out
    assert 0 == frontier.client.exists(*(key(frontier.crawl) for key in part))


def test_a_long_list_of_links_is_counted_over_all_its_calls(frontier, host):
    """A page with thousands of links is admitted in slices; its budget is one."""
    _, kept_out = crawl_with(frontier, host, *(f"/p/{n}" for n in range(2500)), pattern_budget=1200)

    assert 1300 == kept_out
    assert 1201 == results.status(frontier.client, frontier.crawl).admitted


def test_a_release_admits_and_raises_the_budget(frontier, host):
    """What was parked is crawled, as much again may follow, and nothing of it counts as refused any more."""
    opts, _ = crawl_with(frontier, host, *(f"/p/{n}" for n in range(8)), "/a/a/a")
    released = parked.release(frontier.client, frontier.crawl, f"{host}/p/{{n}}")
    kept_out = complete(frontier, opts, found_on(opts, host, *(f"/p/{n}" for n in range(20, 26))))

    assert 5 == released.released
    assert 3 == kept_out
    assert {"trap": 1, "budget": 3} == results.status(frontier.client, frontier.crawl).refused


def test_a_trap_can_be_released_too(frontier, host):
    """Whoever looks at it may know better."""
    opts, _ = crawl_with(frontier, host, "/a/a/a", "/a/a/a/a")
    released = parked.release(frontier.client, frontier.crawl, None)
    kept_out = complete(frontier, opts, found_on(opts, host, "/a/a/a/a/a"))

    assert (2, 0) == (released.released, kept_out)
    assert 0 == audit(frontier.client, frontier.crawl).capped


def test_a_release_keeps_depth_and_parent(frontier, host):
    """What is admitted later is the same request; its level is served as it would have been."""
    crawl_with(frontier, host, *(f"/p/{n}" for n in range(5)), depth=3)
    url = next(iter(parked.listing(frontier.client, frontier.crawl).groups[0].samples))["url"]
    before = parked.parked_entry(frontier.client, frontier.crawl, url)
    parked.release(frontier.client, frontier.crawl, None)
    level = frontier.client.lrange(keys.queue(frontier.crawl, 1, f"http://{host}"), 0, -1)

    assert (1, f"http://{host}/", "budget") == (before.depth, before.parent, before.reason)
    assert any(url.encode() in entry for entry in level)
    assert parked.parked_entry(frontier.client, frontier.crawl, url) is None


def test_a_release_reopens_a_finished_crawl(frontier, host):
    """Else nobody would crawl what it admits."""
    opts = standin.options(batch=1, **LIMITED)
    standin.admit(frontier, opts, f"http://{host}/")
    complete(frontier, opts, found_on(opts, host, "/a/a/a"))
    ended = frontier.finish()
    released = parked.release(frontier.client, frontier.crawl, None)

    assert (names.FINISHED, names.FINISHED) == (ended, released.state)
    assert names.RUNNING == results.status(frontier.client, frontier.crawl).state
    assert 1 == len(standin.lease(frontier, opts))


def test_the_page_limit_keeps_what_is_released_parked(frontier, host):
    """A release is no way round `--max-pages`; what does not fit can be released later."""
    crawl_with(frontier, host, *(f"/p/{n}" for n in range(8)), max_pages=6)
    released = parked.release(frontier.client, frontier.crawl, None)

    assert (2, 3) == (released.released, released.left)
    assert 3 == parked.listing(frontier.client, frontier.crawl).parked


def test_nothing_to_release_is_said(frontier, host):
    """A mistyped pattern is an error that says where to look."""
    crawl_with(frontier, host, "/a/a/a")

    with pytest.raises(UsageError, match="poolcrawl parked"):
        parked.release(frontier.client, frontier.crawl, "nothing/{n}")


def test_beyond_its_room_parked_urls_are_only_counted(frontier, host, monkeypatch):
    """Redis stays bounded; the listing says how many there were besides."""
    monkeypatch.setattr(traps, "PARKED_KEPT", 4)
    crawl_with(frontier, host, *(f"/a/a/a/{letter}" for letter in "abcdefg"))
    listing = parked.listing(frontier.client, frontier.crawl)

    assert (4, 3) == (listing.parked, listing.not_kept)
    assert {"trap": 7} == results.status(frontier.client, frontier.crawl).refused


def test_beyond_their_room_patterns_are_not_counted(frontier, host, monkeypatch):
    """An honest site of very many patterns is crawled; traps are still recognised by their looks."""
    monkeypatch.setattr(traps, "PATTERNS_KEPT", 5)
    pages = [f"/{letter}/{n}" for letter in "abcdefgh" for n in range(3)]
    _, kept_out = crawl_with(frontier, host, *pages, "/z/z/z", pattern_budget=3)

    assert 1 == kept_out
    assert 5 == frontier.client.hlen(keys.patterns(frontier.crawl))


def test_a_parked_url_is_not_seen(frontier, host):
    """Neither admitted nor lost: the audit misses nothing."""
    opts, _ = crawl_with(frontier, host, "/a/a/a")
    fingerprint = urls.fingerprint(f"http://{host}/a/a/a")
    seen = keys.seen(frontier.crawl, fingerprint % opts.seen_buckets)

    assert 0 == frontier.client.sismember(seen, str(fingerprint))
    assert 1 == audit(frontier.client, frontier.crawl).capped
