"""Requests through CRAWL_PROXY, against a real proxy."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager

import pytest
from forwarding import ForwardProxy
from rawserver import PEM, page, says

from crawl.settings import SettingError, load
from worker.guard import Guard
from worker.proxy import Proxy
from worker.sessions import Web

HTML = b"Content-Type: text/html"


@contextmanager
def through(proxy_url, *, allow=("127.0.0.0/8",), resolve=()):
    session = Web(Guard(allow=allow, resolve=resolve), slots=2, proxy=Proxy.from_url(proxy_url))
    try:
        yield session
    finally:
        session.close()


def test_http_goes_through_in_absolute_form_with_the_login(serve, ask):
    """The proxy is told the whole URL and our login, the server neither; the connection is kept."""
    server = serve(says(page(b"one", HTML), page(b"two", HTML)))
    with (
        ForwardProxy(("127.0.0.1", server.port), login="me:p@ss word") as proxy,
        through(f"http://me:p%40ss%20word@127.0.0.1:{proxy.port}") as session,
    ):
        bodies = [ask(f"http://pages.invalid:81/a{number}?b=c", session=session)[1] for number in (1, 2)]

    assert [b"one", b"two"] == bodies
    assert [f"GET http://pages.invalid:81/a{number}?b=c HTTP/1.1" for number in (1, 2)] == proxy.lines
    assert b"Host: pages.invalid:81" in server.heads[0]
    assert b"roxy" not in server.heads[0]
    assert 1 == server.connections


def test_https_goes_through_a_tunnel_and_is_verified(serve, ask, monkeypatch):
    """TLS reaches the server itself: a certificate for another name is refused, and the proxy sees no request."""
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
    server = serve(says(page(b"secret", HTML), page(b"more", HTML)), tls=True)
    with (
        ForwardProxy(("127.0.0.1", server.port), login="me:pw") as proxy,
        through(f"http://me:pw@127.0.0.1:{proxy.port}") as session,
    ):
        good = [ask(f"https://localhost:4433/{number}", session=session)[1] for number in (1, 2)]
        bad, _ = ask("https://pages.invalid:4433/", session=session)

    assert [b"secret", b"more"] == good
    assert ("failed", "tls") == (bad.outcome, bad.reason)
    assert ["CONNECT localhost:4433 HTTP/1.1", "CONNECT pages.invalid:4433 HTTP/1.1"] == proxy.lines
    assert b"Proxy-Authorization" not in b"".join(server.heads)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_another_login_is_protocol(serve, ask, scheme):
    """The detail names the proxy and never the password."""
    server = serve(says(page(b"x")))
    with (
        ForwardProxy(("127.0.0.1", server.port), login="me:right") as proxy,
        through(f"http://me:wr0ng@127.0.0.1:{proxy.port}") as session,
    ):
        ref, _ = ask(f"{scheme}://pages.invalid/", session=session)

    assert ("protocol", False) == (ref.reason, ref.transient)
    assert f"The proxy 127.0.0.1:{proxy.port} refuses our login: 407." == ref.detail
    assert 0 == server.connections


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "protocol"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n", "protocol"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "connect"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nX", "connect"),
        (b"", "connect"),
    ],
)
def test_a_tunnel_that_is_not_opened_has_a_reason(ask, answer, reason):
    """Whatever the proxy says, the detail names it."""
    with (
        ForwardProxy(("127.0.0.1", 1), answer=answer) as proxy,
        through(f"http://127.0.0.1:{proxy.port}") as session,
    ):
        ref, _ = ask("https://pages.invalid/", session=session)

    assert ("failed", reason) == (ref.outcome, ref.reason)
    assert f"127.0.0.1:{proxy.port}" in ref.detail


def test_a_proxy_that_is_not_there_is_connect(ask):
    """The detail says that it is the proxy that is missing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with through(f"http://me:pw@127.0.0.1:{port}") as session:
        ref, _ = ask("http://pages.invalid/", session=session)

    assert "connect" == ref.reason
    assert f"No connection to the proxy 127.0.0.1:{port}: connection refused." == ref.detail


