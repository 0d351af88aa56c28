"""What `fetch` makes of answers, good and bad. The whole file runs a second time under gevent (test_gevent.py)."""

from __future__ import annotations

import gzip
import logging
import socket
import threading
import time
import zlib
from email.utils import formatdate
from hashlib import sha256

import pytest
from rawserver import PEM, page, says

from worker.guard import Guard
from worker.sessions import Limits, Web

HTML = b"Content-Type: text/html"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKED_FIVE = b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
#: A whole answer of five bytes.
FIVE = OK + b"Content-Length: 5\r\n\r\nabcde"


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def test_a_page_keeps_what_the_server_said(serve, ask):
    """The reference carries status, type, charset, validators, size and hash; the body is returned."""
    body = "<p>grün".encode("latin-1")
    answer = page(
        body, b"Content-Type: Text/HTML; Charset=ISO-8859-1", b'ETag: "v1"', b"Last-Modified: yesterday"
    )

    ref, got = ask(serve(says(answer)).url("/a"))

    assert got == body
    assert (ref.index, ref.outcome, ref.reason, ref.status) == (7, "ok", None, 200)
    assert (ref.content_type, ref.charset, ref.etag, ref.last_modified) == (
        "text/html",
        "ISO-8859-1",
        '"v1"',
        "yesterday",
    )
    assert (ref.bytes, ref.sha256) == (len(body), sha256(body).hexdigest())
    assert 0 < ref.started_ms <= ref.ended_ms
    assert ref.requested


