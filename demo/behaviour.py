"""One page of the site that is named after its behaviour, and its record in a correct crawl."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from demo.chance import Dice, ordinary_latency
from demo.page import Link, Page, document, page
from demo.prose import paragraphs

if TYPE_CHECKING:
    from collections.abc import Callable

    from demo.hosts import Host

#: Outcome and reason of a page record.
Verdict = tuple[str, str | None]

OK: Verdict = ("ok", None)
REDIRECT: Verdict = ("redirect", None)
HTTP: Verdict = ("failed", "http")
REDIRECTS: Verdict = ("failed", "redirects")
TOO_LARGE: Verdict = ("failed", "too_large")
NOT_READ: Verdict = ("skipped", "content_type")
DENIED: Verdict = ("skipped", "robots")

BACK = Link("http://alpha.demo.test/behaviours", "all behaviours")


class Behaviour(NamedTuple):
    """One page: where, what it does in a few words, its record, and how it is built from the seed.

    Unlisted pages are reached through others only (redirects). `verdict` None says a crawl never asks for it.
    """

    host: Host
    path: str
    what: str
    verdict: Verdict | None
    build: Callable[[int], Page]
    listed: bool = True
    title: str | None = None

    @property
    def url(self) -> str:
        """Canonical URL."""
        return self.host.origin + self.path


def plain(
    seed: int, url: str, title: str, links: tuple[Link, ...] = (), head: str = '<meta charset="utf-8">'
) -> str:
    """Return the markup of a short page about one behaviour."""
    dice = Dice(seed, "behaviour", url)
    return document(title, paragraphs(dice, dice.between(2, 6)), [*links, BACK], head=head, description=title)


def answer(
    host: Host,
    path: str,
    what: str,
    verdict: Verdict | None = OK,
    shape: Callable[[str, float], Page] | None = None,
    links: tuple[Link, ...] = (),
    listed: bool = True,
) -> Behaviour:
    """Return a behaviour around a short page: `shape` makes the answer from its markup and latency."""
    url = host.origin + path

    def build(seed: int) -> Page:
        markup, latency_s = plain(seed, url, what, links), ordinary_latency(seed, url)
        return shape(markup, latency_s) if shape else page(markup, latency_s=latency_s)

    return Behaviour(host, path, what, verdict, build, listed, what if verdict == OK else None)
