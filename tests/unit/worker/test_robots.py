"""robots.txt: asking for it, reading it, and what an answer means (RFC 9309)."""

from __future__ import annotations

import statistics
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rawserver import page, says

from crawl.records import PageRef
from worker.robots import Rules, denial_of, product_token, verdict_of

US = "poolcrawl/0.1 (+https://example.org/)"


@pytest.mark.parametrize(
    ("user_agent", "token"),
    [(US, "poolcrawl"), ("PoolCrawl", "poolcrawl"), ("my-bot_x/2.0", "my-bot_x"), ("", ""), ("42", "42")],
)
def test_the_product_token_is_the_name_before_the_version(user_agent, token):
    """Groups are matched with the product token in lower case (section 2.2.1)."""
    assert product_token(user_agent) == token


@pytest.mark.parametrize(
    ("rules", "path", "allowed"),
    [
        (b"User-agent: *\nDisallow: /private", "/private/x", False),
        (b"User-agent: *\nDisallow: /private", "/public", True),
        (b"User-agent: *\nDisallow: /a\nAllow: /a/b", "/a/b/c", True),
        (b"User-agent: *\nDisallow: /\n\nUser-agent: PoolCrawl\nDisallow: /x", "/y", True),
        (b"User-agent: other\nDisallow: /", "/y", True),
        (b"User-agent: *\nDisallow: /*.pdf$", "/a.pdf", False),
        (b"User-agent: *\nDisallow: /*.pdf$", "/a.pdf?x", True),
        (b"User-agent: *\nDisallow: /*?s=", "/find?s=1", False),
        (b"\xef\xbb\xbfUser-agent: *\r\nDisallow: /a\r\n", "/a", False),
        (b"User-agent: *\nDisallow: /\xff\nDisallow: /b", "/b", False),
        (b"User-agent: *\nDisallow: /", "/robots.txt", True),
        (b"", "/any", True),
        (b"<html>not found</html>", "/any", True),
    ],
)
def test_rules_decide_by_the_longest_match(rules, path, allowed):
    """Groups, precedence, wildcards and byte junk are read as RFC 9309 says."""
    assert Rules.from_text(rules).allowed(f"http://h.test{path}", US) is allowed


def test_the_crawl_delay_is_that_of_our_group():
    """A delay for others is not ours; nonsense is none."""
    rules = Rules.from_text(
        b"User-agent: other\nCrawl-delay: 9\n\nUser-agent: *\nCrawl-delay: 2.5\nDisallow: /x"
    )

    assert rules.crawl_delay(US) == 2.5
    assert rules.crawl_delay("other/1") == 9.0
    assert Rules.from_text(b"User-agent: *\nCrawl-delay: soon").crawl_delay(US) is None


@given(st.binary(max_size=400))
def test_no_bytes_break_the_rules(body):
    """Whatever a server sends as robots.txt gives rules that answer."""
    assert Rules.from_text(body).allowed("http://h.test/x?y", US) in {True, False}


def test_a_verdict_costs_at_most_50_microseconds():
    """Median over fresh URLs against 200 rules, a few with wildcards: robots must not show in a page's time."""
    lines = b"".join(b"Disallow: /dir%d/\n" % number for number in range(180))
    lines += b"".join(b"Disallow: /*/private%d$\n" % number for number in range(20))
    rules = Rules.from_text(b"User-agent: *\n" + lines)
    times = []
    for number in range(400):
        begun = time.perf_counter()
        rules.allowed(f"http://h.test/page/{number}", US)
        times.append(time.perf_counter() - begun)

    assert statistics.median(times) < 50e-6


@pytest.mark.parametrize(
    ("outcome", "status", "body", "verdict"),
    [
        ("ok", 200, b"User-agent: *", "rules"),
        ("ok", 404, b"", "allow"),
        ("ok", 403, b"", "allow"),
        ("ok", 301, b"", "allow"),
        ("failed", 503, None, "deny"),
        ("failed", None, None, "deny"),
        ("failed", 200, None, "deny"),
        ("skipped", None, None, "deny"),
    ],
)
def test_what_an_answer_means(outcome, status, body, verdict):
    """2xx: rules. Not available: everything allowed. Unreachable: nothing (section 2.3.1)."""
    assert verdict_of(PageRef(0, outcome, status=status), body) == verdict


def test_a_robots_txt_of_any_type_is_read(serve, ask):
    """The content type does not matter, and neither does a 200 with an empty body."""
    ref, body = ask(
        serve(says(page(b"User-agent: *", b"Content-Type: image/png"))).url("/robots.txt"), robots=True
    )

    assert (ref.outcome, ref.status, body) == ("ok", 200, b"User-agent: *")
    assert verdict_of(ref, body) == "rules"


@pytest.mark.parametrize(
    ("status", "verdict"), [(b"404 No", "allow"), (b"429 Busy", "allow"), (b"500 Oh", "deny")]
)
def test_a_status_becomes_a_verdict(serve, ask, status, verdict):
    """4xx is no failure of the request; a 5xx is, and may be asked again."""
    ref, body = ask(serve(says(page(b"Disallow: /", status=status))).url("/robots.txt"), robots=True)

    assert verdict_of(ref, body) == verdict
    assert ref.status == int(status[:3])
    assert (ref.outcome, ref.transient) == (("ok", False) if verdict == "allow" else ("failed", True))


def redirecting(hops):
    def handler(connection, server):
        while True:
            head = server.head(connection)
            path = head.split(b" ")[1]
            if path == b"/%d" % hops:
                connection.sendall(page(b"User-agent: *\nDisallow: /x"))
            else:
                step = 1 if path == b"/robots.txt" else int(path[1:]) + 1
                connection.sendall(page(b"", b"Location: /%d" % step, status=b"301 Moved"))

    return handler


@pytest.mark.parametrize(("hops", "verdict"), [(1, "rules"), (5, "rules"), (6, "allow")])
def test_five_redirects_are_followed(serve, ask, hops, verdict):
    """Five hops are followed, relative ones too; beyond that the file counts as not available."""
    server = serve(redirecting(hops))

    ref, body = ask(server.url("/robots.txt"), robots=True)

    assert verdict_of(ref, body) == verdict
    assert len(server.heads) == min(hops, 5) + 1


def test_every_hop_passes_the_address_guard(serve, ask):
    """A robots.txt that redirects to a private address is refused there, and unreachable."""
    server = serve(says(page(b"", b"Location: http://10.0.0.1/robots.txt", status=b"302 Found")))

    ref, body = ask(server.url("/robots.txt"), robots=True)

    assert (ref.outcome, ref.reason) == ("failed", "address")
    assert verdict_of(ref, body) == "deny"


def test_a_huge_robots_txt_is_read_to_500_kib(serve, ask):
    """The rest is ignored; the part read counts (section 2.5)."""
    body = b"User-agent: *\nDisallow: /x\n" + b"# filler\n" * 200_000

    ref, got = ask(serve(says(page(body))).url("/robots.txt"), robots=True)

    assert (ref.outcome, len(got)) == ("ok", 500 * 1024)
    assert not Rules.from_text(got).allowed("http://h.test/x", US)


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
    assert "deny" == verdict_of(ref, None)


@pytest.mark.parametrize(("reason", "status"), [("http", 503), ("timeout", None), ("reset", None)])
def test_a_server_that_fails_is_a_denial_by_robots(reason, status):
    """RFC 9309 section 2.3.1.4: unreachable means that nothing may be asked for."""
    ref = PageRef(0, "failed", reason=reason, status=status)

    assert ("", "deny") == (denial_of(ref), verdict_of(ref, None))
