"""What `fetch` sends beside the URL, and what it keeps of odd answers: headers, logins, cookies, redirects."""

from __future__ import annotations

import random
import time

import pytest
from rawserver import page, says

from crawl.records import CrawlOptions, FetchRequest, to_json
from worker.cookies import Jar
from worker.fetch import fetch

HTML = b"Content-Type: text/html"
OK = b"HTTP/1.1 200 OK\r\n"
SECRET = "me:s3cret"
SEEN = b"Authorization: Basic bWU6czNjcmV0"


def fields(server, number=0):
    return server.heads[number].decode("latin-1").split("\r\n")[1:-2]


def test_headers_of_the_crawl_replace_ours(serve, ask):
    """By name, without case; the others are added."""
    server = serve(says(page(b"x", HTML)))

    ask(server.url(), headers=(("accept", "text/html"), ("Accept-Language", "de, en;q=0.5"), ("X-A", "")))

    assert {
        f"Host: 127.0.0.1:{server.port}",
        "User-Agent: poolcrawl/0.1 (+test)",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "accept: text/html",
        "Accept-Language: de, en;q=0.5",
        "X-A: ",
    } == set(fields(server))


def test_headers_of_the_crawl_are_sent_for_robots_too(serve, ask):
    """A site may answer by them."""
    server = serve(says(page(b"x")))

    ask(server.url("/robots.txt"), robots=True, headers=(("X-A", "b"),))

    assert "X-A: b" in fields(server)


def test_a_login_goes_to_its_origin_only(serve, ask):
    """Another port or host of the same server gets none, though it asks."""
    first, second = serve(says(page(b"x"), page(b"y"))), serve(says(page(b"x", status=b"401 Unauthorized")))
    credentials = ((first.url("").removesuffix("/"), "basic", SECRET),)

    ask(first.url("/a"), credentials=credentials)
    ref, _ = ask(second.url("/a"), credentials=credentials)

    assert SEEN in first.heads[0]
    assert b"uthorization" not in second.heads[0]
    assert ("http", 401) == (ref.reason, ref.status)


def test_a_bearer_token_is_sent_as_it_is(serve, ask):
    """RFC 6750 section 2.1."""
    server = serve(says(page(b"x")))

    ask(server.url("/"), credentials=((server.url("").rstrip("/"), "bearer", "tok.en"),))

    assert "Authorization: Bearer tok.en" in fields(server)


def test_a_robots_redirect_takes_no_login_elsewhere(serve, ask):
    """The next hop is a request of its own, judged by its own origin."""
    second = serve(says(page(b"User-agent: *")))
    first = serve(says(page(b"", b"Location: " + second.url("/r").encode(), status=b"302 Found")))
    credentials = ((first.url("").rstrip("/"), "basic", SECRET),)

    hop, _ = ask(first.url("/robots.txt"), robots=True, credentials=credentials)
    ref, body = ask(hop.location, robots=True, credentials=credentials)

    assert (b"User-agent: *", "ok") == (body, ref.outcome)
    assert SEEN in first.heads[0]
    assert b"uthorization" not in second.heads[0]


def test_no_reference_and_no_view_holds_a_secret(serve, ask):
    """What goes into records, streams and key names."""
    server = serve(says(page(b"", status=b"401 Unauthorized")))
    credentials = ((server.url("").rstrip("/"), "basic", SECRET),)

    ref, _ = ask(server.url("/"), credentials=credentials)

    assert b"s3cret" not in to_json(ref)
    assert (
        CrawlOptions(credentials=credentials).view()
        == CrawlOptions(credentials=((credentials[0][0], "basic", "other"),)).view()
    )


def now_ms():
    return int(time.time() * 1000)


def ask_with(jar, web, url):
    options = CrawlOptions(total_timeout_s=3.0, read_timeout_s=2.0)
    return fetch(FetchRequest(url=url), 0, web, options, now_ms, jar=jar)


def test_cookies_are_taken_and_given(serve, web):
    """Of pages, redirects and errors alike."""
    server = serve(
        says(
            page(b"x", b"Set-Cookie: a=1; Path=/"),
            page(b"", b"Set-Cookie: b=2; Path=/", b"Location: /z", status=b"302 Found"),
            page(b"", b"Set-Cookie: c=3; Path=/", status=b"404 Not Found"),
            page(b"x"),
        )
    )
    jar = Jar()
    for path in "abcd":
        ask_with(jar, web, server.url(f"/{path}"))

    sent = [[field for field in fields(server, number) if field.startswith("Cookie")] for number in range(4)]
    assert [[], ["Cookie: a=1"], ["Cookie: a=1; b=2"], ["Cookie: a=1; b=2; c=3"]] == sent


