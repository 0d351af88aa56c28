"""Scope: which URLs belong to a crawl, and which rule says so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl.errors import UsageError
from crawl.records import CrawlOptions
from crawl.scope import Scope, compile_patterns


def test_a_broken_pattern_is_named() -> None:
    """The engine is RE2, so nothing a person writes can run for ever; what it refuses is one line."""
    with pytest.raises(UsageError, match=r"'\(' is not a valid regular expression"):
        compile_patterns(["("])
    with pytest.raises(UsageError, match=r"^--include '\('"):
        compile_patterns(["("], "--include ")


def test_a_pattern_that_would_backtrack_for_ever_is_quick() -> None:
    """RE2 needs linear time; a backtracking engine would need longer than the test's timeout."""
    (pattern,) = compile_patterns(["^(a+)+$"])

    assert pattern.search("a" * 100_000 + "!") is None


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
