"""A page as the server sends it, and the HTML around a page's words."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from html import escape
from typing import NamedTuple

#: When every page was last changed: fixed, because bytes and headers depend on the seed and the URL only.
LAST_MODIFIED = "Sun, 22 Nov 2026 06:00:00 GMT"

HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Page:
    """One answer.

    `latency_s` passes before the last byte is sent: in one wait before the first byte, or, with `parts` above
    1, spread evenly, so that no gap is longer than `latency_s / parts`. With `chunked` there is no
    Content-Length. `at_first` answers the first request of each (User-Agent, path) instead.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    latency_s: float = 0.0
    parts: int = 1
    chunked: bool = False
    at_first: Page | None = None


class Link(NamedTuple):
    """A link as it is written in a page."""

    href: str
    text: str


def page(
    body: str | bytes,
    *,
    status: int = 200,
    content_type: str | None = HTML,
    headers: tuple[tuple[str, str], ...] = (),
    latency_s: float = 0.0,
    parts: int = 1,
    chunked: bool = False,
) -> Page:
    """Return an answer with the headers a well-kept server sends; `content_type` None leaves that one out."""
    data = body.encode() if isinstance(body, str) else body
    kept: list[tuple[str, str]] = [] if content_type is None else [("Content-Type", content_type)]
    if status == 200 and not headers:
        # Compressed bytes differ between versions of zlib, so that pages with a coding go without.
        kept += [("ETag", f'"{blake2b(data, digest_size=8).hexdigest()}"'), ("Last-Modified", LAST_MODIFIED)]
    return Page(status, (*kept, *headers), data, latency_s, parts, chunked)


def redirect(status: int, location: str, latency_s: float) -> Page:
    """Return a redirect with the short body that servers send along."""
    body = f'<!doctype html><title>Moved</title><p>This page is <a href="{escape(location)}">here</a>.'
    return page(body, status=status, headers=(("Location", location),), latency_s=latency_s)


def document(
    title: str,
    paragraphs: list[str],
    links: list[Link],
    *,
    lang: str = "en",
    description: str | None = None,
    canonical: str | None = None,
    head: str = '<meta charset="utf-8">',
    nav: tuple[Link, ...] = (),
) -> str:
    """Return a whole HTML page: the links stand between the paragraphs, those left over in a list at the end.

    `head` is markup for the beginning of the head element (charset, base).
    """
    lines = ["<!doctype html>", f'<html lang="{lang}">', "<head>", *([head] if head else [])]
    lines.append(f"<title>{escape(title)}</title>")
    if description:
        lines.append(f'<meta name="description" content="{escape(description)}">')
    if canonical:
        lines.append(f'<link rel="canonical" href="{escape(canonical)}">')
    lines += ["</head>", "<body>"]
    if nav:
        lines.append("<nav>" + " · ".join(_anchor(link) for link in nav) + "</nav>")
    lines += ["<main>", f"<h1>{escape(title)}</h1>"]
    waiting = list(links)
    for number, paragraph in enumerate(paragraphs):
        if number and number % 4 == 0:
            lines.append(f"<h2>{escape(paragraph.split('.')[0])}</h2>")
        aside = f" See {_anchor(waiting.pop(0))}." if waiting and number % 2 else ""
        lines.append(f"<p>{escape(paragraph)}{aside}</p>")
    if waiting:
        lines += ["<ul>", *(f"<li>{_anchor(link)}</li>" for link in waiting), "</ul>"]
    lines += [
        "</main>",
        "<footer><p>poolcrawl's demo site. Nothing here is true.</p></footer>",
        "</body>",
        "</html>",
        "",
    ]
    return "\n".join(lines)


def _anchor(link: Link) -> str:
    return f'<a href="{escape(link.href)}">{escape(link.text)}</a>'
