"""`why` and `crawl --dry-run` against a real site: what became of a URL, what would become of it, and by which rule."""

from __future__ import annotations

import itertools
import json

import msgspec
import pytest
from stack import Directory
from website import Response, Website

from crawl import keys, settings
from crawl.urls import canonical
from embedded.attachment import reading
from poolcrawl.explaining import explain

HOST, OTHER = "why.test", "other.test"
ROBOTS = "User-agent: *\nDisallow: /private\nAllow: /private/open\n"
PAGES = {
    "/": (
        '<a href="/a">a</a><a href="/private/x">x</a><a href="/file.pdf">pdf</a><a href="/old">o</a>'
        f'<a href="http://{OTHER}/">other</a><a href="/gone?sid=1">gone</a><a href="/private/open">open</a>'
        '<a href="/closed">closed</a><a href="/r/s/r/s/r/s/">endless</a><a href="/hop/1">hops</a>'
    ),
    "/a": '<a href="/b">b</a><a href="/gone">gone</a>',
    "/b": '<a href="/c">c</a>',
    "/closed": '<meta name=robots content=nofollow><a href="/hidden">hidden</a>',
    "/private/open": "open",
    "/new": "new",
}
OPTIONS = ("--depth", "1", "--exclude", r"\.pdf$", "--drop-query", "sid", "--delay", "0")


def answer(request):
    if request.path == "/robots.txt":
        return Response(ROBOTS, content_type="text/plain")
    if request.path == "/old":
        return Response("", 301, headers=(("Location", "/older"),))
    if request.path.startswith("/hop/"):
        return Response("", 302, headers=(("Location", f"/hop/{int(request.path[5:]) + 1}"),))
    if request.path == "/older":
        return Response("", 302, headers=(("Location", "/new"),))
    return PAGES.get(request.path) or Response("", 404)


@pytest.fixture(scope="module")
def crawled(tmp_path_factory):
    """A finished crawl of depth 1; its stack has ended."""
    directory = Directory(tmp_path_factory.mktemp("why"))
    with Website({HOST: answer, OTHER: answer}) as site:
        done = directory.run("crawl", site.url(HOST), *OPTIONS, "--name", "one", *site.resolve(HOST, OTHER))
        assert done.code == 0, done.stderr
        yield directory, site
    directory.end()


@pytest.fixture(scope="module")
def why(crawled):
    """What `why --json` tells of a path or URL; one server is started for all of them."""
    directory, site = crawled
    with reading(settings.load({"CRAWL_STATE_DIR": str(directory.state)})) as client:

        def told(path: str) -> dict:
            url = site.url(HOST, path) if path.startswith("/") else path
            return msgspec.to_builtins(explain(client, "one", url, canonical(url)))

        yield told


def test_a_fetched_page_is_told_with_its_place_and_its_attempts(why):
    """Record, depth, parent, who links to it, and each request that was made."""
    told = why("/gone")

    assert ("link", 1, True, "record") == (told["via"], told["depth"], told["seen"], told["place"])
    assert (2, ["/", "/a"]) == (
        told["linked"]["count"],
        ["/" + url.split("/", 3)[3] for url in told["linked"]["first"]],
    )
    assert "failed: http; The server answered 404 Not Found." == told["conclusion"]
    assert ["http 404"] == [made["result"] for made in told["attempts"]]
    assert told["attempts"][0]["start_ms"] <= told["attempts"][0]["end_ms"]
    assert 404 == told["record"]["status"]


def test_a_page_is_told_what_it_has_waited_for(why):
    """The seed for robots.txt; the parts make up the whole, and each attempt names its pool."""
    seed, page = why("/"), why("/a")

    assert "robots" in {wait["cause"] for wait in seed["waits"]}
    for told in (seed, page):
        assert told["record"]["wait_ms"] == sum(wait["ms"] for wait in told["waits"])
        assert ["threads"] == [made["pool"] for made in told["attempts"]]
        assert told["waiting_for"] is None


