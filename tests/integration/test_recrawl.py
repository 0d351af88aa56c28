"""A site is crawled, changes, and is crawled again: validators are sent, 304s keep their place, `changes` is exact."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from stack import POOLS, Directory, at_once
from website import Response, Website

from crawl import keys, urls

HOST = "news.test"
LATER = "Wed, 21 Oct 2026 07:28:00 GMT"
#: A weak validator with bytes that are no ASCII, one without quotes, as servers send them.
ODD_ETAG = 'W/"caf\xe9, \xff"'
BARE_ETAG = "bare-etag"

pytestmark = pytest.mark.timeout(240)


class News:
    """A site in two states; it answers 304 to whoever knows the present state of a page."""

    def __init__(self) -> None:
        self.later = False
        #: Called when somebody asks conditionally for a path, before the answer.
        self.before = {}

    def _page(self, path):
        """Return body, ETag and Last-Modified of a page in the present state, or the answer itself."""
        later = self.later
        pages = {
            "/": (
                _links("/odd", "/bare", "/dated", "/changes", "/vanishes", "/moved", "/hidden", "/sick"),
                '"1"',
                None,
            ),
            "/odd": (_links("/plain"), ODD_ETAG, None),
            "/bare": ("bare", BARE_ETAG, LATER),
            "/dated": (_links("/below"), None, LATER),
            "/below": ("below", None, None),
            "/changes": ("new" if later else _links("/orphan"), '"2"' if later else '"1"', None),
            "/vanishes": Response("gone", 410) if later else ("still here", '"v"', None),
            "/moved": Response("", 301, headers=(("Location", "/plain" if later else "/odd"),)),
            "/hidden": ("behind an unchanged page", '"h"', None) if later else Response("not yet", 404),
            "/sick": Response("sick", 500) if later else ("healthy", None, None),
            "/plain": ("no validators", None, None),
            "/orphan": ("only linked at first", '"o"', None),
            "/alone": ("a seed that nothing links to", '"a"', None),
        }
        return pages.get(path, Response("no such page", 404))

    def answer(self, request):
        found = self._page(request.path)
        if isinstance(found, Response):
            return found
        body, etag, modified = found
        headers = tuple(
            (name, value) for name, value in (("ETag", etag), ("Last-Modified", modified)) if value
        )
        known = request.headers.get("if-none-match")
        since = request.headers.get("if-modified-since")
        if known is not None and request.path in self.before:
            self.before[request.path]()
        if (known is not None and known == etag) or (known is None and since and since == modified):
            return Response(status=304, content_type=None, headers=headers)
        return Response(body, headers=headers)


def _links(*paths):
    return f"<title>t</title>{''.join(f'<a href={path}>' for path in paths)}"


@dataclass
class Twice:
    """What came of two crawls by one pool, and of a third that follows the second."""

    first: dict
    second: dict
    log: list
    changes: list
    text: str
    third: dict | None
    errors: list
    port: int


@pytest.fixture(scope="module")
def crawls(tmp_path_factory):
    """Both crawls in every pool."""
    base = tmp_path_factory.mktemp("recrawl")
    return dict(zip(POOLS, at_once(lambda pool: twice(pool, base / pool), POOLS, 3), strict=True))


def twice(pool, path):
    news = News()
    directory = Directory(path, {"CRAWL_MAX_ATTEMPTS": "2", "CRAWL_BATCH": "4"})
    path.mkdir(parents=True)
    with Website({HOST: news.answer}) as site:
        try:
            (path / "more.txt").write_text(site.url(HOST, "/alone"))
            options = ("--seeds", "more.txt", "--delay", "0", *site.resolve(HOST))
            worker = ("--pool", pool, "--concurrency", "2")

            def crawl(name, *arguments):
                output = path / f"{name}.jsonl"
                done = directory.run("crawl", "--name", name, "--output", str(output), *arguments, *worker)
                assert done.code == 0, done.stderr
                return paths(map(json.loads, output.read_text().splitlines()), site)

            first = crawl("old", site.url(HOST), *options)
            news.later = True
            before = len(site.log)
            second = crawl("new", "--recrawl", "old")
            log = [one for one in site.log[before:] if one.target != "/robots.txt"]
            changes = directory.run("changes", "old", "new", "--json").stdout.splitlines()
            third, text, errors = None, "", []
            if pool == "threads":
                text = directory.run("changes", "old", "new").stdout
                news.before["/odd"] = lambda: forget(directory, "new", site.url(HOST, "/odd"))
                third = crawl("newest", "--recrawl", "new")
                errors = [
                    directory.run(*arguments)
                    for arguments in (
                        ("crawl", "--recrawl", "never"),
                        ("crawl", "--recrawl", "old", "--name", "old"),
                        ("changes", "old", "never"),
                        ("changes", "never", "new"),
                    )
                ]
            return Twice(
                first, second, log, [json.loads(line) for line in changes], text, third, errors, site.port
            )
        finally:
            directory.end()


def forget(directory, crawl, url):
    """Delete a page's record, as trimming does."""
    with directory.client() as client:
        client.hdel(keys.records(crawl), str(urls.fingerprint(url)))


