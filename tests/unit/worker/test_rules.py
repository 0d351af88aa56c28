"""Extraction rules on a page: values, types, what is missing, what is of another type, and bounds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from selectolax.lexbor import LexborHTMLParser

from crawl.errors import FinalFetchError
from crawl.records import CrawlOptions
from poolcrawl import rulesfile
from worker.parse import Reading, extractor, parse, rules
from worker.parse.document import Page
from worker.parse.rules import Rule, Rules

URL = "https://shop.example/tea/7"
DOCUMENT = Path(__file__).parents[3] / "docs/extraction.md"


def blocks(language):
    """Return the document's examples in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


def extracted(html, *wanted, url=URL):
    """Return what rules find on a page."""
    return Rules(rules.to_json(wanted))(Page(url, url, LexborHTMLParser(html)))


def value(html, **rule):
    """Return what one rule finds."""
    return extracted(html, Rule(name="v", **{"css": "p", **rule})).data["v"]


def test_the_example_of_the_document_is_true(tmp_path):
    """Rules, page and data of docs/extraction.md belong together."""
    path = tmp_path / "rules.yaml"
    path.write_text(blocks("yaml")[0])
    found = parse(
        *(URL, blocks("html")[0].encode(), "text/html", "utf-8", 10),
        reading=Reading(extract=extractor.of(CrawlOptions(extract=rulesfile.from_file(str(path))), ())),
    )

    assert json.loads(blocks("json")[0]) == found.data
    assert found.detail is None


def test_the_functions_example_is_true():
    """So does the function's."""
    scope = {}
    exec(blocks("python")[0], scope)
    tree = LexborHTMLParser("<table class=facts><tr><th>from</th><td>Uji</td></tr></table>")

    assert {"facts": {"from": "Uji"}, "is_tea": True} == scope["read"](URL, tree, {})


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("text", " a \n b ", "a b"),
        ("number", "-1,234.5", -1234.5),
        ("number", "12", 12.0),
        ("number", "1e3", 1000.0),
        ("integer", "1,299", 1299),
        ("integer", "-7", -7),
        ("boolean", "Yes", True),
        ("boolean", "0", False),
        ("date", "2026-11-25", "2026-11-25"),
        ("date", "2026-11-25T06:00:00Z", "2026-11-25T06:00:00+00:00"),
        ("date", "Wed, 25 Nov 2026 06:00:00 GMT", "2026-11-25T06:00:00+00:00"),
        ("url", "../x#y", "https://shop.example/x"),
    ],
)
def test_a_value_has_its_type(kind, text, expected):
    """As JSON has it, whatever white space is around it."""
    assert expected == value(f"<p> {text}\n</p>", type=kind)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *[("number", text) for text in ("", "ten", "1.2.3", "1,2", "nan", "inf", "1e999", "٣")],
        *[("integer", text) for text in ("1.5", "9" * 19, "9" * 5000, "1,29")],
        *[("boolean", text) for text in ("", "maybe", "2")],
        *[("date", text) for text in ("", "soon", "2026-13-01", "Wed, 99 Nov 2026", "9" * 5000)],
        *[("url", text) for text in ("mailto:a@b.c", "http://[", "javascript:0")],
    ],
)
def test_what_is_of_another_type_is_null_and_told(kind, text):
    """The page is kept; the detail names the rule and the value."""
    found = extracted(
        f"<p>{text}", Rule(name="v", css="p", type=kind), Rule(name="many", css="p", type=kind, many=True)
    )

    assert {"v": None, "many": []} == found.data
    assert found.detail.startswith(f"extraction: v: '{text[:60]}' is not a")


def test_what_is_missing_is_null_and_not_told():
    """Most pages lack most things."""
    found = extracted(
        "<p>x", Rule("a", "h1"), Rule("b", "h1", many=True), Rule("c", "p", "id"), Rule("d", "p", match="y")
    )

    assert ({"a": None, "b": [], "c": None, "d": None}, None) == found


def test_an_attribute_is_taken_where_it_is():
    """One without a value is empty; elements without it are passed over in a list."""
    html = "<p id=a><p id><p><p id=b>"

    assert ["a", "", "b"] == value(html, attribute="id", many=True)