def test_the_request_says_who_asks_and_what_is_read(serve, ask):
    """Host, User-Agent and the codings we can undo are sent; the target is the canonical path and query."""
    server = serve(says(page(b"x")))

    ask(server.url("/a%20b?c=d|e"))

    lines = server.heads[0].decode().split("\r\n")
    assert lines[0] == "GET /a%20b?c=d%7Ce HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}" in lines
    assert "User-Agent: poolcrawl/0.1 (+test)" in lines
    assert "Accept-Encoding: gzip, deflate, br, zstd" in lines
    assert not [line for line in lines if line.lower().startswith(("cookie", "connection: close"))]


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        (b"gzip", gzip.compress),
        (b"x-gzip", gzip.compress),
        (b"deflate", zlib.compress),
        (b"deflate", raw_deflate),
        (b"deflate", gzip.compress),
        (b"deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
        (b"gzip", lambda data: gzip.compress(data[:5]) + gzip.compress(data[5:])),
        (b"gzip", lambda data: gzip.compress(data) + b"\0\0trailing"),
        (b"identity", lambda data: data),
        (b"UTF-8", lambda data: data),
    ],
)
def test_content_codings_are_undone(serve, ask, coding, pack):
    """gzip, zlib, bare deflate, members and layers give the same bytes; the size counts after unpacking."""
    body = b"<p>" + b"hello " * 500

    ref, got = ask(serve(says(page(pack(body), HTML, b"Content-Encoding: " + coding))).url())

    assert got == body
    assert ref.bytes == len(body)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n", b"abcde", id="chunked"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nabcde", b"abcde", id="until close"),
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 5\n\nabcde", b"abcde", id="bare line feeds"),
        pytest.param(b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nabcde", b"abcde", id="no phrase"),
        pytest.param(OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", b"abcde", id="length twice"),
        pytest.param(OK + b"broken line\r\nContent-Length: 5\r\n\r\nabcde!!", b"abcde", id="line without colon"),
        pytest.param(OK + b"Content-Length: 0\r\n\r\n", b"", id="empty"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", b"", id="204"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + FIVE, b"abcde", id="103 first"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + FIVE, b"abcde", id="100 thrice"),
        pytest.param(OK + b"Content-Length: 3\r\n" + CHUNKED_FIVE, b"abcde", id="chunked wins"),
    ],
)  # fmt: skip
def test_framings_that_http_allows_give_the_body(serve, ask, answer, expected):
    """Every way to end a body, and interim answers before the final one, give the same page."""
    ref, got = ask(serve(says(answer)).url())

    assert (ref.outcome, ref.status, got) == ("ok", 204 if b"204" in answer else 200, expected)


BOMB = gzip.compress(b"\0" * 5_000_000)

FAULTS = [
    ("reset", OK + b"Content-Length: 100\r\n\r\nshort", "short body"),
    ("reset", CHUNKED + b"5\r\nab", "chunk cut"),
    ("protocol", CHUNKED + b"zz\r\nabc", "chunk size no number"),
    ("protocol", CHUNKED + b"-1\r\nabc", "chunk size negative"),
    ("reset", CHUNKED + b"5\r\nabcde\r\n", "no last chunk"),
    ("reset", CHUNKED + b"5\r\nabcde\r\n5", "chunk size cut"),
    ("reset", OK + b"Content-Type: text/html\r\nX-Half", "headers cut"),
    ("reset", OK + b"Content-Type: text/html\r\n", "headers cut at a line"),
    ("reset", b"", "closed without a word"),
    ("protocol", b"SSH-2.0-OpenSSH_9.2\r\n", "another protocol"),
    ("protocol", b"<html>no status line</html>", "HTTP/0.9"),
    ("protocol", b"HTTP/2.0 200 OK\r\n\r\n", "HTTP/2 in the clear"),
    ("protocol", b"HTTP/1.1 abc OK\r\n\r\n", "status no number"),
    ("protocol", OK + b"X: " + b"y" * 70_000 + b"\r\n\r\n", "one huge header"),
    ("protocol", OK + b"" + b"X: y\r\n" * 5000 + b"\r\n", "many headers"),
    ("protocol", b"HTTP/1.1 100 Continue\r\n\r\n" * 40, "endless interim answers"),
    ("protocol", OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", "two lengths"),
    ("protocol", OK + b"Content-Length: five\r\n\r\nabcde", "length no number"),
    ("protocol", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "transfer coding"),
    ("protocol", CHUNKED + b"0\r\n" + b"T: v\r\n" * 50_000, "endless trailers"),
    ("too_large", page(b"x" * 100_001), "longer than the cap"),
    ("too_large", OK + b"Content-Length: 99999999999\r\n\r\n", "announced longer than the cap"),
    ("too_large", OK + b"\r\n" + b"x" * 100_001, "longer than the cap, unannounced"),
    ("too_large", CHUNKED + b"FFFFFFFF\r\n" + b"x" * 200_000, "huge chunk"),
    ("too_large", page(BOMB, HTML, b"Content-Encoding: gzip"), "bomb"),
    ("too_large", page(gzip.compress(BOMB), HTML, b"Content-Encoding: gzip, gzip"), "bomb in a bomb"),
    ("decode", page(b"no gzip at all", b"Content-Encoding: gzip"), "no gzip"),
    ("decode", page(gzip.compress(b"x" * 999)[:-9], b"Content-Encoding: gzip"), "gzip cut"),
    ("decode", page(b"abc", b"Content-Encoding: compress"), "coding not asked for"),
    ("decode", page(b"abc", b"Content-Encoding: gzip, gzip, gzip, gzip"), "many codings"),
    ("http", page(b"gone", status=b"404 Not Found"), "404"),
    ("http", page(b"", status=b"302 Found"), "302 without Location"),
    ("http", page(b"", status=b"304 Not Modified"), "304"),
    ("http", b"HTTP/1.1 799 Strange\r\n\r\n", "unknown status"),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "answer"), [pytest.param(r, a, id=name) for r, a, name in FAULTS])
def test_a_fault_becomes_its_reason(serve, ask, reason, answer):
    """Every fault is a failed reference with the documented reason and a sentence; nothing is raised."""
    ref, body = ask(serve(says(answer)).url())

    assert (ref.outcome, ref.reason, body) == ("failed", reason, None)
    assert ref.detail
    assert ref.detail.endswith(".")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_read(serve, ask, status):
    """A redirect ends with its Location; a bomb behind it is neither read nor unpacked."""

    def handler(connection, server):
        server.head(connection)
        connection.sendall(
            b"HTTP/1.1 %d Moved\r\nLocation: ../b?c\r\nContent-Encoding: gzip\r\n\r\n" % status
        )
        try:
            while not server.ended.is_set():
                connection.sendall(BOMB)
        finally:
            server.left = True

    ref, body = ask(serve(handler).url("/a/"))

    assert (ref.outcome, ref.reason, ref.status, ref.location, body) == (
        "redirect",
        None,
        status,
        "../b?c",
        None,
    )


def test_a_location_in_utf8_is_read_as_utf8(serve, ask):
    """Servers send bare UTF-8 in Location; it is what browsers see."""
    ref, _ = ask(serve(says(page(b"", "Location: /größe".encode(), status=b"301 Moved"))).url())

    assert ref.location == "/größe"


def test_a_type_that_is_no_page_is_skipped_unread(serve, ask):
    """An image's body is not read; its status, type and announced size are kept."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 123456789\r\n\r\n"

    ref, body = ask(serve(says(answer)).url())

    assert (ref.outcome, ref.reason, ref.status, ref.content_type, ref.bytes, body) == (
        "skipped",
        "content_type",
        200,
        "image/png",
        123_456_789,
        None,
    )


def test_the_size_of_what_is_skipped_is_not_guessed(serve, ask):
    """Without an announced length there is none."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nConnection: close\r\n\r\n%PDF"

    ref, body = ask(serve(says(answer)).url())

    assert (ref.outcome, ref.bytes, body) == ("skipped", None, None)


@pytest.mark.parametrize(
    "kind", [b"text/plain", b"application/xhtml+xml; charset=x", b"TEXT/HTML", b"text/xml"]
)
def test_readable_types_are_read(serve, ask, kind):
    """HTML, XHTML, plain text and XML are pages."""
    assert ask(serve(says(page(b"x", b"Content-Type: " + kind))).url())[0].outcome == "ok"


def test_a_compressed_file_is_read_where_it_is_a_sitemap(serve, ask):
    """The path tells it from any other archive."""
    server = serve(says(page(b"\x1f\x8b", b"Content-Type: application/gzip")))

    assert ["ok", "skipped"] == [ask(server.url(path))[0].outcome for path in ("/map.xml.gz", "/dump.tar.gz")]


def test_a_content_type_of_spaces_costs_nothing(serve, ask):
    """No header sends a pattern into backtracking."""
    begun = time.process_time()

    ref, _ = ask(serve(says(page(b"x", b"Content-Type: text/html; charset=" + b" " * 60_000 + b'"'))).url())

    assert (ref.outcome, ref.charset) == ("ok", None)
    assert time.process_time() - begun < 1.0


def test_retry_after_is_read_in_both_forms(serve, ask):
    """Seconds and dates are understood on 429 and 503; nonsense is not."""
    date = formatdate(time.time() + 90, usegmt=True).encode()
    answers = [(b"429 Too Many", b"17"), (b"503 Busy", date), (b"503 Busy", b"soon"), (b"503 Busy", b"-5")]

    got = [
        ask(serve(says(page(b"", b"Retry-After: " + value, status=status))).url())[0].retry_after_s
        for status, value in answers
    ]

    assert got[0] == 17.0
    assert got[1] is not None
    assert 80 < got[1] <= 91
    assert got[2:] == [None, None]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"0", 0.0),
        (b" 12 ", 12.0),
        (b"9" * 40, 1e9),
        (b"1.5", None),
        (b"+5", None),
        (b"1e3", None),
        (b"", None),
        ("\u0663".encode(), None),
        (b"Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        (b"Fri, 31 Dec 99999 23:59:59 GMT", None),
        (b"Wed, 99 Oct 2015 77:28:00 GMT", None),
    ],
)
def test_a_retry_after_of_any_kind_is_a_number_or_nothing(serve, ask, value, expected):
    """Huge ones are cut, what has passed is no wait, and what is neither seconds nor a date is not there."""
    answer = page(b"", b"Retry-After: " + value, status=b"429 Too Many")

    assert ask(serve(says(answer)).url())[0].retry_after_s == expected


