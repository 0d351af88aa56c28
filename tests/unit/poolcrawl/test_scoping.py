"""A scope is judged before anything is started: an error where it can come to nothing, a line where it may surprise."""

from __future__ import annotations

import pytest

from crawl.errors import UsageError
from crawl.records import CrawlOptions
from poolcrawl.scoping import check_seeds, warnings

A, B = "http://a.test/", "http://b.test/docs/"


@pytest.mark.parametrize(
    "given", [{"include": ("/x/",)}, {"exclude": ("test",)}, {"include": ("a",), "exclude": ("a",)}]
)
def test_a_crawl_whose_seeds_are_all_refused_is_an_error(given):
    """It would end at once with nothing; the line names seed, option, pattern and remedy."""
    with pytest.raises(
        UsageError, match=r"no seed would be fetched \(http://a.test/: --(in|ex)clude '"
    ) as caught:
        warnings(CrawlOptions(seeds=(A,), **given))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [{"sitemaps": True}, {"recrawl": "old"}])
def test_with_another_source_of_urls_it_is_only_said(given):
    """Sitemaps and an older crawl may bring URLs that match."""
    assert ["the seed will not be fetched; http://a.test/: --include 'x' does not match it"] == warnings(
        CrawlOptions(seeds=(A,), include=("x",), **given)
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"include": ("docs",)},
            "1 of 2 seeds will not be fetched; http://a.test/: --include 'docs' does not match it",
        ),
        ({"max_pages": 1}, "--max-pages 1 keeps 1 of 2 seeds out"),
        (
            {"depth": 0, "scope": "domain"},
            "no link is followed with --depth 0: --scope domain counts for redirects only",
        ),
        (
            {"scope": "any"},
            (
                "--scope any without --depth or --max-pages follows links wherever they lead; "
                "the crawl has no end of its own"
            ),
        ),
    ],
)
def test_what_may_surprise_is_said_in_one_line(given, said):
    """And the crawl goes on."""
    assert [said] == warnings(CrawlOptions(seeds=(A, B), **given))


def test_a_directory_without_its_slash_is_told_what_it_stands_for():
    """The directory of /docs is the whole site."""
    assert [
        "--scope prefix: everything below http://a.test/ belongs to it; did you mean http://a.test/docs/?"
    ] == warnings(CrawlOptions(seeds=("http://a.test/docs?x=/",), scope="prefix"))
    assert [] == warnings(
        CrawlOptions(seeds=("http://a.test/docs/", "http://a.test/x/a.html"), scope="prefix")
    )


def test_a_plain_crawl_has_no_warnings():
    """Nor has a crawl that is continued without seeds."""
    assert [] == warnings(CrawlOptions(seeds=(A, B)))
    assert [] == warnings(CrawlOptions(include=("x",)))
    assert [] == check_seeds(CrawlOptions(), [A])
