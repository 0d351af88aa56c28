"""Which answers are read, and as what: by media type first, then, where types are known to lie, by the first bytes."""

from __future__ import annotations

import re

HTML = "html"
TEXT = "text"
SITEMAP = "sitemap"
FEED = "feed"

_XML_TYPES = frozenset({"application/xml", "text/xml"})
_FEED_TYPES = frozenset({"application/rss+xml", "application/atom+xml", "application/rdf+xml"})
_XHTML = "application/xhtml+xml"
#: Types that are read wherever they are met.
READABLE = frozenset({"text/html", _XHTML, "text/plain"}) | _XML_TYPES | _FEED_TYPES
#: Types of a compressed sitemap; read only where the path says that it is one.
_PACKED = frozenset(
    {"application/gzip", "application/x-gzip", "application/octet-stream", "binary/octet-stream"}
)
_GZIP = b"\x1f\x8b"

#: The root element of XML, behind what may precede it.
_ROOT = re.compile(
    r"""(?:\s++|<\?[^>]{0,1000}>|<!--.{0,4000}?-->|<!DOCTYPE[^>\[]{0,1000}(?:\[[^\]]{0,2000}\]\s*+)?>)*+"""
    r"""<(?:[\w.-]{1,64}:)?([A-Za-z]\w{0,63})""",
    re.DOTALL | re.IGNORECASE,
)
#: How much of a document is searched for its root, in characters or bytes.
PROLOG = 8192
_ROOTS = {"urlset": SITEMAP, "sitemapindex": SITEMAP, "rss": FEED, "feed": FEED, "rdf": FEED, "html": HTML}
#: Bytes that no text holds (WHATWG MIME Sniffing, section 3, "binary data byte").
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")


def readable(content_type: str | None, url: str) -> bool:
    """Return whether an answer of this media type is read; one without a type is looked at."""
    if content_type is None or content_type in READABLE:
        return True
    return content_type in _PACKED and url.partition("?")[0].lower().endswith(".xml.gz")


def packed(body: bytes, content_type: str | None) -> bool:
    """Return whether a body is gzip inside a type that says nothing else about it."""
    return body.startswith(_GZIP) and (
        content_type is None or content_type in _PACKED or is_xml(content_type)
    )


def is_xml(content_type: str | None) -> bool:
    """Return whether a type promises XML that is no page."""
    return content_type in _XML_TYPES or content_type in _FEED_TYPES or content_type in _PACKED


def is_xhtml(content_type: str | None) -> bool:
    """Return whether a type promises a page in XML's spelling."""
    return content_type == _XHTML


def is_binary(body: bytes) -> bool:
    """Return whether bytes that came without a type are no text; UTF-16 has a byte order mark or is none."""
    head = body[:1024]
    return _BINARY.search(head) is not None and not head.startswith(
        (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")
    )


def of_root(text: str) -> str | None:
    """Return the kind that the root element of XML tells, or None."""
    match = _ROOT.match(text[:PROLOG])
    return _ROOTS.get(match[1].lower()) if match else None


def is_disguised(body: bytes) -> bool:
    """Return whether what calls itself HTML or text begins like a sitemap or a feed, as many servers' do."""
    head = body[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head.startswith((b"<?xml", b"<rss", b"<feed", b"<urlset", b"<sitemapindex", b"<rdf:RDF")):
        return False
    return of_root(body[:PROLOG].decode("latin-1").lstrip("\xef\xbb\xbf")) in (SITEMAP, FEED)
