"""A workload's site over real sockets: what it answers, when, over TLS; a real crawl gives the digest foretold."""

from __future__ import annotations

import contextlib
import socket
import ssl
import statistics
import subprocess
import sys
import time

import msgspec
import pytest
from stack import Directory

from crawl.errors import UnavailableError, UsageError
from embedded.ports import free_port
from lab import origin as origins
from lab import pages
from lab.workload import Workload

PLAIN = Workload("plain", pages=30, hosts=3, latency_ms=60, latency_sigma=0.3, page_kb=4, errors=0.2)
SECRET = PLAIN.with_(name="secret", tls=True)


@pytest.fixture(name="plain", scope="module")
def _plain(tmp_path_factory):
    with origins.serve(PLAIN, tmp_path_factory.mktemp("plain")) as origin:
        yield origin


@pytest.fixture(name="secret", scope="module")
def _secret(tmp_path_factory):
    with origins.serve(SECRET, tmp_path_factory.mktemp("secret")) as origin:
        yield origin


@contextlib.contextmanager
def _connected(origin, name=None):
    """A connection; over TLS where the site has a CA, for the host `name`."""
    with socket.create_connection(("127.0.0.1", origin.port), 10) as plain:
        if origin.ca_file is None:
            yield plain
            return
        context = ssl.create_default_context(cafile=str(origin.ca_file))
        with context.wrap_socket(plain, server_hostname=name) as encrypted:
            yield encrypted


def _request(host: str, path: str, *more: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *more, "", ""]).encode()


def _page(workload: Workload, number: int, *more: str) -> bytes:
    return _request(pages.host(workload, number), pages.path(workload, number), *more)


def _answer(reader) -> tuple[int, dict[str, str], bytes]:
    status = int(reader.readline().split()[1])
    headers = {}
    while line := reader.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return status, headers, reader.read(int(headers["content-length"]))


def test_every_page_comes_over_one_connection_as_it_was_rendered(plain):
    """Keep-alive, and the right status, type and bytes for each page of each host."""
    site = pages.Pages(PLAIN)
    with _connected(plain) as connection, connection.makefile("rb") as reader:
        for number in range(PLAIN.pages):
            connection.sendall(_page(PLAIN, number, "X-No-Latency: 1"))
            status, headers, body = _answer(reader)

            assert (404 if site.costs[number].fails else 200) == status
            assert headers["content-type"] == "text/html; charset=utf-8"
            assert "etag" not in headers
            assert site.body(number) == body


def test_pipelined_requests_are_answered_in_their_order(plain):
    """Pages due earlier do not overtake, and requests may come in any pieces."""
    wire = b"".join(_page(PLAIN, number) for number in (5, 1, 7))
    with _connected(plain) as connection, connection.makefile("rb") as reader:
        for piece in (wire[:70], wire[70:71], wire[71:]):
            connection.sendall(piece)
            time.sleep(0.01)
        bodies = [_answer(reader)[2] for _ in range(3)]

    assert [pages.render(PLAIN, number) for number in (5, 1, 7)] == bodies


def test_each_page_takes_its_own_latency(plain):
    """Never less than drawn, and not much more."""
    late_ms = []
    with _connected(plain) as connection, connection.makefile("rb") as reader:
        for number in range(8):
            began = time.monotonic()
            connection.sendall(_page(PLAIN, number))
            _answer(reader)
            late_ms.append(1000 * (time.monotonic() - began) - PLAIN.page(number).latency_ms)

    # The loop counts in whole milliseconds.
    assert min(late_ms) > -1.5
    assert statistics.median(late_ms) < 15


def test_waiting_answers_do_not_wait_for_each_other(plain):
    """Many connections at once take as long as the slowest page, not their sum."""
    slowest_ms = max(PLAIN.page(number).latency_ms for number in range(30))
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(_connected(plain)) for _ in range(30)]
        began = time.monotonic()
        for number, connection in enumerate(connections):
            connection.sendall(_page(PLAIN, number))
        for connection in connections:
            _answer(stack.enter_context(connection.makefile("rb")))
        took_ms = 1000 * (time.monotonic() - began)

    assert slowest_ms - 1.5 < took_ms < slowest_ms + 200


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("h1.lab.test", "/robots.txt", 200),
        ("H2.LAB.TEST:80", "/", 200),
        ("h4.lab.test", "/", 404),
        ("h1.lab.test", "/p/000001.html", 404),
        ("h1.lab.test", "/_stats", 404),
        ("127.0.0.1", "/", 404),
    ],
)
def test_only_pages_of_the_host_asked_for_are_there(plain, host, path, status):
    """A page lives on one host; every host has a robots.txt, none has statistics."""
    with _connected(plain) as connection, connection.makefile("rb") as reader:
        connection.sendall(_request(host, path, "X-No-Latency: 1"))

        assert status == _answer(reader)[0]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (_request("h1.lab.test", "/", method="POST"), 405),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, 431),
        (_request("h1.lab.test", "/robots.txt", "Connection: close"), 200),
    ],
    ids=["POST", "no HTTP", "endless head", "close"],
)
def test_the_connection_ends_where_no_further_request_can_follow(plain, request_, status):
    """With an answer that says why."""
    with _connected(plain) as connection, connection.makefile("rb") as reader:
        connection.sendall(request_)
        found, headers, _ = _answer(reader)

        assert status == found
        assert headers["connection"] == "close"
        assert reader.read() == b""


