"""The canonical form, on any text: it is stable, joins safely, and holds nothing that must not reach a record."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import urlcost
from hypothesis import given
from hypothesis import strategies as st

from crawl.urls import (
    MAX_URL_LENGTH,
    base_of,
    canonical,
    drop_query,
    host_of,
    join,
    join_all,
    without_userinfo,
)

#: Pieces that the rules are about, in any order, between text of any kind (lone surrogates too).
_pieces = st.lists(
    st.sampled_from(
        [
            *(
                "http:",
                "https:",
                "HTTP://",
                "//",
                "/",
                "\\",
                "?",
                "#",
                "@",
                ":",
                "a.test",
                "A.Test",
                "ü.test",
            ),
            *(
                "u:p@",
                ":80",
                ":443",
                ":8080",
                ".",
                "..",
                "./",
                "../",
                "%2e",
                "%2E%2e",
                "%7e",
                "%2f",
                "%",
                "%4",
            ),
            *(
                "%%34%31",
                "%34",
                "31",
                "41",
                "%25",
                "%zz",
                "%C3%BC",
                "ü",
                "☃",
                "\t",
                "\n",
                " ",
                "\0",
                "\u00a0",
            ),
            *(
                "[::1]",
                "[",
                "]",
                "127.1",
                "0x7f.1",
                "xn--",
                "xn--bcher-kva",
                "&",
                "=",
                "+",
                ";",
                "'",
                '"',
                "|",
            ),
        ]
    )
    | st.text(st.characters(), max_size=3),
    max_size=14,
).map("".join)
_texts = (
    _pieces | _pieces.map(lambda text: "http://a.test/" + text) | _pieces.map(lambda text: "https://" + text)
)
_pages = _pieces.map(lambda text: canonical("http://a.test/" + text)).filter(bool)


@given(_texts)
def test_what_was_canonical_stays_as_it_is(text):
    """One page, one fingerprint, however often its URL goes through."""
    url = canonical(text)

    if url is not None:
        assert url == canonical(url)


@given(_texts)
def test_a_canonical_url_holds_nothing_that_does_not_belong_there(text):
    """No fragment, user name, space or control character; host in lower case; no more than the limit."""
    url = canonical(text)

    if url is not None:
        authority = url.split("/")[2]
        assert url.isascii()
        assert url.isprintable()
        assert not set(" #") & set(url)
        assert "@" not in authority
        assert authority == authority.lower()
        assert len(url) <= MAX_URL_LENGTH
        assert host_of(url)


@given(_pages, _pieces)
def test_a_target_is_canonical(page, reference):
    """canonical(join(b, r)) == join(b, r)."""
    target = join(page, reference)

    if target is not None:
        assert target == canonical(target)


@given(_texts, _pieces)
def test_a_base_may_be_made_canonical_before_it_is_joined_to(base, reference):
    """join(canonical(b), r) == join(b, r)."""
    whole = canonical(base)

    if whole is not None:
        assert join(base, reference) == join(whole, reference)


@given(_pages, st.lists(_pieces, max_size=5))
def test_the_cache_by_directory_changes_no_target(page, references):
    """join_all joins to the directory where that says the same, and to the page where it does not."""
    expected = dict.fromkeys(url for text in references if (url := join(page, text)) is not None)

    assert list(expected) == join_all(page, references)


@given(_pages, _pieces, _pieces)
def test_a_base_element_joins_like_a_page_of_its_url(page, base_href, reference):
    """Whatever stands in it; where it leads nowhere the page's own URL counts."""
    base = join(page, base_href) or page
    target = join(base, reference)

    assert ([] if target is None else [target]) == join_all(page, [reference], base_href)


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("http:", "http://a.test/x/y"),
        ("HTTP:?q", "http://a.test/x/y?q"),
        ("ht\ntp:#top", "http://a.test/x/y"),
        ("http:z", "http://a.test/x/z"),
        ("http:/z", "http://a.test/z"),
        ("https:z", "https://z/"),
    ],
)
def test_a_scheme_without_slashes_is_a_relative_reference(reference, target):
    """WHATWG: on a page of the same scheme `http:z` means `z`, and `http:` the page itself."""
    assert [target] == join_all("http://a.test/x/y", [reference])


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("http://a.test/%%34%31", "http://a.test/%%341"),
        ("http://a.test/%4%31", "http://a.test/%4%31"),
        ("http://a.test/%%7E", "http://a.test/%~"),
        ("http://a.test/%2541", "http://a.test/%2541"),
        ("http://a.test/%c3%28", "http://a.test/%C3%28"),
        ("http://a.test/100%/%7Ex", "http://a.test/100%/~x"),
    ],
)
def test_undoing_an_escape_makes_no_new_one(typed, expected):
    """A percent sign that begins no escape stays what it is: `%%34%31` says "%41", and not "A"."""
    assert expected == canonical(typed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://a.test/", "https://a.test/"),
        ("http://a.test/", "http://www.a.test/"),
        ("http://a.test/", "http://a.test./"),
        ("http://a.test/", "http://a.test/?"),
        ("http://a.test/a", "http://a.test/a/"),
        ("http://a.test/a", "http://a.test/A"),
        ("http://a.test/a/", "http://a.test/a//"),
        ("http://a.test/a/", "http://a.test/a/index.html"),
        ("http://a.test/?a=1&b=2", "http://a.test/?b=2&a=1"),
        ("http://a.test/?a=1&a=1", "http://a.test/?a=1"),
        ("http://a.test/?q=a+b", "http://a.test/?q=a%20b"),
        ("http://a.test/a%2Fb", "http://a.test/a/b"),
        ("http://a.test/a;x", "http://a.test/a"),
        ("http://a.test/|", "http://a.test/%7C"),
    ],
)
def test_what_may_be_two_resources_stays_two_urls(one, other):
    """RFC 3986 section 6 calls none of these equal; a crawler that merged them would miss pages."""
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("http://bücher.test/", "http://xn--bcher-kva.test/"),
        ("http://BÜCHER.test/", "http://xn--bcher-kva.test/"),
        ("http://b%C3%BCcher.test/", "http://xn--bcher-kva.test/"),
        ("http://faß.test/", "http://xn--fa-hia.test/"),
        ("http://例え.テスト/", "http://xn--r8jz45g.xn--zckzah/"),
        ("http://a。test/", "http://a.test/"),
        ("http://\uff41.test/", "http://a.test/"),
    ],
)
def test_names_in_any_script_become_a_labels(typed, expected):
    """UTS 46 as the URL standard uses it (non-transitional); DNS and records see ASCII only."""
    assert expected == canonical(typed)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.test/?utm_source=x", "http://a.test/"),
        ("http://a.test/p?utm_source=x&id=1", "http://a.test/p?id=1"),
        ("http://a.test/p?id=1&utm_source=x&b=%7C+", "http://a.test/p?id=1&b=%7C+"),
        ("http://a.test/p?utm_source", "http://a.test/p"),
        ("http://a.test/p?utm%5Fsource=x&a", "http://a.test/p?a"),
        ("http://a.test/p?UTM_source=x", "http://a.test/p?UTM_source=x"),
        ("http://a.test/p?utm_source2=x", "http://a.test/p?utm_source2=x"),
        ("http://a.test/p?a=utm_source", "http://a.test/p?a=utm_source"),
        ("http://a.test/p?&&utm_source=1&&", "http://a.test/p?&&&"),
        ("http://a.test/p?utm_source=1&sid=2&utm_source=3", "http://a.test/p"),
        ("http://a.test/p?utm_source=1&", "http://a.test/p"),
        ("http://a.test/p?", "http://a.test/p?"),
        ("http://a.test/utm_source=1", "http://a.test/utm_source=1"),
        ("http://a.test/p?a?utm_source=1", "http://a.test/p?a?utm_source=1"),
    ],
)
def test_named_parameters_are_left_out_and_nothing_else(url, expected):
    """Names are compared decoded and with their case; the rest stays byte for byte; an empty query loses its mark."""
    assert expected == drop_query(url, ("utm_source", "sid"))


