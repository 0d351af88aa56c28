"""Two seeds of a real crawl in both orders, and a producer that is killed when a second look has begun to admit."""

from __future__ import annotations

import signal
import threading

import pytest
from stack import Directory, wait_for
from website import Response, Website

APEX, WWW, OTHER = "moving.test", "www.moving.test", "knows.moving.test"
PAGES = 250

pytestmark = pytest.mark.timeout(240)


class Site:
    """Answers one seed only when the page of the other one was parsed; `late` is called for a page of the new host."""

    def __init__(self):
        self.slow = None
        self.parsed = threading.Event()
        self.late = lambda: None

    def rooms(self):
        return {APEX: self.apex, WWW: self.www, OTHER: self.other}

    def apex(self, request):
        if self.slow == APEX:
            self.parsed.wait(30)
        return Response("", 301, headers=(("Location", f"http://{WWW}:{request.port}/"),))

    def www(self, request):
        if request.path == "/":
            return "<a href=/told>"
        if request.path == "/told":
            if self.slow == OTHER:
                self.parsed.set()
        elif request.path != "/home":
            self.late()
        return "<a href=/home>"

    def other(self, request):
        number = request.path.strip("/")
        if number == "" and self.slow == OTHER:
            self.parsed.wait(30)
        if number == "last" and self.slow == APEX:
            self.parsed.set()
        if number:
            return f"<a href=http://{WWW}:{request.port}/from-{number}>"
        return "".join(f"<a href=/{one}>" for one in (*range(PAGES), "last"))


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """What the command and the audit say of three crawls: the seed first, last, and last with a kill."""
    directory = Directory(tmp_path_factory.mktemp("looks"))
    site = Site()
    try:
        with Website(site.rooms()) as web:
            yield {name: crawl(directory, site, web, name) for name in ("first", "last", "killed")}
    finally:
        directory.end()


def crawl(directory, site, web, name):
    site.slow = OTHER if name == "first" else APEX
    site.parsed.clear()
    command = (
        *("crawl", web.url(APEX), web.url(OTHER), "--name", name, "--delay", "0", "--robots", "ignore"),
        *("--pool", "threads", "--concurrency", "4", "--json", *web.resolve(APEX, WWW, OTHER)),
    )
    running = directory.start(*command, CRAWL_LEASE_S="3")
    if name == "killed":
        once = threading.Lock()
        site.late = lambda: once.acquire(blocking=False) and running.interrupt(signal.SIGKILL)
        running.process.wait(120)
        wait_for(lambda: not directory.left(), "the children of a killed producer end", 60)
        running = directory.start("crawl", "--name", name, "--json", CRAWL_LEASE_S="3")
    done = running.ended(120)
    assert done.code == 0, done.stderr
    return done, directory.audit(name)


def test_the_records_do_not_depend_on_which_seed_was_faster(ended):
    """Nearly all pages of the new host are known by links that were parsed before it joined the scope."""
    (quick, first), (slow, last) = ended["first"], ended["last"]

    assert first["records"] == 2 * (PAGES + 2) + 3
    assert (first["digest"], first["missing"], first["duplicate"]) == (last["digest"], 0, 0)
    assert "belong to the crawl after all" in slow.stderr
    assert "belong to the crawl after all" not in quick.stderr
    assert quick.summary["refused"] == slow.summary["refused"] == {}


def test_a_producer_killed_after_a_look_began_leaves_nothing_undone(ended):
    """Killed at the first page that the look admitted; the next one goes on, and admits nothing twice."""
    _, audit = ended["killed"]

    assert (audit["digest"], audit["missing"], audit["duplicate"]) == (ended["first"][1]["digest"], 0, 0)
