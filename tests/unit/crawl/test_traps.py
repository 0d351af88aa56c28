"""Patterns: what URLs have in common when numbers, dates and identifiers are left out, and what looks endless."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl import traps, urls
from crawl.records import CrawlOptions
from crawl.traps import budget_of, pattern_of, reason_of


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/", None),
        ("", None),
        ("/about/us.html", None),
        ("/page/17", "/page/{n}"),
        ("/page-17.html", "/page-{n}.html"),
        ("/search?q=a", "/search?*"),
        ("/search?q=17&page=2", "/search?*"),
        ("/p/17?sid=81231", "/p/{n}?*"),
        ("/i/550e8400-e29b-41d4-a716-446655440000/x", "/i/{id}/x"),
        ("/c/3f786850e387550fdab836ed7e6dc881de23001b", "/c/{id}"),
        ("/a;jsessionid=0A1B2C3D4E5F6A7B8C9D0E1F", "/a;jsessionid={id}"),
        ("/wiki/%E6%97%A5%E6%9C%AC", None),
        ("/v2/about", None),
    ],
)
def test_what_varies_is_left_out(path, pattern):
    """Numbers, identifiers and queries; a page under a name of its own has no pattern and is never counted."""
    expected = pattern and "h.test" + pattern

    assert expected == pattern_of("http://h.test:8080" + path)


@pytest.mark.parametrize(
    "path",
    [
        "/calendar/2024/05",
        "/2024/05/31/",
        "/cal?month=2024-05",
        "/cal?year=2024&month=5",
        "/cal?date=20240531",
        "/cal?view=list&date=2024-05-31",
        "/day-31-05-2024",
        "/calendar/2031",
        "/kalender/20240531.html",
    ],
)
def test_a_date_that_alone_varies_makes_a_calendar(path):
    """Such a pattern has a budget of its own, the smaller one."""
    pattern = pattern_of("http://h.test" + path)

    assert "{date}" in pattern
    assert 2000 == budget_of(pattern, CrawlOptions())


@pytest.mark.parametrize(
    "path",
    [
        "/2024/05/31/12345.html",
        "/product/20010101",
        "/list?year=2024&page=3",
        "/year/2024",
        "/x?candidate=12345",
        "/phone/2024-123",
        "/update?updated=1234",
    ],
)
def test_an_article_filed_under_its_day_is_no_calendar(path):
    """A number says which article it is, and a number that could be a year is a number."""
    pattern = pattern_of("http://h.test" + path)

    assert "{date}" not in pattern
    assert 100_000 == budget_of(pattern, CrawlOptions())


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/x/y/y/y", "/x/y/{repeat}"),
        ("/x/y/y/y/z.html", "/x/y/{repeat}"),
        ("/a/b/a/b/a/b", "/a/b/{repeat}"),
        ("/a/b/a/b/a/b/a/b/a", "/a/b/{repeat}"),
        ("/n1/a/b1/a/b1/a/b1/", "/n{n}/a/b{n}/{repeat}"),
        ("/" + "/".join(f"s{'abcdefghijk'[n % 11]}{'xyzuvw'[n % 5]}" for n in range(40)), "/sax/{deep}"),
    ],
)
def test_a_path_that_goes_round_is_a_trap(path, pattern):
    """More than twice the same in a row, or deeper than any site is: nothing of it is admitted."""
    found = pattern_of("http://h.test" + path)

    assert "h.test" + pattern == found
    assert (0, "trap") == (budget_of(found, CrawlOptions()), reason_of(found).word)


@pytest.mark.parametrize(
    "path",
    [
        "/x/y/y/z",
        "/a/b/a/b/c",
        "/tiles/0/0/0/0.png",
        "/a/b/c/a/b/d/a/b",
        "/rust/rust/blob/main/src/rust/lib.rs",
    ],
)
def test_twice_is_no_trap(path):
    """Honest sites repeat a name; tiles of maps repeat a number as often as they like."""
    found = pattern_of("http://h.test" + path)

    assert not found or "{repeat}" not in found


def test_a_pattern_has_a_limit():
    """A long one is cut, still tells what it is, and differs where the whole differs."""
    long = [pattern_of(f"http://h.test/calendar/2024/05/{'abc-' * 100}{end}") for end in "xy"]

    assert len(set(long)) == 2
    assert all(len(pattern) <= traps.LONGEST_PATTERN and "{date}" in pattern for pattern in long)


@given(st.text(max_size=200))
def test_any_url_has_a_pattern_or_none(text):
    """Nothing raises, nothing hangs, and the space that separates a pattern from its URL stays out of it."""
    url = urls.canonical("http://h.test/" + text)
    if url is not None:
        pattern = pattern_of(url)

        assert pattern is None or (pattern.startswith("h.test/") and " " not in pattern)


@pytest.mark.parametrize("part", ["a/", "1", "2024-", "a1", "%20", "/", "0a", "12-", "a=1&"])
def test_the_longest_urls_take_no_time(part):
    """Linear in practice: a URL of the greatest length is judged within milliseconds."""
    url = ("http://h.test/" + part * 4096)[: urls.MAX_URL_LENGTH]
    began = time.perf_counter()
    for form in (url, url.replace("test/", "test/x?", 1)):
        pattern_of(form)

    assert time.perf_counter() - began < 2
