"""httpbin, served for real on loopback: redirects, cookies, logins, codings, statuses and robots.txt, in every pool."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import publicdata
import pytest
from deviations import Tally
from stack import POOLS, Directory, at_once, wait_for

from crawl.records import CrawlOptions, FetchRequest
from embedded.ports import free_port
from worker.fetch import fetch
from worker.guard import Guard
from worker.sessions import Web

pytestmark = pytest.mark.timeout(600)

#: httpbin behind a server of werkzeug's; every request is a line of JSON on stdout. What it says about codings is JSON,
#: which we do not read, so these three pages are called text.
SERVER = """
import json, sys
from werkzeug.serving import WSGIRequestHandler, make_server
import httpbin

def app(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    def start(status, headers, *more):
        seen = {"target": path + "?" * bool(query) + query, "status": int(status[:3])}
        seen |= {name: environ.get("HTTP_" + name.upper()) for name in ("host", "cookie", "authorization")}
        sys.stdout.write(json.dumps(seen) + "\\n")
        sys.stdout.flush()
        if path in ("/gzip", "/deflate", "/brotli"):
            headers = [(k, "text/plain" if k == "Content-Type" else v) for k, v in headers]
        return start_response(status, headers, *more)
    return httpbin.app(environ, start)

class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    def log(self, *_): pass

make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True, request_handler=Handler).serve_forever()
"""

#: Path -> (outcome, reason, status, where a redirect leads to), as httpbin describes each.
CASES = {
    "/html": ("ok", None, 200, None),
    "/encoding/utf8": ("ok", None, 200, None),
    "/forms/post": ("ok", None, 200, None),
    "/base64/PGgxPmhlbGxvPC9oMT4=": ("ok", None, 200, None),
    # robots.txt forbids this one alone.
    "/deny": ("skipped", "robots", None, None),
    # Types that are recorded and not read.
    "/json": ("skipped", "content_type", 200, None),
    "/bytes/1000": ("skipped", "content_type", 200, None),
    "/stream/5": ("skipped", "content_type", 200, None),
    "/stream-bytes/2000": ("skipped", "content_type", 200, None),
    "/range/100": ("skipped", "content_type", 200, None),
    "/image/png": ("skipped", "content_type", 200, None),
    "/image/svg": ("skipped", "content_type", 200, None),
    "/delay/1": ("skipped", "content_type", 200, None),
    "/drip?duration=0.2&numbytes=5": ("skipped", "content_type", 200, None),
    "/cache": ("skipped", "content_type", 200, None),
    "/cache/60": ("skipped", "content_type", 200, None),
    "/etag/abc": ("skipped", "content_type", 200, None),
    # Content codings.
    "/gzip": ("ok", None, 200, None),
    "/deflate": ("ok", None, 200, None),
    "/brotli": ("ok", None, 200, None),
    # Status codes.
    "/status/200": ("ok", None, 200, None),
    "/status/204": ("ok", None, 204, None),
    "/status/304": ("failed", "http", 304, None),
    "/status/400": ("failed", "http", 400, None),
    "/status/403": ("failed", "http", 403, None),
    "/status/404": ("failed", "http", 404, None),
    "/status/410": ("failed", "http", 410, None),
    "/status/418": ("failed", "http", 418, None),
    "/status/500": ("failed", "http", 500, None),
    # Redirects, and the chain behind them.
    "/status/301": ("redirect", None, 301, "/redirect/1"),
    "/status/302": ("redirect", None, 302, "/redirect/1"),
    "/status/303": ("redirect", None, 303, "/redirect/1"),
    "/status/307": ("redirect", None, 307, "/redirect/1"),
    "/redirect/3": ("redirect", None, 302, "/relative-redirect/2"),
    "/relative-redirect/2": ("redirect", None, 302, "/relative-redirect/1"),
    "/relative-redirect/1": ("redirect", None, 302, "/get"),
    "/absolute-redirect/2": ("redirect", None, 302, "/absolute-redirect/1"),
    "/absolute-redirect/1": ("redirect", None, 302, "/get"),
    "/redirect-to?url=/html&status_code=308": ("redirect", None, 308, "/html"),
    "/redirect-to?url=ftp://example.test/": ("failed", "scheme", 302, None),
    "/get": ("skipped", "content_type", 200, None),
    # A chain of more than ten hops ends at the eleventh.
    "/redirect/15": ("redirect", None, 302, "/relative-redirect/14"),
    "/relative-redirect/6": ("redirect", None, 302, "/relative-redirect/5"),
    "/relative-redirect/5": ("failed", "redirects", 302, "/relative-redirect/4"),
    # Links lead to each other; every one is asked once.
    "/links/4": ("redirect", None, 302, "/links/4/0"),
    "/links/4/0": ("ok", None, 200, None),
    "/links/4/1": ("ok", None, 200, None),
    "/links/4/2": ("ok", None, 200, None),
    "/links/4/3": ("ok", None, 200, None),
    # Cookies, and logins that are known, unknown, or of a kind that we do not have.
    "/cookies/set?k=v": ("redirect", None, 302, "/cookies"),
    "/cookies": ("skipped", "content_type", 200, None),
    "/basic-auth/user/passwd": ("skipped", "content_type", 200, None),
    "/basic-auth/user/other": ("failed", "http", 401, None),
    "/hidden-basic-auth/user/passwd": ("skipped", "content_type", 200, None),
    "/bearer": ("skipped", "content_type", 200, None),
    "/digest-auth/auth/user/passwd": ("failed", "http", 401, None),
}
#: What other pages lead to.
_FOUND = (
    "/get",
    "/relative-redirect/6",
    "/relative-redirect/5",
    "/links/4/0",
    "/links/4/1",
    "/links/4/2",
    "/links/4/3",
)
SEEDS = [path for path in CASES if path not in (*_FOUND, "/cookies", "/bearer")]
#: A second name of the same server: logins are bound to an origin.
OTHER = "bearer.test"


@contextmanager
def served(folder, log):
    """Run httpbin on a free port, its log in a file; yields its address."""
    port = free_port()
    command = (sys.executable, "-c", SERVER, str(port))
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=os.environ | {"PYTHONPATH": str(folder)}, stdout=out, stderr=out
        )
    try:
        wait_for(lambda: _answers(port), "httpbin")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def path_of(url: str) -> str:
    """Return path and query of a URL."""
    return "/" + url.split("/", 3)[3]


@pytest.fixture(scope="module")
def folder(request):
    return publicdata.httpbin(request.config) / "site"


@pytest.fixture(scope="module")
def crawls(folder, tmp_path_factory):
    """By pool: the server's address, the records by path, and what the server saw."""

    def crawl(pool: str):
        directory = Directory(tmp_path_factory.mktemp(pool))
        log = directory.path / "server.log"
        with served(folder, log) as base:
            logins = directory.path / "logins"
            other = base.replace("127.0.0.1", OTHER)
            logins.write_text(f"{base} basic user:passwd\n{other} bearer token\n")
            logins.chmod(0o600)
            options = ("--delay", "0", "--concurrency", "4", "--allow-address", "127.0.0.0/8", "--pool", pool)
            options += ("--resolve", f"{other[7:]}={base[7:]}")
            options += ("--cookies", "--credentials", str(logins), "--json")
            seeds = (*(base + path for path in SEEDS), f"{other}/bearer")
            done = directory.run("crawl", *seeds, *options, CRAWL_MAX_ATTEMPTS="1")
            records = {path_of(record["url"]): record for record in directory.records()}
            directory.end()
        assert done.code == 0, done.stderr
        seen = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        return base, records, seen

    return dict(zip(POOLS, at_once(crawl, POOLS, 2), strict=True))


