"""HTTP in a real crawl: codings, headers, logins, cookies, redirects and retries, alike in every pool."""

from __future__ import annotations

import gzip
import re
from collections import Counter

import brotli
from website import Response

from worker.codings import zstd

HOST = "http.test"
OPTIONS = (
    *("--header", "Accept-Language: gsw, de;q=0.5", "--header", "X-Crawl: features"),
    *("--cookies", "--credentials", "logins.txt"),
)
SECRET = "features:s3cret"
SENT = "Basic ZmVhdHVyZXM6czNjcmV0"
FILES = {"logins.txt": f"http://http.test:{{port}} basic {SECRET}\n"}
SEEDS = ("/", "/to-elsewhere", "/to-private", "/set")

#: An address that nobody may be asked at (RFC 5737).
PRIVATE = "http://192.0.2.1/private"
#: Deepest chain of redirects that is followed (CRAWL_MAX_REDIRECTS).
HOPS = 10
COOKIE_PAGES = [f"/cookie/{number}" for number in range(6)]
FORBIDDEN = ("ftp://http.test/x", "file:///etc/passwd", "javascript:alert(1)", "data:text/html,x", "\x00:")
PACK = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstd.compress}
#: What was asked of each site (by port) so far.
_counts: Counter[tuple[int, str]] = Counter()


def answer(request):
    """The room; every page says in its title what arrived."""
    path = request.path
    _counts[request.port, path] += 1
    if path == "/":
        paths = [
            *(f"/coded/{name}" for name in PACK),
            "/coded/cut",
            "/headers",
            "/flaky",
            "/again",
            "/chain/0",
            "/to-closed",
        ]
        paths += [f"/scheme/{number}" for number in range(len(FORBIDDEN))]
        return _page("http", *paths)
    if path == "/robots.txt":
        return Response("User-agent: *\nDisallow: /closed\n", content_type="text/plain")
    if path.startswith("/coded/"):
        return _coded(path.removeprefix("/coded/"))
    if path == "/headers":
        return _page(
            "|".join(
                request.headers.get(name, "-") for name in ("accept-language", "x-crawl", "authorization")
            )
        )
    if path == "/flaky":
        return Response("", 500) if _counts[request.port, path] == 1 else _page("flaky")
    if path == "/set":
        return Response(_page("set", *COOKIE_PAGES), headers=(("Set-Cookie", "visit=1; Path=/cookie"),))
    if path in COOKIE_PAGES:
        return _page(request.headers.get("cookie", "none"))
    if path == "/again":
        if "again=yes" in request.headers.get("cookie", ""):
            return _page("again")
        return _redirect("/again", ("Set-Cookie", "again=yes; Path=/again"))
    return _redirected(request)


def _redirected(request):
    path = request.path
    if path == "/to-elsewhere":
        return _redirect(f"http://elsewhere.test:{request.port}/landed?from=here#part")
    if path == "/to-closed":
        return _redirect("/closed")
    if path == "/to-private":
        return _redirect(PRIVATE)
    chain = re.fullmatch(r"/chain/(\d+)", path)
    if chain and int(chain[1]) < 20:
        return _redirect(str(int(chain[1]) + 1))
    scheme = re.fullmatch(r"/scheme/(\d)", path)
    if scheme:
        return _redirect(FORBIDDEN[int(scheme[1])])
    return Response("no such page", 404)


def elsewhere(request):
    """Another origin, where a redirect of a seed ends."""
    if request.path == "/landed":
        return _page(request.headers.get("authorization", "no login"))
    return Response("no such page", 404)


HOSTS = {"http.test": answer, "elsewhere.test": elsewhere}


def _page(title, *paths):
    return f"<title>{title}</title>" + "".join(f"<a href='{path}'>x</a>" for path in paths)


def _coded(name):
    if name == "cut":
        return Response(
            brotli.compress(b"<title>cut</title>" + bytes(range(256)))[:-20],
            headers=(("Content-Encoding", "br"),),
        )
    body = PACK[name](f"<title>{name}</title>{'x' * 5000}".encode())
    return Response(body, headers=(("Content-Encoding", name),))


def _redirect(target, *headers):
    return Response("x" * 100_000, 302, headers=(("Location", target), *headers))


