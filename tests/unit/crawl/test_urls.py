"""URLs: one canonical form, unique links, scope."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl.errors import UsageError
from crawl.records import CrawlOptions
from crawl.urls import (
    MAX_URL_LENGTH,
    Scope,
    base_of,
    canonical,
    compile_patterns,
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


def test_a_broken_pattern_is_named() -> None:
    """The engine is RE2, so nothing a person writes can run for ever; what it refuses is one line."""
    with pytest.raises(UsageError, match=r"'\(' is not a valid regular expression"):
        compile_patterns(["("])


def test_a_pattern_that_would_backtrack_for_ever_is_quick() -> None:
    """RE2 needs linear time; a backtracking engine would need longer than the test's timeout."""
    (pattern,) = compile_patterns(["^(a+)+$"])

    assert pattern.search("a" * 100_000 + "!") is None


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


@pytest.mark.parametrize(
    ("kind", "url", "refusal"),
    [
        ("host", "http://a.demo.test/x", None),
        ("host", "https://a.demo.test:8443/x", None),
        ("host", "http://b.demo.test/", "scope"),
        ("domain", "http://b.demo.test/", None),
        ("domain", "http://a.other.test/", "scope"),
        ("domain", "http://notdemo.test/", "scope"),
        ("prefix", "http://a.demo.test/docs/x", None),
        ("prefix", "http://a.demo.test/docsx", "scope"),
        ("prefix", "http://a.demo.test/", "scope"),
        ("any", "http://elsewhere.test/", None),
    ],
)
def test_scope_says_which_urls_belong(kind: str, url: str, refusal: str | None) -> None:
    """host, domain, prefix (the seed's directory) and any."""
    scope = Scope(CrawlOptions(seeds=("http://a.demo.test/docs/index.html",), scope=kind))

    assert refusal == scope.refusal(url, 0)


def test_a_seeds_redirect_widens_the_scope() -> None:
    """DESIGN section 2: the target's host joins."""
    options = CrawlOptions(seeds=("http://a.test/",))

    assert Scope(options).refusal("http://www.a.test/x", 1) == "scope"
    assert Scope(options, ["http://www.a.test/"]).refusal("http://www.a.test/x", 1) is None


def test_depth_and_patterns_refuse_by_name() -> None:
    """The count of links not admitted is kept by these words."""
    options = CrawlOptions(seeds=("http://a.test/",), depth=2, include=("/docs/",), exclude=(r"\.pdf$",))
    scope = Scope(options)

    assert scope.refusal("http://a.test/docs/x", 2) is None
    assert scope.refusal("http://a.test/docs/x", 3) == "depth"
    assert scope.refusal("http://a.test/news/x", 0) == "include"
    assert scope.refusal("http://a.test/docs/x.pdf", 0) == "exclude"


_scopes = st.sampled_from(["host", "domain", "prefix", "any"])
_urls = st.sampled_from(
    [
        *("http://a.demo.test/docs/x", "http://a.demo.test/", "http://b.demo.test/docs/x.pdf"),
        *(
            "https://a.demo.test/docs/",
            "http://other.test/docs/",
            "http://[::1]/docs/x",
            "http://a.demo.test./docs/",
        ),
    ]
)


@given(
    _scopes, _urls, st.integers(0, 4), st.sampled_from([(), ("/docs/",)]), st.sampled_from([(), (r"\.pdf$",)])
)
def test_an_explanation_says_what_the_verdict_is(kind, url, depth, include, exclude) -> None:
    """`explain` is for people, `refusal` for the crawl: they never differ."""
    seeds = ("http://a.demo.test/docs/",)
    scope = Scope(CrawlOptions(seeds=seeds, scope=kind, depth=2, include=include, exclude=exclude))
    verdict = scope.explain(url, depth)

    assert scope.refusal(url, depth) == verdict.refusal
    assert scope.pattern_refusal(url) == scope.explain_seed(url).refusal
    assert verdict.why
    assert verdict.rule.startswith("--")


@pytest.mark.parametrize(
    ("given", "url", "depth", "why"),
    [
        ({"depth": 1}, "http://a.test/", 2, "depth 2 is beyond --depth 1"),
        ({}, "http://b.test/", 0, "b.test is none of the seeds' hosts (a.test) (--scope host)"),
        ({}, "http://a.test/x", 0, "a.test is one of the seeds' hosts (--scope host)"),
        (
            {"scope": "domain"},
            "http://x.b.test/",
            0,
            "b.test is none of the seeds' domains (a.test) (--scope domain)",
        ),
        ({"scope": "domain"}, "http://x.a.test/", 0, "a.test is one of the seeds' domains (--scope domain)"),
        (
            {"scope": "prefix"},
            "http://a.test/x",
            0,
            "it is below none of http://a.test/docs/ (--scope prefix)",
        ),
        ({"scope": "prefix"}, "http://a.test/docs/x", 0, "it is below http://a.test/docs/ (--scope prefix)"),
        ({"scope": "any"}, "http://b.test/", 0, "every host belongs to the crawl (--scope any)"),
        (
            {"include": ("x", "y")},
            "http://a.test/",
            0,
            "--include 'x' does not match it nor any of the 1 others",
        ),
        ({"include": ("x", "y")}, "http://a.test/y", 0, "--include 'y' matches it"),
        ({"exclude": ("x", "y$")}, "http://a.test/y", 0, "--exclude 'y$' matches it"),
    ],
)
def test_a_verdict_names_rule_pattern_and_value(given, url, depth, why) -> None:
    """One clause that a person can check against what was typed."""
    scope = Scope(CrawlOptions(seeds=("http://a.test/docs/",), **given))

    assert why == scope.explain(url, depth).why


def test_a_seed_is_judged_by_patterns_alone() -> None:
    """Its host is in scope because it is a seed's; a seed that came in by a stream is in no options."""
    scope = Scope(CrawlOptions(exclude=("secret",)))

    assert scope.pattern_refusal("http://a.test/") is None
    assert scope.refusal("http://a.test/", 0) == "scope"
    assert scope.explain_seed("http://a.test/secret").pattern == "secret"
    assert scope.explain_seed("http://a.test/").refusal is None


def test_customers_of_one_host_are_domains_apart() -> None:
    """The public suffix list's private section counts: github.io is nobody's site, alice.github.io is Alice's."""
    scope = Scope(CrawlOptions(seeds=("https://alice.github.io/",), scope="domain"))

    assert scope.refusal("https://www.alice.github.io/", 1) is None
    assert scope.refusal("https://bob.github.io/", 1) == "scope"
    assert scope.refusal("https://github.io/", 1) == "scope"
