"""URLs: one canonical form, unique links."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl.urls import (
    MAX_URL_LENGTH,
    base_of,
    canonical,
    domain_of,
    fingerprint,
    host_of,
    join,
    join_all,
    judge_seed,
    origin_of,
)

_references = st.lists(
    st.text(max_size=40)
    | st.from_regex(r"\A(\.\./)*[a-z%/.?#&=;:@ ]{0,20}\Z")
    | st.sampled_from(["", "#", "?", "?q=1", "/", "//b.test/", "http://a.test", "mailto:a@b", "javascript:0"])
)


@given(st.text(max_size=60) | st.text(max_size=60).map(lambda text: "http://a.test/" + text))
def test_the_canonical_form_is_its_own_canonical_form(text: str) -> None:
    """A URL that went through once is never changed again, so one page has one fingerprint."""
    once = canonical(text)

    if once is not None:
        assert canonical(once) == once


@given(st.text(max_size=60).map(lambda text: "http://a.test/" + text))
def test_a_canonical_url_is_one_printable_word(text: str) -> None:
    """Entries and streams separate fields by spaces and lines."""
    url = canonical(text)

    if url is not None:
        assert url.split() == [url]
        assert url.isascii()
        assert "#" not in url
        assert len(url) <= MAX_URL_LENGTH


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("HTTP://A.Test", "http://a.test/"),
        ("http://a.test:80/", "http://a.test/"),
        ("https://a.test:443/x", "https://a.test/x"),
        ("http://a.test:8080/x", "http://a.test:8080/x"),
        ("http://a.test/a/../b/./c", "http://a.test/b/c"),
        ("http://a.test/%7euser", "http://a.test/~user"),
        ("http://a.test/%2e%2e/x", "http://a.test/x"),
        ("http://a.test/%c3%bc", "http://a.test/%C3%BC"),
        ("http://a.test/ü", "http://a.test/%C3%BC"),
        ("http://a.test/a b", "http://a.test/a%20b"),
        ("http://a.test/%2f", "http://a.test/%2F"),
        ("http://a.test/a//b", "http://a.test/a//b"),
        ("http://a.test/?b=2&a=1", "http://a.test/?b=2&a=1"),
        ("http://a.test/#part", "http://a.test/"),
        ("http://user:secret@a.test/", "http://a.test/"),
        ("http://bücher.test/", "http://xn--bcher-kva.test/"),
        ("http://[::1]:80/", "http://[::1]/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
    ],
)
def test_spellings_of_one_resource_have_one_canonical_form(typed: str, expected: str) -> None:
    """RFC 3986 section 6 equivalences are merged; the order of a query and double slashes are not."""
    assert expected == canonical(typed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.test",
        "/path",
        "ftp://a.test/",
        "mailto:a@b.test",
        "http://",
        "http://a.test:99999/",
        "javascript:0",
    ],
)
def test_what_is_no_web_address_has_no_canonical_form(text: str) -> None:
    """Only absolute http and https URLs with a host are crawled."""
    assert canonical(text) is None


def test_a_url_beyond_the_limit_is_not_admitted() -> None:
    """The last length that fits does, one more does not."""
    fits = "http://a.test/" + "x" * (MAX_URL_LENGTH - len("http://a.test/"))

    assert canonical(fits) == fits
    assert canonical(fits + "x") is None


@given(_references)
def test_the_links_of_a_page_are_unique_and_canonical(references: list[str]) -> None:
    """Each target once, each in its final form, so that counting links counts pages."""
    found = join_all("http://a.test/dir/page.html?q=1", references)

    assert len(set(found)) == len(found)
    assert [canonical(url) for url in found] == found


@given(_references)
def test_joining_by_directory_is_joining_by_page(references: list[str]) -> None:
    """The shared cache by directory changes nothing about any link."""
    page = "http://a.test/dir/page.html?q=a/b"
    expected = dict.fromkeys(url for text in references if (url := join(page, text)) is not None)

    assert list(expected) == join_all(page, references)


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        (" b\n", "http://a.test/x/b"),
        ("\x1b", "http://a.test/x/y"),
        ("\x00#top", "http://a.test/x/y"),
        ("\u00a0b", "http://a.test/x/%C2%A0b"),
    ],
)
def test_a_reference_is_stripped_as_the_url_standard_says(reference: str, target: str) -> None:
    """C0 controls and spaces at its ends are nothing; a no-break space belongs to it."""
    assert join_all("http://a.test/x/y", [reference]) == [target]


def test_links_keep_the_order_of_the_document() -> None:
    """The first mention counts."""
    assert join_all("http://a.test/", ["/b", "/a", "b", "./a#x", "/c"]) == [
        "http://a.test/b",
        "http://a.test/a",
        "http://a.test/c",
    ]


def test_a_base_element_moves_relative_links() -> None:
    """HTML's `<base href>` may itself be relative."""
    assert join_all("http://a.test/x/y", ["z"], base_href="/other/") == ["http://a.test/other/z"]
    assert join_all("http://a.test/x/y", ["z"], base_href="javascript:0") == ["http://a.test/x/z"]


