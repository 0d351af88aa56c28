"""The pages of a workload: where they are, what they hold, and what a whole crawl of them must come to.

Page i lives on host `h<i % hosts + 1>.lab.test`; the first page of a host is its index. Links are absolute and never
hold the port of the server, so one workload has one digest on every machine.
"""

from __future__ import annotations

import random
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

from crawl.audit import Told, digest_of
from crawl.errors import UsageError
from lab import site

if TYPE_CHECKING:
    from lab.workload import Page, Workload

#: What host names end with; `.test` is never resolved by anybody (RFC 6761).
DOMAIN = "lab.test"
#: Most bytes of a site: its server holds every page in memory.
MOST_BYTES = 200_000_000
#: Where a page says how long its parse shall burn the CPU, and how far `marker` looks for it, in bytes.
_MARK = b"<!-- parse-ms: "
_MARK_WITHIN = 1000


class Pages:
    """The site of one workload. Everything follows from the workload, nothing from the order of the calls."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self._origins = [origin(workload, number) for number in range(workload.hosts)]
        self._stock = site.sentences(workload.seed)

    def __len__(self) -> int:
        """How many pages there are, with those that fail."""
        return self.workload.pages

    @cached_property
    def costs(self) -> list[Page]:
        """What each page costs."""
        return [self.workload.page(number) for number in range(len(self))]

    @cached_property
    def good(self) -> list[int]:
        """The pages that do not fail; page 0 is the first of them."""
        return [number for number, cost in enumerate(self.costs) if not cost.fails]

    @cached_property
    def children(self) -> dict[int, list[int]]:
        """The tree that makes every page reachable from page 0. Pages that fail are leaves, given to late pages first.

        A page has more children than `links` only where too few pages do not fail to give each failing one a place.
        """
        good = self.good
        width = min(site.CHILDREN, self.workload.links)
        found = {page: good[width * i + 1 : width * i + 1 + width] for i, page in enumerate(good)}
        failing = [number for number, cost in enumerate(self.costs) if cost.fails]
        for i, page in enumerate(failing):
            found[good[-1 - i % len(good)]].append(page)
        return found

    def url(self, number: int) -> str:
        """Return the canonical URL of a page."""
        return self._origins[number % self.workload.hosts] + path(self.workload, number)

    def links(self, number: int, rng: random.Random) -> list[int]:
        """Return the pages that a page links to, each once, never itself."""
        return site.with_drawn(self.children[number], self.workload.links, number, len(self), rng)

    def drawn(self, number: int) -> tuple[random.Random, list[int]]:
        """Return the links of a page that does not fail, and the generator that the rest of it is drawn from."""
        rng = random.Random(f"{self.workload.seed}:{number}:page")
        return rng, self.links(number, rng)

    def body(self, number: int) -> bytes:
        """Return a page, as many bytes as drawn (more where its links need them); of a failing one, its 404's body."""
        cost = self.costs[number]
        if cost.fails:
            return NOT_FOUND
        rng, links = self.drawn(number)
        anchors = [site.anchor(self.url(link), link, rng) for link in links]
        mark = f"{_MARK.decode()}{cost.parse_ms:.3f} -->\n" if cost.parse_ms > 0 else ""
        made = site.document(number, len(self), anchors, cost.size_bytes, rng, self._stock, mark)
        missing = cost.size_bytes - len(made)
        return made[: -len(site.FOOT)] + b"\n" * missing + site.FOOT.encode() if missing > 0 else made

    def told(self, number: int) -> Told:
        """Return what the record of a page must tell."""
        if self.costs[number].fails:
            return Told(self.url(number), "failed", reason="http", status=404)
        links = [self.url(link) for link in self.drawn(number)[1]]
        return Told(
            self.url(number), "ok", status=200, sha256=sha256(self.body(number)).hexdigest(), links=links
        )


#: The body of every 404.
NOT_FOUND = b"<!DOCTYPE html>\n<title>Not found</title>\n<p>There is no such page.</p>\n"


def scheme(workload: Workload) -> str:
    """Return `http` or `https`."""
    return "https" if workload.tls else "http"


def host(workload: Workload, number: int) -> str:
    """Return the name of the host that a page lives on."""
    return f"h{number % workload.hosts + 1}.{DOMAIN}"


def origin(workload: Workload, number: int) -> str:
    """Return scheme and host of a page, without a slash."""
    return f"{scheme(workload)}://{host(workload, number)}"


def path(workload: Workload, number: int) -> str:
    """Return the path of a page on its host."""
    return "/" if number < workload.hosts else f"/p/{number:06d}.html"


def url(workload: Workload, number: int) -> str:
    """Return the canonical URL of a page."""
    return origin(workload, number) + path(workload, number)


def seeds(workload: Workload) -> tuple[str, ...]:
    """Return every host's index: what a trial's crawl is given."""
    return tuple(url(workload, number) for number in range(workload.hosts))


def resolve(workload: Workload, port: int) -> tuple[str, ...]:
    """Return the `NAME:PORT=ADDRESS:PORT` of every host for CRAWL_RESOLVE, where the site listens on `port`."""
    asked = 443 if workload.tls else 80
    return tuple(f"{host(workload, n)}:{asked}=127.0.0.1:{port}" for n in range(workload.hosts))


@lru_cache(maxsize=4)
def of(workload: Workload) -> Pages:
    """Return the pages of a workload; kept, because costs and tree are worth keeping."""
    return Pages(workload)


def render(workload: Workload, number: int) -> bytes:
    """Return the HTML of page `number`, or the body of its 404."""
    return of(workload).body(number)


def expected(workload: Workload) -> tuple[int, str]:
    """Return how many records a whole crawl of the site leaves, and the digest its audit must give."""
    pages = of(workload)
    return len(pages), digest_of(pages.told(number) for number in range(len(pages)))


def check_size(workload: Workload) -> None:
    """Raise UsageError for a site that is too large to be held in memory."""
    total = sum(cost.size_bytes for cost in of(workload).costs)
    if total > MOST_BYTES:
        message = (
            f"workload '{workload.name}': its {workload.pages} pages have {total / 1e6:.0f} MB, which the site's "
            f"server holds in memory; expected at most {MOST_BYTES / 1e6:.0f} MB: fewer or smaller pages"
        )
        raise UsageError(message)


def marker(body: bytes) -> float:
    """Return the milliseconds of CPU time that a page wants its parse to burn, 0 for a page that says nothing."""
    start = body.find(_MARK, 0, _MARK_WITHIN)
    if start < 0:
        return 0.0
    start += len(_MARK)
    try:
        return float(body[start : body.index(b" -->", start, start + 20)])
    except ValueError:
        return 0.0
