"""A site without end, in every pool: a calendar, a path that goes round, sessions in links; and honest pages."""

from __future__ import annotations

import itertools

import pytest
from stack import POOLS, Directory
from website import Response, Website

HOST = "endless.test"
#: Pages that a person would want of it.
HONEST = ["/", "/about", "/shop", *(f"/articles/{n}" for n in range(12))]
#: Small, so that the crawl is short; the honest part has fewer pages of one pattern.
BUDGETS = {"CRAWL_CALENDAR_BUDGET": "5", "CRAWL_PATTERN_BUDGET": "14"}


def site():
    """Return the room: every page of the calendar, the round path and the shop leads on for ever."""
    sessions = itertools.count(1000)

    def answer(request):
        if request.path in ("/", "/about"):
            articles = "".join(f"<a href=/articles/{n}>{n}</a>" for n in range(12))
            return (
                f"<title>honest</title>{articles}<a href=/about>about</a><a href=/shop>shop</a>"
                "<a href=/calendar?month=2024-01>calendar</a><a href=/round/>round</a>"
            )
        if request.path.startswith("/articles/"):
            return "<title>article</title>"
        if request.path == "/calendar":
            year, month = (int(part) for part in request.query.removeprefix("month=").split("-"))
            later = year * 12 + month
            return (
                f"<title>{request.query}</title><a href='?month={later // 12}-{later % 12 + 1:02}'>next</a>"
            )
        if request.path.startswith("/round/"):
            # A relative link that should have been absolute.
            return "<title>round</title><a href=news/today/>news</a>"
        if request.path == "/shop":
            links = "".join(f"<a href=/shop?session={next(sessions)}>enter</a>" for _ in range(3))
            return f"<title>shop</title>{links}"
        return Response("no such page", 404)

    return answer


def crawl(directory, web, pool):
    """Crawl the site to its end; return the command, and the paths that have a record."""
    start = web.url(HOST)
    done = directory.run(
        *("crawl", start, "--name", "endless", "--delay", "0", "--robots", "ignore", "--json"),
        *("--pool", pool, "--concurrency", "4", *web.resolve(HOST)),
    )
    assert (0, "finished") == (done.code, done.summary["state"]), done.stderr
    return done, {record["url"].removeprefix(start[:-1]) for record in directory.records()}


@pytest.mark.parametrize("pool", POOLS)
def test_a_crawl_of_a_site_without_end_ends(pool, tmp_path):
    """The honest part is complete, each budget is kept exactly, and the rest is parked with its reason."""
    directory = Directory(tmp_path, BUDGETS)
    with Website({HOST: site()}) as web:
        try:
            done, paths = crawl(directory, web, pool)
            listing = directory.run("parked", "--json").summary
        finally:
            directory.end()

    assert set(HONEST) <= paths
    assert 5 == sum(path.startswith("/calendar?") for path in paths)
    assert 14 == sum(path.startswith("/shop?") for path in paths)
    assert {"/round/", "/round/news/today/", "/round/news/today/news/today/"} == {
        path for path in paths if path.startswith("/round")
    }
    assert listing["parked"] == sum(done.summary["refused"].values())
    assert {
        f"{HOST}/calendar?{{date}}": "budget",
        f"{HOST}/shop?*": "budget",
        f"{HOST}/round/news/today/{{repeat}}": "trap",
    } == {group["pattern"]: group["reason"] for group in listing["groups"]}
    assert "poolcrawl parked endless" in done.stderr


def test_what_is_released_is_crawled(tmp_path):
    """`why` names the reason, the audit says capped, and a release lets the crawl go on up to the next budget."""
    directory = Directory(tmp_path, BUDGETS)
    with Website({HOST: site()}) as web:
        try:
            done, _ = crawl(directory, web, "threads")
            audit = directory.audit()
            told = directory.run("why", web.url(HOST, "/calendar?month=2024-06"), "--json").summary
            released = directory.run("release", "--pattern", f"{HOST}/calendar?{{date}}")
            again = directory.run("crawl", "--name", "endless", "--json", *web.resolve(HOST))
            audited = directory.audit()
        finally:
            directory.end()

    assert ("parked", f"budget: dates of the pattern {HOST}/calendar?{{date}}") == (
        told["place"],
        told["parked"],
    )
    assert sum(done.summary["refused"].values()) == audit["capped"]
    assert "poolcrawl crawl --name endless" in released.stdout
    assert (0, "finished") == (again.code, again.summary["state"]), again.stderr
    assert done.summary["pages"] + 1 + 5 == again.summary["pages"]
    assert (0, 0) == (audited["missing"], audited["duplicate"])
