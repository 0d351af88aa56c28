"""A crawl's records become a workload like it."""

from __future__ import annotations

import itertools

import pytest

from crawl.errors import UsageError
from crawl.records import PageRecord
from lab import replay
from lab.workload import from_row


def _record(number: int, outcome="ok", url="https://a.example/", **fields) -> PageRecord:
    told = {"attempts": 1, "bytes": 20_000, "fetch_ms": 100.0 + number, "parse_ms": 0.4, "links": ["x"] * 10}
    return PageRecord("shops", f"{url}{number}", "link", None, 1, **{**told, **fields}, outcome=outcome)


def test_samples_are_the_pages_that_were_fetched():
    """What was never asked for, led elsewhere or was no page has no cost of a page."""
    good = [_record(n) for n in range(30)]
    other = [
        _record(50, "failed", reason="robots", attempts=0, bytes=None, parse_ms=None),
        _record(51, "failed", reason="timeout", bytes=None, parse_ms=None),
        _record(52, "redirect", bytes=None, parse_ms=None),
        _record(53, "skipped", reason="content_type", parse_ms=None),
    ]
    found = replay.from_crawl([*other, *good], "shops")

    assert [100.0 + n for n in range(30)] == [sample.latency_ms for sample in found]
    assert {20_000} == {sample.size_bytes for sample in found}


def test_a_large_crawl_is_drawn_from_evenly_and_always_alike():
    """At most 2000 samples, from its beginning to its end."""
    # A fifth of a millisecond a page, since longer latencies than 15 s are cut.
    found = replay.from_crawl((_record(n, fetch_ms=100 + n / 5) for n in range(50_001)), "shops")
    again = replay.from_crawl((_record(n, fetch_ms=100 + n / 5) for n in range(50_001)), "shops")
    numbers = [round(5 * (sample.latency_ms - 100)) for sample in found]
    gaps = {later - earlier for earlier, later in itertools.pairwise(numbers)}

    assert found == again
    assert 1000 < len(found) <= replay.MOST_SAMPLES
    assert numbers[0] == 0
    assert numbers[-1] > 49_900
    assert gaps <= {16, 32}


def test_a_crawl_with_too_few_pages_is_named():
    """Nineteen pages are no mix."""
    with pytest.raises(UsageError, match=r"crawl 'shops' has 19 pages .* at least 20"):
        replay.replay_workload("shops", [_record(n) for n in range(19)], 100)


def test_the_plain_parse_is_not_paid_twice():
    """A typical page burns nothing more; what is dearer than its size burns the difference."""
    plain = [_record(n) for n in range(30)]
    dear = _record(31, parse_ms=25.4)
    found = [sample.parse_ms for sample in replay.from_crawl([*plain, dear], "shops")]

    assert found == [0.0] * 30 + [25.0]


def test_a_crawl_whose_every_page_is_dear_stays_dear():
    """Its median is not taken for what a plain parse costs."""
    found = replay.from_crawl([_record(n, parse_ms=20.0) for n in range(30)], "shops")

    assert all(19.0 < sample.parse_ms < 20.0 for sample in found)


def test_a_page_cheaper_than_typical_burns_nothing():
    """Never a negative cost."""
    mixed = [_record(n, parse_ms=0.4 if n % 3 else 0.1) for n in range(30)]

    assert {0.0} == {sample.parse_ms for sample in replay.from_crawl(mixed, "shops")}


def test_the_workload_is_like_the_crawl():
    """Hosts, failures, links and TLS, so that the answer is about one's own mix; it survives its JSON."""
    urls = [f"https://s{n % 7}.example/" for n in range(90)]
    records = [_record(n, url=url) for n, url in enumerate(urls)]
    records += [_record(n, "failed", reason="http", status=500, bytes=None) for n in range(10)]
    found = replay.replay_workload("shops", records, 200)

    assert found.name == "replay-shops"
    assert (200, 7, 10, 0.1, True) == (found.pages, found.hosts, found.links, found.errors, found.tls)
    assert len(found.samples) == 90
    assert found.page(3).size_bytes == 20_000
    assert found == from_row(found.row())


def test_hosts_and_links_are_no_more_than_the_pages_can_hold():
    """Five pages a host, and links no more than half of a page."""
    records = [_record(n, url=f"http://s{n}.example/", bytes=3000, links=["x"] * 500) for n in range(1000)]
    found = replay.replay_workload("shops", records, 100)

    assert (20, 20, False) == (found.hosts, found.links, found.tls)
    assert replay.replay_workload("shops", records, 3).hosts == 1
