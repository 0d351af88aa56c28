"""Sitemaps: declared by robots.txt on any host, an index, a packed one, a loop, a denied and a missing one."""

from __future__ import annotations

import gzip

from website import Response

HOST = "sitemaps.test"
CDN = "cdn.sitemaps.test"
OPTIONS = ("--sitemaps",)

_ROBOTS = """User-agent: *
Disallow: /denied.xml

Sitemap: http://sitemaps.test:{port}/index.xml
Sitemap: http://cdn.sitemaps.test:{port}/far.xml
sitemap: /denied.xml
Sitemap: /missing.xml
"""


def _xml(root, element, port, *targets):
    """Return a sitemap of these targets, absolute or paths of `HOST`."""
    urls = [target if "://" in target else f"http://{HOST}:{port}{target}" for target in targets]
    listed = "".join(f"<{element}><loc>{url}</loc></{element}>" for url in urls)
    body = (
        f'<?xml version="1.0"?><{root} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{listed}</{root}>'
    )
    return Response(body, content_type="application/xml")


def answer(request):
    """A page with one link, and sitemaps that lead to more."""
    port = request.port
    if request.path == "/robots.txt":
        return Response(_ROBOTS.format(port=port), content_type="text/plain")
    if request.path == "/":
        return "<a href=/linked>"
    if request.path == "/index.xml":
        parts = ("/packed.xml.gz", "/loop.xml", f"http://{CDN}:{port}/stranger.xml")
        return _xml("sitemapindex", "sitemap", port, *parts)
    if request.path == "/loop.xml":
        return _xml("sitemapindex", "sitemap", port, "/index.xml", "/loop.xml")
    if request.path == "/packed.xml.gz":
        listed = _xml("urlset", "url", port, "/packed", "/linked", "http://outside.test/")
        return Response(gzip.compress(listed.body.encode()), content_type="application/gzip")
    return "a page" if request.path in ("/linked", "/packed", "/far") else Response("no", 404)


def cdn(request):
    """Another host that keeps a sitemap of the first one, and pages of its own."""
    if request.path == "/far.xml":
        own = f"http://{CDN}:{request.port}/own"
        return _xml("urlset", "url", request.port, "/far", own)
    return "robots.txt and pages of its own"


HOSTS = {HOST: answer, CDN: cdn}


def test_all_that_sitemaps_list_within_the_scope_is_crawled_once(crawled):
    """The declared sitemaps, the parts of the index, and their pages; a loop of indexes ends."""
    asked = sorted(crawled.asked(HOST))

    assert asked == sorted(
        ["/", "/linked", "/packed", "/far", "/index.xml", "/loop.xml", "/packed.xml.gz", "/missing.xml"]
    )


def test_a_sitemap_on_another_host_is_read_but_not_crawled_on(crawled):
    """Its own host's robots.txt is asked first; pages there are out of scope, and so is what others list of it."""
    asked = [one.target for one in crawled.log if one.host == CDN]

    assert asked == ["/robots.txt", "/far.xml"]


def test_pages_and_sitemaps_have_records_that_say_how_they_were_found(crawled):
    """`via` is `sitemap`, the depth that of a seed; the parent is who named them."""
    told = {
        path: (record["via"], record["depth"], record["parent"], record["kind"])
        for path in ("/index.xml", "/packed.xml.gz", "/packed", "/far")
        for record in [crawled.record(HOST, path)]
    }

    assert told == {
        "/index.xml": ("sitemap", 0, crawled.url(HOST, "/robots.txt"), "sitemap"),
        "/packed.xml.gz": ("sitemap", 0, crawled.url(HOST, "/index.xml"), "sitemap"),
        "/packed": ("sitemap", 0, crawled.url(HOST, "/packed.xml.gz"), told["/packed"][3]),
        "/far": ("sitemap", 0, crawled.url(CDN, "/far.xml"), told["/far"][3]),
    }


def test_a_sitemap_that_is_denied_or_not_there_has_an_honest_record(crawled):
    """robots.txt may name what it denies; a missing one is a 404 like any other."""
    denied, missing = crawled.record(HOST, "/denied.xml"), crawled.record(HOST, "/missing.xml")

    assert (denied["outcome"], denied["reason"]) == ("skipped", "robots")
    assert (missing["outcome"], missing["reason"], missing["status"]) == ("failed", "http", 404)
