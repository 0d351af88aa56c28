"""A site that was not made for us: the manual of PostgreSQL 15, as Debian 12 packs it, crawled in every pool.

The package is fetched (`apt-get download`), unpacked beside the test cache and served on loopback; nothing is
installed. Where there is no such package the tests are skipped, which `.ci/run` counts as a failure.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import publicdata
import pytest
from stack import POOLS, Directory, at_once, wait_for

from embedded.ports import free_port

PACKAGE = "postgresql-doc-15"
#: Where the package keeps its pages, and how many they are (version 15.x, Debian 12).
TREE = Path("usr/share/doc") / PACKAGE / "html"
PAGES = 1169

#: Any static server does; this one keeps connections open, as a real one would.
SERVER = """
import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[2])
handler.func.protocol_version = "HTTP/1.1"
handler.func.disable_nagle_algorithm = True
handler.func.log_message = lambda *_: None
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), handler).serve_forever()
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def tree(request):
    """The pages' folder."""
    return publicdata.debian(request.config, PACKAGE) / TREE


@pytest.fixture(scope="module")
def crawls(tree, tmp_path_factory):
    """The site's address, and by pool what the crawl said, its records and its audit; two crawls at a time."""
    port = free_port()
    base = f"http://127.0.0.1:{port}/"
    served = subprocess.Popen([sys.executable, "-c", SERVER, str(port), str(tree)])

    def crawl(pool: str):
        directory = Directory(tmp_path_factory.mktemp(pool))
        options = ("--delay", "0", "--allow-address", "127.0.0.0/8", "--pool", pool, "--json")
        done = directory.run("crawl", f"{base}index.html", *options)
        try:
            return done, directory.records(), directory.audit(), directory.left()
        finally:
            directory.end()

    try:
        wait_for(lambda: _listens(port), "the static server")
        yield base, dict(zip(POOLS, at_once(crawl, POOLS, 2), strict=True))
    finally:
        served.terminate()
        served.wait(10)


def _listens(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_tree_is_the_one_this_test_was_written_for(tree):
    """Another number of pages is another package: the other tests would still compare, but say less."""
    assert PAGES == len(list(tree.rglob("*.html")))


@pytest.mark.parametrize("pool", POOLS)
def test_every_page_of_a_real_site_is_found_once(tree, crawls, pool):
    """The `ok` records of type text/html are the `*.html` files: none is missed, invented or doubled."""
    base, found = crawls
    done, records, audit, left = found[pool]
    files = sorted(base + path.relative_to(tree).as_posix() for path in tree.rglob("*.html"))
    pages = sorted(
        r["url"] for r in records if r["outcome"] == "ok" and r["content_type"].startswith("text/html")
    )

    assert done.code == 0, done.stderr
    assert files == pages
    assert (0, 0, "finished") == (audit["missing"], audit["duplicate"], audit["state"])
    assert left == []


def test_every_pool_finds_the_same_real_site(crawls):
    """One digest."""
    digests = {pool: audit["digest"] for pool, (_, _, audit, _) in crawls[1].items()}

    assert 1 == len(set(digests.values())), digests
