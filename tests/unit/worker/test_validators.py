"""What an older record tells a server, and what a 304 makes of it."""

from __future__ import annotations

import pytest

from crawl.records import CrawlOptions, PageRecord, PageRef, to_json
from worker import validators

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


def line(outcome="ok", **fields):
    """Return an older record as it is stored."""
    return to_json(PageRecord("old", "http://a.test/", "seed", None, 0, 1, outcome, **fields))


@pytest.mark.parametrize("etag", ['"x"', 'W/"x"', "bare", '"caf\xe9\xff"', '"a, b"', '""'])
def test_an_etag_is_sent_as_it_came(etag):
    """Weak, bare or with odd bytes: only its server knows what it means."""
    assert validators.headers_of(line(etag=etag)) == {"If-None-Match": etag}


@pytest.mark.parametrize(
    "etag", ['"a\r\nX-Evil: 1"', '"\x00"', "", " ", '"' + "x" * 1000 + '"', '"\u2603"', ' "x"']
)
def test_an_etag_that_is_no_header_value_is_not_sent(etag):
    """It would end the header, or the request."""
    assert validators.headers_of(line(etag=etag)) == {}


@pytest.mark.parametrize(
    ("text", "sent"), [(DATE, True), ("yesterday", False), ("0", False), ("\n" + DATE, False)]
)
def test_a_date_is_sent_as_it_came_if_it_is_one(text, sent):
    """Servers compare the text itself more often than the time."""
    assert validators.headers_of(line(last_modified=text)) == ({"If-Modified-Since": text} if sent else {})


@pytest.mark.parametrize(
    "older", [None, *(line(outcome, etag='"x"') for outcome in ("failed", "redirect", "skipped"))]
)
def test_a_page_without_known_content_is_asked_for_in_full(older):
    """A 304 would have nothing to stand for."""
    assert validators.headers_of(older) == {}
    assert validators.stored(older) is None


def test_a_304_keeps_the_content_and_takes_newer_validators():
    """All that is known of the page, and what the 304 said anew."""
    older = validators.stored(
        line(
            etag='"1"',
            last_modified=DATE,
            sha256="ab",
            title="t",
            links=["http://a.test/x"],
            kind="html",
            status=200,
        )
    )
    ref = PageRef(0, "failed", "http", "The server answered 304 Not Modified.", 304, etag='"2"')
    validators.accept(ref)
    record = PageRecord("new", "http://a.test/", "seed", None, 0, 1, ref.outcome, status=304, etag=ref.etag)
    assert older is not None
    validators.restore(record, older)

    assert (ref.outcome, ref.reason, ref.detail, ref.transient) == ("ok", None, None, False)
    assert (record.crawl, record.status, record.etag, record.last_modified) == ("new", 304, '"2"', DATE)
    assert (record.sha256, record.title, record.links, record.kind) == (
        "ab",
        "t",
        ["http://a.test/x"],
        "html",
    )


@pytest.mark.parametrize(
    "option", [{"extract": "{}"}, {"main_text": True}, {"max_links": 1}, {"drop_query": ("q",)}]
)
def test_a_crawl_that_reads_pages_otherwise_is_told_apart(option):
    """Its 304s would stand for what another reading found."""
    assert CrawlOptions(depth=1).reads_as(CrawlOptions(delay_s=0))
    assert not CrawlOptions(**option).reads_as(CrawlOptions())
