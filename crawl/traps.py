"""Traps: what a URL looks like when its numbers, dates and identifiers are left out, and when it looks endless. Pure.

A site that makes URLs without end makes them by a rule: a calendar goes on to the next month, a broken relative link
appends the same directories again, a session is written into every link. Many such URLs share one *pattern*, and the
frontier (`lua/_admit.lua`) admits only so many of one pattern; what is over that is parked, neither admitted nor lost.

A pattern is the host and the path with `{n}` for a number, `{date}` for a date, `{id}` for a long identifier; `?*`
stands for any query, `?{date}` for one whose only changing part is a date. Canonical URLs hold no braces in their path,
so a pattern is never mistaken for a URL. Where nothing is left out there is no pattern and nothing is counted: pages
under names of their own are what a crawl is for.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from crawl.urls import host_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crawl.records import CrawlOptions

#: How often in a row a segment, or a cycle of segments, may stand in a path.
MOST_REPEATS = 2
#: Segments of the deepest path that is followed; Java sources on a forge come to 25.
MOST_SEGMENTS = 32
#: Characters of a pattern; a longer one is cut and ends in a hash of the whole.
LONGEST_PATTERN = 160
#: Patterns counted per crawl, about 100 bytes each in Redis; those met later are not counted.
PATTERNS_KEPT = 100_000
#: Parked URLs kept per crawl, about 250 bytes each in Redis; those met later are only counted.
PARKED_KEPT = 100_000

_REPEAT = "{repeat}"
_DEEP = "{deep}"
_DATE = "{date}"

_YEAR = r"(?:19|20)[0-9]{2}"
_MONTH = r"(?:1[0-2]|0?[1-9])"
_DAY = r"(?:3[01]|[12][0-9]|0?[1-9])"
#: 2024/05, 2024-05-31 and 31-05-2024, never a part of a longer number.
_DATES = rf"{_YEAR}([-/_]){_MONTH}(?:\1{_DAY})?(?![0-9])|{_DAY}[-_.]{_MONTH}[-_.]{_YEAR}(?![0-9])"
#: Only where the path calls itself a calendar: elsewhere a year is a number, and 20240531 an article's.
_BARE_DATES = rf"{_YEAR}(?:{_MONTH}{_DAY})?(?![0-9])"

#: What is looked for in a path that holds a digit. Percent-encoded characters and versions such as `v2` stay. An
#: identifier is a UUID, 16 hexadecimal digits or more, or 20 letters and digits or more with both among them.
_VARYING = (
    r"(?P<kept>%[0-9A-F]{2}|(?<=/)v[0-9]{1,2}(?![^/]))"
    r"|(?P<id>(?<![A-Za-z0-9])(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?=[0-9]*[A-Za-z])(?=[A-Za-z]*[0-9])(?:[0-9a-fA-F]{16,}|[A-Za-z0-9]{20,}))(?![A-Za-z0-9]))"
    r"|(?P<date>(?<![0-9])(?:DATES))"
    r"|(?P<n>[0-9]+)"
)
_IN_PATH = re.compile(_VARYING.replace("DATES", _DATES.replace(r"\1", r"\4")))
_IN_CALENDAR = re.compile(_VARYING.replace("DATES", _DATES.replace(r"\1", r"\4") + "|" + _BARE_DATES))
_CALENDAR = re.compile(r"[ck]al[ae]nd|agenda|schedule", re.IGNORECASE)
_DIGIT = re.compile(r"[0-9]")
_NUMBER = re.compile(r"[0-9]+")
#: Without any of this, what varies in a path is a plain number: most paths are spared the long way.
_UNPLAIN = re.compile(r"[0-9A-Za-z]{16}|(?:19|20)[0-9]{2}|%|[0-9a-fA-F]{8}-|/v[0-9]")
#: A parameter that is a date or a part of one, by its name and its value.
_DATE_PARAMETER = re.compile(
    r"(?:^|&)(?:[a-z]+[-_.\[])?(?:date|year|month|week|day|yr|mon)(?:[-_.\]][a-z\]]*)?"
    rf"=(?:[0-9]{{1,4}}|{_YEAR}{_MONTH}{_DAY})(?=&|$)",
    re.IGNORECASE,
)
_DATE_VALUE = re.compile(rf"(?<![0-9])(?:{_DATES})")


def pattern_of(url: str) -> str | None:
    """Return the pattern of a canonical URL, or None when nothing in it varies as generated URLs do.

    A pattern that ends in `{repeat}` or `{deep}` is a trap by its looks alone.
    """
    start = url.find("/", 8)
    if start < 0:
        return None
    path, mark, query = url[start:].partition("?")
    if path.count("/") > MOST_REPEATS:
        looks = _endless(path)
        if looks is not None:
            return _shortened(host_of(url) + looks)
    if not mark and _DIGIT.search(path) is None:
        return None
    text, dated, numbered = _generalised(path)
    if not mark and text == path:
        return None
    if mark:
        said = _query(query)
        numbered = numbered or (said == "?*" and _DIGIT.search(query) is not None)
        text += said
        dated = dated or said != "?*"
    if dated and numbered:
        # An article that is filed under its day: the number says which, so this is no calendar.
        text = text.replace("?" + _DATE, "?*").replace(_DATE, "{n}")
    return _shortened(host_of(url) + text)


def _endless(path: str) -> str | None:
    # One segment more than is followed: no URL, however long, takes long to judge.
    segments = path[1:].split("/", MOST_SEGMENTS + 1)[: MOST_SEGMENTS + 1]
    if len(segments) - len(set(segments)) >= MOST_REPEATS:
        end = _repeated(segments)
        if end is not None:
            return _generalised("/" + "/".join(segments[:end]))[0] + "/" + _REPEAT
    if len(segments) > MOST_SEGMENTS:
        return _generalised("/" + segments[0])[0] + "/" + _DEEP
    return None


def _repeated(segments: Sequence[str]) -> int | None:
    """Return the end of the first round of a cycle that is gone through more than `MOST_REPEATS` times in a row.

    A cycle of numbers alone (`/0/0/0`, as tiles of maps have) is none.
    """
    for length in range(1, len(segments) // (MOST_REPEATS + 1) + 1):
        same = 0
        for at in range(len(segments) - length):
            same = same + 1 if segments[at] == segments[at + length] else 0
            if same == length * MOST_REPEATS:
                first = at + 1 - same
                cycle = segments[first : first + length]
                if any(char.isalpha() for char in "".join(cycle)):
                    return first + length
                break
    return None


def _generalised(path: str) -> tuple[str, bool, bool]:
    """Return a path without what varies, whether that was a date, and whether it was anything else."""
    if _UNPLAIN.search(path) is None:
        text = _NUMBER.sub("{n}", path)
        return text, False, text != path
    dated = numbered = False

    def stand_in(match: re.Match[str]) -> str:
        nonlocal dated, numbered
        kind = str(match.lastgroup)
        if kind == "kept":
            return match[0]
        if kind == "date":
            dated = True
        else:
            numbered = True
        return "{" + kind + "}"

    found = _IN_CALENDAR if _CALENDAR.search(path) else _IN_PATH
    return found.sub(stand_in, path), dated, numbered


def _query(query: str) -> str:
    """Return `?{date}` for a query in which nothing but a date has digits, else `?*`."""
    if _DIGIT.search(query) is None:
        return "?*"
    rest = _DATE_VALUE.sub("", _DATE_PARAMETER.sub("", query.replace("%2F", "/")))
    return "?*" if _DIGIT.search(rest) else "?" + _DATE


def _shortened(pattern: str) -> str:
    if len(pattern) <= LONGEST_PATTERN:
        return pattern
    # What the pattern is by its looks must stay readable.
    kind = next((mark for mark in (_REPEAT, _DEEP, _DATE) if mark in pattern), "")
    digest = blake2b(pattern.encode(), digest_size=6).hexdigest()
    return f"{pattern[: LONGEST_PATTERN - 24]}~{digest}{kind}"


class Reason(NamedTuple):
    """Why a URL was parked: `trap` or `budget`, and the same for people."""

    word: str
    detail: str


def reason_of(pattern: str) -> Reason:
    """Return why URLs of a pattern are parked; a pattern without a path is a host whose budget is spent."""
    if pattern.endswith(_REPEAT):
        return Reason("trap", f"trap: repeated segments, {pattern}")
    if pattern.endswith(_DEEP):
        return Reason("trap", f"trap: a path deeper than {MOST_SEGMENTS} segments, {pattern}")
    if "/" not in pattern:
        return Reason("budget", f"budget: host {pattern}")
    kind = "dates of the pattern" if _DATE in pattern else "pattern"
    return Reason("budget", f"budget: {kind} {pattern}")


def budget_of(pattern: str, options: CrawlOptions) -> int:
    """Return how many URLs of a pattern a crawl admits unless it is raised: none where the pattern is a trap."""
    if pattern.endswith((_REPEAT, _DEEP)):
        return 0
    if "/" not in pattern:
        return options.max_pages_per_host or 0
    return options.calendar_budget if _DATE in pattern else options.pattern_budget
