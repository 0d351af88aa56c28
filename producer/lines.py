"""Lines of a seeds file as they come in: usual codings and line ends, packed or not, in bounded memory. Pure."""

from __future__ import annotations

import codecs
import io
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Longest line that is read, in characters; what is longer is no URL.
LONGEST = 65_536
#: Most bytes one piece of packed data is unpacked to at a time.
_PIECE = 65_536
_GZIP = b"\x1f\x8b"
#: What a file may begin with, and what its text is coded in then.
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
#: Beginnings that may yet become a mark.
_UNCLEAR = frozenset(
    mark[:size] for mark in (*(mark for mark, _ in _MARKS), _GZIP) for size in range(len(mark))
)


class Line(NamedTuple):
    """One line without its end; `cut` says that it was longer than anybody's URL."""

    number: int
    text: str
    cut: bool = False


def lines(chunks: Iterable[bytes]) -> Iterator[Line]:
    """Yield the lines of a text as soon as their end has come in; the last one may have none.

    Raises ValueError where packed data are broken or end too early.
    """
    number, rest, cut = 1, "", False
    for text in _texts(chunks):
        *whole, last = text.split("\n")
        for part in whole:
            line = rest + part
            yield Line(number, line[:LONGEST], cut or len(line) > LONGEST)
            number, rest, cut = number + 1, "", False
        rest += last
        if len(rest) > LONGEST:
            rest, cut = rest[:LONGEST], True
    if rest or cut:
        yield Line(number, rest, cut)


def _texts(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield pieces of text with every line end as a newline; bytes that mean nothing become U+FFFD."""
    decoder: io.IncrementalNewlineDecoder | None = None
    head = b""
    for chunk in _unpacked(chunks):
        head += chunk
        if decoder is None:
            if head in _UNCLEAR:
                continue
            coding, head = _coding(head)
            decoder = _decoder(coding)
        yield decoder.decode(head)
        head = b""
    yield (decoder or _decoder("utf-8")).decode(head, final=True)


def _coding(head: bytes) -> tuple[str, bytes]:
    for mark, coding in _MARKS:
        if head.startswith(mark):
            return coding, head[len(mark) :]
    return "utf-8", head


def _decoder(coding: str) -> io.IncrementalNewlineDecoder:
    return io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(coding)("replace"), translate=True)


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes, those of a gzip file unpacked."""
    chunks = iter(chunks)
    head = b""
    unpacker = None
    for chunk in chunks:
        data = head + chunk
        if unpacker is None:
            if len(data) < len(_GZIP) and _GZIP.startswith(data):
                head = data
                continue
            head = b""
            if not data.startswith(_GZIP):
                yield data
                yield from chunks
                return
            unpacker = zlib.decompressobj(31)
        while data:
            if unpacker.eof:
                # Another member may follow; anything else is padding.
                if not data.startswith(_GZIP[: len(data)]):
                    return
                unpacker = zlib.decompressobj(31)
            try:
                yield unpacker.decompress(data, _PIECE)
            except zlib.error as error:
                message = f"is not valid gzip ({error})"
                raise ValueError(message) from None
            data = unpacker.unused_data or unpacker.unconsumed_tail
    if unpacker is not None and not unpacker.eof:
        message = "is gzip that ends too early"
        raise ValueError(message)
    if head:
        yield head
