"""New links on their way into the frontier: each once, grouped, in calls of bounded size."""

from __future__ import annotations

import pytest

from crawl import urls
from crawl.links import LINK_BYTES_PER_CALL, LINKS_PER_CALL, Links
from crawl.records import FetchRequest


def _put(links, *pages, depth=0):
    for url in pages:
        fingerprint = links.offer(url)
        if fingerprint is not None:
            links.put(fingerprint, FetchRequest(url=url, depth=depth))


def test_a_link_is_held_once():
    """A page that links to one URL a hundred times costs one line."""
    links = Links(finite=False, buckets=16)

    _put(links, "http://a.test/", "http://a.test/", "http://a.test/b")

    assert len(links) == 2


def test_a_link_the_process_knows_is_not_offered():
    """What this worker has seen admitted before need not be asked of Redis again."""
    known = {urls.fingerprint("http://a.test/")}
    links = Links(finite=False, buckets=16, known=known)

    assert links.offer("http://a.test/") is None
    assert links.offer("http://a.test/b") == urls.fingerprint("http://a.test/b")


@pytest.mark.parametrize(("finite", "levels"), [(True, {0, 3}), (False, {0})])
def test_levels_are_kept_apart_only_where_the_depth_is_limited(finite, levels):
    """Without a limit the order of depths does not matter, and one level serves all."""
    links = Links(finite=finite, buckets=16)
    _put(links, "http://a.test/", depth=0)
    _put(links, "http://a.test/deep", depth=3)

    assert {level for level, _, _ in links.slices()[0]} == levels


def test_no_link_makes_one_empty_call():
    """`complete` and `add` always have something to call with."""
    assert Links(finite=False, buckets=16).slices() == [[]]


@pytest.mark.parametrize(
    "count", [1, LINKS_PER_CALL - 1, LINKS_PER_CALL, LINKS_PER_CALL + 1, 3 * LINKS_PER_CALL]
)
def test_slices_hold_every_link_once_in_order(count):
    """Also at the borders of a call."""
    pages = [f"http://h{number % 7}.test/{number}" for number in range(count)]
    links = Links(finite=False, buckets=16)
    _put(links, *pages)

    slices = links.slices()
    rows = [row for call in slices for _, _, part in call for row in part]

    assert len(slices) == -(-count // LINKS_PER_CALL)
    assert sorted(row[2].rsplit(" ", 1)[1] for row in rows) == sorted(pages)
    assert all(part for call in slices for _, _, part in call)
    assert all(bucket == int(fingerprint) % 16 for bucket, fingerprint, _ in rows)


def test_a_call_is_bounded_in_bytes():
    """A thousand long URLs would be megabytes in one script call."""
    links = Links(finite=False, buckets=16)
    _put(links, *(f"http://a.test/{number}/{'x' * 4000}" for number in range(200)))

    sizes = [sum(len(row[2]) for _, _, part in call for row in part) for call in links.slices()]

    assert len(sizes) > 1
    assert max(sizes) <= LINK_BYTES_PER_CALL
