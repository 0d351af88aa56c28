"""A seed that lives on another host by now, which is known only when another seed's page has been parsed."""

from __future__ import annotations

import threading
from collections import defaultdict

from website import Response

APEX = "moving.test"
WWW = "www.moving.test"
OTHER = "knows.moving.test"
SEEDS = ("/", (OTHER, "/"))

#: By the site's port: whether the other seed's page was parsed, since what it links to is asked for.
_parsed = defaultdict(threading.Event)


def apex(request):
    """The seed answers when its new host has been refused; a worker with one slot may have to ask it first."""
    if request.path == "/":
        _parsed[request.port].wait(3)
        return Response("", 301, headers=(("Location", f"http://{WWW}:{request.port}/"),))
    return Response("no", 404)


def www(request):
    """Where the seed lives."""
    return {"/": "home", "/listed": "<a href=/deep>", "/deep": "deep"}.get(request.path) or Response(
        "no", 404
    )


def other(request):
    """A page that knows the new host, and one that tells that it was parsed."""
    if request.path == "/":
        return (
            f"<a href=http://{WWW}:{request.port}/listed><a href=/told><a href=http://stranger.moving.test/>"
        )
    if request.path == "/told":
        _parsed[request.port].set()
        return "told"
    return Response("no", 404)


HOSTS = {APEX: apex, WWW: www, OTHER: other}


def test_a_link_to_where_a_seed_lives_is_followed_though_it_came_first(crawled):
    """In every pool; the record says what it would have said had the seed been faster."""
    record = crawled.record(WWW, "/listed")

    assert (record["via"], record["parent"], record["depth"]) == ("link", crawled.url(OTHER), 1)
    assert sorted(crawled.asked(WWW)) == ["/", "/deep", "/listed"]
