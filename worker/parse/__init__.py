"""From bytes to a document: character coding, links, title, text and more. Pure; no Celery, no Redis, no network.

May import `crawl` and itself. `kinds` decides what is read and as what, `charset` and `encoding` how bytes become text;
`html` and `xml` read the trees, `metadata` and `maintext` what only some pages or crawls have.
"""

from __future__ import annotations

import zlib

from crawl.errors import FetchError, FinalFetchError
from crawl.urls import join_all
from worker.parse import charset as charsets
from worker.parse import html, kinds, maintext, xml
from worker.parse.document import ORDINARY, Document, Reading

__all__ = ["Document", "Reading", "parse"]


def parse(
    url: str,
    body: bytes,
    content_type: str | None,
    charset: str | None,
    max_links: int,
    *,
    reading: Reading = ORDINARY,
    sitemap: bool = False,
) -> Document:
    """Return what a page says; any bytes give a document.

    `url` is the page's canonical URL, `charset` the label of its Content-Type header; `sitemap` says that a sitemap or
    robots.txt led here, so that a text of nothing but URLs is one. Raises FinalFetchError: `decode` and `too_large` for
    a compressed sitemap, `parse` only when the parser itself fails.
    """
    try:
        if kinds.packed(body, content_type):
            return _xml(url, _unpacked(body, reading.max_bytes), None, max_links, reading)
        if kinds.is_xml(content_type) or kinds.is_disguised(body):
            return _xml(url, body, charset, max_links, reading)
        if content_type == "text/plain":
            return _text(url, body, charset, reading, sitemap)
        if content_type is None and kinds.is_binary(body):
            return Document()
        name, text = charsets.decode(body, charset, "xml" if kinds.is_xhtml(content_type) else "html")
        return _html(url, text, name, max_links, reading, xhtml=kinds.is_xhtml(content_type))
    except FetchError:
        raise
    except Exception as error:
        raise FinalFetchError("parse", f"The parser failed: {type(error).__name__}: {error}"[:300]) from error


def _html(
    url: str, text: str | bytes, name: str, max_links: int, reading: Reading, *, xhtml: bool
) -> Document:
    if xhtml:
        text = html.opened(_str(text))
    return html.read(url, text, name, max_links, extract=reading.extract, main_text=reading.main_text)


def _text(url: str, body: bytes, charset: str | None, reading: Reading, sitemap: bool) -> Document:
    name, text = charsets.decode(body, charset, "text")
    plain = _str(text)
    found = xml.urls_in(plain) if sitemap else None
    if found is not None:
        links = join_all(url, found, None, xml.MAX_SITEMAP_URLS)
        return Document(links=links, charset=name, kind=kinds.SITEMAP)
    return Document(
        text_length=html.length_of(plain),
        charset=name,
        kind=kinds.TEXT,
        text=maintext.clipped(plain) if reading.main_text else None,
    )


def _xml(url: str, body: bytes, charset: str | None, max_links: int, reading: Reading) -> Document:
    name, text = charsets.decode(body, charset, "xml")
    head = text[: kinds.PROLOG]
    kind = kinds.of_root(head if isinstance(head, str) else head.decode("utf-8", "replace"))
    if kind == kinds.HTML:
        return _html(url, text, name, max_links, reading, xhtml=True)
    # XML that is neither a page nor a list of pages is recorded and not read.
    return xml.read(url, text, name, kind, max_links) if kind is not None else Document(charset=name)


def _str(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode()


def _unpacked(body: bytes, limit: int) -> bytes:
    """Return what a gzip file holds; never more than `limit` bytes are unpacked."""
    parts: list[bytes] = []
    room = limit + 1
    while body:
        unpacker = zlib.decompressobj(31)
        try:
            parts.append(unpacker.decompress(body, room))
        except zlib.error as error:
            raise FinalFetchError("decode", f"The body is not valid gzip: {error}.") from None
        room -= len(parts[-1])
        if room <= 0:
            raise FinalFetchError("too_large", f"The unpacked body is larger than {limit} bytes.")
        if not unpacker.eof:
            raise FinalFetchError("decode", "The gzip body ends too early.")
        # A gzip file may have several members; whatever else follows is ignored.
        body = unpacker.unused_data if unpacker.unused_data.startswith(b"\x1f\x8b") else b""
    return b"".join(parts)
