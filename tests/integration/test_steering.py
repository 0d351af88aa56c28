"""Pause, cancel, pump services and stacks that are left up: real workers of every pool, real requests, a real kill."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import rawserver
from stack import POOLS, Directory, PrivateServer, at_once, wait_for, worker

from crawl import audit, keys, lifecycle, names, results
from crawl.frontier import Frontier
from crawl.records import CrawlOptions
from producer.seeds import Intake
from producer.service import Service

if TYPE_CHECKING:
    import socket

    from crawl.results import Status

pytestmark = pytest.mark.slow

#: Seconds within which a pause or a cancel must be in effect everywhere.
SECONDS = 3.0
#: Pages beside the hosts' own, and how long one takes: enough to be met in the middle.
PAGES = 32
PAGE_S = 0.2
HOSTS = 4


class Site:
    """Some small pages on a few hosts, and `/hang`, which is never answered; notes when what began and ended."""

    def __init__(self, page_s: float) -> None:
        self.page_s = page_s
        self.began: list[float] = []
        self.open = 0
        self.hung: list[float] = []
        self.left: list[float] = []
        self._lock = threading.Lock()
        self.server = rawserver.Server(self._serve)

    def _serve(self, connection: socket.socket, server: rawserver.Server) -> None:
        while True:
            path = server.head(connection).split(b" ")[1].decode()
            if path == "/hang":
                self.hung.append(time.monotonic())
                # Returns when the other side has closed.
                with contextlib.suppress(OSError):
                    connection.recv(1)
                self.left.append(time.monotonic())
                return
            with self._lock:
                self.began.append(time.monotonic())
                self.open += 1
            server.ended.wait(self.page_s)
            links = "".join(f'<a href="/{n}">{n}</a>' for n in range(PAGES // HOSTS)) if path == "/" else path
            with self._lock:
                self.open -= 1
            connection.sendall(rawserver.page(links.encode(), b"Content-Type: text/html"))

    @property
    def maps(self) -> tuple[str, ...]:
        """Where the hosts are: all of them here."""
        return tuple(f"h{n}.test:80=127.0.0.1:{self.server.port}" for n in range(HOSTS))

    @property
    def options(self) -> tuple[str, ...]:
        plain = ("--delay", "0", "--robots", "ignore", "--allow-address", "127.0.0.0/8")
        return (*plain, *(word for text in self.maps for word in ("--resolve", text)))


@contextlib.contextmanager
def site(page_s: float = PAGE_S):
    made = Site(page_s)
    try:
        yield made
    finally:
        made.server.close()


SEEDS = tuple(f"http://h{n}.test/" for n in range(HOSTS))
SLOTS = {"prefork": "2", "threads": "4", "gevent": "4", "asyncio": "4", "solo": "1"}


@dataclass
class Played:
    """What became of the crawls of one pool."""

    still_after_s: float = 0.0
    while_paused: Status | None = None
    digest: str = ""
    clean: bool = False
    records: int = 0
    cancel_s: float = 0.0
    aborted_after_s: float = 0.0
    cancelled: lifecycle.Cancelled | None = None
    after_cancel: audit.Audit | None = None
    keys_left: list[bytes] = field(default_factory=list)


@contextlib.contextmanager
def pump(directory: Directory, url: str):
    """Run `poolcrawl pump` from its first sign of life; SIGTERM ends it with exit 0."""
    running = directory.start("pump", CRAWL_REDIS_URL=url)
    wait_for(lambda: "serves" in running.stderr.read_text(), "the service's first line")
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.interrupt(signal.SIGTERM)
            done = running.ended(15)
            assert done.code == 0, done.stderr


def detached(directory: Directory, url: str, *arguments: str) -> None:
    done = directory.run("crawl", *arguments, "--detach", CRAWL_REDIS_URL=url)
    assert done.code == 0, done.stderr


@contextlib.contextmanager
def service(url: str):
    """Serve crawls from a thread of this process."""
    made = Service(url, say=lambda _: None)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield
    finally:
        made.stop()
        thread.join(15)


def submitted(client, crawl: str, seeds: tuple[str, ...], web: Site) -> None:
    frontier = Frontier(client, crawl)
    _, options, _ = frontier.create(
        CrawlOptions(seeds=seeds, resolve=web.maps, delay_s=0.0, robots="ignore", lease_s=30.0)
    )
    intake = Intake(frontier, options)
    intake.admit_named()
    intake.close()


def finished(client, crawl: str, within_s: float = 60) -> audit.Audit:
    wait_for(lambda: results.status(client, crawl).state == names.FINISHED, f"the end of {crawl}", within_s)
    return audit.audit(client, crawl)


def play(pool: str, folder) -> Played:
    """Pause and resume one crawl, cancel and delete another, with a real worker of one pool."""
    directory, played = Directory(folder), Played()
    settings = {
        "CRAWL_POOL": pool,
        "CRAWL_CONCURRENCY": SLOTS[pool],
        "CRAWL_ALLOW_ADDRESSES": "127.0.0.0/8",
    }
    try:
        with (
            PrivateServer(folder / "server") as server,
            site() as web,
            worker(directory, server.url, within_s=60, **settings),
            service(server.url),
        ):
            client = server.client
            submitted(client, "paused", SEEDS, web)
            wait_for(lambda: len(web.began) >= PAGES // 3, "a third of the pages", 60)
            at = time.monotonic()
            lifecycle.pause(client, "paused")
            time.sleep(SECONDS - 0.5)
            played.still_after_s = web.began[-1] - at
            played.while_paused = results.status(client, "paused")
            lifecycle.resume(client, "paused")
            found = finished(client, "paused")
            played.digest, played.clean, played.records = found.digest, found.clean, found.records

            hang = tuple(f"http://h{n}.test/hang" for n in range(HOSTS))
            submitted(client, "cancelled", hang, web)
            slots = int(SLOTS[pool])
            wait_for(lambda: len(web.hung) == slots, "requests that hang", 30)
            at = time.monotonic()
            played.cancelled = lifecycle.cancel(client, "cancelled")
            played.cancel_s = time.monotonic() - at
            wait_for(lambda: len(web.left) == slots, "closed connections", 15)
            played.aborted_after_s = web.left[-1] - at
            played.after_cancel = audit.audit(client, "cancelled")
            lifecycle.delete(client, "cancelled")
            # The worker has nothing more to say about it.
            time.sleep(0.5)
            played.keys_left = list(client.scan_iter(f"{keys.crawl('cancelled')}*"))
    finally:
        directory.end()
    return played


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The digest of the site, crawled with nothing in the way, by a command that is followed."""
    directory = Directory(tmp_path_factory.mktemp("undisturbed"))
    with site() as web:
        done = directory.run("crawl", *SEEDS, *web.options, "--pool", "threads", "--concurrency", "4")
        assert done.code == 0, done.stderr
        found = directory.audit()
    directory.end()
    return found


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """By pool; all at the same time, each with a server, a worker and a site of its own."""
    folders = [(pool, tmp_path_factory.mktemp(pool)) for pool in POOLS]
    return dict(zip(POOLS, at_once(lambda one: play(*one), folders, jobs=5), strict=True))


