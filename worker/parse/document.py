"""What is read from one page, and what a crawl wants read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from crawl.urls import drop_query

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from selectolax.lexbor import LexborHTMLParser


class Page(NamedTuple):
    """What extraction is given: the page's URL, the base its references are joined with, and its whole tree."""

    url: str
    base: str
    tree: LexborHTMLParser


class Extracted(NamedTuple):
    """What extraction found, and what a person should know about it: one sentence or None."""

    data: dict[str, Any]
    detail: str | None = None


#: Extraction, ready to be used on a page's whole tree.
Extract: TypeAlias = "Callable[[Page], Extracted]"


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One parsed page. `links` are canonical URLs in document order, each once; `charset` is the one that was used.

    `kind` is what was read (`html`, `text`, `sitemap`, `feed`; None for XML that is none of these, and for bytes that
    are no text), `robots` the directives that apply to us, `data` what extraction rules found. `robots_meta`
    are (name, content) of the `<meta>` elements that hold such directives; `detail` is what extraction has to say.
    """

    title: str | None = None
    description: str | None = None
    canonical_link: str | None = None
    lang: str | None = None
    text_length: int | None = None
    links: list[str] = []
    charset: str | None = None
    kind: str | None = None
    robots: list[str] = []
    open_graph: dict[str, Any] = {}
    json_ld: list[Any] = []
    text: str | None = None
    data: dict[str, Any] = {}
    robots_meta: list[tuple[str, str]] = []
    detail: str | None = None

    def without_parameters(self, dropped: Container[str]) -> Document:
        """Return it with these query parameters left out of its links and canonical link (`--drop-query`)."""
        canonical = self.canonical_link
        return msgspec.structs.replace(
            self,
            links=list(dict.fromkeys(drop_query(link, dropped) for link in self.links)),
            canonical_link=canonical and drop_query(canonical, dropped),
        )


class Reading(NamedTuple):
    """What a crawl wants of its pages beyond the ordinary; made once per crawl and process.

    `main_text` fills `Document.text`. `extract` is given each HTML page's whole tree and fills `Document.data`.
    `max_bytes` caps what a compressed sitemap may unpack to.
    """

    main_text: bool = False
    extract: Extract | None = None
    max_bytes: int = 10 * 1024 * 1024


#: Links, title and the like; nothing that costs more.
ORDINARY = Reading()
