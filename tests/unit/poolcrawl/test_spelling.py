"""Spelling: `why` says what was merged on the way to the canonical URL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl.urls import canonical, drop_query, judge_seed
from poolcrawl.spelling import merged


def _merged(typed: str, *dropped: str) -> list[str]:
    url = canonical(typed)
    assert url is not None
    return merged(typed, url, drop_query(url, dropped))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("http://a.test/x", []),
        ("HTTP://a.test/", ["scheme in lower case"]),
        ("http://A.test/", ["host in lower case"]),
        ("http://bücher.test/", ["host 'bücher.test' is xn--bcher-kva.test"]),
        ("http://0x7f.1/", ["host '0x7f.1' is 127.0.0.1"]),
        ("http://a.test:80/", ["default port '80' dropped"]),
        ("http://[::1]:80/", ["default port '80' dropped"]),
        ("http://a.test:/", ["empty port dropped"]),
        ("http://a.test:8080", ["an empty path is /"]),
        ("http://me:secret@a.test/", ["user name and password dropped"]),
        ("http://a.test/b/../c", ["dot segments resolved"]),
        (
            "http://a.test/%7Eme",
            ["percent-encoding: capital digits, plain letters where no escape is needed"],
        ),
        ("http://a.test/ü", ["percent-encoding of what no URL may hold"]),
        ("http://a.test/a\\b", ["backslashes are slashes"]),
        ("http://a.test/#top", ["fragment '#top' dropped"]),
        ("http://a.test/?sid=1&q=2", ["query 'sid=1' dropped (--drop-query)"]),
        ("http:/a.test/", ["two slashes after the scheme"]),
    ],
)
def test_each_difference_is_named(typed, said):
    """So that a person sees why two spellings are one page."""
    assert said == _merged(typed, "sid")


@given(
    st.text(max_size=30).map(lambda text: f"http://a.test/{text}")
    | st.text(max_size=30).map("http://{}".format)
)
def test_any_url_can_be_explained(typed):
    """Never an exception, and never nothing where something differs; no password is repeated."""
    seed = judge_seed(typed)

    if seed.url is not None:
        assert bool(merged(typed, seed.url, seed.url)) == (typed.strip() != seed.url)
