"""What has become of a page between two crawls."""

from __future__ import annotations

import pytest

from poolcrawl.comparing import Told, judge

URL = "http://a.test/"
OK = Told(URL, "ok", status=200, sha256="1")
SAME = Told(URL, "ok", status=304, sha256="1")
OTHER = Told(URL, "ok", status=200, sha256="2")
MOVED = Told(URL, "redirect", status=301, redirect_to="http://a.test/x")
ELSEWHERE = Told(URL, "redirect", status=301, redirect_to="http://a.test/y")
MISSING = Told(URL, "failed", "http", 404)
GONE = Told(URL, "failed", "http", 410)
SICK = Told(URL, "failed", "http", 503)
DEAD = Told(URL, "failed", "timeout")
DENIED = Told(URL, "skipped", "robots")


@pytest.mark.parametrize(
    ("old", "new", "word", "why"),
    [
        (None, OK, "new", "before: not found"),
        (None, MOVED, "new", "before: not found"),
        (MISSING, OK, "new", "before: failed http 404"),
        (DENIED, OK, "new", "before: skipped robots"),
        (OK, OTHER, "changed", "content"),
        (OK, MOVED, "changed", "ok 200 -> redirect to http://a.test/x"),
        (MOVED, ELSEWHERE, "changed", "redirect to http://a.test/x -> redirect to http://a.test/y"),
        (OK, SAME, "unchanged", ""),
        (MOVED, MOVED, "unchanged", ""),
        (OK, MISSING, "gone", "answered 404"),
        (MOVED, GONE, "gone", "answered 410"),
        (OK, None, "gone", "not found any more"),
        (OK, SICK, "unknown", "failed http 503"),
        (OK, DEAD, "unknown", "failed timeout"),
        (OK, DENIED, "unknown", "skipped robots"),
    ],
)
def test_every_page_that_was_ever_there_has_one_word(old, new, word, why):
    """New, changed, gone, unchanged, or honestly unknown."""
    change = judge(old, new, None)

    assert change is not None
    assert (change.change, change.url, change.why) == (word, URL, why)


@pytest.mark.parametrize("new", [None, MISSING, DEAD, DENIED])
@pytest.mark.parametrize("old", [None, MISSING, SICK, DENIED])
def test_what_neither_crawl_found_is_not_listed(old, new):
    """It is no page."""
    assert judge(old, new, None) is None


def test_a_page_without_a_record_is_gone_only_where_it_would_have_been_found():
    """A crawl that has not ended, or reached a cap, does not know."""
    change = judge(OK, None, "not reached yet")

    assert change is not None
    assert (change.change, change.why) == ("unknown", "not reached yet")
