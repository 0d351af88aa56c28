"""Open Graph, JSON-LD, language, main text, and the seam for extraction rules."""

from __future__ import annotations

import pytest

from crawl.records import PageRecord, record_from_json, to_json
from worker.parse import Reading, metadata, parse
from worker.parse.document import Extracted

URL = "http://h.test/"
PARAGRAPHS = "".join(
    f"<p>The pool opens at six each morning, and paragraph {number} says that the slow swimmer keeps to one lane.</p>"
    for number in range(6)
)
ARTICLE = (
    "<title>T</title><body><nav><ul><li><a href=/n>Navigation entry</a></ul></nav><main><article><h1>At dawn</h1>"
    f"{PARAGRAPHS}</article></main><div class=comments><p>I love this article a lot.</p></div>"
    "<footer>Copyright</footer>"
)


def read(markup, **how):
    """Return the document of a page."""
    return parse(URL, markup.encode(), "text/html", "utf-8", 100, **how)


def block(text):
    """Return a page with one block of JSON-LD."""
    return f'<script type="application/ld+json">{text}</script>'


def test_open_graph_properties_are_kept_without_prefix():
    """A repeated one becomes a list; `name` for `property` is common."""
    document = read(
        '<meta property="og:title" content=" A  title "><meta property="OG:Image" content="/1.png">'
        '<meta property="og:image:width" content="10"><meta property="og:image" content="/2.png">'
        '<meta name="og:type" content="article"><meta property="twitter:card og:site_name" content="S">'
        '<meta property="article:author" content="x"><meta property="og:" content="x"><meta property="og:empty">'
    )

    assert document.open_graph == {
        "title": "A title", "image": ["/1.png", "/2.png"], "image:width": "10", "type": "article",
    }  # fmt: skip


def test_a_description_may_be_a_property_too():
    """One element with both attributes gives both."""
    document = read('<meta name="description" property="og:description" content="D">')

    assert (document.description, document.open_graph) == ("D", {"description": "D"})


def test_open_graph_is_capped():
    """Neither many properties nor long ones fill a record."""
    document = read("".join(f'<meta property="og:x" content="{"y" * 5000}">' for _ in range(300)))

    assert (len(document.open_graph["x"]), len(document.open_graph["x"][0])) == (
        metadata.MAX_PROPERTIES, metadata.MAX_VALUE,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"@type": "Article", "n": 1}', [{"@type": "Article", "n": 1}]),
        ('[{"a": 1}, {"b": 2}]', [[{"a": 1}, {"b": 2}]]),
        ('<!-- {"a": 1} -->', [{"a": 1}]),
        ('\n//<![CDATA[\n{"a": 1}\n//]]>\n', [{"a": 1}]),
        ('{"a": "two\nlines"}', [{"a": "two\nlines"}]),
        ('{"a": "&amp;"}', [{"a": "&amp;"}]),
        ('{"a": NaN}', [{"a": None}]),
        ('{"a": "\\ud800"}', []),
        ('{"a": 1,}', []),
        ("", []),
        ("3", []),
        ("[" * 40 + "]" * 40, []),
        ("[" * 1_000_000, []),
        ("[" * 60_000 + "]" * 60_000, []),
        ('{"a": "' + "x" * 70_000 + '"}', []),
        (
            '{"a": 123456789012345678901234567890, "b": 1e999}',
            [{"a": 123456789012345678901234567890, "b": None}],
        ),
    ],
)
def test_json_ld_is_kept_where_it_is_json(text, expected):
    """Broken, huge and deep blocks are left out; whatever is kept can be written into a record and read again."""
    found = read(block(text)).json_ld
    record = to_json(PageRecord("c", URL, "seed", None, 0, 1, "ok", json_ld=found))

    assert record_from_json(record).json_ld == expected


def test_json_ld_blocks_share_one_cap():
    """What does not fit any more is left out, not the rest."""
    big = '{"a": "' + "x" * 40_000 + '"}'

    assert [1, 1] == [len(value) for value in read(block(big) + block(big) + block('{"b": 2}')).json_ld]


def test_json_ld_stands_in_scripts_of_its_type_only():
    """Case of the type does not matter, other scripts do not count."""
    markup = '<script type="APPLICATION/LD+JSON">{"a": 1}</script><script>{"b": "ld+json"}</script>'

    assert read(markup).json_ld == [{"a": 1}]


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<html lang=de><meta http-equiv=content-language content=fr>", "de"),
        ("<html xml:lang=de>", "de"),
        ("<meta http-equiv=Content-Language content=' fr '>", "fr"),
        ("<meta http-equiv=content-language content='fr, de'>", None),
        ("<html lang=''>", None),
    ],
)
def test_the_language_is_that_of_the_element_then_of_the_pragma(markup, expected):
    """A list of languages says nothing about the page's."""
    assert read(markup).lang == expected


def test_main_text_is_read_where_it_is_wanted():
    """The article without navigation, comments and footer; nothing where nobody asked."""
    text = read(ARTICLE, reading=Reading(main_text=True)).text

    assert read(ARTICLE).text is None
    assert text.startswith("At dawn\n")
    assert text.count("paragraph") == 6
    assert not any(word in text for word in ("Navigation", "love", "Copyright"))
    assert read("<p></p>", reading=Reading(main_text=True)).text is None


def test_main_text_of_a_plain_text_is_the_text():
    """There is nothing around it."""
    assert parse(URL, b" a\n b ", "text/plain", None, 5, reading=Reading(main_text=True)).text == "a\n b"


def test_rules_see_the_whole_tree():
    """Before scripts and templates are taken out of it; what they return is the document's data."""
    names = ("script", "title")
    found = parse(
        URL, b"<title>T</title><script>x</script>", None, None, 5,
        reading=Reading(extract=lambda page: Extracted({name: page.tree.css_first(name).text() for name in names})),
    )  # fmt: skip

    assert found.data == {"script": "x", "title": "T"}
