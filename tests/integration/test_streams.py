"""Standard streams that are closed, full, or read by nobody: each verb does its work and has its own exit code."""

from __future__ import annotations

import os
import subprocess

import pytest
import rawserver
import standin
from stack import POOLCRAWL, Directory, PrivateServer, worker

from crawl import keys
from crawl.frontier import Frontier

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PAGES = 6


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory, the environment in which a worker of it serves crawls, and a website of a few pages."""
    directory = Directory(tmp_path_factory.mktemp("streams"))
    site = rawserver.Server(_serves)
    with PrivateServer(directory.path / "server") as server:
        settings = {"CRAWL_ALLOW_ADDRESSES": "127.0.0.0/8", "CRAWL_CONCURRENCY": "4"}
        # A crawl with a URL that is nowhere any more.
        standin.admit(Frontier(server.client, "torn"), standin.options(), "http://torn.example/")
        server.client.delete(*server.client.smembers(keys.queues("torn")))
        with worker(directory, server.url, **settings):
            yield directory, directory.env(CRAWL_REDIS_URL=server.url), site
    site.close()
    directory.end()


def _serves(connection, server):
    """A page that links to the next ones, slowly: a crawl of them says something in between."""
    while True:
        head = server.head(connection)
        if head.startswith(b"GET /robots.txt "):
            connection.sendall(rawserver.page(b"", b"Content-Type: text/plain", status=b"404 Not Found"))
            continue
        links = b"".join(b'<a href="/%d">x</a>' % number for number in range(1, PAGES))
        connection.sendall(rawserver.page(links, b"Content-Type: text/html"))


def shell(place, script, *arguments):
    """Run `poolcrawl ARGUMENTS` by a shell script in which it is "$@"."""
    directory, environment, _ = place
    return subprocess.run(
        ["sh", "-c", script, "sh", *POOLCRAWL, *arguments],
        cwd=directory.path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def crawl(place, name):
    return ("crawl", place[2].url("/"), "--name", name, "--delay", "0.6")


def pages(place, name):
    """Return how many records a crawl has, and its state."""
    directory, environment, _ = place
    status = directory.run("status", name, "--json", CRAWL_REDIS_URL=environment["CRAWL_REDIS_URL"]).summary
    return status["state"], sum(status["outcomes"].values())


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_a_crawl_goes_on_without_its_streams(place, closed):
    """To its last page, and 0."""
    name = "crawl-" + "".join(char for char in closed if char.isalnum() or char == "-").replace("--", "-")
    name += str(len(closed))
    done = shell(place, f'exec "$@" {closed}', *crawl(place, name))

    assert (0, "") == (done.returncode, done.stdout), done.stderr
    assert "Traceback" not in done.stderr
    assert pages(place, name) == ("finished", PAGES)


def test_a_crawl_whose_reader_leaves_goes_on(place):
    """`poolcrawl crawl 2>&1 | head -1`."""
    read, write = os.pipe()
    directory, environment, _ = place
    process = subprocess.Popen(
        [*POOLCRAWL, *crawl(place, "left")], cwd=directory.path, env=environment, stdout=write, stderr=write
    )
    os.close(write)
    first = os.read(read, 100)
    os.close(read)

    assert first.startswith(b"crawl 'left'")
    assert process.wait(120) == 0
    assert pages(place, "left") == ("finished", PAGES)


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("-h",), 0),
        (("list",), 0),
        (("status", "nosuch"), 2),
        (("crawl", "URL", "--depth", "0", "--delay", "0", "--json"), 0),
        (("crawl", "URL", "--dry-run", "--json"), 0),
        # A violation is one whoever reads of it: the crawl has a URL without a record.
        (("audit", "torn"), 1),
    ],
    ids=["help", "list", "status", "crawl", "dry", "audit"],
)
def test_a_verb_whose_reader_has_left_ends_with_its_own_code(place, buffered, arguments, code):
    """`poolcrawl list | true`, also where Python writes at once, as in the containers."""
    directory, environment, site = place
    read, write = os.pipe()
    os.close(read)
    words = [site.url("/") if word == "URL" else word for word in arguments]
    done = subprocess.run(
        [*POOLCRAWL, *words],
        cwd=directory.path,
        env=environment | {"PYTHONUNBUFFERED": buffered},
        stdin=subprocess.DEVNULL,
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    os.close(write)

    assert (code, b"Traceback" in done.stderr) == (done.returncode, False), done.stderr


@pytest.mark.parametrize(
    "verb", [("status",), ("crawl", "http://site.example/", "--include")], ids=["name", "pattern"]
)
def test_a_word_that_is_no_text_is_one_line(place, verb):
    """Whatever it was meant for."""
    done = shell(place, 'exec "$@" "$(printf "\\377")"', *verb)

    assert (done.returncode, done.stderr) == (
        2,
        "poolcrawl: '\\udcff' in a word of the command line is no UTF-8; write the word in UTF-8\n",
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "2>/dev/full"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("status", "nosuch"), 2),
        (("list",), 0),
        (("--bad",), 2),
        (("doctor",), (0, 1)),
        (("list", "--json"), 0),
    ],
    ids=["status", "list", "option", "doctor", "json"],
)
def test_a_verb_without_its_streams_ends_with_its_own_code(place, closed, arguments, code):
    """A line that cannot be said changes none, and is no traceback."""
    done = shell(place, f'exec "$@" {closed}', *arguments)

    assert done.returncode in (code if isinstance(code, tuple) else (code,)), done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    if closed == ">&-" and code == 2:
        assert done.stderr.count("\n") == 1


def test_a_file_that_is_written_does_not_get_what_is_said(place):
    """A closed stream's number goes to the next file that is opened."""
    shell(place, 'exec "$@" >&- 2>&-', *crawl(place, "written"), "--json", "--output", "pages.jsonl")
    lines = (place[0].path / "pages.jsonl").read_text().splitlines()

    assert len(lines) == PAGES
    assert all(line.startswith("{") and '"url"' in line for line in lines)