def test_a_retry_after_date_is_read_by_the_servers_own_clock(serve, ask):
    """A server whose clock is a day off means the same pause; a date without a zone is GMT."""
    dates = (b"Date: Tue, 20 Oct 2015 07:28:00 GMT\r\nRetry-After: Tue, 20 Oct 2015 07:30:00 GMT",)
    dates += (b"Date: Tue, 20 Oct 2015 07:28:00 GMT\r\nRetry-After: Tue, 20 Oct 2015 07:30:00 -0000",)

    got = [ask(serve(says(page(b"", each, status=b"503 Busy"))).url())[0].retry_after_s for each in dates]

    assert got == [120.0, 120.0]


def drip_header(connection, server):
    server.head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while not server.ended.wait(0.05):
        connection.sendall(b"y")


def drip_body(connection, server):
    server.head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n")
    while not server.ended.wait(0.05):
        connection.sendall(b"y")


def drip_chunks(connection, server):
    server.head(connection)
    connection.sendall(CHUNKED)
    while not server.ended.wait(0.05):
        connection.sendall(b"1\r\ny\r\n")


def drip_trailers(connection, server):
    server.head(connection)
    connection.sendall(CHUNKED + b"0\r\n")
    while not server.ended.wait(0.05):
        connection.sendall(b"T: y\r\n")


