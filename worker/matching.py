"""Which rule of a robots.txt decides on a path (RFC 9309 section 2.2.2). Pure, no I/O.

However many rules there are, a verdict looks at few of them, and no rule can hold a worker: there is no backtracking.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Characters by which rules with `*` are looked up.
_GRAM = 5


class Rule(NamedTuple):
    """One Allow or Disallow. `pieces` are what stands between its stars, as in `_plain`; `end`: it ends with `$`."""

    octets: int
    allow: bool
    line: int
    pieces: tuple[str, ...] = ()
    end: bool = False

    def matches(self, path: str) -> bool:
        """Return whether a path that starts with the first piece matches; each other is looked for as early as can be.

        Linear in the path, whatever the stars: no rule can hold a worker.
        """
        at = len(self.pieces[0])
        last = self.pieces[-1]
        for piece in self.pieces[1:-1]:
            found = path.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        if self.end:
            return len(path) - len(last) >= at and path.endswith(last)
        return path.find(last, at) >= 0


class Matcher:
    """The rules of one group, arranged so that a verdict looks at few of them."""

    def __init__(self, rules: Iterable[tuple[int, bool, str]]) -> None:
        #: Rules without `*` and `$` by their path, and those with `$` alone.
        self._prefixes: dict[str, Rule] = {}
        self._whole: dict[str, Rule] = {}
        #: Rules with `*`, the most specific first, by the beginning of the longest piece behind a star: a path that
        #: lacks it is no match. However many there are, a verdict looks at those few that share it.
        self._starred: dict[str, list[Rule]] = {}
        for line, allow, value in rules:
            for pieces, end, octets in _patterns(value):
                rule = Rule(octets, allow, line, pieces, end)
                if len(pieces) > 1:
                    self._starred.setdefault(max(pieces[1:], key=len)[:_GRAM], []).append(rule)
                    continue
                table = self._whole if end else self._prefixes
                known = table.get(pieces[0])
                # Of two for the same path, the one that allows counts (section 2.2.2).
                if known is None or allow > known.allow:
                    table[pieces[0]] = rule
        for starred in self._starred.values():
            starred.sort(reverse=True)
        self._lengths = sorted({len(prefix) for prefix in self._prefixes})
        self._grams = sorted({len(gram) for gram in self._starred})

    def rule(self, path: str) -> Rule | None:
        """Return the rule that decides on a path (as `_plain` has it): the most octets, then the one that allows."""
        best = self._whole.get(path)
        lengths = self._lengths
        prefixes = self._prefixes
        for at in range(bisect_right(lengths, len(path)) - 1, -1, -1):
            found = prefixes.get(path[: lengths[at]])
            if found is not None:
                # Shorter ones have fewer octets.
                if best is None or found[:2] > best[:2]:
                    best = found
                break
        starred = self._starred
        for length in self._grams:
            grams = {path[at : at + length] for at in range(len(path) - length + 1)} if length else {""}
            for gram in grams & starred.keys():
                for rule in starred[gram]:
                    if best is not None and rule[:2] <= best[:2]:
                        break
                    if path.startswith(rule.pieces[0]) and rule.matches(path):
                        best = rule
                        break
        return best


# How paths are compared (section 2.2.2): one character per octet, escapes undone. That makes equal what the RFC's table
# calls equal. `%25` stays, as do `%2F` and `%3F` before the query: there they are data, no delimiters (RFC 3986 section
# 2.2), and /a%2Fb is another resource than /a/b.
_KEPT = ("%25", "%2F", "%3F")
_ANYWHERE = {
    f"{high}{low}": chr(int(high + low, 16))
    for high in "0123456789ABCDEFabcdef"
    for low in "0123456789ABCDEFabcdef"
}
_IN_QUERY = {**_ANYWHERE, "25": "%25"}
_IN_PATH = {
    code: f"%{code.upper()}" if f"%{code.upper()}" in _KEPT else char for code, char in _ANYWHERE.items()
}


def _undone(text: str, table: dict[str, str]) -> str:
    first, *parts = text.split("%")
    return first + "".join(
        [f"%{part}" if (char := table.get(part[:2])) is None else char + part[2:] for part in parts]
    )


def _plain(text: str) -> str:
    """Return a path and query in the form that is compared."""
    if not text.isascii():
        # A URL that is not canonical; a pattern has one character per octet already.
        text = text.encode("utf-8", "surrogatepass").decode("latin-1")
    if "%" not in text:
        return text
    path, mark, query = text.partition("?")
    return _undone(path, _IN_PATH) + mark + _undone(query, _IN_QUERY)


def path_of(url: str) -> str:
    """Return the path and query of an absolute URL, as `Matcher.rule` takes it."""
    slash = url.find("/", 8)
    return "/" if slash < 0 else _plain(url[slash:].partition("#")[0])


def _patterns(value: str) -> list[tuple[tuple[str, ...], bool, int]]:
    """Return (pieces between the stars, whether it ends with `$`, octets) of a rule's value; none if it never matches.

    There are two where a star leaves open whether an escaped delimiter stands in the path or in the query.
    """
    if value[:1] not in ("/", "*") or not value:
        return []
    end = value.endswith("$")
    raw = re.sub(r"\*+", "*", value[:-1] if end else value).split("*")
    found = [_pieces(raw, _IN_PATH)]
    if len(raw) > 1 and (other := _pieces(raw, _IN_QUERY)) != found[0]:
        found.append(other)
    octets = sum(len(piece) + 2 * sum(char > "\x7f" for char in piece) for piece in found[0])
    octets += value.count("*") + end
    return [(pieces, end, octets) for pieces in found]


def _pieces(raw: list[str], after_star: dict[str, str]) -> tuple[str, ...]:
    pieces = []
    table = _IN_PATH
    for piece in raw:
        path, mark, query = piece.partition("?")
        pieces.append(_undone(path, table) + mark + _undone(query, _IN_QUERY))
        table = _IN_QUERY if mark or table is _IN_QUERY else after_star
    return tuple(pieces)