def test_every_coding_arrives_and_is_undone(crawled):
    """Accept-Encoding is honest, and a body cut short is no page."""
    titles = [crawled.record(HOST, f"/coded/{name}")["title"] for name in PACK]
    cut = crawled.record(HOST, "/coded/cut")

    assert list(PACK) == titles
    assert ("failed", "decode", 1) == (cut["outcome"], cut["reason"], cut["attempts"])


def test_headers_of_the_crawl_arrive_everywhere(crawled):
    """With pages and robots.txt, at every host: they are the crawl's own."""
    asked = [one for one in crawled.log if one.host in HOSTS]

    assert {("gsw, de;q=0.5", "features")} == {
        (one.headers.get("accept-language"), one.headers.get("x-crawl")) for one in asked
    }
    assert {"/robots.txt"} <= {one.target for one in asked}


def test_a_login_arrives_at_its_origin_and_nowhere_else(crawled):
    """Not even where its origin redirects to."""
    with_login = {one.host for one in crawled.log if "authorization" in one.headers}

    assert {HOST} == with_login
    assert f"gsw, de;q=0.5|features|{SENT}" == crawled.record(HOST, "/headers")["title"]
    assert "no login" == crawled.record("elsewhere.test", "/landed?from=here")["title"]


def test_no_secret_is_in_what_people_read(crawled):
    """What the crawl printed; logs and the other commands are in tests/integration/test_http.py."""
    assert "s3cret" not in crawled.done.stdout + crawled.done.stderr


def test_cookies_of_one_worker_are_sent_by_all(crawled):
    """One jar for the crawl: whatever slot asks for a page, it sends what an earlier page set."""
    assert {"visit=1"} == {crawled.record(HOST, path)["title"] for path in COOKIE_PAGES}
    assert "cookie" not in {
        name for one in crawled.log if one.target == "/robots.txt" for name in one.headers
    }


def test_a_redirect_to_itself_with_a_cookie_is_asked_again(crawled):
    """It costs an attempt and gives the page."""
    record = crawled.record(HOST, "/again")

    assert ("ok", "again", 2) == (record["outcome"], record["title"], record["attempts"])
    assert 2 == crawled.asked(HOST).count("/again")


def test_every_hop_of_a_chain_has_a_record(crawled):
    """Each is asked for once, and names the next; the one too many is refused."""
    hops = [crawled.record(HOST, f"/chain/{number}") for number in range(HOPS + 1)]

    assert ["redirect"] * HOPS + ["failed"] == [hop["outcome"] for hop in hops]
    assert [crawled.url(HOST, f"/chain/{number + 1}") for number in range(HOPS)] == [
        hop["redirect_to"] for hop in hops[:HOPS]
    ]
    assert [crawled.url(HOST, f"/chain/{number}") for number in range(HOPS)] == [
        hop["parent"] for hop in hops[1:]
    ]
    assert "redirects" == hops[HOPS]["reason"]
    assert crawled.url(HOST, f"/chain/{HOPS + 1}") not in crawled.records


def test_every_hop_is_judged_by_robots_and_by_the_address_guard(crawled):
    """A redirect is no way around either; the target has a record that says so."""
    closed, private = crawled.record(HOST, "/closed"), crawled.records[PRIVATE]

    assert ("skipped", "robots", crawled.url(HOST, "/to-closed")) == (
        closed["outcome"],
        closed["reason"],
        closed["parent"],
    )
    assert ("failed", "address") == (private["outcome"], private["reason"])
    assert "/closed" not in crawled.asked(HOST)


def test_a_redirect_to_another_scheme_is_refused(crawled):
    """With reason `scheme` and a detail that can be printed."""
    records = [crawled.record(HOST, f"/scheme/{number}") for number in range(4)]

    assert {("failed", "scheme")} == {(record["outcome"], record["reason"]) for record in records}
    assert all(record["detail"].isprintable() for record in crawled.records.values() if record["detail"])


def test_a_failure_is_tried_again_and_counted(crawled):
    """One 500, then the page: two attempts, one record."""
    record = crawled.record(HOST, "/flaky")

    assert ("ok", 2) == (record["outcome"], record["attempts"])
    assert 2 == crawled.asked(HOST).count("/flaky")