@pytest.mark.parametrize("pool", POOLS)
def test_a_pause_is_in_effect_within_seconds_and_a_resume_comes_to_the_same_records(
    played, undisturbed, pool
):
    """No request begins later; the lease time is 30 seconds, so it was no renewal that stopped them."""
    found = played[pool]

    assert found.still_after_s < SECONDS - 1
    assert found.while_paused.state == names.PAUSED
    assert 0 < found.while_paused.done < undisturbed["records"]
    assert (True, undisturbed["records"]) == (found.clean, found.records)
    assert undisturbed["digest"] == found.digest


@pytest.mark.parametrize("pool", POOLS)
def test_a_cancel_breaks_off_slow_requests_within_seconds(played, pool):
    """The site sees the connections closed; every URL is accounted for, and none has a record."""
    found = played[pool]

    assert found.aborted_after_s < SECONDS
    assert found.cancel_s < SECONDS + 1
    assert (0, HOSTS) == (found.cancelled.records, found.cancelled.cancelled)
    assert found.after_cancel.clean
    assert (HOSTS, 0) == (found.after_cancel.cancelled, found.after_cancel.pending)


@pytest.mark.parametrize("pool", POOLS)
def test_a_deleted_crawl_leaves_no_key_whatever_its_workers_did(played, pool):
    """They were in the middle of it a moment before."""
    assert played[pool].keys_left == []


def test_a_crawl_whose_owner_is_killed_is_taken_over_by_another_service(tmp_path, undisturbed):
    """At once when it is told to end, after ten seconds when it is killed; the records are the same."""
    directory = Directory(tmp_path)
    settings = {"CRAWL_POOL": "threads", "CRAWL_CONCURRENCY": "1", "CRAWL_ALLOW_ADDRESSES": "127.0.0.0/8"}
    try:
        with (
            PrivateServer(tmp_path / "server") as server,
            site(0.4) as web,
            worker(directory, server.url, **settings),
            pump(directory, server.url) as first,
        ):
            detached(directory, server.url, *SEEDS, "--name", "crawl", *web.options)
            wait_for(lambda: "crawl: taken" in first.stderr.read_text(), "the first owner")
            with pump(directory, server.url) as second, pump(directory, server.url) as third:
                first.interrupt(signal.SIGTERM)
                at = time.monotonic()
                assert first.ended(10).code == 0
                others = [second, third]
                owner = wait_for(
                    lambda: next((one for one in others if "crawl: taken" in one.stderr.read_text()), None),
                    "the second owner",
                    10,
                )
                told_s = time.monotonic() - at
                (last,) = [one for one in others if one is not owner]
                owner.interrupt(signal.SIGKILL)
                at = time.monotonic()
                wait_for(lambda: "crawl: taken" in last.stderr.read_text(), "the third owner", 20)
                killed_s = time.monotonic() - at
                found = finished(server.client, "crawl")
                owner.ended()
    finally:
        directory.end()

    assert told_s < 4
    assert killed_s < 13
    assert (True, undisturbed["digest"]) == (found.clean, found.digest)