@pytest.mark.parametrize("pool", POOLS)
def test_every_pool_makes_of_httpbin_what_httpbin_says(crawls, pool):
    """Outcome, reason, status and target of each page; each page was asked for once."""
    base, records, seen = crawls[pool]
    tally = Tally("httpbin")
    for path, wanted in CASES.items():
        record = records.get(path)
        actual = record and (
            *(record["outcome"], record["reason"], record["status"]),
            (record["redirect_to"] or "").removeprefix(base) or None,
        )
        tally.case(path, wanted, actual)
    # Logins by digest set cookies of their own.
    cookies = [(one or "").split("; ") for one in _seen(seen, "/cookies", "cookie")]
    tally.case("the cookie that /cookies/set sets", [True], ["k=v" in one for one in cookies])
    tally.case("the login of one origin", ["Basic dXNlcjpwYXNzd2Q="], _seen(seen, "/html", "authorization"))
    tally.case("the login of another", ["Bearer token"], _seen(seen, "/bearer", "authorization"))
    asked = [(one["host"], one["target"]) for one in seen]

    assert sorted(set(asked)) == sorted(asked)
    assert "/deny" not in {target for _, target in asked}
    assert "/robots.txt" == asked[0][1]
    tally.verify()


def _seen(seen: list[dict], target: str, header: str) -> list[str | None]:
    return [one[header] for one in seen if one["target"] == target]


@pytest.mark.parametrize(
    ("path", "mark"), [("/gzip", "gzipped"), ("/deflate", "deflated"), ("/brotli", "brotli")]
)
def test_a_coded_body_is_the_one_that_was_meant(folder, tmp_path, path, mark):
    """What httpbin packs says so inside."""
    web = Web(Guard(allow=["127.0.0.0/8"]), slots=1)
    options = CrawlOptions(seeds=("http://x.test/",), user_agent="poolcrawl/0.1 (+test)")
    with served(folder, tmp_path / "server.log") as base:
        ref, body = fetch(FetchRequest(url=base + path), 0, web, options, lambda: int(time.time() * 1000))
    web.close()

    assert ref.outcome == "ok", ref.detail
    assert json.loads(body or b"{}")[mark] is True
