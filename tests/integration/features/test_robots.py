"""robots.txt and its kin, in every pool: the server's own log shows that nothing forbidden was asked for."""

from __future__ import annotations

#: A site with groups and wildcards, one whose robots.txt is at another host, that host, and one whose robots.txt is
#: where no worker may go.
HOST = "robots.test"
MOVED = "moved.robots.test"
RULES = "rules.robots.test"
BROKEN = "broken.robots.test"

ROBOTS = (
    "User-agent: *\nDisallow: /\n\n"
    "User-agent: PoolCrawl/9.9\nDisallow: /private\nAllow: /private/open\nDisallow: /*.cgi$\n"
    "Sitemap: /sitemap-of-robots.xml\n\n"
    "user-agent: poolcrawl\nDisallow: /caf\u00e9\n"
)
PAGES = (
    "/private/shut",
    "/private/open",
    "/x.cgi",
    "/x.cgi?a",
    "/caf%C3%A9/1",
    "/meta",
    "/header",
    "/named",
    "/rel",
)


def answer(request):
    """Pages that lead on to where no robot is to follow, and one that leads on where it may."""
    from website import Response

    further = f"<a href=/behind{request.path}>further</a>"
    special = {
        "/": "".join(f"<a href='{path}'>x</a>" for path in PAGES),
        "/robots.txt": Response(ROBOTS, content_type="text/plain"),
        "/meta": f"<meta name=robots content='NOINDEX, NoFollow'>{further}",
        "/named": f"<meta name=PoolCrawl content=none><meta name=otherbot content=noarchive>{further}",
        "/header": Response(
            further,
            headers=(("X-Robots-Tag", "otherbot: noarchive"), ("X-Robots-Tag", "poolcrawl: nofollow")),
        ),
        "/rel": "<meta name=otherbot content=none><a rel=nofollow href=/behind/rel>further</a>",
    }
    return special.get(request.path, f"page {request.path}")


def _moved(request):
    from website import Response

    if request.path == "/robots.txt":
        return Response("", 301, headers=(("Location", f"http://{RULES}:{request.port}/hop"),))
    return "<a href=/secret>secret</a><a href=/open>open</a>"


def _rules(request):
    from website import Response

    if request.path == "/hop":
        return Response("", 302, headers=(("Location", "/rules.txt"),))
    if request.path == "/rules.txt":
        return Response("User-agent: *\nDisallow: /secret", content_type="text/plain")
    return Response("", 404)


def _broken(request):
    from website import Response

    return Response("", 302, headers=(("Location", "http://10.9.8.7/robots.txt"),))


HOSTS = {HOST: answer, MOVED: _moved, RULES: _rules, BROKEN: _broken}
SEEDS = ("/", (MOVED, "/"), (BROKEN, "/"))


def test_nothing_disallowed_was_asked_for(crawled):
    """Our two groups count as one, `*` does not, the longest match wins, and an accent is the octets it is sent as."""
    asked = set(crawled.asked(HOST))

    assert not asked & {"/private/shut", "/x.cgi", "/caf%C3%A9/1"}
    assert asked >= {"/", "/private/open", "/x.cgi?a"}
    for path in ("/private/shut", "/x.cgi", "/caf%C3%A9/1"):
        record = crawled.record(HOST, path)
        assert ("skipped", "robots", 0) == (record["outcome"], record["reason"], record["attempts"])
        assert "disallows it" in record["detail"]


def test_a_page_may_forbid_to_follow_its_links(crawled):
    """By `<meta>` or header, to all robots or to us: its links are in the record, and nobody asked for them."""
    asked = set(crawled.asked(HOST))

    for path, words in (
        ("/meta", ["noindex", "nofollow"]),
        ("/named", ["none"]),
        ("/header", ["nofollow"]),
    ):
        record = crawled.record(HOST, path)
        assert ("ok", words) == (record["outcome"], record["robots"])
        assert [crawled.url(HOST, f"/behind{path}")] == record["links"]
        assert f"/behind{path}" not in asked
    assert 3 == crawled.done.summary["refused"]["nofollow"]


def test_a_link_marked_nofollow_is_followed(crawled):
    """`rel=nofollow` is advice on ranking, no prohibition; what is said to other robots does not bind us."""
    assert [] == crawled.record(HOST, "/rel")["robots"]
    assert "ok" == crawled.record(HOST, "/behind/rel")["outcome"]


def test_a_redirected_robots_txt_counts_for_its_origin(crawled):
    """Over two hops and another host; that host is asked for the hops alone."""
    assert ["/hop", "/rules.txt"] == crawled.asked(RULES)
    assert {"/", "/open"} == set(crawled.asked(MOVED))
    assert ("skipped", "robots") == tuple(
        crawled.record(MOVED, "/secret")[name] for name in ("outcome", "reason")
    )


def test_where_robots_txt_cannot_be_had_nothing_is_asked_for(crawled):
    """Every hop passes the address guard; behind a refused one nothing may be fetched, and the record says why."""
    record = crawled.record(BROKEN)

    assert ("skipped", "robots") == (record["outcome"], record["reason"])
    assert "could not be had (address after 1 redirect), so nothing may be fetched" in record["detail"]
    assert [] == crawled.asked(BROKEN)


def test_each_robots_txt_is_asked_for_once(crawled):
    """However many URLs of the origin wait."""
    for host in (HOST, MOVED, BROKEN):
        assert 1 == len([one for one in crawled.log if (one.host, one.target) == (host, "/robots.txt")])
