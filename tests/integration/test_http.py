"""Crawls behind a proxy in every pool, what is left of secrets afterwards, and retries of a server that breaks off."""

from __future__ import annotations

import gzip
import itertools
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import rawserver
from forwarding import ForwardProxy
from stack import POOLS, Directory, at_once
from website import Response, Website

if TYPE_CHECKING:
    from pathlib import Path

    from stack import Done

#: Names that resolve nowhere: only the proxy reaches them.
PAGES, OTHER = "pages.invalid", "other.invalid"
SEEDS = (f"http://{PAGES}:81/", f"http://{OTHER}:81/login", "http://127.0.0.1:9/", f"https://{PAGES}/")
#: Of the proxy and of a page.
PROXY_LOGIN, PAGE_LOGIN = "gate:pr0xysecret", "me:p4gesecret"
SECRETS = ("pr0xysecret", "p4gesecret", "Z2F0ZTpwcjB4eXNlY3JldA", "bWU6cDRnZXNlY3JldA")


@dataclass(frozen=True)
class Behind:
    """One crawl behind the proxy."""

    done: Done
    directory: Directory
    records: dict[str, dict]
    lines: tuple[str, ...]


def room(request):
    """Two sites; one wants a login."""
    if request.host == OTHER and "authorization" not in request.headers:
        return Response("", 401)
    return (
        "<title>behind</title><a href=/next>next</a>" if request.path != "/robots.txt" else Response("", 404)
    )


def _crawl(path: Path, pool: str) -> Behind:
    directory = Directory(path)
    path.mkdir(parents=True)
    (path / "logins").write_text(f"http://{OTHER}:81 basic {PAGE_LOGIN}\n")
    (path / "logins").chmod(0o600)
    with (
        Website({PAGES: room, OTHER: room}) as site,
        ForwardProxy(("127.0.0.1", site.port), login=PROXY_LOGIN, answer=b"HTTP/1.1 403 No\r\n\r\n") as proxy,
    ):
        try:
            done = directory.run(
                *("crawl", *SEEDS, "--name", "behind", "--delay", "0", "--pool", pool, "--concurrency", "2"),
                *("--credentials", "logins", "--header", "X-Team: seven"),
                CRAWL_PROXY=f"http://{PROXY_LOGIN}@127.0.0.1:{proxy.port}",
                HTTP_PROXY="http://127.0.0.1:9",
            )
            records = {record["url"]: record for record in directory.records()}
            return Behind(done, directory, records, tuple(proxy.lines))
        finally:
            directory.end()


@pytest.fixture(scope="module")
def crawls(tmp_path_factory):
    """One small crawl per pool, two at a time."""
    path = tmp_path_factory.mktemp("behind")
    return dict(zip(POOLS, at_once(lambda pool: _crawl(path / pool, pool), POOLS, jobs=3), strict=True))


@pytest.mark.parametrize("pool", POOLS)
def test_a_crawl_behind_a_proxy_asks_nobody_else(crawls, pool):
    """Every request goes through the proxy, names are left to it, targets that are addresses are judged here."""
    behind = crawls[pool]

    assert 0 == behind.done.code, behind.done.stderr
    found = {url: (record["outcome"], record["reason"]) for url, record in behind.records.items()}
    assert {
        f"http://{PAGES}:81/": ("ok", None),
        f"http://{PAGES}:81/next": ("ok", None),
        f"http://{OTHER}:81/login": ("ok", None),
        f"http://{OTHER}:81/next": ("ok", None),
        "http://127.0.0.1:9/": ("failed", "address"),
        f"https://{PAGES}/": ("failed", "protocol"),
    } == found
    assert {f"GET http://{PAGES}:81/next HTTP/1.1", f"CONNECT {PAGES}:443 HTTP/1.1"} <= set(behind.lines)
    assert not [line for line in behind.lines if "127.0.0.1" in line]


