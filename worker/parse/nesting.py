"""A bound on what a page's nesting may cost the parser.

A tree builder looks up through the open elements for each new one, so unclosed elements cost the square of their
number (100,000 nested `div`: 27 s), and it opens unclosed formatting elements (`b`, `font`) again in every new block,
so they cost memory the same way. Browsers cap the depth; Lexbor does not. A page past the bound is cut where it
passes it; ordinary pages, however long, stay far below.
"""

from __future__ import annotations

import re

#: Pages with fewer tags are never looked at: they cannot cost much.
FREE_TAGS = 2000
#: Most steps up the tree over the whole page; about a third of a second.
MAX_STEPS = 100_000_000
#: Most formatting elements opened again, about 100 bytes each.
MAX_REOPENED = 1_000_000
#: Identical formatting elements the tree builder keeps (WHATWG HTML section 13.2.4.3, "Noah's Ark").
_KEPT_ALIKE = 3

#: A tag may lack its end: else every "<" would scan to the end of the page in vain.
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)([^>]*)>?")
_TAG_BYTES = re.compile(rb"<(/?)([a-zA-Z][^\s/>]*)([^>]*)>?")
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
#: Their end tag is implied by the next one of their kind, so they do not nest by being left open.
_IMPLIED = frozenset(
    {
        "a",
        "p",
        "li",
        "dt",
        "dd",
        "option",
        "optgroup",
        "tr",
        "td",
        "th",
        "tbody",
        "thead",
        "tfoot",
        "colgroup",
    }
    | {"caption", "rp", "rt", "html", "head", "body"}
)
#: "a" is missing: an open one is closed by the next.
_FORMATTING = frozenset(
    {"b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"}
)


def bounded(text: str | bytes) -> str | bytes:
    """Return a page unchanged, or its beginning where the whole would cost the parser too much."""
    if (text.count("<") if isinstance(text, str) else text.count(b"<")) <= FREE_TAGS:
        return text
    cut = _cut(text)
    return text if cut is None else text[:cut]


class _Formatting:
    """The formatting elements left open, as the tree builder lists them."""

    def __init__(self) -> None:
        self._lists: dict[str, list[str]] = {}
        self._alike: dict[str, int] = {}
        self.count = 0

    def open(self, name: str, attributes: str) -> None:
        key = f"{name} {attributes}"
        if self._alike.get(key, 0) < _KEPT_ALIKE:
            self._alike[key] = self._alike.get(key, 0) + 1
            self._lists.setdefault(name, []).append(key)
            self.count += 1

    def close(self, name: str) -> None:
        listed = self._lists.get(name)
        if listed:
            self._alike[listed.pop()] -= 1
            self.count -= 1


def _cut(text: str | bytes) -> int | None:
    """Return where the cost passes a bound, or None."""
    formatting = _Formatting()
    opened: dict[str, int] = {}
    depth = steps = reopened = 0
    for match in _TAG.finditer(text) if isinstance(text, str) else _TAG_BYTES.finditer(text):
        slash, name, attributes = (
            one if isinstance(one, str) else one.decode("latin-1") for one in match.groups()
        )
        name = name.lower()
        if slash:
            if opened.get(name, 0):
                opened[name] -= 1
                depth -= 1
            if name in _FORMATTING:
                formatting.close(name)
            continue
        if name not in _VOID and name not in _IMPLIED:
            opened[name] = opened.get(name, 0) + 1
            depth += 1
        if name in _FORMATTING:
            formatting.open(name, attributes)
        steps += depth
        reopened += formatting.count
        if steps > MAX_STEPS or reopened > MAX_REOPENED:
            return match.start()
    return None
