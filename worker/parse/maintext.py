"""A page's main text, without navigation, comments and footers (Resiliparse; decision 0017)."""

from __future__ import annotations

#: How much of a page is looked at, and the longest text kept, in characters.
MAX_PAGE = 4_000_000
MAX_TEXT = 1_000_000


def main_text(markup: str | bytes) -> str | None:
    """Return the main text of a page given as text or as UTF-8 bytes, with line breaks between blocks.

    None where there is none. The page's nesting must be bounded already (`worker.parse.nesting`).
    """
    # Only crawls that want it pay for it.
    from resiliparse.extract.html2text import extract_plain_text

    head = markup[:MAX_PAGE]
    text = extract_plain_text(
        head if isinstance(head, str) else head.decode("utf-8", "replace"),
        main_content=True,
        comments=False,
        alt_texts=False,
        preserve_formatting=True,
    )
    return clipped(text)


def clipped(text: str) -> str | None:
    """Return a text without white space at its ends, clipped to `MAX_TEXT` characters; None where nothing is left."""
    return text.strip()[:MAX_TEXT].rstrip() or None
