"""Conditional requests (RFC 9110 section 13): what an older record tells a server, and what its 304 means. Pure."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import msgspec

from crawl.records import PageRecord, record_from_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawl.records import PageRef

#: Longest validator that is sent back; what is longer would only make the server refuse the request.
LONGEST = 1000
#: Bytes of a header's value (RFC 9110 section 5.5), as the latin-1 characters they are read as.
_VALUE = re.compile(r"[\x21-\x7e\x80-\xff](?:[\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?")
#: What a page's record holds of its content: a 304 has none of it.
_CONTENT = (
    *("content_type", "charset", "bytes", "sha256", "title", "description", "canonical_link", "lang"),
    *("text_length", "links", "data", "kind", "robots", "open_graph", "json_ld", "text"),
)


class _Told(msgspec.Struct):
    """What a request needs of an older record."""

    outcome: str
    etag: str | None = None
    last_modified: str | None = None


_told = msgspec.json.Decoder(_Told)


def headers_of(line: bytes | None) -> Mapping[str, str]:
    """Return the headers that ask for a page only if it has changed since this record; none where it had no content.

    An ETag is sent as it came, weak or not, odd bytes and all: it means something to its server only.
    """
    if line is None:
        return {}
    told = _told.decode(line)
    headers = {}
    if told.outcome == "ok":
        if told.etag and _sendable(told.etag):
            headers["If-None-Match"] = told.etag
        if told.last_modified and _sendable(told.last_modified) and _is_date(told.last_modified):
            headers["If-Modified-Since"] = told.last_modified
    return headers


def _sendable(value: str) -> bool:
    return len(value) <= LONGEST and _VALUE.fullmatch(value) is not None


def _is_date(text: str) -> bool:
    try:
        parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def accept(ref: PageRef) -> None:
    """Take a 304 to a conditional request for what it is: the page is there, and is what the older record says."""
    ref.outcome = "ok"
    ref.reason = ref.detail = None


def stored(line: bytes | None) -> PageRecord | None:
    """Return the older record that a 304 stands for; None when it is gone or never had content."""
    record = None if line is None else record_from_json(line)
    return record if record is not None and record.outcome == "ok" else None


def restore(record: PageRecord, older: PageRecord) -> None:
    """Fill the record of a 304 with the content of the older one; validators that came with the 304 are kept."""
    for name in _CONTENT:
        setattr(record, name, getattr(older, name))
    record.etag = record.etag or older.etag
    record.last_modified = record.last_modified or older.last_modified
