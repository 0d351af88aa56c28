"""What is read from one page."""

from __future__ import annotations

from typing import Any

import msgspec


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One parsed page. `links` are canonical URLs in document order, each once; `charset` is the one that was used.

    `kind` is what was read (`html`, `text`, `sitemap`, `feed`), `robots` the directives that apply to us, `data` what
    extraction rules found. `robots_meta` are (name, content) of the `<meta>` elements that hold such directives.
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
