"""How bytes become text: the order browsers use (WHATWG HTML, section 13.2.3.2), then detection.

BOM, then the Content-Type header's label, then a <meta> or XML declaration in the first 1024 bytes, then UTF-8 where
the bytes are valid UTF-8, then a <meta> further down, then what a detector makes of the parts that are not ASCII.
"""

from __future__ import annotations

import codecs
import re
from typing import Literal, TypeAlias

from charset_normalizer import from_bytes

from worker.parse.encoding import lookup, text_of

#: How far the prescan looks, in bytes.
PRESCAN_BYTES = 1024
#: How far a declaration is looked for where the bytes are no UTF-8 and nothing nearer says what they are.
LATE_BYTES = 8192
#: Longer bodies are handed on as UTF-8 whatever they were.
LONG_BYTES = 1 << 20
#: Most bytes the detector sees: only text with non-ASCII bytes, so a few are enough.
SAMPLE_BYTES = 4096
#: What the detector may answer: what browsers detect, by the names Python and the standard give it.
_CANDIDATES = {
    "cp932": "shift_jis",
    "euc_jp": "euc-jp",
    "gb18030": "gb18030",
    "big5": "big5",
    "cp949": "euc-kr",
    "cp1251": "windows-1251",
    "koi8_r": "koi8-r",
    "cp1252": "windows-1252",
    "cp1250": "windows-1250",
    "iso8859_2": "iso-8859-2",
    "cp1253": "windows-1253",
    "iso8859_7": "iso-8859-7",
    "cp1254": "windows-1254",
    "cp1255": "windows-1255",
    "cp1256": "windows-1256",
    "cp874": "windows-874",
}
#: What browsers fall back to in the western world.
FALLBACK = "windows-1252"

#: What a document is read as says where its declaration stands.
Form: TypeAlias = Literal["html", "xml", "text"]

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_BE, "utf-16be"), (codecs.BOM_UTF16_LE, "utf-16le"))
#: `<?x` in UTF-16 without a byte order mark (WHATWG prescan, step 3).
_WIDE = ((b"<\0?\0x\0", "utf-16le"), (b"\0<\0?\0x", "utf-16be"))

_TAG = re.compile(
    rb"""<!--(?:-?>|.*?-->)|<(meta(?=[\s/>])|/?[a-zA-Z])((?:[^>"']|"[^"]*"|'[^']*')*)>?|<[!/?][^>]*>""",
    re.DOTALL | re.IGNORECASE,
)
_ATTRIBUTE = re.compile(rb"""([^\s/=>"']+)\s*(?:=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']*)))?""")
_CONTENT = re.compile(rb"""charset\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;"']+))""", re.IGNORECASE)
_XML = re.compile(rb"""^<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._:-]+)["']""")
_RUN = re.compile(rb"[^<>]+")
_NOT_ASCII = re.compile(rb"[^\x00-\x7f]")


def decode(body: bytes, label: str | None, form: Form = "html") -> tuple[str, str | bytes]:
    """Return the encoding used and the text, as UTF-8 where it was valid UTF-8 or is long: that parses faster.

    A declared encoding counts even where the bytes belie it: what it cannot read becomes U+FFFD, as in browsers.
    """
    for bom, name in _BOMS:
        if body.startswith(bom):
            return _text(body[len(bom) :], name)
    declared = (lookup(label) if label else None) or _declaration(body, form)
    if declared is not None:
        return _text(body, declared)
    if _is_utf8(body):
        return "utf-8", body
    late = prescan(body[:LATE_BYTES]) if form == "html" else None
    return _text(body, late or _detected(body))


def _declaration(body: bytes, form: Form) -> str | None:
    if form == "text":
        return None
    for start, name in _WIDE:
        if body.startswith(start):
            return name
    head = body[:PRESCAN_BYTES]
    return (_xml(head) if form == "xml" else None) or prescan(head)


def _text(body: bytes, name: str) -> tuple[str, str | bytes]:
    if name == "utf-8" and _is_utf8(body):
        return name, body
    text = text_of(body, name)
    # The parser takes UTF-8 and would make its own copy; one character can make a string four times as large.
    return name, text if len(body) <= LONG_BYTES else text.encode("utf-8", "replace")


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
    return _xml(head)


def _xml(head: bytes) -> str | None:
    """Return the encoding of an XML declaration, or None."""
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
    """Return what the detector makes of the text that is not ASCII."""
    sample = _sample(body)
    found = list(from_bytes(sample, steps=3, chunk_size=512, cp_isolation=list(_CANDIDATES)))
    if not found:
        return FALLBACK
    best = (found[0].chaos, found[0].coherence)
    tied = [one.encoding for one in found if (one.chaos, one.coherence) == best]
    # Neighbours often fit alike: more letters win, then the common western one.
    choice = max(tied, key=lambda name: (_letters(sample, name), name == "cp1252"))
    if sample.decode(choice, "replace") == sample.decode("cp1252", "replace"):
        # A few western letters are the same in several.
        return FALLBACK
    return _CANDIDATES.get(choice, FALLBACK)


def _letters(sample: bytes, name: str) -> int:
    return sum(char.isalpha() for char in sample.decode(name, "replace") if char > "\x7f")


def _near(run: bytes) -> bytes:
    """Return a run, or of one that may be the whole page what follows its first byte that is not ASCII."""
    longest = 16 * SAMPLE_BYTES
    if len(run) <= longest:
        return run
    first = _NOT_ASCII.search(run)
    start = first.start() if first else 0
    return run[start : start + longest]


def _sample(body: bytes) -> bytes:
    """Return runs of text with non-ASCII bytes, whole: a character cut in two would rule out its own encoding."""
    runs: list[bytes] = []
    size = 0
    for match in _RUN.finditer(body):
        if match[0].isascii():
            continue
        run = b" ".join(_near(match[0]).split())
        if size + len(run) > SAMPLE_BYTES:
            # Behind the last ASCII byte that is never the second half of a character.
            run = (
                run[: max(run.rfind(mark, 0, SAMPLE_BYTES) for mark in (b" ", b",", b".")) + 1]
                if not size
                else b""
            )
        runs.append(run)
        size += len(run)
        if not run or size >= SAMPLE_BYTES:
            break
    return b" ".join(runs) or body[:SAMPLE_BYTES]