def test_a_redirect_to_itself_with_a_new_cookie_is_asked_again(serve, web):
    """Once it sets nothing new, it is a loop."""
    loop = page(b"", b"Set-Cookie: a=1; Path=/", b"Location: /x#part", status=b"302 Found")
    server = serve(says(loop, loop))
    jar = Jar()

    refs = [ask_with(jar, web, server.url("/x"))[0] for _ in range(2)]

    assert [("redirect", True, True), ("redirect", False, False)] == [
        (ref.outcome, ref.again, ref.transient) for ref in refs
    ]


def test_without_a_jar_no_cookie_is_kept(serve, ask):
    """Cookies are off unless asked for."""
    server = serve(says(page(b"x", b"Set-Cookie: a=1; Path=/"), page(b"x")))
    for path in "ab":
        ask(server.url(f"/{path}"))

    assert b"Cookie" not in server.heads[1]


def test_the_body_of_a_redirect_costs_nothing(serve, ask):
    """An endless body is left: the server gets rid of what the sockets' buffers hold, no more, and no time passes."""
    sent = []

    def handler(connection, server):
        server.head(connection)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n")
        try:
            while not server.ended.is_set():
                sent.append(connection.send(b"x" * 65_536))
        finally:
            server.ended.set()

    server = serve(handler)
    begun = time.monotonic()

    ref, body = ask(server.url("/a"))

    took = time.monotonic() - begun
    assert server.ended.wait(3)
    assert ("redirect", "/b", None) == (ref.outcome, ref.location, body)
    assert took < 0.5
    assert sum(sent) < 16_000_000


@pytest.mark.parametrize(
    ("lines", "location"),
    [
        ([b"Location: b/c?d"], "b/c?d"),
        ([b"Location:    /space   "], "/space"),
        ([b"Location: /a#frag"], "/a#frag"),
        (["Location: /größe".encode()], "/größe"),
        ([b"Location: /gr\xf6\xdfe"], "/größe"),
        ([b"Location: /first", b"Location: /second"], "/first"),
        ([b"Location: javascript:alert(1)"], "javascript:alert(1)"),
        ([b"Location: /a\x00\x01b"], "/a\x00\x01b"),
    ],
)
def test_a_location_is_kept_as_it_came(serve, ask, lines, location):
    """The first one; UTF-8 where it is that, else latin-1. It is joined and judged when parsed."""
    ref, _ = ask(serve(says(page(b"", *lines, status=b"301 Moved"))).url())

    assert ("redirect", location) == (ref.outcome, ref.location)


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (b"302 Found", b"Location:"),
        (b"302 Found", b"Location:   "),
        (b"302 Found", b"X-Location: /a"),
        (b"300 Multiple Choices", b"Location: /a"),
        (b"304 Not Modified", b"Location: /a"),
        (b"305 Use Proxy", b"Location: /a"),
        (b"306 Unused", b"Location: /a"),
        (b"201 Created", b"Location: /a"),
    ],
)
def test_what_is_no_redirect_is_none(serve, ask, status, line):
    """Without a Location, or with a status that lets us not go there by ourselves."""
    ref, _ = ask(serve(says(page(b"", line, status=status))).url())

    assert (None, "redirect" == ref.outcome) == (ref.location, False)


def test_a_location_of_100_kilobytes_is_protocol(serve, ask):
    """A header section has a limit of 64 KB."""
    ref, _ = ask(serve(says(page(b"", b"Location: /" + b"a" * 100_000, status=b"301 Moved"))).url())

    assert ("failed", "protocol") == (ref.outcome, ref.reason)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"Refresh: 0; url=/next", "/next"),
        (b"Refresh: 5;URL='b c'", "b c"),
        (b"Refresh: 0", None),
        (b"Refresh: soon", None),
        (b"Refresh: 0; url=/\x00", None),
    ],
)
def test_a_refresh_header_is_noted(serve, ask, header, expected):
    """It is a link like that of <meta http-equiv=refresh>."""
    assert expected == ask(serve(says(page(b"x", HTML, header))).url())[0].refresh