@given(_texts, st.lists(st.sampled_from(["a", "ü", "A", "", "31", "u:p@"]), min_size=1))
def test_a_url_without_parameters_is_canonical_and_stays_so(text, names):
    """Dropping makes no new spelling, and there is nothing left to drop."""
    url = canonical(text)

    if url is not None:
        once = drop_query(url, names)
        assert once == canonical(once)
        assert once == drop_query(once, [name for name in names if name])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ftp://user:secret@a.test/x", "ftp://a.test/x"),
        ("see http://u@a.test and https://v:w@b.test/@me", "see http://a.test and https://b.test/@me"),
        ("http:\\\\u:p@a.test", "http:\\\\a.test"),
        ("mailto:me@a.test", "mailto:me@a.test"),
        ("http://a.test/x@y", "http://a.test/x@y"),
    ],
)
def test_messages_quote_no_password(text, expected):
    """A Location header that is shown in a record may hold one."""
    assert expected == without_userinfo(text)


def test_a_long_password_does_not_make_a_url_too_long():
    """The limit is on what is asked for and kept."""
    page = "http://a.test/" + "x" * (MAX_URL_LENGTH - len("http://a.test/"))

    assert page == canonical(page.replace("//", f"//{'u' * 500}@"))


@pytest.mark.parametrize("url", ["http://a.test/x/", "http://a.test/", "https://a.test:8443/%41/b/"])
def test_a_directory_is_its_own_base(url):
    """So a page's children and their children share one entry of the cache."""
    assert canonical(url) == base_of(canonical(url))


def test_a_canonical_url_and_a_join_take_microseconds():
    """The quickest kind, which a busy machine hardly slows; `bench --features` has the mark of 20 us for the median."""
    costs = urlcost.medians_us(60)

    assert min(costs["canonical"].values()) < 200
    assert min(costs["join"].values()) < 200


DOCUMENT = (Path(__file__).parents[3] / "docs/urls.md").read_text(encoding="utf-8")


def _rows(head: str) -> list[list[str]]:
    """Return the cells of the table under a heading line."""
    table = DOCUMENT.split(f"| {head} |", 1)[1].split("\n\n", 1)[0]
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def _examples(cell: str) -> list[str]:
    return [
        text if "://" in text or ":\\" in text else f"http://a.example{text}"
        for text in re.findall("`([^`]+)`", cell)
    ]


@pytest.mark.parametrize("row", _rows("merged"), ids=lambda row: row[0])
def test_what_the_document_calls_merged_is_merged(row):
    """docs/urls.md: every example becomes what stands beside it."""
    becomes = _examples(row[2])

    assert len(becomes) in (1, len(_examples(row[1])))
    assert [canonical(text) for text in _examples(row[1])] == becomes * (
        len(_examples(row[1])) // len(becomes)
    )


@pytest.mark.parametrize(
    "row", [row for row in _rows("URL") if row[1].startswith("`")], ids=lambda row: row[0]
)
def test_what_the_document_leaves_out_is_left_out(row):
    """docs/urls.md: the examples of --drop-query."""
    (url,), becomes = _examples(row[0]), _examples(row[1])[0]

    assert becomes == drop_query(url, ("utm_source", "sid"))
