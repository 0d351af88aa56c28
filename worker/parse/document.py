"""What is read from one page."""

from __future__ import annotations

import msgspec


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One parsed page. `links` are canonical URLs in document order, each once; `charset` is the one that was used."""

    title: str | None = None
    description: str | None = None
    canonical_link: str | None = None
    lang: str | None = None
    text_length: int | None = None
    links: list[str] = []
    charset: str | None = None