@pytest.mark.parametrize(
    "head",
    [
        OK + b"ETag: a\x00b\r\nLast-Modified: \x1b[2J\r\nContent-Type: text/\x07html; charset=\x01\r\n",
        OK + b"ETag: \x80\x9f\r\nLast-Modified: " + b"x" * 5000 + b"\r\n",
        OK + b"\x00\x01\x02: \xff\r\n: empty\r\n\x7f\r\n",
        b"HTTP/1.1 200 \x00\x1b[31m\r\n",
    ],
)
def test_odd_headers_are_cleaned(serve, ask, head):
    """The page comes through; what is unprintable or endless is null in the record."""
    ref, body = ask(serve(says(head + b"Content-Length: 1\r\n\r\nx")).url())

    assert (b"x", None, None) == (body, ref.etag, ref.last_modified)
    assert str(ref.content_type).isprintable()


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"".join(b"X-%d: y\r\n" % number for number in range(1000)) + b"\r\n",
        b"HTTP/1.1 \x00\x01 \xff\r\n\r\n",
        b"\x00" * 100 + b"\r\n\r\n",
        OK + b"Transfer-Encoding: \x00\x1b\r\n\r\n",
        OK + b"Content-Length: \x00\r\n\r\n",
        OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x00\x01\x02",
    ],
)
def test_what_is_said_about_odd_answers_is_printable(serve, ask, answer):
    """Details go to people's terminals."""
    ref, _ = ask(serve(says(answer)).url())

    assert "failed" == ref.outcome
    assert ref.reason in {"protocol", "decode"}
    assert ref.detail.isprintable()


def test_a_coding_cut_by_the_end_of_the_connection_is_tried_again(serve, ask):
    """Nothing else says where such a body ends, so the drop is what went wrong; framed whole, it is the server's."""
    import brotli

    packed = brotli.compress(b"x" * 1000 + bytes(range(256)))[:-20]
    dropped = OK + b"Content-Encoding: br\r\n\r\n" + packed

    refs = [ask(serve(says(answer)).url())[0] for answer in (dropped, page(packed, b"Content-Encoding: br"))]

    assert [("reset", True), ("decode", False)] == [(ref.reason, ref.transient) for ref in refs]


NAMES = (
    *(b"Set-Cookie", b"Location", b"Content-Type", b"ETag", b"Last-Modified", b"Content-Encoding"),
    *(b"Retry-After", b"Refresh", b"Transfer-Encoding", b"Content-Length"),
)
WORDS = (
    *(b"a=1", b"; Path=/", b"; Domain=", b"127.0.0.1", b"; Expires=", b"Thu, 01 Jan 2030 00:00:00 GMT"),
    *(b"; Max-Age=", b"9" * 30, b"-1", b"gzip", b"br", b"zstd", b", ", b"\xff", b"\x00", b"\x1b[2J", b"\r"),
    *(b'"', b"%", b"url=", b"0; ", b"/x", b"//", b"http://", b"[", b"]", b":", b"chunked", b"text/html"),
    *(b"; charset=", b"\t", b"=", b";", b"__Host-a=1; Secure", b"e" * 300),
)


def test_no_answer_made_of_odd_words_is_a_bug(serve, web):
    """Three hundred answers drawn from what headers are made of: each has an outcome, printable, and can be stored."""
    drawn = random.Random(7)

    def value():
        return b"".join(drawn.choice(WORDS) for _ in range(drawn.randint(0, 8)))

    def handler(connection, server):
        while server.head(connection):
            fields = b"".join(
                drawn.choice(NAMES) + b": " + value() + b"\r\n" for _ in range(drawn.randint(0, 6))
            )
            status = drawn.choice((b"200 OK", b"302 Found", b"503 Busy", b"404 Gone"))
            connection.sendall(b"HTTP/1.1 " + status + b"\r\n" + fields + b"Content-Length: 3\r\n\r\nabc")

    server = serve(handler)
    jar = Jar()
    options = CrawlOptions(connect_timeout_s=1.0, read_timeout_s=0.1, total_timeout_s=1.0)
    for number in range(300):
        ref, _ = fetch(FetchRequest(url=server.url(f"/{number}")), 0, web, options, now_ms, jar=jar)

        assert "error" != ref.reason
        assert all(
            str(text).isprintable()
            for text in (ref.etag, ref.last_modified, ref.content_type, ref.charset, ref.detail, ref.refresh)
        )
        assert to_json(ref)
    assert jar.changes()
