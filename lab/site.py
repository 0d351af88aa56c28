"""The generated site of the benchmark: linked HTML pages, the same bytes for the same seed on every machine.

Page 0 is "/", page n is "/p/00nnnn.html". The first links of page n lead to pages 4n+1 .. 4n+4, so every page is
reachable from the index whatever the other links, which are drawn at random, are.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
_SLACK = 400
_SENTENCES = 600

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
    wanted = min(LINKS, pages - 1)
    first = CHILDREN * number + 1
    links = dict.fromkeys(n for n in range(first, first + CHILDREN) if n < pages)
    while len(links) < wanted:
        target = rng.randrange(pages)
        if target != number:
            links[target] = None
    return list(links)


def page_html(number: int, pages: int, seed: int, sentences: list[str]) -> bytes:
    """One page. Depends on its arguments only, not on the pages made before it."""
    rng = random.Random(f"{seed}:{number}")
    size = rng.randint(MIN_BYTES + _SLACK, MAX_BYTES)
    anchors = [
        f'<li><a href="{page_path(n)}">{rng.choice(_WORDS)} {n}</a></li>'
        for n in page_links(number, pages, rng)
    ]
    head = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Page {number}: '
        f'{rng.choice(_WORDS)} {rng.choice(_WORDS)}</title>\n<meta name="description" content="Generated page '
        f'{number} of {pages}.">\n</head>\n<body>\n<h1>Page {number}</h1>\n<nav><ul>\n'
    )
    parts = [head, "\n".join(anchors), "\n</ul></nav>\n<main>\n"]
    foot = "</main>\n</body>\n</html>\n"
    length = sum(map(len, parts)) + len(foot)
    while length < size - _SLACK:
        paragraph = f"<p>{rng.choice(sentences)} <em>{rng.choice(_WORDS)}</em> {rng.choice(sentences)}</p>\n"
        parts.append(paragraph)
        length += len(paragraph)
    parts.append(foot)
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
    (root / "robots.txt").write_text("User-agent: *\nAllow: /\n", encoding="ascii")
    return Site(root=root, pages=pages, bytes=total)
