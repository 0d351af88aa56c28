"""Politeness under load, judged by the server's own log: eight worker processes, twenty hosts, each with its delay.

The server notes when a request has arrived and when it is about to send its answer. Its threads share two cores with
eight workers and may note an arrival late, which makes a gap look longer, never shorter; `CLOCK_S` is for rounding.
"""

from __future__ import annotations

import email.utils
import json
import threading
import time
from dataclasses import dataclass
from itertools import pairwise

import pytest
from stack import POOLS, Directory
from website import Response, Website

from crawl.politeness import NOTICE_MS

#: Seconds by which two times may be off: those of the crawl are whole milliseconds.
CLOCK_S = 0.002
WORKERS = 8
CAP = 3
PAGES = 3
#: Hosts with a Crawl-delay, in seconds.
DELAYS = {f"h{number:02}.test": (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)[number % 6] for number in range(18)}
#: Hosts that refuse once, how they say for how long, and what they have.
REFUSING = {"seconds.test": "seconds", "date.test": "date"}
REFUSING_PAGES = 12
HOLD_S = 2.0
#: `--delay` of each pool's crawl: where it is 0, hosts without a Crawl-delay get up to `CAP` requests at once.
OWN_DELAYS = {"prefork": 0.0, "threads": 0.15, "gevent": 0.0, "asyncio": 0.15, "solo": 0.0}


class Refusing:
    """A host that answers the fourth page it is asked for with 429, and says for how long."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._count = 0
        self._lock = threading.Lock()
        #: When it refused, and when the hold that it asked for ends, of `time.time`.
        self.at = self.until = 0.0

    def __call__(self, request) -> Response | str:
        if request.path == "/robots.txt":
            return Response("", 404)
        with self._lock:
            self._count += 1
            refuse = self._count == 4
        if not refuse:
            return _page(REFUSING_PAGES)
        self.at = time.time()
        if self._form == "seconds":
            self.until = self.at + HOLD_S
            return Response("", 429, headers=(("Retry-After", str(int(HOLD_S))),))
        # A date has whole seconds: the next one that is at least so far away.
        self.until = float(int(self.at + HOLD_S) + 1)
        return Response("", 429, headers=(("Retry-After", email.utils.formatdate(self.until, usegmt=True)),))


def _page(pages: int) -> str:
    """Return a page that takes a while and links to every page of its host."""
    time.sleep(0.01)
    return "".join(f'<a href="/{number}">{number}</a>' for number in range(pages))


def _polite(delay_s: float):
    def _answer(request) -> Response | str:
        if request.path == "/robots.txt":
            return Response(f"User-agent: *\nCrawl-delay: {delay_s}\n", content_type="text/plain")
        return _page(PAGES)

    return _answer


@dataclass(frozen=True)
class Crawled:
    """One crawl: its delay, what the server's log has of it by host, in order, and what the audits say."""

    delay_s: float
    rooms: dict
    log: dict[str, list]
    polite: dict
    whole: dict
    code: int
    outcomes: dict

    def least_gaps_s(self) -> dict[str, tuple[float, float]]:
        """Return the delay and the shortest gap of each host that has a delay."""
        delays = {host: max(self.delay_s, DELAYS.get(host, 0)) for host in self.log}
        return {
            host: (delays[host], min(second.started - first.sent for first, second in pairwise(asked)))
            for host, asked in self.log.items()
            if delays[host]
        }

    def most_at_once(self) -> int:
        """Return how many requests a host had under way at most."""
        return max(
            sum(other.started <= one.started < other.sent for other in asked)
            for asked in self.log.values()
            for one in asked
        )

    def asked_in_hold(self) -> list:
        """Return what a host was asked while it was held, and could have been spared."""
        # Batches under way at a host without delay hear of it a moment later.
        notice_s = 0 if self.delay_s else NOTICE_MS / 1000
        return [
            one
            for host in REFUSING
            for one in self.log[host]
            if self.rooms[host].at + notice_s < one.started < self.rooms[host].until - CLOCK_S
        ]


def crawl(pool: str, path) -> Crawled:
    """Crawl all hosts with eight worker processes of a pool."""
    rooms = {host: Refusing(form) for host, form in REFUSING.items()}
    rooms = {**{host: _polite(delay_s) for host, delay_s in DELAYS.items()}, **rooms}
    directory = Directory(path, {"CRAWL_HOST_CONCURRENCY": str(CAP), "CRAWL_BATCH": "3"})
    delay_s = OWN_DELAYS[pool]
    with Website(rooms) as site:
        try:
            seeds = [site.url(host) for host in rooms]
            options = ("--delay", str(delay_s), "--pool", pool, "--workers", str(WORKERS), "--json")
            slots = () if pool == "solo" else ("--concurrency", "2")
            done = directory.run("crawl", *seeds, *options, *slots, *site.resolve(*rooms))
            assert done.code == 0, done.stderr
            audit = directory.run("audit", "--politeness", "--json")
        finally:
            directory.end()
    log: dict[str, list] = {}
    for one in sorted(site.log, key=lambda one: one.started):
        log.setdefault(one.host, []).append(one)
    polite, whole = (json.loads(line) for line in audit.stdout.splitlines())
    return Crawled(delay_s, rooms, log, polite, whole, audit.code, done.summary["outcomes"])


@pytest.mark.parametrize("pool", POOLS)
def test_no_host_is_asked_too_soon_whatever_the_pool(pool, tmp_path):
    """By the server's log no gap is shorter than the delay, no overlap above the cap, and a hold is kept."""
    crawled = crawl(pool, tmp_path)
    too_soon = {
        host: (delay_s, gap_s)
        for host, (delay_s, gap_s) in crawled.least_gaps_s().items()
        if gap_s < delay_s - CLOCK_S
    }
    pages = len(DELAYS) * (PAGES + 1) + len(REFUSING) * (REFUSING_PAGES + 1)

    assert too_soon == {}
    assert crawled.most_at_once() <= (1 if crawled.delay_s else CAP)
    assert crawled.asked_in_hold() == []
    assert (0, []) == (crawled.code, crawled.polite["violations"])
    assert sum(map(len, crawled.log.values())) == crawled.polite["requests"]
    assert (pages, 0, {"ok": pages}) == (crawled.whole["records"], crawled.whole["missing"], crawled.outcomes)
