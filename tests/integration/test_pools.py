"""The pools do what their names promise: patched or refused, concurrent as told, drained when asked to end."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import sys
import threading
import time

import pytest
import rawserver
from stack import POOLS, ROOT, Directory, PrivateServer, at_once, wait_for, worker

from crawl import results
from producer import fleet

pytestmark = pytest.mark.slow

CELERY = (sys.executable, "-P", "-m", "celery", "--app", "worker.app:app", "worker", "--loglevel", "WARNING")
#: Classes that Celery may be given as its custom pool.
THREADS, COROUTINES = "celery.concurrency.thread:TaskPool", "worker.asyncpool:TaskPool"
#: How long one page takes, and how many hosts there are: enough to see four slots work at the same time.
PAGE_S = 0.6
HOSTS = 12
SLOTS = {"prefork": 4, "threads": 4, "gevent": 4, "asyncio": 4, "solo": 1}


@pytest.fixture
def directory(tmp_path):
    made = Directory(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    with PrivateServer(tmp_path_factory.mktemp("private")) as server:
        yield server


class SlowSite:
    """Pages that take `PAGE_S` each, and how many were being served at the same time, at most."""

    def __init__(self, page_s: float = PAGE_S) -> None:
        self.page_s = page_s
        self.busy = self.most = 0
        self.asked: list[str] = []
        self._lock = threading.Lock()
        self.server = rawserver.Server(self._serve)

    def _serve(self, connection: socket.socket, server: rawserver.Server) -> None:
        while True:
            path = server.head(connection).split(b" ")[1].decode()
            if path == "/robots.txt":
                connection.sendall(rawserver.page(b"", status=b"404 Not Found"))
                continue
            with self._lock:
                self.asked.append(path)
                self.busy += 1
                self.most = max(self.most, self.busy)
            server.ended.wait(self.page_s)
            with self._lock:
                self.busy -= 1
            connection.sendall(rawserver.page(b"<title>slow</title>", b"Content-Type: text/html"))

    def resolve(self, count: int = HOSTS) -> list[str]:
        """Return `--resolve` options that put many hosts on this one server."""
        maps = [f"h{n}.test:80=127.0.0.1:{self.server.port}" for n in range(count)]
        return [word for text in maps for word in ("--resolve", text)]


@contextlib.contextmanager
def slow_site(page_s: float = PAGE_S):
    site = SlowSite(page_s)
    try:
        yield site
    finally:
        site.server.close()


OPTIONS = ("--allow-address", "127.0.0.0/8", "--delay", "0", "--depth", "0", "--robots", "ignore")


@pytest.fixture(scope="module")
def slow_crawls(tmp_path_factory):
    """By pool: a crawl of twelve slow pages on twelve hosts; all at the same time, each with a site of its own."""

    def crawl(pool: str):
        directory = Directory(tmp_path_factory.mktemp(pool))
        seeds = [f"http://h{n}.test/" for n in range(HOSTS)]
        with slow_site() as site:
            chosen = ("--pool", pool, "--concurrency", str(SLOTS[pool]), "--json")
            done = directory.run("crawl", *seeds, *OPTIONS, *site.resolve(), *chosen, CRAWL_BATCH="1")
            found = done, site.most, directory.records()
        directory.end()
        return found

    return dict(zip(POOLS, at_once(crawl, POOLS), strict=True))


@pytest.mark.parametrize("pool", POOLS)
def test_as_many_requests_run_at_once_as_there_are_slots(slow_crawls, pool):
    """Counted by the server: four slots keep four requests open at a time, solo one; never one more."""
    done, most, records = slow_crawls[pool]

    assert done.code == 0, done.stderr
    assert HOSTS == len([record for record in records if record["outcome"] == "ok"])
    assert SLOTS[pool] == most


@pytest.mark.parametrize("pool", POOLS)
def test_worker_names_say_pool_slots_and_host(slow_crawls, pool):
    """`POOL-SLOTS-PID@HOST`, in every record."""
    names = {record["worker"] for record in slow_crawls[pool][2]}
    (name,) = names

    assert re.fullmatch(rf"{pool}-{SLOTS[pool]}-\d+@{re.escape(socket.gethostname())}", name), name


@pytest.mark.parametrize("pool", POOLS)
def test_slots_have_names_of_their_own(slow_crawls, pool):
    """As many names as slots, whatever a slot is: a process, a thread, a greenlet, a coroutine."""
    slots = {record["slot"] for record in slow_crawls[pool][2]}

    assert SLOTS[pool] == len(slots), slots


@pytest.mark.parametrize(
    ("argv", "environment"),
    [
        (("-Pgevent",), {"CRAWL_POOL": "gevent"}),
        (("-Pgevent",), {"CRAWL_POOL": "threads"}),
        ((), {"CRAWL_POOL": "gevent", "CELERY_WORKER_POOL": "gevent"}),
        (("--pool", "threads"), {"CRAWL_POOL": "gevent"}),
        (("--pool", "gevent"), {"CRAWL_POOL": "prefork"}),
        (("--pool", "custom"), {"CRAWL_POOL": "asyncio", "CELERY_CUSTOM_WORKER_POOL": THREADS}),
        (("--pool", "custom"), {"CRAWL_POOL": "threads", "CELERY_CUSTOM_WORKER_POOL": COROUTINES}),
        (("--pool", "threads"), {"CRAWL_POOL": "asyncio"}),
        ((), {"CRAWL_POOL": "threads"}),
    ],
    ids=[
        "-Pgevent",
        "-Pgevent as threads",
        "CELERY_WORKER_POOL",
        "threads as gevent",
        "gevent as prefork",
        "a custom pool as asyncio",
        "asyncio as threads",
        "threads as asyncio",
        "default",
    ],
)
def test_a_worker_refuses_to_be_another_pool_than_it_says(directory, private, argv, environment):
    """Celery would run gevent unpatched, one request at a time, or another pool than records name, without a word."""
    env = {**environment, "CRAWL_REDIS_URL": private.url, "PYTHONPATH": str(ROOT)}
    done = directory.spawn((*CELERY, *argv), **env).ended(60)
    said = [line for line in done.stderr.splitlines() if line.startswith("poolcrawl worker: ")]

    assert done.code not in (0, None)
    assert 1 == len(said), done.stderr
    assert "poolcrawl worker" in said[0].removeprefix("poolcrawl worker: ")
    assert "Traceback" not in done.stderr, done.stderr
    assert [] == fleet.alive(private.client)


def test_celery_s_own_variables_choose_nothing(directory, private):
    """`poolcrawl worker` is what CRAWL_ variables say, also beside a CELERY_WORKER_POOL that says otherwise."""
    settings = {"CRAWL_POOL": "threads", "CRAWL_CONCURRENCY": "3"}
    with worker(
        directory, private.url, CELERY_WORKER_POOL="gevent", CELERY_WORKER_CONCURRENCY="7", **settings
    ):
        (found,) = fleet.alive(private.client)

    assert ("threads", 3, ("fetch", "parse")) == (found.pool, found.slots, found.queues)


@pytest.mark.parametrize("pool", POOLS)
def test_a_worker_shows_signs_of_life_and_takes_them_back(directory, private, pool):
    """Its heartbeat file is touched again and again; on SIGTERM it exits 0 and is no longer counted as alive."""
    file = directory.path / "heartbeat"
    settings = {"CRAWL_POOL": pool, "CRAWL_CONCURRENCY": str(SLOTS[pool])}
    with worker(directory, private.url, CRAWL_HEARTBEAT_FILE=str(file), **settings) as running:
        first = file.stat().st_mtime_ns
        (alive,) = fleet.alive(private.client)
        wait_for(lambda: file.stat().st_mtime_ns > first, "the heartbeat file is touched again", 10)
        running.interrupt(signal.SIGTERM)
        done = running.ended(30)
        still = fleet.alive(private.client)

    assert still == []
    assert (pool, SLOTS[pool]) == (alive.pool, alive.slots)
    assert alive.name.startswith(f"{pool}-{SLOTS[pool]}-")
    assert done.code == 0, done.stderr
    assert directory.left() == []


def drained(pool: str, base) -> tuple:
    """SIGTERM a worker in the middle of a batch; return its end, the site's log, and the crawl's status then."""
    directory = Directory(base / pool)
    with PrivateServer(base / f"server-{pool}") as server, slow_site(0.6) as site:
        settings = {"CRAWL_POOL": pool, "CRAWL_CONCURRENCY": "1", "CRAWL_ALLOW_ADDRESSES": "127.0.0.0/8"}
        seeds = [f"http://h0.test/{n}" for n in range(6)]
        with worker(directory, server.url, **settings) as running:
            crawl = directory.start(
                *("crawl", *seeds, *OPTIONS, *site.resolve(1), "--name", "drained"),
                CRAWL_REDIS_URL=server.url,
                CRAWL_LEASE_S="60",
                CRAWL_WINDOW="1",
            )
            wait_for(lambda: len(site.asked) >= 2, "the second request", 60)
            began = time.monotonic()
            running.interrupt(signal.SIGTERM)
            ended = running.ended(30)
            took_s = time.monotonic() - began
        status = results.status(server.client, "drained")
        asked = list(site.asked)
        # A worker that comes back finishes the crawl; nothing waits for the 60 s of a lost lease.
        with worker(directory, server.url, **settings):
            crawled = crawl.ended(40)
        records = directory.records(CRAWL_REDIS_URL=server.url)
    left = directory.left()
    directory.end()
    return ended, took_s, status, asked, site.asked, crawled, records, left


def test_a_worker_that_is_asked_to_end_finishes_its_request_and_hands_back_the_rest(tmp_path):
    """SIGTERM in every pool: exit 0 within seconds, no request repeated, no URL charged, nothing waits for a lease."""
    for pool, found in zip(POOLS, at_once(lambda pool: drained(pool, tmp_path), POOLS), strict=True):
        ended, took_s, status, before, asked, crawled, records, left = found
        assert ended.code == 0, f"{pool}: {ended.stderr}"
        assert took_s < 10, pool
        assert len(before) < 6, pool
        assert (0, 0) == (status.losses, status.reclaimed), pool
        assert crawled.code == 0, f"{pool}: {crawled.stderr}"
        assert sorted(set(asked)) == sorted(asked), f"{pool}: a page was asked for twice"
        assert [1] * 6 == [record["attempts"] for record in records], pool
        assert left == [], pool


def test_a_refused_worker_leaves_no_process(directory, private):
    """The refusal comes before the pool has made any."""
    env = {"CRAWL_POOL": "gevent", "CRAWL_REDIS_URL": private.url, "PYTHONPATH": str(ROOT)}
    directory.spawn((*CELERY, "-Pgevent"), **env).ended(60)

    assert directory.left() == []


def test_a_gevent_worker_whose_redis_dies_says_so_in_lines(directory):
    """While it drains, too: Celery's remote control has a greenlet that dies of it, and may do so quietly."""
    settings = {"CRAWL_POOL": "gevent", "CRAWL_CONCURRENCY": "4"}
    with (
        PrivateServer(directory.path / "server") as server,
        worker(directory, server.url, **settings) as running,
    ):
        server._process.kill()
        wait_for(lambda: "onnection" in running.stderr.read_text(), "a line about the lost connection", 30)
        running.interrupt(signal.SIGTERM)
        done = running.ended(40)

    assert "Traceback" not in done.stderr
