"""What is read from one page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from crawl.urls import drop_query

if TYPE_CHECKING:
    from collections.abc import Container


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One parsed page. `links` are canonical URLs in document order, each once; `charset` is the one that was used.

    `kind` is what was read (`html`, `text`, `sitemap`, `feed`), `robots` the directives that apply to us, `data` what
    extraction rules found.
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

    def without_parameters(self, dropped: Container[str]) -> Document:
        """Return it with these query parameters left out of its links and canonical link (`--drop-query`)."""
        canonical = self.canonical_link
        return msgspec.structs.replace(
            self,
            links=list(dict.fromkeys(drop_query(link, dropped) for link in self.links)),
            canonical_link=canonical and drop_query(canonical, dropped),
        )
