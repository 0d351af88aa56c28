"""Text in one named encoding, as the WHATWG Encoding standard decodes it.

Python's codecs of the same names are narrower, or older, than what browsers read; what differs stands here. An encoding
that the standard keeps only to refuse it (`replacement`: HZ, ISO-2022-KR, ISO-2022-CN) counts as no label at all, so
that its pages are read as if they said nothing: a browser shows one U+FFFD instead and has no link.
"""

from __future__ import annotations

import codecs
from functools import lru_cache

import webencodings

#: WHATWG names of the encodings that have more than one byte per character -> the Python codec that is widest.
_MULTIBYTE = {
    "utf-8": "utf-8",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "gb18030": "gb18030",
    "shift_jis": "cp932",
    "euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp_ext",
    "euc-kr": "cp949",
    "big5": "big5hkscs",
}
#: WHATWG names of single-byte encodings that Python knows by another name.
_SINGLE_BYTE = {
    "macintosh": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
    "windows-874": "cp874",
    "iso-8859-8-i": "iso-8859-8",
}
#: Where the standard's single-byte indexes differ from Python's tables.
_DIFFERENT = {"koi8-u": {0xAE: "ў", 0xBE: "Ў"}, "windows-1255": {0xCA: "\u05ba"}}
#: The standard's JIS X 0208 maps these as Microsoft does, Python's as JIS does.
_JIS_AS_BROWSERS = (
    ("\u301c", "\uff5e"),
    ("\u2016", "\u2225"),
    ("\u2212", "\uff0d"),
    ("\u00a2", "\uffe0"),
    ("\u00a3", "\uffe1"),
    ("\u00ac", "\uffe2"),
)
#: A text with more unreadable characters than this is not mended: each costs a call, and it is no text.
_MOST_MENDED = 10_000
_UNREADABLE = "\ufffd"


@lru_cache(maxsize=512)
def lookup(label: str) -> str | None:
    """Return the WHATWG name of an encoding label, or None; `replacement` counts as none, GBK as its superset."""
    label = label.strip(" \t\r\n\f\"'")
    encoding = webencodings.lookup(label) if label.isascii() else None
    if encoding is None or encoding.name == "replacement":
        return None
    return "gb18030" if encoding.name == "gbk" else str(encoding.name)


def text_of(body: bytes, name: str) -> str:
    """Return the text of bytes in an encoding that `lookup` named; what cannot be read becomes U+FFFD."""
    codec = _MULTIBYTE.get(name)
    if codec is None:
        return codecs.charmap_decode(body, "replace", _table(name))[0]
    text = body.decode(codec, "replace")
    if name in _MENDED and 0 < text.count(_UNREADABLE) <= _MOST_MENDED:
        text = body.decode(codec, _MENDED[name])
    if name in ("euc-jp", "iso-2022-jp"):
        for other, expected in _JIS_AS_BROWSERS:
            text = text.replace(other, expected)
    return text


@lru_cache(maxsize=64)
def _table(name: str) -> str:
    """Return the character of each byte of a single-byte encoding."""
    if name == "x-user-defined":
        return "".join(chr(byte if byte < 0x80 else 0xF700 + byte) for byte in range(256))
    characters = []
    for byte in range(256):
        try:
            character = bytes([byte]).decode(_SINGLE_BYTE.get(name, name))
        except UnicodeDecodeError:
            # The standard's windows-* indexes leave no hole among the C1 controls.
            character = chr(byte) if byte < 0xA0 else _UNREADABLE
        characters.append(_DIFFERENT.get(name, {}).get(byte, character))
    return "".join(characters)


def _gb18030(error: UnicodeError) -> tuple[str, int]:
    """A lone 0x80 is the euro sign (WHATWG Encoding section 10.2.1)."""
    assert isinstance(error, UnicodeDecodeError)
    lone = error.object[error.start] == 0x80
    return ("€", error.start + 1) if lone else (_UNREADABLE, error.end)


def _euc_jp(error: UnicodeError) -> tuple[str, int]:
    """Rows 13 and 89 to 92 (circled digits, company signs), which cp932 has and Python's euc_jp has not."""
    assert isinstance(error, UnicodeDecodeError)
    pair = error.object[error.start : error.start + 2]
    if len(pair) == 2 and all(0xA1 <= byte <= 0xFE for byte in pair):
        row, cell = pair[0] - 0xA1, pair[1] - 0xA1
        lead = 0x81 + row // 2 + (0x40 if row >= 62 else 0)
        trail = 0x9F + cell if row % 2 else 0x40 + cell + (1 if cell >= 63 else 0)
        try:
            return bytes([lead, trail]).decode("cp932"), error.start + 2
        except UnicodeDecodeError:
            pass
    return _UNREADABLE, error.end


#: Error handlers that read more than the codec does.
_MENDED = {"gb18030": "poolcrawl.gb18030", "euc-jp": "poolcrawl.euc-jp"}
codecs.register_error("poolcrawl.gb18030", _gb18030)
codecs.register_error("poolcrawl.euc-jp", _euc_jp)
