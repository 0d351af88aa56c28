"""How bytes become text: the order browsers use (WHATWG HTML, section 13.2.3.2), then detection.

BOM, then the Content-Type header's label, then a <meta> or XML declaration in the first 1024 bytes, then UTF-8 where
the bytes are valid UTF-8, then what a detector makes of the parts that are not ASCII.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

import webencodings
from charset_normalizer import from_bytes

#: How far the prescan looks, in bytes.
PRESCAN_BYTES = 1024
#: Most bytes the detector sees: only words with non-ASCII bytes, so a few are enough.
SAMPLE_BYTES = 2048
#: What browsers fall back to in the western world.
FALLBACK = "windows-1252"

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_BE, "utf-16be"), (codecs.BOM_UTF16_LE, "utf-16le"))

#: WHATWG encodings whose Python codec of the same name is narrower than the standard's.
_CODECS = {
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "big5": "big5hkscs",
    "macintosh": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
    "windows-874": "cp874",
    "iso-8859-8-i": "iso-8859-8",
    "x-user-defined": "cp1252",
}

_TAG = re.compile(
    rb"""<!--(?:-?>|.*?-->)|<(meta(?=[\s/>])|/?[a-zA-Z])((?:[^>"']|"[^"]*"|'[^']*')*)>?|<[!/?][^>]*>""",
    re.DOTALL | re.IGNORECASE,
)
_ATTRIBUTE = re.compile(rb"""([^\s/=>"']+)\s*(?:=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']*)))?""")
_CONTENT = re.compile(rb"""charset\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;"']+))""", re.IGNORECASE)
_XML = re.compile(rb"""^<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._:-]+)["']""")
_WORD = re.compile(rb"[^\x00-\x20<>]{0,20}[\x80-\xff][^\x00-\x08<>]{0,60}")


@lru_cache(maxsize=512)
def lookup(label: str) -> str | None:
    """Return the WHATWG name of an encoding label, or None; `replacement` counts as none, GBK as its superset."""
    encoding = webencodings.lookup(label.strip(" \t\r\n\f\"'"))
    if encoding is None or encoding.name == "replacement":
        return None
    return "gb18030" if encoding.name == "gbk" else str(encoding.name)


def decode(body: bytes, label: str | None) -> tuple[str, str | bytes]:
    """Return the encoding used and the text; bytes that already are valid UTF-8 stay bytes, which parse faster."""
    for bom, name in _BOMS:
        if body.startswith(bom):
            return _text(body[len(bom) :], name)
    declared = (lookup(label) if label else None) or prescan(body[:PRESCAN_BYTES])
    if declared is not None:
        return _text(body, declared)
    if _is_utf8(body):
        return "utf-8", body
    return _text(body, _detected(body))


def _text(body: bytes, name: str) -> tuple[str, str | bytes]:
    if name == "utf-8" and _is_utf8(body):
        return name, body
    return name, body.decode(_CODECS.get(name, name), "replace")


def _is_utf8(body: bytes) -> bool:
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def prescan(head: bytes) -> str | None:
    """Return the encoding a page's first bytes declare, or None."""
    for match in _TAG.finditer(head):
        if match[1] is not None and match[1].lower() == b"meta":
            name = _declared(match[2])
            if name is not None:
                # A page whose declaration can be read as ASCII is not UTF-16 (WHATWG prescan, step 15).
                name = "utf-8" if name.startswith("utf-16") else name
                return "windows-1252" if name == "x-user-defined" else name
    xml = _XML.match(head)
    if xml is None:
        return None
    name = lookup(xml[1].decode("ascii"))
    return "utf-8" if name is not None and name.startswith("utf-16") else name


def _declared(attributes: bytes) -> str | None:
    found: dict[bytes, bytes] = {}
    for match in _ATTRIBUTE.finditer(attributes):
        found.setdefault(match[1].lower(), match[2] or match[3] or match[4] or b"")
    label = found.get(b"charset")
    if label is None and found.get(b"http-equiv", b"").strip().lower() == b"content-type":
        content = _CONTENT.search(found.get(b"content", b""))
        label = (content[1] or content[2] or content[3]) if content else None
    return lookup(label.decode("latin-1")) if label else None


def _detected(body: bytes) -> str:
    """Return what the detector makes of the words that are not ASCII."""
    sample = b" ".join(_WORD.findall(body[: 64 * 1024]))[:SAMPLE_BYTES]
    if not sample:
        return FALLBACK
    best = from_bytes(sample).best()
    return (lookup(best.encoding.replace("_", "-")) if best is not None else None) or FALLBACK
