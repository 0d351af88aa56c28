"""`--extract FILE`: what is read, and that every mistake is one line that names file, line and rule."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl.errors import UsageError
from poolcrawl.rulesfile import from_file


@pytest.fixture
def read(tmp_path):
    """Write a file and read it."""

    def run(content):
        path = tmp_path / "rules.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return json.loads(from_file(str(path)))

    return run


def test_rules_are_read_in_order_with_what_they_say(read):
    """The long form, the short one, and words that YAML would take for something else."""
    found = read(
        "no:\n  css: p.x\n  attribute: HREF\n  many: yes\n  match: 'a(\\d+)'\n  type: integer\ntitle: h1\n"
    )

    assert [
        {
            "name": "no",
            "css": "p.x",
            "attribute": "href",
            "many": True,
            "match": "a(\\d+)",
            "type": "integer",
        },
        {"name": "title", "css": "h1"},
    ] == found


@pytest.mark.parametrize(
    ("content", "line", "told"),
    [
        ("a:\n  css: p\n  typ: number\n", 3, "rule 'a': 'typ' is no key of a rule; did you mean 'type'?"),
        ("a:\n  css: p\n  colour: red\n", 3, "there are css, attribute, many, match, type"),
        ("a:\n  css: 'p['\n", 2, "rule 'a': 'p[' is no CSS selector"),
        ("a: ..\n", 1, "no CSS selector"),
        ("a:\n  css: p::text\n", 2, "no CSS selector"),
        ("a:\n  css: p\n  match: '(a'\n", 3, "rule 'a': '(a' is not a valid regular expression"),
        ("a:\n  css: p\n  match: '(?=a)'\n", 3, "not a valid regular expression"),
        ("a:\n  css: p\n  type: numbre\n", 3, "rule 'a': 'numbre' is no type; did you mean 'number'?"),
        ("a:\n  css: p\n  many: maybe\n", 3, "'many' is true or false, not 'maybe'"),
        ("a: p\nb: p\na: q\n", 3, "rule 'a' stands in line 1 already"),
        ("a:\n  css: p\n  css: q\n", 3, "'css' stands there twice"),
        ("a:\n  type: text\n", 1, "rule 'a' has no 'css'"),
        ("a:\n  css:\n", 2, "'css' wants a text"),
        ("a:\n  css: [p]\n", 2, "'css' wants a text"),
        ("a: [p]\n", 1, "rule 'a': write it as"),
        ("- a\n", 1, "expected rules by their names"),
        ("just words\n", 1, "expected rules by their names"),
        ("? [a]\n: p\n", 1, "the name of a rule is a word"),
        ("a: p\nb: 'x\n", 3, "not valid YAML"),
        ("a: p\n\tb: q\n", 2, "not valid YAML"),
        ("a: *nothing\n", 1, "not valid YAML"),
        ("a: p\n---\nb: q\n", 2, "not valid YAML"),
        (b"a: p\nb: \xff\n", 2, "no text in UTF-8"),
        (b"a: p\nb: \x01\n", 2, "control character"),
        (f"a: {'p' * 2000}\n", 1, "longer than 1000 characters"),
        (f"{'n' * 65}: p\n", 1, "at most 64 characters"),
        ("".join(f"r{n}: p\n" for n in range(501)), 501, "more than 500 rules"),
    ],
)
def test_a_mistake_names_its_line_and_its_rule(read, content, line, told):
    """One line, as for every wrong option."""
    with pytest.raises(UsageError) as refused:
        read(content)

    text = str(refused.value)
    assert f"rules.yaml, line {line}: " in text
    assert told in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "has no rule"),
        ("# nothing\n", "has no rule"),
        ("{}", "has no rule"),
        (b"x" * (2 << 20), "larger than"),
        ("[" * 100_000, "nested too deeply"),
        ("a: &a [*a]\n", "write it as"),
    ],
)
def test_what_is_no_file_of_rules_is_said(read, content, told):
    """Empty, too large, too deep, or its own part."""
    with pytest.raises(UsageError, match=told):
        read(content)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """A missing one, a folder, a name that is none."""
    for name in (str(tmp_path / "none"), str(tmp_path), "a\0b"):
        with pytest.raises(UsageError, match="--extract "):
            from_file(name)


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_content_is_read_or_refused(tmp_path_factory, content):
    """Never another error than that of a wrong option."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    with suppress(UsageError):
        from_file(str(path))
