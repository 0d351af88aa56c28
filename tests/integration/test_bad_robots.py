"""A crawl over sites whose robots.txt is huge, junk, endless, circular or never to be had: it ends, and says why."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from rawserver import Server
from stack import Directory
from website import Response, Website

HUGE, JUNK, LOOP, LONG, BROKEN, BUSY = (
    f"{name}.robots.test" for name in ("huge", "junk", "loop", "long", "broken", "busy")
)
#: Page of every site; its robots.txt is what the test is about.
PAGES = "<a href=/shut>shut</a>"


def _site(robots):
    return lambda request: robots(request) if request.path.startswith("/robots") else PAGES


def _redirect(target):
    return Response("", 302, headers=(("Location", target),))


def _steps(request):
    step = int(request.path.removeprefix("/robots").removesuffix(".txt") or 0)
    return (
        _redirect(f"/robots{step + 1}.txt")
        if step < 5
        else Response("User-agent: *\nDisallow: /shut", content_type=None)
    )


def _dripping(connection, server):
    server.head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not server.ended.wait(0.05):
        connection.sendall(b"#")


@pytest.fixture(scope="module")
def crawled(tmp_path_factory):
    """Return site, records by URL, log, seconds and the dripping server's page, of one crawl over all of them."""
    big = b"User-agent: *\nDisallow: /shut\n" + b"#" * 99 + b"\n" * 100_000_000
    rooms = {
        HUGE: lambda _: Response(big, content_type=None),
        JUNK: lambda _: Response(bytes(range(256)) * 100 + b"\nUser-agent: *\nDisallow: /shut\n\xff\xfe\x00"),
        LOOP: lambda _: _redirect("/robots.txt"),
        LONG: _steps,
        BROKEN: lambda _: Response("no", 500),
        BUSY: lambda _: Response("no", 429, headers=(("Retry-After", "1"),)),
    }
    directory = Directory(
        tmp_path_factory.mktemp("bad-robots"), {"CRAWL_MAX_ATTEMPTS": "2", "CRAWL_TOTAL_TIMEOUT_S": "2"}
    )
    drip = Server(_dripping)
    try:
        with Website({host: _site(robots) for host, robots in rooms.items()}) as site:
            seeds = [*(site.url(host) for host in rooms), drip.url("/")]
            began = time.monotonic()
            done = directory.run("crawl", *seeds, "--delay", "0.1", "--json", *site.resolve(*rooms))
            assert done.code == 0, done.stderr
            records = {record["url"]: record for record in directory.records()}
            yield site, records, list(site.log), time.monotonic() - began, drip.url("/")
    finally:
        drip.close()
        directory.end()


def _asked(crawled, host):
    return [one for one in crawled[2] if one.host == host]


def test_it_ends(crawled):
    """Soon: nothing is waited for longer than its attempts and timeouts take."""
    assert crawled[3] < 60


@pytest.mark.parametrize("host", [HUGE, JUNK, LONG])
def test_the_rules_that_can_be_read_count(crawled, host):
    """In 100 MB, in junk, and behind five redirects."""
    site, records, *_ = crawled

    assert records[site.url(host)]["outcome"] == "ok"
    assert records[site.url(host, "/shut")]["reason"] == "robots"
    assert "/shut" not in {one.target for one in _asked(crawled, host)}


def test_a_circle_is_given_up_after_five_redirects(crawled):
    """Six requests, then it counts as not available: everything is allowed."""
    site, records, *_ = crawled

    assert [one.target for one in _asked(crawled, LOOP)].count("/robots.txt") == 6
    assert records[site.url(LOOP, "/shut")]["outcome"] == "ok"


@pytest.mark.parametrize("host", [LOOP, LONG, BROKEN, BUSY])
def test_hops_and_attempts_keep_the_delay(crawled, host):
    """By the server's own log: each begins a delay after the end of the one before."""
    asked = _asked(crawled, host)
    gaps = [after.started - before.ended for before, after in pairwise(asked)]

    # What the log calls the end is a moment later than the end for who reads the answer.
    assert min(gaps) > 0.09
    assert len(asked) >= 2


@pytest.mark.parametrize(("host", "status"), [(BROKEN, 500), (BUSY, 429)])
def test_what_cannot_be_had_forbids_everything(crawled, host, status):
    """After the attempts; the record says so, and no page was asked for."""
    site, records, *_ = crawled
    record = records[site.url(host)]

    assert ("skipped", "robots") == (record["outcome"], record["reason"])
    assert f"could not be had ({status}), so nothing may be fetched" in record["detail"]
    assert ["/robots.txt"] * 2 == [one.target for one in _asked(crawled, host)]


def test_a_busy_server_is_left_alone_as_long_as_it_asks(crawled):
    """Its Retry-After holds the host."""
    first, second = _asked(crawled, BUSY)

    assert second.started - first.ended > 0.9


def test_an_endless_drip_forbids_everything(crawled):
    """It is cut off by the time one request may take, twice."""
    record = crawled[1][crawled[4]]

    assert "could not be had (timeout)" in record["detail"]