def paths(records, site):
    """Return records by the path of their URL."""
    return {record["url"].removeprefix(site.url(HOST, "")): record for record in records}


@pytest.mark.parametrize("pool", POOLS)
def test_validators_are_sent_as_they_came_and_only_where_there_are_some(crawls, pool):
    """Weak, odd and bare ETags byte for byte, dates as text; nothing for pages that had none, or no content."""
    sent = {
        one.target: {
            name: value
            for name, value in one.headers.items()
            if name in ("if-none-match", "if-modified-since")
        }
        for one in crawls[pool].log
    }

    assert sent == {
        "/": {"if-none-match": '"1"'},
        "/odd": {"if-none-match": ODD_ETAG},
        "/bare": {"if-none-match": BARE_ETAG, "if-modified-since": LATER},
        "/dated": {"if-modified-since": LATER},
        "/changes": {"if-none-match": '"1"'},
        "/vanishes": {"if-none-match": '"v"'},
        "/alone": {"if-none-match": '"a"'},
        **{path: {} for path in ("/below", "/moved", "/hidden", "/sick", "/plain")},
    }


@pytest.mark.parametrize("pool", POOLS)
def test_an_unchanged_page_keeps_its_content_and_its_links(crawls, pool):
    """Outcome ok, status 304, everything else as stored; what it links to is found, also what was not there before."""
    found = crawls[pool]
    unchanged = {path for path, record in found.second.items() if record["status"] == 304}
    kept = (
        "outcome",
        "content_type",
        "charset",
        "bytes",
        "sha256",
        "etag",
        "last_modified",
        "title",
        "links",
    )

    assert (
        unchanged
        == {"/", "/odd", "/bare", "/dated", "/alone"}
        == {one.target for one in found.log if one.status == 304}
    )
    for path in unchanged:
        assert [found.second[path][name] for name in kept] == [found.first[path][name] for name in kept]
    assert found.second["/hidden"]["parent"] == found.second["/"]["url"]
    assert found.second["/below"]["via"] == "link"
    assert found.second["/alone"]["via"] == "seed"
    assert "/orphan" not in found.second


@pytest.mark.parametrize("pool", POOLS)
def test_changes_says_of_every_page_what_became_of_it(crawls, pool):
    """Exactly; what neither crawl found is not listed."""
    found = crawls[pool]
    *listed, counted = found.changes
    site = f"http://{HOST}:{found.port}"

    assert {one["url"].removeprefix(site): (one["change"], one["why"]) for one in listed} == {
        **dict.fromkeys(("/", "/odd", "/bare", "/dated", "/below", "/plain", "/alone"), ("unchanged", "")),
        "/changes": ("changed", "content"),
        "/moved": ("changed", f"redirect to {site}/odd -> redirect to {site}/plain"),
        "/vanishes": ("gone", "answered 410"),
        "/orphan": ("gone", "not found any more"),
        "/hidden": ("new", "before: failed http 404"),
        "/sick": ("unknown", "failed http 500"),
    }
    assert len(listed) == 13
    counts = {"new": 1, "changed": 2, "gone": 2, "unchanged": 7, "unknown": 1}
    assert counted == {"old": "old", "new": "new", "counts": counts}


def test_a_chain_of_recrawls_loses_nothing(crawls):
    """The third crawl gets its 304s for what the second one had only from the first."""
    found = crawls["threads"]

    unchanged = {path for path, record in found.third.items() if record["status"] == 304}
    assert unchanged == {"/", "/bare", "/dated", "/changes", "/hidden", "/alone"}
    assert found.third["/"]["sha256"] == found.first["/"]["sha256"]
    assert found.third["/"]["links"] == found.first["/"]["links"]
    assert set(found.third) == set(found.second)


def test_a_page_whose_record_is_gone_when_the_304_comes_is_asked_for_in_full(crawls):
    """The record of the older crawl was deleted between the request and its answer: a second attempt, unconditional."""
    found = crawls["threads"].third["/odd"]

    assert (found["outcome"], found["status"], found["attempts"]) == ("ok", 200, 2)
    assert found["sha256"] == crawls["threads"].first["/odd"]["sha256"]


def test_changes_reads_well(crawls):
    """One line each, the word first, and the counts at the end."""
    *lines, counts = crawls["threads"].text.splitlines()

    assert f"gone       http://{HOST}:{crawls['threads'].port}/vanishes  (answered 410)" in lines
    assert counts == "old -> new: new 1, changed 2, gone 2, unchanged 7, unknown 1"


def test_a_crawl_that_there_is_not_is_refused(crawls):
    """Exit 2 and one line that names those that exist; nobody recrawls into the same crawl."""
    errors = crawls["threads"].errors

    assert [done.code for done in errors] == [2, 2, 2, 2]
    assert "'old' cannot be the recrawl of itself" in errors[1].stderr
    for done in (errors[0], errors[2], errors[3]):
        assert "there is no crawl 'never'; there are old, new, newest" in done.stderr
        assert "Traceback" not in done.stderr
