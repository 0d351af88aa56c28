"""Extraction rules: what a crawl's own rules find on a page goes into its record's `data`. Pure; `docs/extraction.md`.

A rule is a name, a CSS selector, an attribute or the text, one value or many, a regular expression and a type. A rule
never fails a page: what is not there is null (an empty list for many), and so is what is there but not of the type,
which the record's `detail` then says.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import msgspec
from selectolax.lexbor import LexborHTMLParser, SelectolaxError

from crawl.errors import UsageError
from crawl.scope import compile_patterns
from crawl.urls import join
from worker.parse.document import Extracted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import re2
    from selectolax.lexbor import LexborNode

    from worker.parse.document import Page

#: Characters of one value, values of one rule, and bytes of a record's `data` as JSON; what is over is cut off.
MAX_VALUE = 10_000
MAX_VALUES = 1000
MAX_DATA_BYTES = 256 * 1024
#: Characters of a text that a regular expression or a conversion is given.
MAX_TEXT = 1_000_000
#: Characters of a selector and of a regular expression.
MAX_SELECTOR = 1000

_NUMBER = re.compile(r"[+-]?(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_INTEGER = re.compile(r"[+-]?(?:[0-9]{1,19}|[0-9]{1,3}(?:,[0-9]{3}){1,6})")
_BOOLEANS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(
    ("false", "no", "off", "0"), False
)


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule as it is frozen in a crawl. `attribute` None means the text."""

    name: str
    css: str
    attribute: str | None = None
    many: bool = False
    match: str | None = None
    type: str = "text"


def _text(text: str, _: str) -> str:
    return text[:MAX_VALUE]


def _number(text: str, _: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError
    number = float(text.replace(",", ""))
    if not math.isfinite(number):
        raise ValueError
    return number


def _integer(text: str, _: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError
    number = int(text.replace(",", ""))
    if not -(2**63) <= number < 2**63:
        raise ValueError
    return number


def _boolean(text: str, _: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError from None


def _date(text: str, _: str) -> str:
    """Return a date of ISO 8601 or of mail and HTTP headers (RFC 5322) in the form of RFC 3339."""
    if len(text) > 64:
        raise ValueError
    try:
        if len(text) <= 10:
            return date.fromisoformat(text).isoformat()
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        try:
            return parsedate_to_datetime(text).isoformat()
        except (TypeError, IndexError, OverflowError):
            raise ValueError from None


def _url(text: str, base: str) -> str:
    target = join(base, text)
    if target is None:
        raise ValueError
    return target


#: Type -> conversion of a text without white space at its ends (and the base for URLs); ValueError when it is none.
TYPES: dict[str, Callable[[str, str], Any]] = {
    "text": _text,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "date": _date,
    "url": _url,
}
_AS_PEOPLE_SAY = {"integer": "an integer", "url": "a URL that can be crawled"}


def check_selector(css: str) -> None:
    """Raise ValueError, with one sentence, for a selector that the parser does not take."""
    if len(css) > MAX_SELECTOR:
        message = f"the selector is longer than {MAX_SELECTOR} characters"
        raise ValueError(message)
    try:
        LexborHTMLParser("<p>").css(css)
    except (SelectolaxError, UnicodeError):
        message = f"'{css}' is no CSS selector that can be used"
        raise ValueError(message) from None


def check_pattern(pattern: str) -> None:
    """Raise ValueError, with one sentence, for a regular expression that RE2 does not take."""
    if len(pattern) > MAX_SELECTOR:
        message = f"the regular expression is longer than {MAX_SELECTOR} characters"
        raise ValueError(message)
    try:
        compile_patterns([pattern])
    except (UsageError, UnicodeError) as error:
        raise ValueError(str(error)) from None


def to_json(rules: Iterable[Rule]) -> str:
    """Return rules as a crawl keeps them (`CrawlOptions.extract`)."""
    return msgspec.json.encode(list(rules)).decode()


class Rules:
    """A crawl's rules, compiled once; call it with a page."""

    def __init__(self, text: str) -> None:
        self._rules = [
            (rule, compile_patterns([rule.match])[0] if rule.match is not None else None, TYPES[rule.type])
            for rule in msgspec.json.decode(text, type=list[Rule])
        ]

    def __call__(self, page: Page) -> Extracted:
        """Return what the rules find, and what was found but is not of its type."""
        data: dict[str, Any] = {}
        wrong: list[str] = []
        for rule, pattern, convert in self._rules:
            values = self._values(page, rule, pattern, convert, wrong)
            data[rule.name] = values if rule.many else next(iter(values), None)
        return Extracted(data, _said(wrong))

    def _values(
        self,
        page: Page,
        rule: Rule,
        pattern: re2._Regexp | None,
        convert: Callable[[str, str], Any],
        wrong: list[str],
    ) -> list[Any]:
        values: list[Any] = []
        if rule.many:
            nodes = page.tree.css(rule.css)
        else:
            first = page.tree.css_first(rule.css)
            nodes = [] if first is None else [first]
        for node in nodes:
            text = _raw(node, rule.attribute)
            if text is not None and pattern is not None:
                text = _matched(pattern, text)
            if text is None:
                continue
            text = " ".join(text.split())
            try:
                values.append(convert(text, page.base))
            except ValueError:
                wrong.append(
                    f"{rule.name}: '{text[:60]}' is not {_AS_PEOPLE_SAY.get(rule.type, 'a ' + rule.type)}"
                )
                if not rule.many:
                    values.append(None)
            if len(values) >= MAX_VALUES:
                wrong.append(f"{rule.name}: the page has more than {MAX_VALUES} values; the rest is left out")
                break
        return values


def _raw(node: LexborNode, attribute: str | None) -> str | None:
    if attribute is None:
        return node.text()[:MAX_TEXT]
    attributes = node.attributes
    # An attribute without a value is there, and empty.
    return (attributes[attribute] or "")[:MAX_TEXT] if attribute in attributes else None


def _matched(pattern: re2._Regexp, text: str) -> str | None:
    found = pattern.search(text)
    if found is None:
        return None
    group: str | None = found[1] if pattern.groups else found[0]
    return group


def _said(wrong: list[str]) -> str | None:
    if not wrong:
        return None
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    return f"extraction: {wrong[0]}{more}"