@pytest.mark.parametrize("number", [0, 1, 2])
def test_every_host_has_a_certificate_of_the_ca(secret, number):
    """Workers verify it like any other, by SSL_CERT_FILE."""
    name = pages.host(SECRET, number)
    with _connected(secret, name) as connection, connection.makefile("rb") as reader:
        connection.sendall(_page(SECRET, number))

        assert pages.render(SECRET, number) == _answer(reader)[2]


def test_the_certificate_is_refused_for_another_name_and_without_the_ca(secret):
    """The verification is a real one."""
    with pytest.raises(ssl.SSLCertVerificationError), _connected(secret, "h1.other.test"):
        pass
    with socket.create_connection(("127.0.0.1", secret.port), 10) as plain:
        context = ssl.create_default_context()
        with pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(plain, server_hostname="h1.lab.test")


@pytest.mark.parametrize("kind", ["plain", "secret"])
def test_the_site_tells_what_it_did(kind, request):
    """Answers, how late they were and the CPU they took, since the last reset; asking does not count."""
    origin = request.getfixturevalue(kind)
    origins.reset(origin)
    with _connected(origin, "h1.lab.test") as connection, connection.makefile("rb") as reader:
        for number in (0, 3):
            connection.sendall(_page(PLAIN, number))
            _answer(reader)
    found = origins.reset(origin)

    assert found["answers"] == 2
    assert 0 <= found["late_ms"]["p50"] <= found["late_ms"]["max"] < 100
    assert found["loop_ms"]["max"] > 0
    assert 0 < found["cpu_s"] < found["seconds"]
    assert origins.stats(origin)["answers"] == 0


@pytest.mark.parametrize("kind", ["plain", "secret"])
def test_the_site_by_itself_is_far_faster_than_a_crawler(kind, request):
    """Latencies are left out, failing pages too; the statistics begin anew behind it."""
    origin = request.getfixturevalue(kind)
    found = origins.alone(origin, PLAIN if kind == "plain" else SECRET, requests=500, rounds=1)

    # Thousands on any machine; with latencies it were some 30.
    assert found > 500
    assert origins.stats(origin)["answers"] == 0


def test_a_server_that_cannot_start_is_named_with_its_reason(tmp_path, monkeypatch):
    """The log's last line is what the person gets."""
    with socket.socket() as taken:
        # Bound without listening: nobody answers there, and nobody else can listen.
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setattr(origins, "free_port", lambda: port)

        with pytest.raises(UnavailableError, match=f"listen on port {port}"), origins.serve(PLAIN, tmp_path):
            pass


def test_a_port_that_another_server_took_is_noticed(plain, tmp_path, monkeypatch):
    """Whoever answers there is not taken for the site."""
    monkeypatch.setattr(origins, "free_port", lambda: plain.port)

    with pytest.raises(UnavailableError, match=f"port {plain.port}"), origins.serve(PLAIN, tmp_path):
        pass


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "standard input holds no workload as JSON"),
        (b"[]", "standard input holds no workload as JSON"),
        (b"{}", "not a workload"),
        (b'{"name": "x", "pages": "many"}', "not a workload"),
        (b'{"name": "x", "spider": 1}', "'spider'"),
        (b'{"name": "x", "pages": 0}', "pages is 0"),
        (b'{"name": "x", "tls": true}', "--ca-file"),
    ],
)
def test_what_is_no_workload_is_refused_in_one_line(text, said):
    """Exit 2, as everywhere."""
    command = [sys.executable, "-P", "-m", "lab.origin", "--port", str(free_port())]
    done = subprocess.run(command, input=text, capture_output=True, timeout=60, check=False)

    assert done.returncode == 2
    assert done.stdout == b""
    assert said in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1


def test_tls_without_the_labs_packages_says_how_to_get_them(tmp_path, monkeypatch):
    """Nothing is started."""
    monkeypatch.setitem(sys.modules, "trustme", None)

    with pytest.raises(UsageError, match=r"pip install -r locks/lab\.txt"), origins.serve(SECRET, tmp_path):
        pass


def test_a_real_crawl_comes_to_the_digest_foretold(secret, tmp_path):
    """Real workers, over TLS, three hosts, failing pages: the audit's digest is the computed one."""
    directory = Directory(tmp_path, environment={"SSL_CERT_FILE": str(secret.ca_file)})
    words = [
        "--scope",
        "any",
        "--delay",
        "0",
        "--allow-address",
        "127.0.0.0/8",
        "--pool",
        "threads",
        "--json",
    ]
    for mapping in pages.resolve(SECRET, secret.port):
        words += ["--resolve", mapping]
    try:
        done = directory.run("crawl", *pages.seeds(SECRET), *words)
        audit = directory.audit()
    finally:
        directory.end()

    assert done.code == 0, done.stderr
    assert pages.expected(SECRET) == (audit["records"], audit["digest"]), msgspec.json.encode(audit)
    assert (0, 0) == (audit["missing"], audit["duplicate"])
