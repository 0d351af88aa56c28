"""`--header "Name: value"`: what a person may add to every request of a crawl, and what to use instead of the rest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Most headers of one crawl, and most characters of all of them together: servers refuse more.
MAX_HEADERS = 50
MAX_CHARACTERS = 8000

#: RFC 9110 section 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Visible ASCII, with spaces and tabs inside (RFC 9110 section 5.5).
_VALUE = re.compile(r"[\t\x20-\x7e]*")

_CONNECTION = "it belongs to the connection, which poolcrawl keeps itself"
_BODY = "poolcrawl sends no bodies"
_WHOLE = "poolcrawl reads whole pages; CRAWL_MAX_BODY_BYTES limits them"
_RECRAWL = "use --recrawl, which sends each page's own validators"
#: What cannot be set so, in lower case, and what is to be done instead.
REFUSED = {
    "host": "use --resolve to send a name to another address",
    "user-agent": "use CRAWL_USER_AGENT, which robots.txt is judged by, too",
    "authorization": "use --credentials, which binds it to one origin",
    "proxy-authorization": "use CRAWL_PROXY=http://user:password@host:port",
    "cookie": "use --cookies, which keeps what servers set",
    "cookie2": "use --cookies, which keeps what servers set",
    "accept-encoding": "poolcrawl asks for the codings it can undo",
    "content-length": _BODY,
    "content-encoding": _BODY,
    "content-type": _BODY,
    "expect": _BODY,
    "trailer": _BODY,
    "transfer-encoding": _BODY,
    "connection": _CONNECTION,
    "keep-alive": _CONNECTION,
    "proxy-connection": _CONNECTION,
    "te": _CONNECTION,
    "upgrade": _CONNECTION,
    "http2-settings": _CONNECTION,
    "range": _WHOLE,
    "if-range": _WHOLE,
    "if-match": _RECRAWL,
    "if-modified-since": _RECRAWL,
    "if-none-match": _RECRAWL,
    "if-unmodified-since": _RECRAWL,
}


def parsed(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return (name, value) of each `Name: value`; raise ValueError, in one line, for what cannot be sent.

    The message shows the name, never the value.
    """
    found: dict[str, tuple[str, str]] = {}
    for text in texts:
        name, value = _pair(text)
        if name.lower() in found:
            message = f"{name} is given twice; put all of it into one value, separated by commas"
            raise ValueError(message)
        found[name.lower()] = name, value
    if (
        len(found) > MAX_HEADERS
        or sum(len(name) + len(value) for name, value in found.values()) > MAX_CHARACTERS
    ):
        message = f"at most {MAX_HEADERS} headers with {MAX_CHARACTERS} characters in all can be sent"
        raise ValueError(message)
    return tuple(found.values())


def _pair(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        message = "a header is written 'Name: value', as in 'Accept-Language: de'"
        raise ValueError(message)
    if not _TOKEN.fullmatch(name):
        message = f"{name!r} is no header name; letters, digits and hyphens, as in 'Accept-Language: de'"
        raise ValueError(message)
    remedy = REFUSED.get(name.lower())
    if remedy is not None:
        message = f"{name} cannot be set: {remedy}"
        raise ValueError(message)
    value = value.strip(" \t")
    if not _VALUE.fullmatch(value):
        message = f"the value of {name} has a control character or one that is not ASCII"
        raise ValueError(message)
    return name, value
