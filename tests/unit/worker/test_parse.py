"""What is read from a page."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl.errors import FinalFetchError
from worker.parse import html, parse
from worker.parse.charset import decode, lookup, prescan
from worker.parse.nesting import bounded

URL = "http://h.test/dir/page.html"
POLISH = (
    "Polska jest państwem unitarnym w Europie Środkowej, położonym między Morzem Bałtyckim a Sudetami. "
    "Żółć, źdźbło."
)
RUSSIAN = "Привет, как дела сегодня в городе"


def links(markup, max_links=100, url=URL):
    return parse(url, markup.encode(), "text/html", None, max_links).links


def test_a_document_says_what_the_page_says():
    """Title, description, canonical link, language, text length and links come from one page."""
    markup = """<!doctype html><html lang="de-AT"><head><title> Über
        uns </title><meta name="Description" content=" Wer  wir sind. "><link rel="canonical" href="/about">
        <script>document.write("<a href=/script>")</script><style>a{}</style></head>
        <body><!-- <a href=/comment> --><h1>Über&nbsp;uns</h1><p>Ein  <b>Satz</b>.</p><a href="x">X</a></body></html>"""

    document = parse(URL, markup.encode(), "text/html", "utf-8", 100)

    assert document.title == "Über uns"
    assert document.description == "Wer wir sind."
    assert document.canonical_link == "http://h.test/about"
    assert document.lang == "de-AT"
    assert document.charset == "utf-8"
    assert document.text_length == len("Über uns Ein Satz . X")
    assert document.links == ["http://h.test/about", "http://h.test/dir/x"]


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ('<a href="/a">', ["/a"]),
        ('<map><area href="/area"></map>', ["/area"]),
        ('<iframe src="/i"></iframe>', ["/i"]),
        ('<frameset><frame src="/f"></frameset>', ["/f"]),
        ('<link rel="next" href="/n"><link rel="PREV" href="/p">', ["/n", "/p"]),
        ('<link rel="alternate" hreflang="en" href="/en">', ["/en"]),
        ('<link rel="stylesheet" href="/s.css"><link rel="icon" href="/i.png">', []),
        ('<link rel="alternate stylesheet" href="/s.css">', []),
        ('<meta http-equiv="Refresh" content="5; URL=\'/r\'">', ["/r"]),
        ('<meta http-equiv="refresh" content="5">', []),
        ("<script>'<a href=/no>'</script><!--<a href=/no>--><template><a href=/no></template>", []),
        ("<textarea><a href=/no></textarea><title><a href=/no></title>", []),
        ("<noscript><a href=/yes></a></noscript>", ["/yes"]),
        ('<a href="mailto:x@y">m</a><a href="javascript:x()">j</a><a href="tel:1">t</a><a>none</a>', []),
        ('<a href="#top">t</a>', ["/dir/page.html"]),
        ('<a href="?q=1">q</a>', ["/dir/page.html?q=1"]),
        ('<a href=" \n /spaces \t">', ["/spaces"]),
        ('<a href="/a">1</a><a href="/b">2</a><a href="/a#x">3</a>', ["/a", "/b"]),
        ('<a href="/a&amp;b">', ["/a&b"]),
        ("<a href='/ü'>", ["/%C3%BC"]),
        ('<svg><a href="/svg"></a></svg>', ["/svg"]),
    ],
)
def test_links_come_from_elements_only(markup, expected):
    """Each kind of link, and each thing that only looks like one."""
    assert links(markup) == [f"http://h.test{path}" for path in expected]


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("/other/", "http://h.test/other/x"),
        ("http://o.test/a/b", "http://o.test/a/x"),
        ("sub/", "http://h.test/dir/sub/x"),
        ("javascript:1", "http://h.test/dir/x"),
        ("", "http://h.test/dir/x"),
    ],
)
def test_the_first_base_counts(base, expected):
    """<base href> moves relative links, the canonical one too; one that is no web address does not."""
    markup = f'<base href="{base}"><base href="/second/"><a href="x"></a><link rel="canonical" href="x">'

    document = parse(URL, markup.encode(), None, None, 100)

    assert document.links == [expected]
    assert document.canonical_link == expected


def test_links_keep_document_order_and_end_at_the_limit():
    """The first `max_links` different links are kept."""
    markup = "".join(f"<a href=/{number % 50}>x</a>" for number in range(200))

    assert links(markup, max_links=10) == [f"http://h.test/{number}" for number in range(10)]


def test_the_title_of_a_drawing_is_not_the_pages():
    """<svg> has titles of its own; an empty page has none."""
    assert parse(URL, b"<svg><title>icon</title></svg><title>Page</title>", None, None, 5).title == "Page"
    assert parse(URL, b"<title> </title>", None, None, 5).title is None


def test_plain_text_has_a_length_and_no_links():
    """Markup in text/plain is text."""
    document = parse(URL, b"one <a href=/x>\n\n  two", "text/plain", None, 100)

    assert (document.links, document.title, document.text_length) == ([], None, len("one <a href=/x> two"))


def test_an_empty_body_is_an_empty_document():
    """Nothing in, nothing out."""
    document = parse(URL, b"", "text/html", None, 100)

    assert (document.title, document.links, document.text_length) == (None, [], 0)


@given(st.binary(max_size=300), st.sampled_from([None, "text/html", "text/plain"]), st.text(max_size=12))
def test_no_bytes_break_the_parser(body, content_type, charset):
    """Whatever a server sends as a page gives a document."""
    document = parse(URL, body, content_type, charset, 20)

    # Bytes without a type may be no text at all; a sitemap or feed has no text.
    assert document.kind in ("html", "text", "sitemap", "feed", None)
    assert document.charset or content_type is None


@given(
    st.lists(
        st.sampled_from(["<a href=/x>", "<b>", "</p>", "<table>", "<svg>", "<!--", "]]>", "\0", "ü"]),
        max_size=40,
    )
)
def test_no_soup_breaks_the_parser(parts):
    """Tags in any order give a document whose links are at most one."""
    assert len(parse(URL, "".join(parts).encode(), None, None, 20).links) <= 1


def test_a_failing_parser_is_a_parse_failure(monkeypatch):
    """Only when the parser itself fails does parse raise, with the documented reason."""

    def broken(*_):
        raise MemoryError

    monkeypatch.setattr(html, "LexborHTMLParser", broken)

    with pytest.raises(FinalFetchError) as failed:
        parse(URL, b"<p>", None, None, 5)
    assert failed.value.reason == "parse"


@pytest.mark.parametrize(
    "body",
    [
        b"<div>" * 200_000,
        b"<span>" * 200_000,
        b"<div>" + b"".join(b"<b id=%d>" % n for n in range(3000)) + b"</div>" + b"<div>x</div>" * 50_000,
        b"<p><font>" * 100_000,
        b"<a href=/x>" * 100_000,
        b"<table><tr><td>" * 50_000,
        b"<li>" * 200_000,
        b"<" * 300_000,
        b"<!--" * 100_000,
        b"<x y='" * 100_000,
        b"\xe4" + b"x" * 500_000,
        b"x" * 500_000 + b"\xe4",
        "ü日本".encode("euc-jp", "replace") * 100_000,
        b"<rt>" * 100_000,
        b"<optgroup>" * 100_000,
        b"<svg>" + b"<a>" * 200_000,
        b"".join(b"<html a%d=1>" % n for n in range(100_000)),
        b"<p " + b"".join(b"a%d " % n for n in range(500_000)),
        b"<p " + b"".join(b"a%d='>'" % n for n in range(300_000)),
        b"<p a='" + b"<q " * 998 + b"'>" * 1000,
        b"<meta http-equiv=refresh content='5" + b" " * 300_000 + b"'>",
        b"<a href='" + b"/" * 500_000 + b"'>",
    ],
    ids=[
        *("div", "span", "formatting", "font", "a", "table", "li", "lt", "comments", "quotes"),
        *("word", "last", "one run", "ruby", "optgroup", "svg", "html", "attributes", "quoted", "many tags"),
        *("refresh", "href"),
    ],
)
def test_no_page_costs_more_than_seconds(body):
    """Unclosed elements cost a tree builder the square of their number; such pages are cut. Nothing else is dear."""
    begun = time.process_time()

    parse(URL, body, "text/html", None, 100)

    assert time.process_time() - begun < 5


def test_long_ordinary_pages_are_not_cut():
    """Length alone is no reason: only depth, and formatting left open, are."""
    rows = "<tr><td><b>x</b><a href=/y>y</a><p>z" * 20_000
    markup = f"<div><table>{rows}</table></div><a href=/end>"

    assert bounded(markup) is markup
    assert links(markup)[-1] == "http://h.test/end"


def test_scripts_are_not_taken_for_crowded_tags():
    """Half a megabyte of data behind a comparison is no tag with thousands of attributes, except in a drawing."""
    data = "<script>if (i<n) {} var data = {" + '"a": "b c d", ' * 40_000 + "}</script>"
    markup = f"<title>T</title>{data}<a href=/end>"

    assert links(markup) == ["http://h.test/end"]
    assert links(f"<svg>{data}</svg><a href=/end>") == []


def test_text_is_measured_in_pieces_as_in_one():
    """Words that lie across a cut count once."""
    text = "".join(random.Random(1).choices("ab \n", k=400_000))

    assert len(" ".join(text.split())) == html.length_of(text)
    assert 0 == html.length_of(" " * 200_000)


@pytest.mark.parametrize(
    ("body", "label", "expected"),
    [
        (b"\xef\xbb\xbfgr\xc3\xbcn", "windows-1252", ("utf-8", "grün")),
        (b"\xff\xfea\0", "utf-8", ("utf-16le", "a")),
        (b"\xfe\xff\0a", None, ("utf-16be", "a")),
        (b"gr\xfcn", "ISO-8859-1", ("windows-1252", "grün")),
        (b"gr\xfcn", '"latin1"', ("windows-1252", "grün")),
        (b"<meta charset=koi8-r>\xf0\xd2", None, ("koi8-r", "<meta charset=koi8-r>Пр")),
        (b"<meta charset=koi8-r>\xcf", "windows-1251", ("windows-1251", "<meta charset=koi8-r>П")),
        ("中".encode("gb18030"), "gbk", ("gb18030", "中")),
        ("中".encode("gb18030"), "gb2312", ("gb18030", "中")),
        ("①".encode("cp932"), "shift_jis", ("shift_jis", "①")),
        ("똠".encode("cp949"), "euc-kr", ("euc-kr", "똠")),
        (b"\x80\xa4", "gbk", ("gb18030", "€\ufffd")),
        (b"5\x80", "gbk", ("gb18030", "5€")),
        (b"\xad\xa1\xa1\xc1\xfc\xe3\xc6\xfc", "euc-jp", ("euc-jp", "①\uff5e髜日")),
        (b'\x1b$B$"\x1b(I1\x1b(B', "iso-2022-jp", ("iso-2022-jp", "あｱ")),
        (b"\x81\x8d\xff", "latin1", ("windows-1252", "\x81\x8dÿ")),
        (b"\x85\xa1\xdb\x90", "tis-620", ("windows-874", "…ก\ufffd\x90")),
        (b"a\x80\xff", "x-user-defined", ("x-user-defined", "a\uf780\uf7ff")),
        (b"\xae\xbe", "koi8-u", ("koi8-u", "ўЎ")),
        (b"\xca", "windows-1255", ("windows-1255", "\u05ba")),
        (b"gr\xc3\xbcn", "hz-gb-2312", ("utf-8", "grün")),
        (b" " * 2000 + b"<meta charset=koi8-r>\xf0", None, ("koi8-r", " " * 2000 + "<meta charset=koi8-r>П")),
        (b"<\0?\0x\0", None, ("utf-16le", "<?x")),
        (b"caf\xe9", None, ("windows-1252", "café")),
        (b"gr\xc3\xbcn", None, ("utf-8", "grün")),
        (b"gr\xc3\xbcn", "no-such-label", ("utf-8", "grün")),
        (b"gr\xfcn", "utf-8", ("utf-8", "gr\ufffdn")),
        (b"plain", None, ("utf-8", "plain")),
        (RUSSIAN.encode("cp1251"), None, ("windows-1251", RUSSIAN)),
    ],
)  # fmt: skip
def test_the_character_coding_is_found_in_the_order_of_browsers(body, label, expected):
    """BOM, header, declaration, valid UTF-8, detection."""
    name, text = decode(body, label)

    assert (name, text if isinstance(text, str) else text.decode()) == expected


@pytest.mark.parametrize(
    ("text", "encodings"),
    [
        ("日本国憲法は、日本国の現在の憲法。カタカナも使います。", ["shift_jis", "euc-jp"]),
        ("대한민국은 동아시아의 한반도 군사 분계선 남부에 위치한 나라이다.", ["euc-kr"]),
        ("中文维基百科是维基百科协作计划的中文版本于2002年正式成立。", ["gb18030"]),
        ("中文維基百科是維基百科協作計劃的中文版本由非營利組織維持。", ["big5"]),
        ("Россия — государство в Восточной Европе. Столица — Москва.", ["windows-1251", "koi8-r"]),
        ("Ελλάδα είναι χώρα της νοτιοανατολικής Ευρώπης.", ["windows-1253", "iso-8859-7"]),
        ("ישראל היא מדינה במזרח התיכון, השוכנת על החוף המזרחי.", ["windows-1255"]),
        (POLISH, ["windows-1250", "iso-8859-2"]),
        ("La France est un État souverain. Égalité, fraternité, déjà, ça.", ["windows-1252"]),
    ],
)
@pytest.mark.parametrize("times", [1, 300])
def test_undeclared_encodings_are_detected(text, encodings, times):
    """A page that declares nothing is read as its text tells, however long it is."""
    for encoding in encodings:
        body = (f"<title>{text}</title>" + f"<p class='x'>{text}</p>\n" * times).encode(encoding, "replace")

        document = parse(URL, body, "text/html", None, 5)

        assert document.title == text.encode(encoding, "replace").decode(encoding)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b'<meta charset="utf-8">', "utf-8"),
        (b"<META CHARSET=Windows-1251 />", "windows-1251"),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=gbk">', "gb18030"),
        (b"<meta content='text/html; charset=big5' http-equiv=content-type>", "big5"),
        (b'<meta name="x" content="charset=big5">', None),
        (b"<!-- <meta charset=big5> --><meta charset=koi8-r>", "koi8-r"),
        (b"<!--> <meta charset=big5>", "big5"),
        (b"<p title='<meta charset=big5>'>", None),
        (b"<meta charset=utf-16le>", "utf-8"),
        (b"<meta charset=x-user-defined>", "windows-1252"),
        (b"<meta charset=bogus><meta charset=big5>", "big5"),
        (b'<?xml version="1.0" encoding="ISO-8859-2"?>', "iso-8859-2"),
        (b"<metal charset=big5>", None),
        (b"<meta charset=", None),
    ],
)
def test_declarations_are_found_as_browsers_find_them(head, name):
    """The prescan of the first bytes: tags, quotes and comments are seen as such."""
    assert prescan(head) == name


def test_a_declaration_after_1024_bytes_does_not_count():
    """Like browsers, only the beginning is scanned."""
    assert decode(b" " * 1024 + b"<meta charset=koi8-r>", None)[0] == "utf-8"


def test_labels_are_those_of_the_standard():
    """The WHATWG names; an encoding that exists only to be refused counts as none."""
    assert lookup("latin1") == "windows-1252"
    assert lookup(" UTF8 ") == "utf-8"
    assert lookup("iso-2022-cn") is None
    assert lookup("") is None