def test_a_proxy_name_that_does_not_resolve_is_connect(ask):
    """Not `dns`: nothing is wrong with the page's name."""
    with through("http://proxy.invalid:3128") as session:
        ref, _ = ask("http://127.0.0.1/", session=session)

    assert "connect" == ref.reason
    assert "proxy.invalid" in ref.detail


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_total_deadline_holds_behind_a_silent_proxy(serve, ask, scheme):
    """A proxy that drips its answer to CONNECT, or to a request, costs the request's time and no more."""

    def handler(connection, server):
        server.head(connection)
        while not server.ended.wait(0.05):
            connection.sendall(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"[:1])

    server = serve(handler)
    begun = time.monotonic()
    with through(f"http://127.0.0.1:{server.port}") as session:
        ref, _ = ask(f"{scheme}://pages.invalid/", session=session, total_timeout_s=0.6, read_timeout_s=5.0)

    assert "timeout" == ref.reason
    assert time.monotonic() - begun < 1.8


@pytest.mark.parametrize(
    ("url", "resolve"),
    [
        ("http://127.0.0.1/", ()),
        ("http://[::1]/", ()),
        ("https://10.1.2.3/", ()),
        ("http://localhost/", ()),
        ("http://mapped.invalid/", ("mapped.invalid:80=192.168.1.1:80",)),
    ],
)
def test_targets_are_judged_as_far_as_they_are_known_here(serve, ask, url, resolve):
    """Literal addresses and names that resolve here are refused though only the proxy would connect to them."""
    server = serve(says(page(b"x")))
    with (
        ForwardProxy(("127.0.0.1", server.port)) as proxy,
        through(f"http://127.0.0.1:{proxy.port}", allow=(), resolve=resolve) as session,
    ):
        ref, _ = ask(url, session=session)

    assert ("address", []) == (ref.reason, proxy.lines)


def test_the_proxys_own_address_needs_no_permission(serve, ask):
    """It is the operator's choice, and a name that does not resolve here is left to it."""
    server = serve(says(page(b"x", HTML)))
    with (
        ForwardProxy(("127.0.0.1", server.port)) as proxy,
        through(f"http://localhost:{proxy.port}", allow=()) as session,
    ):
        ref, _ = ask("http://pages.invalid/", session=session)

    assert "ok" == ref.outcome


@pytest.mark.parametrize(
    "value",
    [
        "https://proxy:3128",
        "socks5://me:s3cret@proxy:1080",
        "me:s3cret@proxy:3128",
        "proxy:3128",
        "http://proxy",
        "http://proxy:99999",
        "http://me:s3cret@x@proxy:3128",
        "http://me:s3/cret@proxy:3128/",
        "http://me:s3cret@proxy:3128/path",
        "http://:3128",
    ],
)
def test_a_proxy_of_another_kind_is_refused_at_the_start(value):
    """In one line that shows no password."""
    with pytest.raises(SettingError) as raised:
        load({"CRAWL_PROXY": value})

    text = str(raised.value)
    assert text.startswith("CRAWL_PROXY=")
    assert "expected http://[user:password@]host:port" in text
    assert "s3" not in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://proxy:3128", Proxy("proxy", 3128, None)),
        ("http://[::1]:3128/", Proxy("::1", 3128, None)),
        ("http://u:p@proxy:8", Proxy("proxy", 8, "Basic dTpw")),
        ("http://u@proxy:8", Proxy("proxy", 8, "Basic dTo=")),
    ],
)
def test_a_proxy_is_read_from_its_url(url, expected):
    """Host, port, login."""
    assert load({"CRAWL_PROXY": url}).proxy == url
    assert expected == Proxy.from_url(url)
