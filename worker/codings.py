"""Content codings undone: gzip, deflate, br and zstd, each under a cap, so that no compressed bomb is ever unpacked.

Every layer of nested codings has the cap for itself: what is in memory at a time is one layer and the one below it.
Pure; no I/O.
"""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING, Any, Protocol

import brotli

from crawl.errors import FinalFetchError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable

#: What a request says it can read (RFC 9110 section 12.5.3).
ACCEPTED = "gzip, deflate, br, zstd"
#: Most content codings on top of each other.
MAX_CODINGS = 3
#: Most gzip members or zstd frames after each other: 10 MB in the blocks of bgzip. Each costs a copy of all that
#: follows it, so millions of empty ones would be a bomb of their own.
MAX_MEMBERS = 200
#: Largest window a zstd body may ask memory for: 8 MB (RFC 9659 section 3).
ZSTD_WINDOW_LOG = 23
#: Codings we did not ask for and cannot undo.
_FOREIGN = frozenset({"compress", "x-compress", "dcb", "dcz"})

_GZIP_MAGIC = (b"\x1f\x8b",)
#: A frame, and the sixteen kinds of skippable ones (RFC 8878 sections 3.1.1 and 3.1.2).
_ZSTD_MAGIC = (b"\x28\xb5\x2f\xfd", *(bytes((low, 0x2A, 0x4D, 0x18)) for low in range(0x50, 0x60)))


class CutBodyError(FinalFetchError):
    """A body whose coding says that it should go on."""


class _Unpacker(Protocol):
    """What zlib's and zstd's decompressors have in common."""

    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def decoded(header: str | None, raw: bytes, limit: int, *, cut: bool = False) -> bytes:
    """Undo the codings of a Content-Encoding header; with `cut`, what is too much or broken off is dropped instead.

    Raises FinalFetchError `decode` (CutBodyError where the body ends too early) or `too_large`.
    """
    if not header or not raw:
        return raw
    codings = [coding.strip().lower() for coding in header.split(",")]
    if len(codings) > MAX_CODINGS:
        raise FinalFetchError("decode", f"The body has {len(codings)} content codings on top of each other.")
    for coding in reversed(codings):
        undo = _UNDO.get(coding)
        if undo is not None:
            raw = undo(raw, coding, limit, cut)
        elif coding in _FOREIGN:
            raise FinalFetchError("decode", f"The content coding {coding} was not asked for.")
        # Anything else ("identity", "none", "utf-8") changes nothing, as in browsers.
    return raw


def too_large(limit: int) -> FinalFetchError:
    """Return the error for a body above the cap."""
    return FinalFetchError("too_large", f"The body is larger than {limit} bytes.")


def _inflated(data: bytes, coding: str, limit: int, cut: bool) -> bytes:
    # 47: gzip or zlib, whichever the header says; servers confuse them.
    window = 47
    if coding == "deflate" and not _is_zlib(data) and data[:2] != _GZIP_MAGIC[0]:
        window = -15
    return _members(data, lambda: zlib.decompressobj(window), _GZIP_MAGIC, coding, limit, cut)


def _is_zlib(data: bytes) -> bool:
    """Return whether data starts with a zlib header (RFC 1950); some servers send bare deflate instead."""
    return len(data) >= 2 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0


def _zstd(data: bytes, coding: str, limit: int, cut: bool) -> bytes:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
    return _members(data, lambda: zstd.ZstdDecompressor(options=options), _ZSTD_MAGIC, coding, limit, cut)


def _members(
    data: bytes,
    make: Callable[[], Any],
    magics: tuple[bytes, ...],
    coding: str,
    limit: int,
    cut: bool,
) -> bytes:
    """Unpack one member after the other; what follows the last and begins with no magic number is ignored."""
    parts: list[bytes] = []
    room = limit + 1
    for _ in range(MAX_MEMBERS):
        unpacker: _Unpacker = make()
        try:
            part = unpacker.decompress(data, room)
        except (zlib.error, zstd.ZstdError) as error:
            raise _invalid(coding, error) from None
        parts.append(part)
        room -= len(part)
        if room <= 0:
            return _capped(b"".join(parts), limit, cut)
        if not unpacker.eof:
            if cut:
                break
            raise _ends_early(coding)
        data = unpacker.unused_data
        if not data.startswith(magics):
            break
    else:
        raise FinalFetchError("decode", f"The {coding} body has more than {MAX_MEMBERS} parts.")
    return b"".join(parts)


def _brotli(data: bytes, coding: str, limit: int, cut: bool) -> bytes:
    unpacker = brotli.Decompressor()
    parts: list[bytes] = []
    room = limit + 1
    try:
        while room > 0 and not unpacker.is_finished():
            # Its library refuses bytes after the end of the stream, so they are an error here.
            part = unpacker.process(data, output_buffer_limit=room)
            if not part and not data:
                break
            data = b""
            parts.append(part)
            room -= len(part)
    except brotli.error as error:
        raise _invalid(coding, error) from None
    if room <= 0:
        return _capped(b"".join(parts), limit, cut)
    if not unpacker.is_finished() and not cut:
        raise _ends_early(coding)
    return b"".join(parts)


def _capped(data: bytes, limit: int, cut: bool) -> bytes:
    if not cut:
        raise too_large(limit)
    return data[:limit]


def _invalid(coding: str, error: Exception) -> FinalFetchError:
    said = " ".join(str(error).split())[:120].rstrip(".")
    return FinalFetchError("decode", f"The body is not valid {coding}: {said}.")


def _ends_early(coding: str) -> CutBodyError:
    return CutBodyError("decode", f"The {coding} body ends too early.")


_UNDO: dict[str, Callable[[bytes, str, int, bool], bytes]] = {
    "gzip": _inflated,
    "x-gzip": _inflated,
    "deflate": _inflated,
    "br": _brotli,
    "zstd": _zstd,
}
