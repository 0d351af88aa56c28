"""The pages that every rung reads: the same for all, and parsed to the same."""

from __future__ import annotations

import time

import pytest

from crawl.errors import UnavailableError
from lab.ladder import pages


def test_latencies_are_fixed_by_the_seed_and_lie_between_one_and_three_seconds():
    """docs/ladder.md quotes results for these very latencies."""
    expected = [1.826, 1.295, 2.776, 1.724, 1.9, 2.435, 2.526, 1.402, 2.21, 1.786]

    assert expected == pages.latencies()
    assert pages.latencies(seed=1) != expected
    assert all(1 <= wait <= 3 for wait in pages.latencies(seed=1, count=500))


def test_a_parse_says_what_the_page_says():
    """Title, links and text come from the body alone."""
    found = pages.parse(pages.body(3, 0))

    assert found.title == "Page 3"
    assert [f"/page/{(3 + n) % 10}" for n in range(20)] == found.links
    assert len(found.sha256) == 64


@pytest.mark.parametrize("burn_ms", [0, 30])
def test_a_parse_uses_the_processor_as_long_as_the_page_asks(burn_ms):
    """At least that much CPU of its own thread, and not twice as much."""
    body = pages.body(1, burn_ms)
    before = time.thread_time()
    pages.parse(body)
    used_ms = (time.thread_time() - before) * 1000

    assert burn_ms <= used_ms < burn_ms + 20


def test_the_digest_knows_nothing_of_order_place_and_parse_cost():
    """Whatever a rung does, the same pages are one digest."""
    found = [pages.parse(pages.body(number, burn_ms=2)) for number in range(pages.COUNT)]
    elsewhere = [each._replace(process=1, thread=2, thread_name="x") for each in reversed(found)]

    assert pages.expected_digest() == pages.digest(found) == pages.digest(elsewhere)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: found[1:],
        lambda found: [found[0]._replace(title="Page 99"), *found[1:]],
        lambda found: [found[0]._replace(links=found[0].links[1:]), *found[1:]],
        lambda found: [found[0]._replace(sha256="0" * 64), *found[1:]],
    ],
    ids=["a page less", "another title", "a link less", "another text"],
)
def test_the_digest_tells_what_is_missing_or_different(spoil):
    """A rung that drops or garbles a page is found out."""
    found = [pages.parse(pages.body(number, 0)) for number in range(pages.COUNT)]

    assert pages.digest(spoil(found)) != pages.expected_digest()


def test_a_request_asks_for_path_and_query():
    """The server reads wait and burn from there."""
    address = pages.url(8000, 7, wait_s=1.5, burn_ms=200)

    assert address == "http://127.0.0.1:8000/page/7?wait=1.5000&burn=200"
    assert pages.request(address).startswith(
        b"GET /page/7?wait=1.5000&burn=200 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour",
        b"HTTP/1.1 200 OK\r\n\r\nno length",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nfour",
    ],
)
def test_an_answer_that_is_not_a_complete_page_is_refused(answer):
    """A rung that reads too little must fail, not agree by chance."""
    with pytest.raises(UnavailableError, match="page server answered"):
        pages.body_of(answer)


def test_a_complete_answer_gives_its_body():
    """Whatever the case of the header's name."""
    assert pages.body_of(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfour") == "four"