def hang_at_once(connection, server):
    server.head(connection)
    server.ended.wait()


def hang_in_body(connection, server):
    server.head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    server.ended.wait()


@pytest.mark.parametrize(
    "handler", [drip_header, drip_body, drip_chunks, drip_trailers, hang_at_once, hang_in_body]
)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_the_total_deadline_holds_against(serve, ask, monkeypatch, handler, tls):
    """However a server drips or hangs, the request ends as a timeout when its total time is over."""
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
    session = Web(Guard(allow=["127.0.0.1"]), slots=1)
    begun = time.monotonic()

    ref, _ = ask(serve(handler, tls=tls).url(), session=session, total_timeout_s=0.6, read_timeout_s=5.0)

    took = time.monotonic() - begun
    session.close()
    assert (ref.outcome, ref.reason) == ("failed", "timeout")
    assert 0.5 <= took < 1.5


def test_a_silent_server_ends_with_the_read_timeout(serve, ask):
    """A server that says nothing costs the read timeout, not the total one."""
    begun = time.monotonic()

    ref, _ = ask(serve(hang_at_once).url(), read_timeout_s=0.3, total_timeout_s=30.0)

    assert ref.reason == "timeout"
    assert time.monotonic() - begun < 2.0


def test_a_tls_handshake_that_drips_ends_with_the_deadline(serve, ask):
    """Bytes of a handshake that never ends do not outlive the request."""

    def handler(connection, server):
        connection.recv(65536)
        connection.sendall(b"\x16\x03\x03\x40\x00")
        while not server.ended.wait(0.05):
            connection.sendall(b"\x02")

    server = serve(handler)
    begun = time.monotonic()

    ref, _ = ask(server.url().replace("http:", "https:"), total_timeout_s=0.6, connect_timeout_s=5.0)

    assert ref.reason == "timeout"
    assert time.monotonic() - begun < 1.5


