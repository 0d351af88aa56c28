"""Many hosts in one crawl: every room is reached, nothing is missing, every pool gives the same records."""

from __future__ import annotations

HOST = "hosts.test"


def answer(request):
    """A page with one link."""
    if request.path in ("/", "/next"):
        return "<title>hosts</title><a href=/next>next</a>"
    return _missing()


def _missing():
    from website import Response

    return Response("no such page", 404)


def test_a_room_is_crawled_once(crawled):
    """Both pages, each asked for once."""
    assert ["/", "/next"] == sorted(crawled.asked(HOST))
    assert "ok" == crawled.record(HOST, "/next")["outcome"]


def test_nothing_is_missing_or_double(crawled):
    """The audit of the crawl over all rooms."""
    assert (0, 0) == (crawled.audit["missing"], crawled.audit["duplicate"])


def test_no_request_but_get_is_made(crawled):
    """HEAD is never needed."""
    assert {"GET"} == {one.method for one in crawled.log}
