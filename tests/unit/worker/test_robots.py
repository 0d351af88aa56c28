"""robots.txt: asking for it, and what an answer means (RFC 9309 section 2.3)."""

from __future__ import annotations

import time
import zlib

import pytest
from rawserver import page, says

from crawl.records import CrawlOptions, FetchRequest, PageRef
from worker.robots import MAX_HOPS, Rules, answer_of, denial_of, verdict_of

US = "poolcrawl/0.1 (+https://example.org/)"


@pytest.mark.parametrize(
    ("outcome", "status", "body", "verdict"),
    [
        ("ok", 200, b"User-agent: *", "rules"),
        ("ok", 404, b"", "allow"),
        ("ok", 403, b"", "allow"),
        ("ok", 301, b"", "allow"),
        ("redirect", 302, None, "allow"),
        ("failed", 503, None, "deny"),
        ("failed", 429, None, "deny"),
        ("failed", None, None, "deny"),
        ("failed", 200, None, "deny"),
        ("skipped", None, None, "deny"),
    ],
)
def test_what_an_answer_means(outcome, status, body, verdict):
    """2xx: rules. Not available, or redirected to nowhere: everything allowed. Unreachable: nothing (section 2.3.1)."""
    assert verdict_of(PageRef(0, outcome, status=status), body) == verdict


def test_a_robots_txt_of_any_type_is_read(serve, ask):
    """The content type does not matter, and neither does a 200 with an empty body."""
    ref, body = ask(
        serve(says(page(b"User-agent: *", b"Content-Type: image/png"))).url("/robots.txt"), robots=True
    )

    assert (ref.outcome, ref.status, body) == ("ok", 200, b"User-agent: *")
    assert verdict_of(ref, body) == "rules"


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(b"404 No", "allow"), (b"401 Who", "allow"), (b"429 Busy", "deny"), (b"500 Oh", "deny")],
)
def test_a_status_becomes_a_verdict(serve, ask, status, verdict):
    """4xx is no failure of the request; a 5xx or 429 is, and may be asked again."""
    ref, body = ask(serve(says(page(b"Disallow: /", status=status))).url("/robots.txt"), robots=True)

    assert verdict_of(ref, body) == verdict
    assert ref.status == int(status[:3])
    assert (ref.outcome, ref.transient) == (("ok", False) if verdict == "allow" else ("failed", True))


@pytest.mark.parametrize(
    "status", [b"301 Moved", b"302 Found", b"303 See", b"307 Temporary", b"308 Permanent"]
)
def test_a_redirect_is_handed_back(serve, ask, status):
    """It is followed by the frontier, so that the next host's politeness counts; its body is not read."""
    server = serve(says(page(b"x" * 100, b"Location: /elsewhere", status=status)))

    ref, body = ask(server.url("/robots.txt"), robots=True)

    assert ("redirect", "/elsewhere", None) == (ref.outcome, ref.location, body)
    assert 1 == len(server.heads)


def test_a_hop_passes_the_address_guard(serve, ask):
    """A robots.txt at a private address is not asked for, and unreachable."""
    ref, body = ask("http://10.0.0.1/robots.txt", robots=True)

    assert ("failed", "address", "deny") == (ref.outcome, ref.reason, verdict_of(ref, body))


ORIGIN = "http://h.test"
OPTIONS = CrawlOptions(user_agent="poolcrawl/1", max_crawl_delay_s=30.0)


def answer(ref, body=None, *, url=f"{ORIGIN}/robots.txt", hops=0, retry_ms=None):
    """Return what the frontier gets to keep."""
    return answer_of(ORIGIN, FetchRequest(url=url, hops=hops), ref, body, OPTIONS, retry_ms)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/r.txt", "http://h.test/r.txt"),
        ("//other.test/robots.txt", "http://other.test/robots.txt"),
        ("https://H.TEST:443/robots.txt#x", "https://h.test/robots.txt"),
    ],
)
def test_a_redirect_names_what_to_ask_next(location, target):
    """Its target, joined and canonical, and how far it is from the origin."""
    kept = answer(PageRef(0, "redirect", status=302, location=location), hops=2)

    assert (ORIGIN, target, 3) == (kept.origin, kept.ask_url, kept.hops)


@pytest.mark.parametrize(("location", "hops"), [("/next", MAX_HOPS), ("ftp://h.test/", 0), ("http://", 1)])
def test_a_redirect_that_leads_nowhere_is_not_available(location, hops):
    """More than five in a row, or to what is no web page: everything is allowed (section 2.3.1.2)."""
    kept = answer(PageRef(0, "redirect", status=301, location=location), hops=hops)

    assert (None, "allow") == (kept.ask_url, kept.verdict)
    assert kept.fresh_ms == 24 * 3600 * 1000


def test_rules_are_kept_with_delay_and_sitemaps():
    """What the frontier needs stands beside them; the delay is capped by the crawl's options."""
    body = (
        b"# c\nUser-agent: *\nDisallow: /\xff\nCrawl-delay: 90.5\nSitemap: s.xml\nSitemap: http://x.test/\n"
    )

    kept = answer(PageRef(0, "ok", status=200), body, url="http://other.test/dir/robots.txt", hops=1)

    assert ("rules", 30_000) == (kept.verdict, kept.delay_ms)
    assert "http://other.test/dir/s.xml\nhttp://x.test/" == kept.sitemaps
    assert not Rules.from_kept(kept.body.encode()).allowed("http://h.test/%FF", "poolcrawl")