def test_a_connection_that_nobody_accepts_ends_with_the_connect_timeout(ask):
    """A full backlog swallows connections; the request ends as a timeout in time."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        begun = time.monotonic()

        ref, _ = ask(
            f"http://127.0.0.1:{listener.getsockname()[1]}/", connect_timeout_s=0.4, total_timeout_s=9.0
        )

        for filler in fillers:
            filler.close()
    assert ref.reason == "timeout"
    assert time.monotonic() - begun < 1.5


def test_a_refused_connection_is_connect(ask):
    """Nobody listens: reason connect, and the detail names host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    ref, _ = ask(f"http://127.0.0.1:{port}/")

    assert ref.reason == "connect"
    assert ref.detail == f"No connection to 127.0.0.1:{port}: connection refused."


def test_a_name_that_does_not_exist_is_dns(ask):
    """`.invalid` never resolves (RFC 6761)."""
    assert ask("http://nowhere.invalid/")[0].reason == "dns"


def test_a_private_address_is_refused_before_connecting(serve, ask):
    """Without permission no connection is made at all."""
    server = serve(says(page(b"secret")))
    session = Web(Guard(), slots=1)

    ref, body = ask(server.url(), session=session)

    session.close()
    assert (ref.reason, body, server.connections) == ("address", None, 0)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_ipv6_address_without_a_port_is_judged_as_it_is(ask, scheme):
    """http.client would take the last group for the port."""
    session = Web(Guard(), slots=1)

    ref, _ = ask(f"{scheme}://[::1]/", session=session)

    session.close()
    assert ("address", "The address ::1 of ::1 is not a public one and not allowed.") == (
        ref.reason,
        ref.detail,
    )


def test_tls_is_verified(serve, ask, monkeypatch):
    """A certificate nobody trusts is tls; the same one in SSL_CERT_FILE is fine, but not for another name."""
    server = serve(says(page(b"x")), tls=True)

    assert ask(server.url())[0].reason == "tls"

    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
    resolve = [
        f"localhost:{server.port}=127.0.0.1:{server.port}",
        f"other.test:{server.port}=127.0.0.1:{server.port}",
    ]
    session = Web(Guard(allow=["127.0.0.1"], resolve=resolve), slots=1)
    outcomes = [
        ask(f"https://{host}:{server.port}/", session=session)[0]
        for host in ("localhost", "127.0.0.1", "other.test")
    ]
    session.close()
    assert [(ref.outcome, ref.reason) for ref in outcomes] == [("ok", None), ("ok", None), ("failed", "tls")]


def test_plain_http_on_an_https_url_is_tls(serve, ask):
    """A server that does not speak TLS is a tls failure, not a crash."""

    def handler(connection, server):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    assert ask(serve(handler).url().replace("http:", "https:"))[0].reason == "tls"


def test_a_connection_is_kept_for_the_next_request(serve, ask):
    """Bodies read to their end leave the connection open, however they were framed."""
    chunked = CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"
    empty = page(b"", b"Location: /x", status=b"301 Moved")
    server = serve(says(page(b"one"), chunked, page(b""), empty, page(b"five")))

    outcomes = [ask(server.url(f"/{number}"))[0].outcome for number in range(5)]

    assert outcomes == ["ok", "ok", "ok", "redirect", "ok"]
    assert server.connections == 1


def test_a_kept_connection_closed_by_the_server_is_no_failure(serve, ask):
    """The server closes when the second request arrives: it is sent again, once, on a fresh connection."""

    def handler(connection, server):
        server.head(connection)
        connection.sendall(page(b"x"))
        server.head(connection)

    server = serve(handler)

    outcomes = [ask(server.url(f"/{number}"))[0].outcome for number in range(3)]

    assert outcomes == ["ok", "ok", "ok"]
    assert server.connections == 3
    assert [head.split(b" ")[1] for head in server.heads] == [b"/0", b"/1", b"/1", b"/2", b"/2"]


def test_a_broken_answer_on_a_kept_connection_is_not_asked_again(serve, ask):
    """Once a byte of the answer came, a drop is the page's failure."""
    server = serve(says(page(b"x"), b"HTTP/1.1 2"))

    reasons = [ask(server.url())[0].reason for _ in range(2)]

    assert reasons[0] is None
    assert reasons[1] in {"reset", "protocol"}
    assert len(server.heads) == 2


