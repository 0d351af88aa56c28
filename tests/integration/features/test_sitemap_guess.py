"""A site whose robots.txt names no sitemap, but has one in the usual place."""

from __future__ import annotations

from website import Response

HOST = "guess.test"
OPTIONS = ("--sitemaps",)


def answer(request):
    """A front page without links, and a sitemap that knows more."""
    if request.path == "/sitemap.xml":
        page = f"http://{HOST}:{request.port}/hidden"
        return Response(f"<urlset><url><loc>{page}</loc></url></urlset>", content_type="text/xml")
    return "a page" if request.path in ("/", "/hidden") else Response("no", 404)


def test_the_usual_place_is_tried(crawled):
    """Its pages are crawled like seeds."""
    assert sorted(crawled.asked(HOST)) == ["/", "/hidden", "/sitemap.xml"]
    assert crawled.record(HOST, "/sitemap.xml")["parent"] == crawled.url(HOST)
    assert crawled.record(HOST, "/hidden")["via"] == "sitemap"