def test_a_short_crawl_delay_is_kept_to_the_millisecond():
    """Fractions of a second count."""
    kept = answer(PageRef(0, "ok", status=200), b"User-agent: poolcrawl\nCrawl-delay: 0.25\n")

    assert kept.delay_ms == 250


def test_a_transient_failure_is_asked_again_as_long_as_attempts_are_left():
    """Then it counts as unreachable, for an hour."""
    ref = PageRef(0, "failed", reason="http", status=503)

    assert 1500 == answer(ref, retry_ms=1500).retry_ms
    assert ("deny", 3_600_000) == (answer(ref).verdict, answer(ref).fresh_ms)


def test_a_huge_robots_txt_is_read_to_500_kib(serve, ask):
    """The rest is ignored; the part read counts (section 2.5)."""
    body = b"User-agent: *\nDisallow: /x\n" + b"# filler\n" * 200_000

    ref, got = ask(serve(says(page(body))).url("/robots.txt"), robots=True)

    assert (ref.outcome, len(got)) == ("ok", 500 * 1024)
    assert not Rules.from_text(got).allowed("http://h.test/x", US)


def test_a_hundred_megabytes_are_not_waited_for(serve, ask):
    """What is beyond the limit is never taken from the connection."""
    sent = []

    def handler(connection, server):
        server.head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        try:
            for _ in range(1000):
                connection.sendall(b"Disallow: /\n" * 8334)
                sent.append(1)
        except OSError:
            return

    began = time.monotonic()
    ref, got = ask(serve(handler).url("/robots.txt"), robots=True)

    assert ("ok", 500 * 1024) == (ref.outcome, len(got))
    assert time.monotonic() - began < 3
    assert len(sent) < 200


def test_a_compressed_bomb_is_read_to_500_kib(serve, ask):
    """The limit holds for what is unpacked, too."""
    bomb = zlib.compress(b"User-agent: *\nDisallow: /x\n" + b"# filler\n" * 3_000_000)
    answered = page(bomb, b"Content-Encoding: deflate")

    ref, got = ask(serve(says(answered)).url("/robots.txt"), robots=True)

    assert ("ok", 500 * 1024) == (ref.outcome, len(got))
    assert not Rules.from_text(got).allowed("http://h.test/x", US)


def test_an_endless_drip_ends_with_the_total_time(serve, ask):
    """A server that sends a byte now and then is unreachable, after the time one request may take."""

    def handler(connection, server):
        server.head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not server.ended.wait(0.05):
            try:
                connection.sendall(b"#")
            except OSError:
                return

    began = time.monotonic()
    ref, body = ask(serve(handler).url("/robots.txt"), robots=True, total_timeout_s=0.5)

    assert ("failed", "timeout", "deny") == (ref.outcome, ref.reason, verdict_of(ref, body))
    assert time.monotonic() - began < 3


def test_a_robots_txt_that_never_answers_is_unreachable(serve, ask):
    """A timeout fails with its reason, and denies everything."""

    def handler(connection, server):
        server.head(connection)
        server.ended.wait()

    ref, body = ask(serve(handler).url("/robots.txt"), robots=True, read_timeout_s=0.2)

    assert (ref.outcome, ref.reason, verdict_of(ref, body)) == ("failed", "timeout", "deny")


@pytest.mark.parametrize("reason", ["dns", "connect", "tls", "address", "protocol"])
def test_without_a_web_server_the_denial_says_why(reason):
    """Its pages are recorded with what is really wrong, not as forbidden by a robots.txt that nobody has seen."""
    ref = PageRef(0, "failed", reason=reason, detail="it is not there")

    assert f"{reason} it is not there" == denial_of(ref)
    assert ("deny", 5000) == (answer(ref).verdict, answer(ref).fresh_ms)


@pytest.mark.parametrize(
    ("reason", "status", "hops", "why"),
    [
        ("http", 503, 0, "503"),
        ("http", 429, 0, "429"),
        ("timeout", None, 0, "timeout"),
        ("reset", None, 0, "reset"),
        ("decode", 200, 0, "decode"),
        ("address", None, 1, "address after 1 redirect"),
        ("dns", None, 2, "dns after 2 redirects"),
    ],
)
def test_a_server_that_fails_is_a_denial_by_robots(reason, status, hops, why):
    """Unreachable means that nothing may be asked for, and the records say so (section 2.3.1.4)."""
    ref = PageRef(0, "failed", reason=reason, status=status)

    assert (
        f"robots robots.txt could not be had ({why}), so nothing may be fetched (RFC 9309 section 2.3.1.4)"
        == denial_of(ref, hops)
    )
    assert "deny" == verdict_of(ref, None)


def test_what_a_pages_headers_ask_of_robots_is_kept(serve, ask):
    """Each X-Robots-Tag on a line of its own: a robot named in one does not count for the next."""
    headers = (b"X-Robots-Tag: otherbot: noindex", b"x-robots-tag: nofollow")
    long = (b"X-Robots-Tag: " + b"x" * 3000,)

    ref, _ = ask(serve(says(page(b"<p>", *headers))).url())
    bounded, _ = ask(serve(says(page(b"<p>", *long))).url())
    none, _ = ask(serve(says(page(b"<p>"))).url())

    assert "otherbot: noindex\nnofollow" == ref.robots_tag
    assert 2000 == len(bounded.robots_tag)
    assert none.robots_tag is None
