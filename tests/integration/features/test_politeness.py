"""A refusal without Retry-After holds its host, in every pool; more in tests/integration/test_politeness_load.py."""

from __future__ import annotations

from website import Response

HOST = "politeness.test"
#: How often each site (by port: every pool has its own) was asked for pages.
_ASKED: dict[int, int] = {}


def answer(request):
    """Refuse the first page that is asked for."""
    if request.path == "/robots.txt":
        return Response("", 404)
    _ASKED[request.port] = _ASKED.get(request.port, 0) + 1
    if _ASKED[request.port] == 1:
        return Response("busy", 503)
    return "<a href=/next>next</a>"


def test_a_refusal_without_a_word_holds_its_host(crawled):
    """Half a second at least, and then the page gets its second chance."""
    asked = sorted((one for one in crawled.log if one.host == HOST), key=lambda one: one.started)
    refused = next(one for one in asked if one.status == 503)
    after = [one for one in asked if one.started > refused.started]

    assert min(one.started for one in after) - refused.sent >= 0.498
    assert (2, "ok") == (crawled.record(HOST)["attempts"], crawled.record(HOST)["outcome"])
