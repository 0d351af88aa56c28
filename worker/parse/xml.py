"""Sitemaps, RSS and Atom, read in one pass (expat): constant memory, and what stands before an error counts.

Nothing outside the document is ever loaded and no entity is expanded: the first declaration of one ends the pass, and a
second one reads the document without its DOCTYPE. The second pass also mends what people get wrong: bare ampersands,
entities of HTML, control characters.
"""

from __future__ import annotations

import re
from html import escape
from html.entities import html5
from io import StringIO
from itertools import islice
from typing import TYPE_CHECKING, Protocol
from xml.parsers import expat

from crawl.urls import MAX_URL_LENGTH, join, join_all
from worker.parse import kinds
from worker.parse.document import Document

if TYPE_CHECKING:
    from collections.abc import Mapping

#: URLs read of one sitemap (sitemaps.org protocol).
MAX_SITEMAP_URLS = 50_000
#: Elements after which nothing more is read; a full sitemap has a quarter of that.
MAX_ELEMENTS = 1_000_000
#: Deepest nesting read; feeds have about ten.
MAX_DEPTH = 256
#: Longest text of an element kept, in characters: no URL or title is longer.
_MAX_TEXT = 2 * MAX_URL_LENGTH
#: More ampersands than this are not mended.
_MAX_MENDED = 500_000

_DOCTYPE = re.compile(r"<!DOCTYPE[^>\[]{0,1000}(?:\[[^\]]*+\]\s*+)?>", re.IGNORECASE)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_REFERENCE = re.compile(r"&(?:#(?:[0-9]{1,7}|[xX][0-9a-fA-F]{1,6});|([A-Za-z][A-Za-z0-9]{0,31};))?")
_XML_ENTITIES = frozenset({"amp;", "lt;", "gt;", "quot;", "apos;"})
#: `rel` words of an Atom link that lead to a page, or to the next part of the feed (RFC 5005).
_LINK_RELS = frozenset({"alternate", "canonical", "next", "prev", "previous"})


class _Stop(Exception):  # noqa: N818 - a signal, no error
    """Nothing more is wanted of the document."""


class _Declared(Exception):  # noqa: N818 - a signal, no error
    """The document declares entities."""


class _Kind(Protocol):
    """What is made of the elements of one kind of document. `path` ends with the element's own local name."""

    title: str | None
    description: str | None
    lang: str | None
    references: list[str]

    def start(self, path: list[str], own: bool, attributes: Mapping[str, str]) -> bool:
        """Begin an element; return whether its text is wanted. `own`: it has no prefix, or the root's."""

    def text(self, name: str, text: str) -> None:
        """Take the text of an element that was wanted."""

    def end(self, name: str) -> None:
        """End an element."""


class _Sitemap:
    """`urlset` and `sitemapindex` (sitemaps.org); image, news and video have names of their own and are passed over."""

    def __init__(self) -> None:
        self.title: str | None = None
        self.description: str | None = None
        self.lang: str | None = None
        self.references: list[str] = []

    def start(self, path: list[str], own: bool, attributes: Mapping[str, str]) -> bool:
        if path[-1] == "link" and attributes.get("rel") == "alternate" and "href" in attributes:
            # The same page in another language (xhtml:link).
            self._add(attributes["href"])
        return own and len(path) == 3 and path[-1] == "loc"

    def text(self, name: str, text: str) -> None:  # noqa: ARG002 - only `loc` is wanted
        self._add(text)

    def end(self, name: str) -> None:
        """Nothing ends here."""

    def _add(self, reference: str) -> None:
        self.references.append(reference)
        if len(self.references) >= MAX_SITEMAP_URLS:
            raise _Stop


class _Feed:
    """RSS 0.9x, 1.0 and 2.0, and Atom: the links of channel and entries, the channel's title and description."""

    _HOLDERS = frozenset({"channel", "feed", "item", "entry"})

    def __init__(self, base: str) -> None:
        self.title: str | None = None
        self.description: str | None = None
        self.lang: str | None = None
        self.references: list[str] = []
        self._bases = [base]
        self._guid: str | None = None
        self._linked = False

    def start(self, path: list[str], own: bool, attributes: Mapping[str, str]) -> bool:
        # One base per open element; the root has the document's.
        base = attributes.get("xml:base")
        self._bases.append((join(self._bases[-1], base) if base else None) or self._bases[-1])
        name = path[-1]
        if len(path) == 1:
            self.lang = attributes.get("xml:lang")
            return False
        if path[-2] not in self._HOLDERS:
            return False
        if name in ("item", "entry"):
            self._guid, self._linked = None, False
        elif name == "link":
            return self._link(attributes, own)
        elif name == "guid":
            return attributes.get("isPermaLink", "true").lower() != "false"
        return path[-2] in ("channel", "feed") and (
            name == "language" or (own and name in ("title", "description", "subtitle"))
        )

    def _link(self, attributes: Mapping[str, str], own: bool) -> bool:
        href = attributes.get("href")
        if href is None:
            return own
        if attributes.get("rel", "alternate").lower() in _LINK_RELS:
            self._add(href)
        return False

    def text(self, name: str, text: str) -> None:
        if name == "link":
            self._add(text)
        elif name == "guid":
            self._guid = text
        elif name == "title":
            self.title = self.title or text
        elif name == "language":
            self.lang = self.lang or text
        else:
            self.description = self.description or text

    def end(self, name: str) -> None:
        self._bases.pop()
        if name in ("item", "entry") and not self._linked and self._guid:
            self._add(self._guid)

    def _add(self, reference: str) -> None:
        self._linked = True
        reference = reference.strip()
        target = join(self._bases[-1], reference) if reference and len(reference) <= _MAX_TEXT else None
        if target is not None:
            self.references.append(target)


