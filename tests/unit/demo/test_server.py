"""The ordinary server, over real sockets."""

from __future__ import annotations

import gzip
import time
import zlib

import pytest

from demo.expected import EXPECTED
from demo.site import DemoSite


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("alpha.demo.test", "/", 200),
        ("alpha.demo.test:80", "/behaviours", 200),
        ("beta.demo.test", "/notfound", 404),
        ("beta.demo.test", "/gone", 410),
        ("beta.demo.test", "/forbidden", 403),
        ("beta.demo.test", "/server-error", 500),
        ("beta.demo.test", "/redirect/301", 301),
        ("beta.demo.test", "/redirect/307", 307),
        ("beta.demo.test", "/robots.txt", 404),
        ("delta.demo.test", "/robots.txt", 200),
        ("gamma.demo.test", "/never/heard/of", 404),
        ("delta.demo.test", "/lanes/10/?view=print", 200),
        ("alpha.demo.test", "/wiki/Schwimmbad-Stra%C3%9Fe", 200),
        ("alpha.demo.test", "/a/../landing-place", 404),
        ("somebody.else", "/", 421),
        ("somebody.else", "/healthz", 200),
    ],
)
def test_each_path_has_its_status(served, host, path, status):
    """Pages are told apart by host and by the path exactly as it was sent."""
    answer = served.get(host, path)

    assert status == answer.status


def test_bodies_are_those_of_the_content_model(served):
    """What is served is what `DemoSite` says, whatever the ports."""
    site = DemoSite()
    for host, target in site.targets()[::7]:
        if host != "rough.demo.test":
            page = site.page(host, target)
            if page.at_first is None:
                assert page.body == served.get(host, target).body


def test_gzip_and_deflate_are_sent_compressed(served):
    """The client gets the compressed bytes under their name."""
    zipped = served.get("alpha.demo.test", "/gzip")
    deflated = served.get("alpha.demo.test", "/deflate")

    assert zipped.headers["Content-Encoding"] == "gzip"
    assert b"Compressed with gzip" in gzip.decompress(zipped.body)
    assert deflated.headers["Content-Encoding"] == "deflate"
    assert b"Compressed with deflate" in zlib.decompress(deflated.body)


def test_chunked_pages_have_no_length(served):
    """Both chunked pages come whole without saying how long they are."""
    for path, least in (("/chunked", 500), ("/huge-chunked", 11 * 1024 * 1024)):
        answer = served.get("alpha.demo.test", path)

        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert "Content-Length" not in answer.headers
        assert len(answer.body) >= least


def test_the_huge_page_announces_more_than_ten_mebibytes(served):
    """A client may refuse before it reads."""
    answer = served.get("alpha.demo.test", "/huge")

    assert int(answer.headers["Content-Length"]) > 10 * 1024 * 1024


def test_a_page_without_a_type_has_none(served):
    """The server adds no Content-Type of its own."""
    answer = served.get("alpha.demo.test", "/no-type")

    assert "Content-Type" not in answer.headers
    assert answer.body.startswith(b"<!doctype html>")


def test_files_and_empty_pages(served):
    """What is not a page says so, and an empty page is a page."""
    assert served.get("alpha.demo.test", "/files/plan.png").headers["Content-Type"] == "image/png"
    assert served.get("alpha.demo.test", "/files/hours.pdf").body.startswith(b"%PDF")
    empty = served.get("alpha.demo.test", "/empty")
    assert (empty.status, empty.headers["Content-Length"], empty.body) == (200, "0", b"")


def test_redirects_end_where_the_table_says(served):
    """The long chain goes on beyond ten, the loop comes back, the self-redirect stays."""
    path, hops = "/redirect/long/1", 0
    while (answer := served.get("beta.demo.test", path)).status == 302:
        path, hops = answer.headers["Location"], hops + 1

    assert (answer.status, hops) == (200, 15)
    assert served.get("beta.demo.test", "/redirect/loop/b").headers["Location"] == "/redirect/loop/a"
    assert served.get("beta.demo.test", "/redirect/self").headers["Location"] == "/redirect/self#again"
    assert EXPECTED["http://beta.demo.test/redirect/long/10"] == ("redirect", None)
    assert EXPECTED["http://beta.demo.test/redirect/long/11"] == ("failed", "redirects")


@pytest.mark.parametrize(
    ("host", "status", "retry_after"), [("beta.demo.test", 500, None), ("delta.demo.test", 503, "1")]
)
def test_recovering_pages_fail_once_per_user_agent(served, host, status, retry_after):
    """Each crawl, known by its User-Agent, gets the failure once and the page ever after."""
    path = f"/flaky/{status}-then-ok"
    first, second, third = (served.get(host, path, agent=f"{host} crawl a") for _ in range(3))
    other = served.get(host, path, agent=f"{host} crawl b")

    assert (status, 200, 200, status) == (first.status, second.status, third.status, other.status)
    assert retry_after == first.headers["Retry-After"]


def test_recovering_pages_remember_over_a_restart(serve):
    """It counts per crawl, not per server life: a crawl continued on a restarted site is not failed again."""
    for status in (500, 200, 200):
        with serve("--latency", "0") as site:
            assert status == site.get("beta.demo.test", "/flaky/500-then-ok").status


def test_head_sends_no_body(served):
    """HEAD has the same headers and nothing after them, streamed pages too."""
    for path in ("/", "/page/1"):
        answer = served.get("slow.demo.test", path, method="HEAD")

        assert int(answer.headers["Content-Length"]) > 500
        assert answer.body == b""


def test_slow_pages_take_their_time_and_then_no_more(serve):
    """A slow page is complete after its latency, to which the scale applies, and begins earlier."""
    latency_s = DemoSite().page("slow.demo.test", "/page/1").latency_s
    with serve("--latency", "0.3") as site:
        answer = site.get("slow.demo.test", "/page/1")

    assert answer.first_s < answer.whole_s
    assert latency_s * 0.3 <= answer.whole_s < latency_s * 0.3 + 1


def test_the_access_log_has_a_line_per_request(served):
    """Tests read there what was asked for again."""
    before = len(served.logged("/landing-place?logged"))
    served.get("alpha.demo.test", "/landing-place?logged", agent="somebody")

    entry = served.logged("/landing-place?logged")[-1]

    assert len(served.logged("/landing-place?logged")) == before + 1
    assert entry.pop("time") == pytest.approx(time.time(), abs=60)
    assert entry == {
        "agent": "somebody",
        "method": "GET",
        "host": "alpha.demo.test",
        "path": "/landing-place?logged",
        "status": 404,
    }