def test_more_hosts_than_kept_connections_are_no_trouble(serve, ask):
    """The least recently used connections are closed; every page arrives."""
    servers = [serve(says(page(b"x"), page(b"y"))) for _ in range(10)]
    session = Web(Guard(allow=["127.0.0.1"]), slots=1)

    rounds = [[ask(server.url(), session=session)[0].outcome for server in servers] for _ in range(2)]

    session.close()
    assert rounds == [["ok"] * 10] * 2
    assert [server.connections for server in servers] == [2] * 10


def test_a_deadline_does_not_leak_into_the_next_request_on_the_connection(serve, ask):
    """A kept connection gets the next request's own time."""

    def handler(connection, server):
        server.head(connection)
        connection.sendall(page(b"x"))
        server.head(connection)
        server.ended.wait(0.6)
        connection.sendall(page(b"y"))

    server = serve(handler)
    first = ask(server.url(), total_timeout_s=0.4, read_timeout_s=0.4)[0]

    second = ask(server.url(), total_timeout_s=3.0, read_timeout_s=3.0)[0]

    assert (first.outcome, second.outcome, server.connections) == ("ok", "ok", 1)


def test_slots_ask_at_the_same_time(serve, ask):
    """Four slots share a session; their requests overlap."""
    together = threading.Barrier(4, timeout=3)

    def handler(connection, server):
        server.head(connection)
        together.wait()
        connection.sendall(page(b"x"))

    server = serve(handler)
    outcomes = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(ask(server.url())[0].outcome)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes == ["ok"] * 4


def test_a_bug_of_ours_is_an_error_with_a_traceback(ask, caplog):
    """What no server can cause ends as reason error, and the log has the traceback."""

    class Broken:
        def get(self, *args):
            raise ZeroDivisionError

    with caplog.at_level(logging.ERROR, "worker.fetch"):
        ref, body = ask("http://127.0.0.1/", session=Broken())

    assert (ref.outcome, ref.reason, body) == ("failed", "error", None)
    assert caplog.records[0].exc_info


def test_nothing_comes_from_the_environment(serve, ask, monkeypatch):
    """Proxy variables and .netrc are ignored: they would lead around the address guard."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    assert ask(serve(says(page(b"x"))).url())[0].outcome == "ok"


def test_a_late_abort_leaves_the_next_request_alone(serve):
    """A request that is over cannot be aborted: its connection serves another one."""
    server = serve(says(page(b"one"), page(b"two")))
    session = Web(Guard(allow=["127.0.0.1"]), slots=1)
    first = Limits(1.0, 1.0, time.monotonic() + 2.0)
    session.get(server.url(), {}, first).read()
    second = session.get(server.url(), {}, Limits(1.0, 1.0, time.monotonic() + 3.0))

    first.abort()

    body = second.read()
    session.close()
    assert (body, server.connections) == (b"two", 1)


def test_requests_own_prepared_request_can_be_sent(serve):
    """`Web.send` gives requests' Response, unread, over the same guarded connections."""
    import requests

    server = serve(says(page(b"hello", HTML)))
    prepared = requests.Request("GET", server.url("/p"), headers={"User-Agent": "t"}).prepare()
    session = Web(Guard(allow=["127.0.0.1"]), slots=1)

    with session.send(prepared, (1.0, 1.0), time.monotonic() + 2) as response:
        got = (response.status_code, response.content)

    session.close()
    assert got == (200, b"hello")


def test_sessions_of_one_process_share_the_certificates(monkeypatch):
    """Reading them takes 18 ms of CPU, and the threads pool has a session for each of its threads."""
    sessions = [Web(Guard(), slots=1) for _ in range(2)]
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
    trusting = Web(Guard(), slots=1)

    assert sessions[0]._adapter._tls is sessions[1]._adapter._tls
    assert sessions[0]._adapter._tls is not trusting._adapter._tls
