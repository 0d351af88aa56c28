"""The generated site of the benchmark: linked HTML pages, the same bytes for the same seed on every machine.

Page 0 is "/", page n is "/p/00nnnn.html". The first links of page n lead to pages 4n+1 .. 4n+4, so every page is
reachable from the index whatever the other links, which are drawn at random, are.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Pages of the acceptance run.
DEFAULT_PAGES = 4000
#: Distinct links of a page (fewer only where the site has fewer pages).
LINKS = 20
#: Smallest and largest page, bytes.
MIN_BYTES = 10_000
MAX_BYTES = 20_000
#: Links of a page that are not drawn: its children in the tree that makes every page reachable.
CHILDREN = 4
#: A page is filled up to at most this many bytes below its drawn size (the longest sentence is shorter than this).
SLACK = 400
#: How every page ends.
FOOT = "</main>\n</body>\n</html>\n"
_SENTENCES = 600
#: The robots.txt of every site of the lab.
ROBOTS = "User-agent: *\nAllow: /\n"

_TEXT = """
anchor archive autumn basin beacon border branch bridge canal candle canvas carbon castle cedar chalk channel
cipher circle cliff cloud coast copper coral cotton crater current dawn delta desert dune echo ember engine
estuary fabric falcon fern field flint forest fossil garden glacier granite gravel harbor harvest hazel hollow
horizon island ivory juniper kernel ladder lagoon lantern ledger lichen limestone linen marble marsh meadow
meridian mineral mirror moor mosaic nectar north oasis orchard osprey oxide paper pebble pepper pilot plateau
pollen prairie quarry quartz rafter ravine reed ridge river saffron sand sequoia shore signal silver slate
sparrow spruce stone summit tendril thicket thistle tide timber tundra valley velvet violet walnut willow
"""
_WORDS = _TEXT.split()


@dataclass(frozen=True)
class Site:
    """What is on disk: where, how many pages, how many bytes they have in all."""

    root: Path
    pages: int
    bytes: int


def page_path(number: int) -> str:
    """The URL path of a page."""
    return "/" if number == 0 else f"/p/{number:06d}.html"


def page_links(number: int, pages: int, rng: random.Random) -> list[int]:
    """The distinct pages one page links to, never itself: its children first, then drawn ones."""
    first = CHILDREN * number + 1
    children = [n for n in range(first, first + CHILDREN) if n < pages]
    return with_drawn(children, LINKS, number, pages, rng)


def with_drawn(first: Iterable[int], wanted: int, number: int, pages: int, rng: random.Random) -> list[int]:
    """Return `first` and then pages drawn at random, `wanted` distinct ones or all but `number` itself."""
    links = dict.fromkeys(first)
    while len(links) < min(wanted, pages - 1):
        target = rng.randrange(pages)
        if target != number:
            links[target] = None
    return list(links)


def page_html(number: int, pages: int, seed: int, sentences: list[str]) -> bytes:
    """One page. Depends on its arguments only, not on the pages made before it."""
    rng = random.Random(f"{seed}:{number}")
    size = rng.randint(MIN_BYTES + SLACK, MAX_BYTES)
    anchors = [anchor(page_path(n), n, rng) for n in page_links(number, pages, rng)]
    return document(number, pages, anchors, size, rng, sentences)


def anchor(address: str, number: int, rng: random.Random) -> str:
    """One link to page `number`."""
    return f'<li><a href="{address}">{rng.choice(_WORDS)} {number}</a></li>'


def document(
    number: int,
    pages: int,
    anchors: list[str],
    size: int,
    rng: random.Random,
    sentences: list[str],
    mark: str = "",
) -> bytes:
    """The HTML around the links of a page, filled to `size` bytes or up to `SLACK` less; `mark` goes into its head."""
    head = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{mark}<title>Page {number}: '
        f'{rng.choice(_WORDS)} {rng.choice(_WORDS)}</title>\n<meta name="description" content="Generated page '
        f'{number} of {pages}.">\n</head>\n<body>\n<h1>Page {number}</h1>\n<nav><ul>\n'
    )
    parts = [head, "\n".join(anchors), "\n</ul></nav>\n<main>\n"]
    length = sum(map(len, parts)) + len(FOOT)
    while length < size - SLACK:
        paragraph = f"<p>{rng.choice(sentences)} <em>{rng.choice(_WORDS)}</em> {rng.choice(sentences)}</p>\n"
        parts.append(paragraph)
        length += len(paragraph)
    parts.append(FOOT)
    return "".join(parts).encode("ascii")


def sentences(seed: int) -> list[str]:
    """The stock of sentences that the pages of one seed are filled with."""
    rng = random.Random(seed)
    made = []
    for _ in range(_SENTENCES):
        words = rng.choices(_WORDS, k=rng.randint(8, 16))
        made.append(" ".join(words).capitalize() + ".")
    return made


def generate(root: Path, pages: int = DEFAULT_PAGES, seed: int = 1) -> Site:
    """Write the site under `root`, with a robots.txt that allows everything."""
    stock = sentences(seed)
    (root / "p").mkdir(parents=True, exist_ok=True)
    total = 0
    for number in range(pages):
        body = page_html(number, pages, seed, stock)
        path = page_path(number)
        (root / ("index.html" if path == "/" else path[1:])).write_bytes(body)
        total += len(body)
    (root / "robots.txt").write_text(ROBOTS, encoding="ascii")
    return Site(root=root, pages=pages, bytes=total)