@pytest.mark.parametrize(
    ("path", "conclusion", "rule", "pattern"),
    [
        ("/file.pdf", r"not admitted: --exclude '\.pdf$' matches it", "--exclude", r"\.pdf$"),
        ("/b", "not admitted: depth 2 is beyond --depth 1", "--depth", None),
        (
            f"http://{OTHER}/",
            f"not admitted: {OTHER} is none of the seeds' hosts ({HOST}) (--scope host)",
            "--scope",
            None,
        ),
    ],
)
def test_a_refused_link_is_told_the_rule(why, path, conclusion, rule, pattern):
    """Which option, which pattern, which value; and which page linked to it."""
    told = why(path)

    assert conclusion == told["conclusion"]
    assert (rule, pattern) == (told["scope"]["rule"], told["scope"]["pattern"])
    assert (False, None, 1) == (told["seen"], told["place"], told["linked"]["count"])


def test_what_robots_txt_forbids_is_told_its_line(why):
    """The verdict comes from the answer that the crawl has kept."""
    assert "robots.txt disallows it: Disallow: /private (line 2)" == why("/private/x")["robots"]["why"]
    assert "robots" == why("/private/x")["robots"]["verdict"]
    assert "robots.txt allows it: Allow: /private/open (line 3)" == why("/private/open")["robots"]["why"]


@pytest.mark.parametrize("path", ["/old", "/older", "/new"])
def test_a_chain_of_redirects_is_told_from_each_of_its_ends(why, path):
    """The hops before and the hops after, each with its status."""
    hops = [(hop["url"].rpartition("/")[2], hop["status"]) for hop in why(path)["redirects"]]

    assert [("old", 301), ("older", 302), ("new", 200)] == hops


def test_the_target_of_a_chain_that_is_too_long_is_told_so(why):
    """The last hop that was asked for is named, with the limit."""
    told = why("/hop/12")

    assert not told["seen"]
    assert "not admitted: " in told["conclusion"]
    assert "/hop/11 redirects to it, but the chain is longer than 10 redirects" in told["conclusion"]


def test_a_url_that_nobody_links_to_was_never_seen(why):
    """The sentence that answers most questions."""
    assert "never seen: no page links to it" == why("/nowhere")["conclusion"]


def test_a_link_out_of_a_nofollow_page_is_told_so(crawled, why):
    """Its page is at depth 1, so the depth is told first; the count of such pages stands beside it."""
    assert (1, 1) == (why("/hidden")["linked"]["count"], why("/hidden")["linked"]["nofollow"])


def test_another_spelling_is_told_as_the_page_that_it_is(crawled):
    """For people: the canonical URL, what was merged, and no password."""
    directory, site = crawled
    done = directory.run("why", f"HTTP://me:secret@WHY.test:{site.port}/./a?sid=7#top")

    assert 0 == done.code
    assert site.url(HOST, "/a") == done.stdout.splitlines()[0]
    assert "user name and password dropped" in done.stdout
    assert "query 'sid=7' dropped (--drop-query)" in done.stdout
    assert "secret" not in done.stdout


def test_an_unknown_crawl_is_one_line(crawled):
    """Exit 2, with those that there are."""
    directory, site = crawled
    done = directory.run("why", "two", site.url(HOST))

    assert 2 == done.code
    assert "there is no crawl 'two'; there are one" in done.stderr
    assert 1 == len(done.stderr.splitlines())


def test_a_crawl_without_a_url_is_told_so(crawled):
    """Also one whose name could be a host."""
    directory, _ = crawled
    with reading(settings.load({"CRAWL_STATE_DIR": str(directory.state)})) as client:
        client.zadd(keys.crawls(), {"shop.v2": 0})
        done = directory.run("why", "shop.v2")
        client.zrem(keys.crawls(), "shop.v2")

    assert (2, "poolcrawl: 'shop.v2' is no URL; give a URL: poolcrawl why shop.v2 URL\n") == (
        done.code,
        done.stderr,
    )
    assert "has no scheme" in directory.run("why", "shop.v3").stderr