@pytest.mark.parametrize("pool", POOLS)
def test_no_log_and_no_output_holds_a_secret(crawls, pool):
    """Neither the proxy's login nor a page's, in clear or in base64."""
    behind = crawls[pool]
    told = behind.done.stdout + behind.done.stderr + str(behind.records)
    told += "".join(path.read_text(errors="replace") for path in (behind.directory.state / "logs").iterdir())

    assert [] == [secret for secret in SECRETS if secret in told]


def test_no_command_tells_a_secret(crawls):
    """Nor the one that refuses to continue a crawl with another login."""
    directory = crawls["threads"].directory
    (directory.path / "changed").write_text(f"http://{OTHER}:81 basic {PAGE_LOGIN}!\n")
    (directory.path / "changed").chmod(0o600)
    commands = (
        ("status", "behind", "--json"),
        ("crawl", "--name", "behind", "--credentials", "changed"),
        ("crawl", "--name", "behind", "--header", "X-Team: eight"),
    )

    done = [directory.run(*command) for command in commands]

    told = "".join(one.stdout + one.stderr for one in done)
    assert [] == [secret for secret in (*SECRETS, "seven", "eight") if secret in told]
    assert [0, 2, 2] == [one.code for one in done]
    assert "was made with other --credentials" in done[1].stderr
    assert "was made with other --header lines" in done[2].stderr


#: What a server breaks off, and how often it is then asked: path -> (answer, reason, requests).
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIP = b"Content-Encoding: gzip"
BROKEN = {
    "/always": (rawserver.page(b"", status=b"500 Sorry"), "http", 3),
    "/short": (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", "reset", 3),
    "/chunk": (CHUNKED + b"5\r\nab", "reset", 3),
    "/gzip": (rawserver.page(gzip.compress(b"x" * 999)[:-9], GZIP), "decode", 1),
    "/bomb": (rawserver.page(gzip.compress(b"x" * 20_000_000), GZIP), "too_large", 1),
    "/gone": (rawserver.page(b"", status=b"410 Gone"), "http", 1),
}


def test_what_breaks_off_is_tried_again_within_its_budget(tmp_path):
    """Retries per URL, paused at most 1 and 2 seconds; a redirect's endless body is left; nothing but GET is sent."""
    asked = defaultdict(list)
    sent = []

    def handler(connection, server):
        method, path, _ = server.head(connection).split(b" ", 2)
        asked[path.decode()].append(time.monotonic())
        assert method == b"GET"
        if path == b"/":
            links = "".join(f"<a href={one}>x</a>" for one in (*BROKEN, "/moved"))
            connection.sendall(
                rawserver.page(links.encode(), b"Connection: close", b"Content-Type: text/html")
            )
        elif path == b"/moved":
            connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /gone\r\n\r\n")
            while not server.ended.is_set():
                sent.append(connection.send(b"x" * 65_536))
        else:
            missing = rawserver.page(b"", b"Connection: close", status=b"404 Not Found")
            connection.sendall(BROKEN[path.decode()][0] if path.decode() in BROKEN else missing)

    server = rawserver.Server(handler)
    directory = Directory(tmp_path / "broken")
    try:
        done = directory.run(
            *("crawl", server.url(), "--delay", "0", "--allow-address", "127.0.0.0/8", "--concurrency", "4"),
            CRAWL_MAX_ATTEMPTS="3",
        )
        records = {record["url"].removeprefix(server.url("")): record for record in directory.records()}
    finally:
        server.close()
        directory.end()

    assert 0 == done.code, done.stderr
    found = {path: (records[path]["reason"], records[path]["attempts"], len(asked[path])) for path in BROKEN}
    assert {path: (reason, count, count) for path, (_, reason, count) in BROKEN.items()} == found
    assert {head.split(b" ")[0] for head in server.heads} == {b"GET"}
    assert ("redirect", 1) == (records["/moved"]["outcome"], len(asked["/moved"]))
    assert sum(sent) < 16_000_000
    # A retry waits in the frontier; beyond its pause, lease and queue add what a busy machine needs.
    pauses = [after - before for times in asked.values() for before, after in itertools.pairwise(times)]
    assert max(pauses) < 2 + 5
