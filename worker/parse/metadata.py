"""What a page says of itself to machines: Open Graph properties and JSON-LD blocks. Broken ones are left out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Longest value of a property kept, in characters, and how many values a page may have.
MAX_VALUE = 4000
MAX_PROPERTIES = 200
#: Most characters of JSON-LD kept of one page; a block that does not fit any more is left out.
MAX_JSON_LD = 64 * 1024
#: Deepest nesting of a JSON-LD block; whoever reads the record must be able to walk it.
MAX_JSON_DEPTH = 32

_PREFIX = "og:"


class OpenGraph:
    """Collects `og:` properties; one that is repeated becomes a list, in document order."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self._count = 0

    def add(self, names: str, content: str) -> None:
        """Take a `meta` whose property (or name) may hold several names."""
        for name in names.lower().split():
            if not name.startswith(_PREFIX) or name == _PREFIX or self._count >= MAX_PROPERTIES:
                continue
            self._count += 1
            self._put(name[len(_PREFIX) : MAX_VALUE], " ".join(content.split())[:MAX_VALUE])

    def _put(self, name: str, value: str) -> None:
        known = self.found.get(name)
        if known is None:
            self.found[name] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            self.found[name] = [known, value]


def json_ld(blocks: Iterable[str]) -> list[Any]:
    """Return the JSON-LD blocks that are JSON, one value per block."""
    found = []
    room = MAX_JSON_LD
    for block in blocks:
        if len(block) > room:
            continue
        value = _parsed(_bare(block))
        if isinstance(value, (dict, list)) and not _is_deep(value):
            found.append(value)
            room -= len(block)
    return found


def _bare(block: str) -> str:
    """Return a block without the comment or CDATA marks that hid it from old browsers."""
    block = block.strip()
    for start, end in (("<!--", "-->"), ("//<![CDATA[", "//]]>"), ("<![CDATA[", "]]>")):
        if block.startswith(start):
            block = block[len(start) :].removesuffix(end)
    return block


def _parsed(block: str) -> Any:
    try:
        return msgspec.json.decode(block)
    except (ValueError, RecursionError):
        pass
    try:
        # Line breaks inside strings are no JSON, and common.
        value = json.loads(block, strict=False)
        # What this parser lets pass (lone surrogates) may not be written again.
        msgspec.json.encode(value)
    except (ValueError, RecursionError):
        return None
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True
