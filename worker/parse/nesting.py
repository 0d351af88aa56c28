"""A bound on what a page's tree may cost the parser, in time and memory.

A tree builder looks up through the open elements for each new one, so unclosed elements cost the square of their
number (100,000 nested `div`: 27 s), and it opens unclosed formatting elements (`b`, `font`) again in every new block,
so they cost memory the same way. It compares each attribute with those before it (a million in one tag: minutes), and
an element of three bytes (`<p>`) takes two hundred in the tree. Browsers cap the depth; Lexbor does not. A page past
the bound is cut where it passes it; ordinary pages, however long, stay far below.
"""

from __future__ import annotations

import re

#: Pages with fewer tags are never looked at: they cannot cost much.
FREE_TAGS = 2000
#: Most steps up the tree over the whole page; about a third of a second.
MAX_STEPS = 100_000_000
#: Most formatting elements opened again, about 100 bytes each.
MAX_REOPENED = 1_000_000
#: Most memory of a tree, and what its parts take, in bytes (measured; an element with the text behind it, an
#: attribute with what reading a link needs, any other `<`).
MAX_TREE_BYTES = 180_000_000
_ELEMENT_BYTES = 300
_ATTRIBUTE_BYTES = 300
#: An end tag takes no room, but a look.
_END_BYTES = 80
#: Shorter pages cannot have a tree that large, in characters or bytes.
FREE_BYTES = 500_000
#: Most attributes of one element, and of the `html` and `body` tags together; shorter pages than `FREE_LENGTH`
#: (characters or bytes) are not looked at for it.
MAX_ATTRIBUTES = 500
FREE_LENGTH = 1 << 16
#: Identical formatting elements the tree builder keeps (WHATWG HTML section 13.2.4.3, "Noah's Ark").
_KEPT_ALIKE = 3

#: A tag may lack its end: else every "<" would scan to the end of the page in vain. Comments and the like count as
#: elements: they take as much room.
_TAG = re.compile(r"<(/?)([a-zA-Z!?][^\s/>]*)([^>]*)>?")
#: One attribute, as the tokenizer reads it (WHATWG HTML sections 13.2.5.32 to 13.2.5.39).
_ATTRIBUTE = r"""[\s/]*+(?:=[^\s/>=]*+|[^\s/>=]++)(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>"'][^\s>]*+)?+)?+"""
_ONE_ATTRIBUTE = re.compile(_ATTRIBUTE)
#: Everything up to the first tag with too many attributes; possessive, so that it takes no memory.
_ORDERLY = re.compile(
    rf"(?:[^<]++|<(?![a-zA-Z])|<[a-zA-Z][^\s/>]*+(?:{_ATTRIBUTE}){{0,{MAX_ATTRIBUTES}}}+(?!{_ATTRIBUTE}))*+"
)
#: What a script holds only looks like tags; but in a drawing or formula a script is an element like any other.
_RAW = (("<script", "</script"), ("<style", "</style"))
_FOREIGN = (("<svg", "</svg"), ("<math", "</math"))
#: Scripts that look like crowded tags and are passed over.
_MAX_RAW = 100
#: Elements without an end.
VOID = frozenset(
    {"area", "base", "br", "col", "embed", "frame", "hr", "img", "input", "link", "meta", "param", "source"}
    | {"track", "wbr"}
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
        "tr",
        "td",
        "th",
        "tbody",
        "thead",
        "tfoot",
        "colgroup",
    }
    | {"caption", "html", "head", "body"}
)
#: Their attributes join those of the one that is there.
_MERGED = frozenset({"html", "body"})
#: Their end tags make an element where none is open; what closes a `p` is counted too.
_MADE_BY_END = frozenset({"p", "br"})
#: "a" is missing: an open one is closed by the next.
_FORMATTING = frozenset(
    {"b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"}
)


def bounded(text: str | bytes) -> str | bytes:
    """Return a page unchanged, or its beginning where the whole would cost the parser too much."""
    if len(text) <= FREE_LENGTH and _tags(text) <= FREE_TAGS:
        return text
    # Byte for byte: tags are ASCII, and a position is one in the bytes too.
    seen = text if isinstance(text, str) else text.decode("latin-1")
    crowded = _crowded(seen) if len(seen) > FREE_LENGTH else None
    if crowded is not None:
        seen = seen[:crowded]
    cut = _cut(seen) if _tags(seen) > FREE_TAGS else None
    return text[:crowded] if cut is None else text[:cut]


def _tags(text: str | bytes) -> int:
    return text.count("<") if isinstance(text, str) else text.count(b"<")


def _crowded(text: str) -> int | None:
    """Return where the first tag with too many attributes begins, or None."""
    start = 0
    for _ in range(_MAX_RAW):
        match = _ORDERLY.match(text, start)
        assert match is not None
        if match.end() == len(text):
            return None
        end = _raw_end(text, match.end())
        if end is None:
            return match.end()
        start = end
    return start


def _raw_end(text: str, position: int) -> int | None:
    """Return where the script or style ends that a position lies in, or None where it lies in none."""
    lower = text[:position].lower()
    for opening, closing in _FOREIGN:
        if lower.rfind(opening) > lower.rfind(closing):
            return None
    for opening, closing in _RAW:
        if lower.rfind(opening) > lower.rfind(closing):
            end = re.compile(closing, re.IGNORECASE).search(text, position)
            return end.start() if end is not None else len(text)
    return None


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


def _cut(text: str) -> int | None:
    """Return where the cost passes a bound, or None."""
    formatting = _Formatting()
    opened: dict[str, int] = {}
    depth = steps = reopened = size = merged = 0
    weighed = len(text) > FREE_BYTES
    for match in _TAG.finditer(text):
        slash, name, attributes = match.groups()
        name = name.lower()
        if slash:
            if opened.get(name, 0):
                opened[name] -= 1
                depth -= 1
            if name in _FORMATTING:
                formatting.close(name)
            size += _ELEMENT_BYTES if name in _MADE_BY_END else _END_BYTES
            continue
        if name not in VOID and name not in _IMPLIED and name[0] not in "!?":
            opened[name] = opened.get(name, 0) + 1
            depth += 1
        elif name in _MERGED:
            merged += _count(attributes)
        if name in _FORMATTING:
            formatting.open(name, attributes)
        if weighed:
            size += _ELEMENT_BYTES + _ATTRIBUTE_BYTES * _count(attributes)
        steps += depth
        reopened += formatting.count
        if steps > MAX_STEPS or reopened > MAX_REOPENED or size > MAX_TREE_BYTES or merged > MAX_ATTRIBUTES:
            return match.start()
    return None


def _count(attributes: str) -> int:
    """Return about how many attributes a tag has; few have none with a value."""
    count = attributes.count("=")
    if len(attributes) > 16 + 32 * count:
        return sum(1 for _ in _ONE_ATTRIBUTE.finditer(attributes))
    return count
