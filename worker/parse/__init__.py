"""From bytes to a document: character coding, links, title, text length. Pure; no Celery, no Redis, no network.

May import `crawl` and itself. `charset` decides how bytes become text, `html` what is read from the tree.
"""

from __future__ import annotations

from crawl.errors import FinalFetchError
from worker.parse import charset as charsets
from worker.parse import html
from worker.parse.document import Document

__all__ = ["Document", "parse"]


def parse(url: str, body: bytes, content_type: str | None, charset: str | None, max_links: int) -> Document:
    """Return what a page says; any bytes give a document.

    `url` is the page's canonical URL, `charset` the label of its Content-Type header. Raises FinalFetchError `parse`
    only when the parser itself fails.
    """
    try:
        name, text = charsets.decode(body, charset)
        if content_type == "text/plain":
            plain = text if isinstance(text, str) else text.decode()
            return Document(text_length=html.length_of(plain), charset=name)
        return html.read(url, text, name, max_links)
    except Exception as error:
        raise FinalFetchError("parse", f"The parser failed: {type(error).__name__}: {error}"[:300]) from error