class _Pass:
    """One pass of the parser over a document."""

    def __init__(self, kind: _Kind) -> None:
        self._kind = kind
        self._path: list[str] = []
        self._prefix = ""
        self._parts: list[str] | None = None
        self._length = self._elements = 0
        self._parser = parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.EntityDeclHandler = self._declared

    def run(self, document: bytes) -> bool:
        """Read a document; return False where it is not well-formed or declares entities."""
        try:
            self._parser.Parse(document, True)
        except _Stop:
            return True
        except (expat.ExpatError, _Declared):
            return False
        return True

    def _declared(self, *_: object) -> None:
        raise _Declared

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        prefix, _, local = name.rpartition(":")
        self._elements += 1
        if self._elements > MAX_ELEMENTS or len(self._path) >= MAX_DEPTH:
            raise _Stop
        if not self._path:
            self._prefix = prefix
        self._path.append(local)
        wanted = self._kind.start(self._path, prefix in ("", self._prefix), attributes)
        self._parts = [] if wanted else None
        self._length = 0

    def _characters(self, text: str) -> None:
        if self._parts is not None and self._length <= _MAX_TEXT:
            self._parts.append(text)
            self._length += len(text)

    def _end(self, _: str) -> None:
        name = self._path.pop()
        if self._parts is not None:
            self._kind.text(name, "".join(self._parts).strip())
            self._parts = None
        self._kind.end(name)


def read(url: str, text: str | bytes, charset: str, kind: str, max_links: int) -> Document:
    """Return the document of a sitemap or feed given as text or as UTF-8 bytes."""
    made = _made(url, text, kind)
    references = [reference for reference in made.references if len(reference) <= _MAX_TEXT]
    return Document(
        title=_clean(made.title, 1000),
        description=_clean(made.description, 4000),
        lang=_clean(made.lang, 64),
        links=join_all(url, references, None, MAX_SITEMAP_URLS if kind == kinds.SITEMAP else max_links),
        charset=charset,
        kind=kind,
    )


def _made(url: str, text: str | bytes, kind: str) -> _Kind:
    first = _new(url, kind)
    if _Pass(first).run(
        text.lstrip() if isinstance(text, bytes) else text.lstrip().encode("utf-8", "replace")
    ):
        return first
    mended = _mended(text if isinstance(text, str) else text.decode())
    if mended is None:
        return first
    second = _new(url, kind)
    _Pass(second).run(mended.encode("utf-8", "replace"))
    return second if len(second.references) >= len(first.references) else first


def _new(url: str, kind: str) -> _Kind:
    return _Sitemap() if kind == kinds.SITEMAP else _Feed(url)


def _mended(text: str) -> str | None:
    """Return a document without DOCTYPE and control characters, all ampersands right; None where that is too dear."""
    if text.count("&") > _MAX_MENDED:
        return None
    text = _CONTROL.sub("", _DOCTYPE.sub("", text, count=1)).lstrip()
    first, *others = text.split("<![CDATA[")
    parts = [_REFERENCE.sub(_reference, first)]
    for other in others:
        # Inside CDATA an ampersand is only that.
        inside, end, behind = other.partition("]]>")
        parts += ["<![CDATA[", inside, end, _REFERENCE.sub(_reference, behind)]
    return "".join(parts)


def _reference(match: re.Match[str]) -> str:
    whole, name = match[0], match[1]
    if name in _XML_ENTITIES:
        return whole
    if name is not None:
        return escape(html5.get(name) or f"&{name}", quote=False)
    if whole == "&":
        return "&amp;"
    number = int(whole[3:-1], 16) if whole[2] in "xX" else int(whole[2:-1])
    allowed = number in (9, 10, 13) or 0x20 <= number <= 0xD7FF or 0xE000 <= number <= 0x10FFFF
    return whole.replace("X", "x", 1) if allowed and number not in (0xFFFE, 0xFFFF) else ""


def _clean(text: str | None, longest: int) -> str | None:
    return " ".join((text or "").split())[:longest] or None


def urls_in(text: str) -> list[str] | None:
    """Return the lines of a text sitemap (sitemaps.org: URLs and nothing else), or None where it is another text."""
    lines = (line.strip() for line in StringIO(text))
    found = list(islice((line for line in lines if line), MAX_SITEMAP_URLS))
    if not found or not all(line.startswith(("http://", "https://")) for line in found[:100]):
        return None
    return [line for line in found if len(line) <= _MAX_TEXT]
