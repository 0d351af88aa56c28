"""Where a site's sitemaps are (sitemaps.org): declared in its robots.txt, else in the usual place; pure, no I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from crawl import urls

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Most sitemaps read of one robots.txt.
MOST_DECLARED = 1000
#: Most sitemaps that the indexes of one crawl may list; what comes after is refused, so that a bomb of indexes ends.
MOST_LISTED = 50_000

#: A path that ends in `.xml` or `.xml.gz`, or says that it is one.
_PATH = re.compile(r"https?://[^/]*/[^?#]*(?:\.xml(?:\.gz)?(?:$|[?#])|sitemap)", re.IGNORECASE)


def is_one(url: str) -> bool:
    """Return whether a URL that a sitemap lists looks like a further sitemap; its answer will tell for certain."""
    return _PATH.match(url) is not None


def declared(origin: str, lines: Iterable[str]) -> list[str]:
    """Return the canonical URLs of a robots.txt's `Sitemap:` lines, each once; a relative one is read as a link is."""
    base = f"{origin}/robots.txt"
    found: dict[str, None] = {}
    for line in lines:
        target = urls.join(base, line.strip())
        if target is not None:
            found[target] = None
            if len(found) >= MOST_DECLARED:
                break
    return list(found)
