"""What a page and its headers ask of robots: `<meta name=robots>` and `X-Robots-Tag`. Pure.

Neither is part of RFC 9309; search engines document them alike. Of several, all count: the stricter one wins.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: The directives that are one word; those with a value (`unavailable_after`, `max-snippet` and its like) say nothing
#: to a crawler that shows nothing, and are passed over.
WORDS = frozenset(
    {
        "all",
        "index",
        "follow",
        "none",
        "noindex",
        "nofollow",
        "noarchive",
        "nocache",
        "nosnippet",
        "notranslate",
    }
    | {"noimageindex", "indexifembedded", "nositelinkssearchbox", "noodp", "noydir", "noai", "noimageai"}
)
_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_TOKEN = re.compile(r"\s*([a-z_-]+)\s*")


def is_meant(name: str, content: str) -> bool:
    """Return whether a `<meta>` with this name may hold directives, for robots in general or for one of them."""
    if name == "robots":
        return True
    # Every word that asks for something has these letters; most other elements are passed over by that alone.
    lower = content.lower()
    return "no" in lower and _TOKEN.fullmatch(name) is not None and any(_words(lower))


def applying(metas: Iterable[tuple[str, str]], header: str | None, token: str) -> list[str]:
    """Return the directives that apply to us, in lower case, each once.

    `metas` are (name, content) of a page's `<meta>` elements, `header` its X-Robots-Tag (one line for each), `token`
    our product token.
    """
    found: dict[str, None] = {}
    for name, content in metas:
        if name in ("robots", token):
            found.update(dict.fromkeys(_words(content.lower())))
    for line in (header or "").lower().split("\n"):
        found.update(dict.fromkeys(_addressed(line, token)))
    return list(found)


def _words(text: str) -> Iterator[str]:
    for piece in text.split(","):
        if piece.partition(":")[0].strip() not in _VALUED:
            yield from (word for word in piece.split() if word in WORDS)


def _addressed(line: str, token: str) -> Iterator[str]:
    """Yield the directives of one header; a robot's name before a colon counts until the next one."""
    ours = True
    for piece in line.split(","):
        name, colon, rest = piece.partition(":")
        match = _TOKEN.fullmatch(name) if colon and name.strip() not in _VALUED else None
        if match:
            ours = match[1] in ("robots", token)
        if ours:
            yield from _words(rest if match else piece)
