"""Real sites out of Debian's packages, on loopback: we find the pages that `wget -r` finds, no more and no fewer."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass

import publicdata
import pytest
from deviations import Tally
from stack import Directory

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

#: Site -> (folder in its package, first page, HTML pages that both must find at least).
SITES = {
    "postgresql-doc-15": ("usr/share/doc/postgresql-doc-15/html", "index.html", 1000),
    "debian-policy": ("usr/share/doc/debian-policy", "", 40),
}
#: One pool is enough here; tests/integration/test_real_site.py has all of them.
POOL = "threads"


@dataclass(frozen=True)
class Answer:
    """One line of the site's log."""

    agent: str
    url: str
    status: int
    content_type: str


@contextmanager
def served(tree):
    """Serve a folder as a plain static server does, with directory listings; yields its address and its log."""
    log: list[Answer] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        said_type = ""

        def send_header(self, keyword: str, value: str) -> None:
            if keyword == "Content-type":
                self.said_type = value
            super().send_header(keyword, value)

        def log_request(self, code="-", size="-") -> None:
            self.status = int(code)

        def handle_one_request(self) -> None:
            self.said_type, self.status = "", 0
            super().handle_one_request()
            if self.status:
                agent = self.headers.get("user-agent", "")
                log.append(Answer(agent, f"{base}{self.path[1:]}", self.status, self.said_type))

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that goes away is no error of ours."""

    server = Server(("127.0.0.1", 0), functools.partial(Handler, directory=str(tree)))
    base = f"http://127.0.0.1:{server.server_address[1]}/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield base, log
    finally:
        server.shutdown()
        server.server_close()


def pages(log: list[Answer], agent: str, base: str) -> set[str]:
    """Return the paths of the HTML pages that a crawler got."""
    return {
        answer.url.removeprefix(base)
        for answer in log
        if answer.agent.lower().startswith(agent)
        and answer.status == 200
        and answer.content_type.startswith("text/html")
    }


@pytest.fixture(scope="module")
def wget():
    """The program; like the data, it may be missing on a developer's machine only."""
    found = shutil.which("wget")
    if found is None:
        reason = "wget is not installed (Debian: apt-get install wget)"
        pytest.fail(reason) if os.environ.get(publicdata.REQUIRED) == "1" else pytest.skip(reason)
    return found


@pytest.mark.parametrize("package", SITES)
def test_we_find_exactly_the_pages_that_wget_finds(request, tmp_path, wget, package):
    """By the server's own log: every HTML page one of the two was given, the other was, too; ours each once."""
    folder, first, least = SITES[package]
    directory = Directory(tmp_path / "ours")
    with served(publicdata.debian(request.config, package) / folder) as (base, log):
        # Same scope: the whole host, any depth. --no-parent would cut at the first page's folder, we would not.
        recursive = (wget, "--recursive", "--level=inf", "--no-verbose", "--tries=1", f"{base}{first}")
        theirs = subprocess.run(recursive, cwd=tmp_path, capture_output=True, timeout=300, check=False)
        options = ("--delay", "0", "--allow-address", "127.0.0.0/8", "--pool", POOL, "--json")
        done = directory.run("crawl", f"{base}{first}", *options)
        records = directory.records()
        directory.end()
    ours = pages(log, "poolcrawl", base)
    recorded = sorted(
        record["url"].removeprefix(base)
        for record in records
        if record["outcome"] == "ok" and (record["content_type"] or "").startswith("text/html")
    )
    found = pages(log, "wget", base)
    tally = Tally(f"wget-{package}")
    for path in sorted(found | ours):
        tally.case(path or "/", path in found, path in ours)

    # 8: something answered with an error, as a page that is linked and missing does.
    assert theirs.returncode in (0, 8), theirs.stderr
    assert done.code == 0, done.stderr
    assert sorted(ours) == recorded
    assert len(found) >= least
    tally.verify()
