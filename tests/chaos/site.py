"""A website that always answers the same, keeps its own log of every request, and knows what a crawl of it comes to."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from typing import NamedTuple, Self

from website import Request, Response, Website

from crawl import audit

#: The port in the site's URLs; where it really listens is told by `--resolve`, so that two runs have the same URLs.
PORT = 8080
#: Hosts without a delay, and one that asks for a pause between its pages.
PLAIN = ("a.chaos.test", "b.chaos.test", "c.chaos.test")
POLITE = "d.chaos.test"
HOSTS = (*PLAIN, POLITE)
#: Seconds between two requests that the polite host asks for, and what its robots.txt says.
DELAY_S = 0.2
_ROBOTS = f"User-agent: *\nCrawl-delay: {DELAY_S}\nDisallow:\n"
#: Seconds an answer takes: long enough that a fault meets requests under way in every slot.
LATENCY_S = 0.2
#: Links of a page to pages that nobody else need link to.
_FAN = 5


class Visit(NamedTuple):
    """One request, noted when it came in: whatever becomes of who asked, the site was asked."""

    at: float
    host: str
    path: str
    #: When the answer was sent; None while it is under way, or when nobody was left to take it.
    done: float | None


class Site:
    """`pages` pages on four hosts, reached from the first one. Use as a context manager."""

    def __init__(self, pages: int, latency_s: float = LATENCY_S) -> None:
        self.pages = pages
        self._latency_s = latency_s
        self._lock = threading.Lock()
        self._visits: list[Visit] = []
        self._website = Website(dict.fromkeys(HOSTS, self._answer))
        self.listens = self._website.port

    def __enter__(self) -> Self:
        self._website.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._website.__exit__()

    @property
    def seed(self) -> str:
        """The URL from which all others are found."""
        return self.url(0)

    @property
    def resolve(self) -> tuple[str, ...]:
        """The values of `--resolve` by which the hosts are found here."""
        return tuple(f"{host}:{PORT}=127.0.0.1:{self.listens}" for host in HOSTS)

    def url(self, number: int) -> str:
        """Return a page's URL."""
        return f"http://{_host(number)}:{PORT}{_path(number)}"

    def _links(self, number: int) -> list[int]:
        first = _FAN * number + 1
        found = [*range(first, min(first + _FAN, self.pages)), (7 * number + 3) % self.pages]
        return list(dict.fromkeys(found))

    def _kind(self, number: int) -> str:
        """Return what a page is; only pages without pages of their own are not plain ones."""
        if _FAN * number + 1 < self.pages:
            return "page"
        return {0: "missing", 1: "moved"}.get(number % 9, "page")

    def _body(self, number: int) -> str:
        links = "".join(f'<p><a href="{self.url(link)}">{link}</a>' for link in self._links(number))
        words = " ".join(hashlib.sha256(f"{number} {part}".encode()).hexdigest() for part in range(30))
        return f"<!doctype html><html lang=en><title>Page {number}</title><body>{links}<p>{words}"

    def _answer(self, request: Request) -> Response:
        begun = time.time()
        with self._lock:
            place = len(self._visits)
            self._visits.append(Visit(begun, request.host, request.path, None))
        time.sleep(self._latency_s)
        answer = self._response(request)
        with self._lock:
            self._visits[place] = self._visits[place]._replace(done=time.time())
        return answer

    def _response(self, request: Request) -> Response:
        if request.path == "/robots.txt":
            text = _ROBOTS if request.host == POLITE else ""
            return Response(text, content_type="text/plain")
        number = int(request.path.removeprefix("/p")) if request.path.removeprefix("/p").isdigit() else -1
        if not 0 <= number < self.pages or _host(number) != request.host:
            return Response("no such page", 404)
        kind = self._kind(number)
        if kind == "missing":
            return Response("gone", 404)
        if kind == "moved":
            target = self.url((number + 1) % self.pages)
            return Response("", 302, headers=(("Location", target),))
        return Response(self._body(number))

    def note(self, visit: Visit) -> None:
        """Add a request that nobody made, for tests of the judge."""
        with self._lock:
            self._visits.append(visit)

    def forget(self) -> None:
        """Take the last one away again."""
        with self._lock:
            self._visits.pop()

    @property
    def visits(self) -> list[Visit]:
        """Every request so far, in the order they came in."""
        with self._lock:
            return list(self._visits)

    def asked(self) -> Counter[tuple[str, str]]:
        """Return how often each (host, path) was asked for."""
        return Counter((visit.host, visit.path) for visit in self.visits)

    def too_soon(self) -> list[str]:
        """Return what the polite host has to complain of: requests before its pause was over, by its own clock."""
        complaints = []
        ended: float | None = None
        for visit in self.visits:
            if visit.host != POLITE:
                continue
            # Its own clock runs from an arrival to an answer that is about to be sent, so it may not be too strict.
            if ended is not None and visit.at < ended + DELAY_S - 0.02:
                complaints.append(f"{visit.path} came {visit.at - ended:.3f} s after the answer before it")
            ended = visit.done or visit.at
            if visit.path == "/robots.txt":
                # The pause counts from where it is known.
                ended -= DELAY_S
        return complaints

    def digest(self) -> str:
        """Return the digest that a complete crawl comes to, worked out without one."""
        return audit.digest_of(self.told())

    def told(self) -> list[audit.Told]:
        """Return what the record of each page has to say."""
        return [self._told(number) for number in range(self.pages)]

    def _told(self, number: int) -> audit.Told:
        url, kind = self.url(number), self._kind(number)
        if kind == "missing":
            return audit.Told(url, "failed", "http", 404)
        if kind == "moved":
            target = self.url((number + 1) % self.pages)
            return audit.Told(url, "redirect", None, 302, redirect_to=target)
        sha256 = hashlib.sha256(self._body(number).encode()).hexdigest()
        links = [self.url(link) for link in self._links(number)]
        return audit.Told(url, "ok", None, 200, sha256, links)


def _host(number: int) -> str:
    # The polite host's pages are spread over the whole crawl, and few enough not to last longer than the others.
    return POLITE if number % 9 == 4 else PLAIN[number % 3]


def _path(number: int) -> str:
    return f"/p{number}"
