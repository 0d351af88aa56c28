"""What is read from an HTML tree (selectolax on Lexbor): links, title, description, canonical link, language, text.

Links come from elements only: never from scripts, comments or templates.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from selectolax.lexbor import LexborHTMLParser

from crawl.urls import MAX_URL_LENGTH, join, join_all
from worker.parse import directives
from worker.parse.document import Document
from worker.parse.nesting import bounded

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

#: Longest title, description and language kept, in characters.
MAX_TITLE = 1000
MAX_DESCRIPTION = 4000
MAX_LANG = 64
#: Elements with directives for robots that are kept of a page.
MAX_ROBOTS_METAS = 50

_ELEMENTS = "a[href],area[href],frame[src],iframe[src],link[href],base[href],meta[content],title"
#: `rel` words of a <link> that lead to a page.
_LINK_RELS = frozenset({"next", "prev", "canonical", "alternate"})
#: Longer references lead to no URL we admit (`crawl.urls.MAX_URL_LENGTH`); `data:` ones hold whole files.
MAX_REFERENCE = 2 * MAX_URL_LENGTH
_INVISIBLE = ["script", "style", "template", "title"]
#: Target of a <meta http-equiv=refresh> (WHATWG HTML section 4.2.5.3).
_REFRESH = re.compile(
    r"""^\s*[0-9.]+\s*[;,\s]\s*(?:url\s*=\s*)?(?:"([^"]*)|'([^']*)|(.*))""", re.IGNORECASE | re.DOTALL
)


def length_of(text: str) -> int:
    """Return the number of characters of a text, runs of white space counted as one, none at the ends."""
    return len(" ".join(text.split()))


class _Reading:
    """What one walk over the interesting elements collects."""

    def __init__(self) -> None:
        self.references: list[str] = []
        self.base: str | None = None
        self.title: str | None = None
        self.description: str | None = None
        self.canonical: str | None = None
        self.robots: list[tuple[str, str]] = []

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
        if name == "description":
            if self.description is None:
                self.description = _clean(content, MAX_DESCRIPTION)
        elif name and len(content) <= MAX_TITLE and directives.is_meant(name, content):
            if len(self.robots) < MAX_ROBOTS_METAS:
                self.robots.append((name, content))
        elif (attributes.get("http-equiv") or "").strip().lower() == "refresh":
            match = _REFRESH.match(content)
            target = match and (match[1] or match[2] or match[3])
            if target and target.strip():
                self.references.append(target)


def _clean(text: str | None, longest: int) -> str | None:
    cleaned = " ".join((text or "").split())
    return cleaned[:longest] or None


def read(url: str, text: str | bytes, charset: str, max_links: int) -> Document:
    """Return the document of a page given as text or as UTF-8 bytes."""
    tree = LexborHTMLParser(bounded(text))
    reading = _Reading()
    for node in tree.css(_ELEMENTS):
        reading.take(node)
    base = reading.base if reading.base is not None and len(reading.base) <= MAX_REFERENCE else None
    canonical = None
    if reading.canonical is not None and len(reading.canonical) <= MAX_REFERENCE:
        canonical = join((join(url, base) or url) if base else url, reading.canonical.strip())
    root = tree.root
    lang = _clean(root.attributes.get("lang"), MAX_LANG) if root is not None and root.tag == "html" else None
    references = [reference for reference in reading.references if len(reference) <= MAX_REFERENCE]
    tree.strip_tags(_INVISIBLE)
    body = tree.body
    return Document(
        title=reading.title,
        description=reading.description,
        canonical_link=canonical,
        lang=lang,
        text_length=length_of(body.text(separator=" ")) if body is not None else 0,
        links=join_all(url, references, base, max_links),
        charset=charset,
        robots_meta=reading.robots,
    )