def _rehearsed(tmp_path, site, *arguments):
    done = Directory(tmp_path).run("crawl", "--dry-run", *arguments, *site.resolve(HOST, OTHER), "--json")
    *verdicts, last = map(json.loads, done.stdout.splitlines())
    return done, {one["url"].split("/", 3)[3] or one["url"]: one for one in verdicts}, last


def test_a_dry_run_judges_the_links_of_the_seeds_and_makes_nothing(tmp_path):
    """Only robots.txt and the seed are asked for; every link has its verdict; no state directory is made."""
    with Website({HOST: answer, OTHER: answer}) as site:
        done, verdicts, last = _rehearsed(tmp_path, site, site.url(HOST), *OPTIONS)
        asked = [one.target for one in site.log]

    assert 0 == done.code, done.stderr
    assert ["/robots.txt", "/"] == asked
    assert {
        site.url(HOST): "admitted",
        f"http://{OTHER}/": "scope",
        "a": "admitted",
        "hop/1": "admitted",
        "private/x": "robots",
        "file.pdf": "exclude",
        "old": "admitted",
        "gone": "admitted",
        "private/open": "admitted",
        "closed": "admitted",
        "r/s/r/s/r/s/": "trap",
    } == {name: one["verdict"] for name, one in verdicts.items()}
    assert ("--exclude", r"\.pdf$", site.url(HOST)) == tuple(
        verdicts["file.pdf"][field] for field in ("rule", "pattern", "parent")
    )
    assert {"counts": {"admitted": 7, "robots": 1, "exclude": 1, "scope": 1, "trap": 1}, "fetched": 1} == last
    assert not (tmp_path / ".poolcrawl").exists()


def test_a_dry_run_says_what_the_crawl_then_does(crawled, tmp_path):
    """Each link that it calls admitted has a record, and no other has one; robots.txt is a record of its own kind."""
    directory, site = crawled
    _, verdicts, _ = _rehearsed(tmp_path, site, site.url(HOST), *OPTIONS)
    records = {record["url"]: record for record in directory.records("one")}
    expected = {one["url"] for one in verdicts.values() if one["verdict"] in ("admitted", "robots")}

    assert expected == {url for url, record in records.items() if record["via"] != "redirect"}
    assert {"robots"} == {
        records[one["url"]]["reason"] for one in verdicts.values() if one["verdict"] == "robots"
    }


def test_a_dry_run_obeys_depth_limits_and_delay(tmp_path):
    """Links are too deep for --depth 0, seeds beyond --max-pages are told so, and requests keep their distance."""
    seeds = tmp_path / "seeds.txt"
    with Website({HOST: answer, OTHER: answer}) as site:
        seeds.write_text(f"{site.url(HOST, '/a')}\n{site.url(HOST, '/closed')}\n{site.url(HOST, '/new')}\n")
        limits = ("--depth", "0", "--max-pages", "2", "--delay", "0.3")
        done, verdicts, _ = _rehearsed(tmp_path, site, "--seeds", str(seeds), *limits)
        log = [(one.target, one.started, one.ended) for one in site.log]

    assert 0 == done.code, done.stderr
    assert {
        "a": "admitted",
        "closed": "admitted",
        "new": "capped",
        "b": "depth",
        "gone": "depth",
        "hidden": "nofollow",
    } == {name: one["verdict"] for name, one in verdicts.items()}
    assert ["/robots.txt", "/a", "/closed"] == [target for target, _, _ in log]
    assert all(later[1] - earlier[2] >= 0.29 for earlier, later in itertools.pairwise(log))


def test_a_dry_run_of_a_site_that_cannot_be_reached_fails(tmp_path):
    """Nothing was fetched: exit 1, and the verdict says why."""
    with Website({}) as site:
        gone = site.url(HOST)
    done = Directory(tmp_path).run("crawl", "--dry-run", gone, *site.resolve(HOST))

    assert 1 == done.code
    assert "robots" in done.stdout
    assert "refused" in done.stdout + done.stderr