def test_the_limit_keeps_the_first_links() -> None:
    """CRAWL_MAX_LINKS cuts a page, it does not drop it."""
    assert join_all("http://a.test/", [str(number) for number in range(9)], limit=2) == [
        "http://a.test/0",
        "http://a.test/1",
    ]


@pytest.mark.parametrize(
    ("url", "origin", "host"),
    [
        ("http://a.test/x/y?z", "http://a.test", "a.test"),
        ("http://a.test:8080/", "http://a.test:8080", "a.test"),
        ("https://a.test/", "https://a.test", "a.test"),
        ("http://[::1]:81/x", "http://[::1]:81", "[::1]"),
        ("http://[::1]/", "http://[::1]", "[::1]"),
        ("http://127.0.0.1:1/", "http://127.0.0.1:1", "127.0.0.1"),
    ],
)
def test_robots_are_owed_to_an_origin_and_politeness_to_a_host(url: str, origin: str, host: str) -> None:
    """An origin has scheme and port, a host has neither."""
    assert (origin, host) == (origin_of(url), host_of(url))


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://a.test/x/y.html", "http://a.test/x/"),
        ("http://a.test/x/", "http://a.test/x/"),
        ("http://a.test/x/y?q=a/b", "http://a.test/x/"),
        ("http://a.test/", "http://a.test/"),
    ],
)
def test_the_base_of_a_url_ends_with_its_directory(url: str, base: str) -> None:
    """A slash in the query is no directory."""
    assert base == base_of(url)


@given(st.text(max_size=30))
def test_a_fingerprint_is_a_signed_64_bit_integer(text: str) -> None:
    """Redis keeps it in an intset only if it fits."""
    assert -(2**63) <= fingerprint(text) < 2**63


def test_fingerprints_do_not_change_between_releases() -> None:
    """A crawl resumed by the next release must know what was seen."""
    assert fingerprint("http://a.test/") == 392543177127010321


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("a.test", "has no scheme"),
        ("localhost:8000/x", "has no scheme"),
        ("ftp://a.test/", "ftp://"),
        ("mailto:me@a.test", "mailto:"),
        ("http://", "names no host"),
        ("http:///path", "names no host"),
        ("http://:80/", "names no host"),
        ("http://a.test:99999/", "not a valid URL"),
        (f"http://{'a' * 64}.test/", "too long for DNS"),
        (f"http://{'a.' * 125}test/", "too long for DNS"),
        ("", "has no scheme"),
    ],
)
def test_a_bad_seed_is_told_what_is_wrong_with_it(typed: str, says: str) -> None:
    """One sentence with the text itself and the remedy."""
    seed = judge_seed(typed)

    assert seed.url is None
    assert seed.error is not None
    assert says in seed.error
    assert f"'{typed}'" in seed.error
    assert "\n" not in seed.error


@given(st.text(max_size=40))
def test_a_seed_is_either_a_url_or_an_error(text: str) -> None:
    """Never both, never neither, never an exception."""
    seed = judge_seed(text)

    assert (seed.url is None) != (seed.error is None)


def test_spaces_around_a_seed_are_no_error() -> None:
    """Seeds files have them."""
    assert judge_seed("  http://a.test  ") == ("http://a.test/", None)


@pytest.mark.parametrize(
    "host", ["a" * 63 + ".test", "a." * 124 + "tests", "a." * 124 + "tests.", "[2001:db8::1]"]
)
def test_a_host_as_long_as_dns_has_them_is_none_too_many(host: str) -> None:
    """A last dot does not count."""
    assert judge_seed(f"http://{host}/") == (f"http://{host}/", None)


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("www.example.co.uk", "example.co.uk"),
        ("alpha.demo.test", "demo.test"),
        ("localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("me.github.io", "me.github.io"),
    ],
)
def test_a_domain_is_what_one_registrant_owns(host: str, domain: str) -> None:
    """By the public suffix list; addresses and bare names are their own."""
    assert domain == domain_of(host)
