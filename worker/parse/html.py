"""What is read from an HTML tree (selectolax on Lexbor): links, title, description, canonical link, language, text.

Links come from elements only: never from scripts, comments, templates or `srcdoc`. Scripting is off, so what stands in
`noscript` is there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from selectolax.lexbor import LexborHTMLParser

from crawl.urls import MAX_URL_LENGTH, join, join_all
from worker.parse import directives, kinds, maintext, metadata
from worker.parse.document import Document, Extracted, Page
from worker.parse.nesting import VOID, bounded

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

    from worker.parse.document import Extract

#: Longest title, description and language kept, in characters.
MAX_TITLE = 1000
MAX_DESCRIPTION = 4000
MAX_LANG = 64
#: Elements with directives for robots that are kept of a page.
MAX_ROBOTS_METAS = 50

_ELEMENTS = "a[href],area[href],frame[src],iframe[src],link[href],base[href],meta[content],title"
#: The same where the page may hold JSON-LD: looking at every script is not for those that do not.
_WITH_JSON_LD = _ELEMENTS + ',script[type="application/ld+json" i]'
#: `rel` words of a <link> that lead to a page.
_LINK_RELS = frozenset({"next", "prev", "canonical", "alternate"})
#: Longer references lead to no URL we admit (`crawl.urls.MAX_URL_LENGTH`); `data:` ones hold whole files.
MAX_REFERENCE = 2 * MAX_URL_LENGTH
_INVISIBLE = ["script", "style", "template", "title"]
#: Target of a <meta http-equiv=refresh> (WHATWG HTML section 4.2.5.3).
_REFRESH = re.compile(
    r"""^\s*[0-9.]+\s*[;,\s]\s*(?:url\s*=\s*)?(?:"([^"]*)|'([^']*)|(.*))""", re.IGNORECASE | re.DOTALL
)


#: Characters of a text that are looked at together.
_PIECE = 1 << 16
#: XML's way to end an element at once, which HTML knows of void elements only; XML has no "<" in an attribute.
_SELF_CLOSING = re.compile(r"""<([A-Za-z][\w:.-]*+)((?:[^<>"'/]++|"[^"<]*+"|'[^'<]*+'|/(?!>))*+)/>""")
#: Such elements of one page that are rewritten.
_MAX_SELF_CLOSING = 200_000


def length_of(text: str) -> int:
    """Return the number of characters of a text, runs of white space counted as one, none at the ends."""
    if len(text) <= _PIECE:
        return len(" ".join(text.split()))
    # In pieces: the words of ten million characters, each an object, would take hundreds of megabytes.
    characters = words = 0
    inside = False
    for start in range(0, len(text), _PIECE):
        piece = text[start : start + _PIECE]
        found = piece.split()
        characters += sum(map(len, found))
        # A word that lies across the cut was counted already.
        words += len(found) - (1 if inside and not piece[0].isspace() else 0)
        inside = not piece[-1].isspace()
    return characters + max(words - 1, 0)


class _Reading:
    """What one walk over the interesting elements collects."""

    def __init__(self) -> None:
        self.references: list[str] = []
        self.base: str | None = None
        self.title: str | None = None
        self.description: str | None = None
        self.canonical: str | None = None
        self.robots: list[tuple[str, str]] = []
        self.lang: str | None = None
        self.open_graph = metadata.OpenGraph()
        self.json_ld: list[str] = []

    def take(self, node: LexborNode) -> None:
        tag = node.tag
        attributes = node.attributes
        if tag in ("a", "area"):
            self.references.append(attributes.get("href") or "")
        elif tag == "link":
            self._link(attributes.get("href") or "", attributes.get("rel") or "")
        elif tag == "meta":
            self._meta(attributes)
        elif tag == "title":
            # An <svg> has titles of its own.
            if self.title is None and (node.parent is None or node.parent.tag != "svg"):
                self.title = _clean(node.text(), MAX_TITLE)
        elif tag == "base":
            if self.base is None:
                self.base = attributes.get("href") or ""
        elif tag == "script":
            self.json_ld.append(node.text())
        else:
            self.references.append(attributes.get("src") or "")

    def _link(self, href: str, rel: str) -> None:
        words = rel.lower().split()
        if "stylesheet" in words or _LINK_RELS.isdisjoint(words):
            return
        self.references.append(href)
        if self.canonical is None and "canonical" in words:
            self.canonical = href

    def _meta(self, attributes: dict[str, str | None]) -> None:
        content = attributes.get("content") or ""
        name = (attributes.get("name") or "").strip().lower()
        prop = (attributes.get("property") or name).strip().lower()
        if prop.startswith("og:"):
            self.open_graph.add(prop, content)
        if name == "description":
            if self.description is None:
                self.description = _clean(content, MAX_DESCRIPTION)
        elif name and len(content) <= MAX_TITLE and directives.is_meant(name, content):
            if len(self.robots) < MAX_ROBOTS_METAS:
                self.robots.append((name, content))
        elif "http-equiv" in attributes:
            self._pragma((attributes["http-equiv"] or "").strip().lower(), content)

    def _pragma(self, name: str, content: str) -> None:
        if name == "refresh":
            match = _REFRESH.match(content[: MAX_REFERENCE + 100])
            target = match and (match[1] or match[2] or match[3])
            if target and target.strip():
                self.references.append(target)
        elif name == "content-language" and self.lang is None and "," not in content:
            # Several languages say nothing about this page's (WHATWG HTML section 4.2.5.3).
            self.lang = content


def _clean(text: str | None, longest: int) -> str | None:
    cleaned = " ".join((text or "").split())
    return cleaned[:longest] or None


def _may_hold_json_ld(text: str | bytes) -> bool:
    # The plus alone is found, or found missing, ten times as fast.
    if isinstance(text, str):
        return "+" in text and "ld+json" in text
    return b"+" in text and b"ld+json" in text


def opened(text: str) -> str:
    """Return a page in XML's spelling with every element that ends at once ended as HTML ends it."""
    return _SELF_CLOSING.sub(
        lambda tag: tag[0] if tag[1].lower() in VOID else f"<{tag[1]}{tag[2]}></{tag[1]}>",
        text,
        count=_MAX_SELF_CLOSING,
    )


def read(
    url: str,
    text: str | bytes,
    charset: str,
    max_links: int,
    *,
    extract: Extract | None = None,
    main_text: bool = False,
) -> Document:
    """Return the document of a page given as text or as UTF-8 bytes.

    `extract` is given the whole tree, before anything is taken out of it, and returns `Document.data`. `main_text`
    fills `Document.text`.
    """
    text = bounded(text)
    document = _read(url, text, charset, max_links, extract)
    if main_text:
        # Only now, when the first tree is gone: two of a long page would not fit into the memory a page may take.
        return msgspec.structs.replace(document, text=maintext.main_text(text))
    return document


def _read(url: str, text: str | bytes, charset: str, max_links: int, extract: Extract | None) -> Document:
    tree = LexborHTMLParser(text)
    reading = _Reading()
    for node in tree.css(_WITH_JSON_LD if _may_hold_json_ld(text) else _ELEMENTS):
        reading.take(node)
    base = reading.base if reading.base is not None and len(reading.base) <= MAX_REFERENCE else None
    canonical = None
    if reading.canonical is not None and len(reading.canonical) <= MAX_REFERENCE:
        canonical = join((join(url, base) or url) if base else url, reading.canonical.strip())
    extracted = Extracted({})
    if extract is not None:
        extracted = extract(Page(url, (join(url, base) or url) if base else url, tree))
    root = tree.root
    own = root.attributes if root is not None and root.tag == "html" else {}
    references = [reference for reference in reading.references if len(reference) <= MAX_REFERENCE]
    tree.strip_tags(_INVISIBLE)
    body = tree.body
    return Document(
        title=reading.title,
        description=reading.description,
        canonical_link=canonical,
        lang=_clean(own.get("lang") or own.get("xml:lang") or reading.lang, MAX_LANG),
        text_length=length_of(body.text(separator=" ")) if body is not None else 0,
        links=join_all(url, references, base, max_links),
        charset=charset,
        robots_meta=reading.robots,
        kind=kinds.HTML,
        open_graph=reading.open_graph.found,
        json_ld=metadata.json_ld(reading.json_ld) if reading.json_ld else [],
        data=extracted.data,
        detail=extracted.detail,
    )