def test_a_detached_crawl_goes_on_without_its_command_and_stop_loses_nothing(tmp_path, undisturbed):
    """The stack stays up, takes a second crawl, is steered from other commands, and ends when told."""
    directory = Directory(tmp_path)
    with site(0.7) as web:
        began = time.monotonic()
        chosen = ("--pool", "threads", "--concurrency", "1")
        done = directory.run("crawl", *SEEDS, "--name", "long", "--detach", *chosen, *web.options)
        assert done.code == 0, done.stderr
        took_s = time.monotonic() - began
        second = directory.run("crawl", SEEDS[0], "--depth", "0", "--detach", "--name", "short", *web.options)
        other = directory.run("crawl", SEEDS[0], "--depth", "0", *web.options)
        cancelled = directory.run("cancel", "short", "--json")
        stopped = directory.run("stop")
        left = directory.left()
        status = directory.run("status", "long", "--json").summary
        again = directory.run("stop")
        ended = directory.run("crawl", "--name", "long", "--pool", "threads", "--concurrency", "16")
        found = directory.audit("long")
    directory.end()

    assert done.stdout.split() == ["long"]
    assert took_s < 20
    assert second.code == 0, second.stderr
    assert (2, True) == (other.code, "poolcrawl stop" in other.stderr)
    # It may have ended before; then the verb says so.
    assert cancelled.code == 0 or "is finished" in cancelled.stderr, cancelled.stderr
    assert (0, True) == (stopped.code, "stopped" in stopped.stdout), stopped.stderr
    assert left == []
    assert status["state"] == names.RUNNING
    assert status["pages"] < undisturbed["records"]
    assert (0, True) == (again.code, "nothing runs" in again.stdout)
    assert ended.code == 0, ended.stderr
    assert (0, undisturbed["digest"]) == (found["missing"], found["digest"])


def test_whoever_follows_a_crawl_is_told_that_it_was_paused_or_cancelled(tmp_path):
    """It ends with 4 and the command that goes on; the verbs reach a stack that runs, and one that does not."""
    directory = Directory(tmp_path)
    with site(0.5) as web:
        chosen = ("--pool", "threads", "--concurrency", "1")
        following = directory.start("crawl", *SEEDS, "--name", "c", *chosen, *web.options)
        wait_for(lambda: web.began, "the first request", 60)
        early = directory.run("delete", "c", "--yes")
        paused = directory.run("pause", "c")
        first = following.ended()
        resumed = directory.run("resume", "c", "--json")
        following = directory.start("crawl", "--name", "c", *chosen, "--json")
        count = len(web.began)
        wait_for(lambda: len(web.began) > count, "a further request", 60)
        cancelled = directory.run("cancel", "c", "--json")
        second = following.ended()
        found = directory.audit("c")
        again = directory.run("crawl", "--name", "c")
        unsure = directory.run("delete", "c")
        deleted = directory.run("delete", "c", "--yes", "--json")
        gone = directory.run("cancel", "c")
    directory.end()

    assert (2, True) == (early.code, "poolcrawl cancel c" in early.stderr)
    assert paused.code == 0, paused.stderr
    assert (4, True) == (first.code, "crawl --name c`" in first.stderr), first.stderr
    assert ("paused", "running") == (resumed.summary["before"], resumed.summary["state"])
    assert (0, "running") == (cancelled.code, cancelled.summary["before"]), cancelled.stderr
    assert (4, "cancelled") == (second.code, second.summary["state"]), second.stderr
    assert (0, 0, found["cancelled"]) == (found["missing"], found["pending"], cancelled.summary["cancelled"])
    assert found["cancelled"] > 0
    assert (2, True) == (again.code, "was cancelled" in again.stderr)
    assert (2, True) == (unsure.code, "say --yes" in unsure.stderr)
    assert deleted.code == 0, deleted.stderr
    assert (2, True) == (gone.code, "there is no crawl 'c'" in gone.stderr)