@pytest.mark.parametrize(
    ("pattern", "expected"), [("[0-9]+", "12"), ("of ([a-z]+)", "tea"), ("(x)?12", ""), ("^$", None)]
)
def test_a_regular_expression_takes_its_group_or_the_match(pattern, expected):
    """Group 1 of the first match; a group that took no part in it is nothing at all."""
    assert (expected or None) == value("<p>12 cups of tea</p>", match=pattern)


def test_urls_are_joined_with_the_base_of_the_page():
    """As links are."""
    found = parse(
        *(URL, b"<base href=/other/><a href=x>", None, None, 5),
        reading=Reading(extract=Rules(rules.to_json([Rule("v", "a", "href", type="url")]))),
    )

    assert {"v": "https://shop.example/other/x"} == found.data


def test_values_are_bounded():
    """Long texts are cut, long lists end, and data as a whole has a limit that is told."""
    options = CrawlOptions(extract=rules.to_json([Rule("many", "p", many=True), Rule("one", "h1")]))
    page = "<h1>one</h1>" + f"<p>{'x' * 20_000}</p>" * 1100
    found = extractor.of(options, ())(Page(URL, URL, LexborHTMLParser(page)))

    assert 10_000 == len(value(page))
    assert 1000 == len(value("<p>x</p>" * 1100, many=True))
    assert {"one": "one"} == found.data
    assert "left out: many" in found.detail


def read_by(function, monkeypatch):
    """Return the document of a page in a crawl with a function of this module."""
    import sys

    monkeypatch.setitem(sys.modules, "own_extractor", sys.modules[__name__])
    name = f"own_extractor:{function}"
    options = CrawlOptions(extractor=name, extract=rules.to_json([Rule("title", "title")]))
    return parse(
        URL, b"<title>T</title>", None, None, 5, reading=Reading(extract=extractor.of(options, {name}))
    )


def adds(url, tree, data):
    return {"url": url, "nodes": len(tree.css("title")), "saw": data["title"]}


def raises(url, tree, data):
    message = "no\nsuch luck"
    raise RuntimeError(message)


def leaves(url, tree, data):
    raise SystemExit(3)


def returns_a_list(url, tree, data):
    return [1]


def returns_no_json(url, tree, data):
    return {"tree": tree}


def returns_a_surrogate(url, tree, data):
    return {"x": "\ud800"}


def test_a_function_adds_to_what_rules_found(monkeypatch):
    """It is given the URL, the tree and the data so far."""
    document = read_by("adds", monkeypatch)

    assert {"title": "T", "url": URL, "nodes": 1, "saw": "T"} == document.data


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("raises", "RuntimeError: no such luck"),
        ("leaves", "SystemExit: 3"),
        ("returns_a_list", "it returned list"),
        ("returns_no_json", "TypeError"),
        ("returns_a_surrogate", "Unicode"),
    ],
)
def test_a_function_that_fails_costs_its_own_data(function, told, monkeypatch):
    """The page is kept with what rules found, and the detail says what happened."""
    document = read_by(function, monkeypatch)

    assert {"title": "T"} == document.data
    assert told in document.detail
    assert f"own_extractor:{function}" in document.detail


@pytest.mark.parametrize(
    ("name", "allowed", "told"),
    [
        ("os:system", (), "CRAWL_EXTRACTORS does not name it"),
        ("no_such_module:f", ("no_such_module:f",), "cannot be imported"),
        ("json:nothing", ("json:nothing",), "has no 'nothing'"),
        ("json:__name__", ("json:__name__",), "is not callable"),
    ],
)
def test_a_function_that_is_not_to_be_had_fails_the_page(name, allowed, told):
    """With the reason `parse`; a crawl without data must not look complete."""
    with pytest.raises(FinalFetchError, match=told) as failed:
        parse(
            *(URL, b"<p>", None, None, 5),
            reading=Reading(extract=extractor.of(CrawlOptions(extractor=name), allowed)),
        )

    assert "parse" == failed.value.reason
    assert name in failed.value.detail
