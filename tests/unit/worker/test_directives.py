"""`<meta name=robots>` and `X-Robots-Tag`: which directives are ours, and what they forbid."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.parse import parse
from worker.parse.directives import applying, is_meant

US = "poolcrawl"


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("robots", "noindex, nofollow", ["noindex", "nofollow"]),
        ("robots", "NONE", ["none"]),
        ("robots", "noindex nofollow noindex", ["noindex", "nofollow"]),
        ("poolcrawl", "nofollow", ["nofollow"]),
        ("otherbot", "nofollow", []),
        ("robots", "unavailable_after: 25 Jun 2010 15:00:00 PST, nofollow", ["nofollow"]),
        ("robots", "max-snippet:-1, max-image-preview:large", []),
        ("robots", "what, ever", []),
        ("robots", "", []),
    ],
)
def test_a_meta_speaks_to_all_robots_or_to_one(name, content, found):
    """Known words only, in lower case, each once; those with a value are passed over."""
    assert found == applying([(name, content)], None, US)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("noindex", ["noindex"]),
        ("noindex, NoFollow", ["noindex", "nofollow"]),
        ("poolcrawl: nofollow", ["nofollow"]),
        ("PoolCrawl: noindex, nofollow", ["noindex", "nofollow"]),
        ("otherbot: noindex, nofollow", []),
        ("otherbot: none\nnoarchive", ["noarchive"]),
        ("otherbot: none, poolcrawl: nofollow", ["nofollow"]),
        ("unavailable_after: Fri, 25 Jun 2010 15:00:00 PST\nnofollow", ["nofollow"]),
        ("unavailable_after: 2010-06-25T15:00:00, nofollow", ["nofollow"]),
        ("max-snippet: 20, nofollow", ["nofollow"]),
        ("", []),
        (":,::, ,", []),
    ],
)
def test_a_header_may_name_a_robot(header, found):
    """A name before a colon counts to the end of that header, or to the next name."""
    assert found == applying([], header, US)


def test_all_of_them_count():
    """Meta elements and headers add up; the stricter one wins."""
    found = applying([("robots", "all"), (US, "follow")], "otherbot: none\nnofollow", US)

    assert ["all", "follow", "nofollow"] == found


@pytest.mark.parametrize(
    ("name", "content", "meant"),
    [
        ("robots", "x", True),
        ("googlebot", "nofollow", True),
        ("viewport", "width=1", False),
        ("og:x y", "none", False),
    ],
)
def test_only_what_may_be_a_directive_is_kept_of_a_page(name, content, meant):
    """A page has many `<meta>` elements."""
    assert meant is is_meant(name, content)


def test_they_are_read_wherever_they_stand():
    """In head or body, in any case; a comment or a script holds none."""
    page = (
        b"<meta name=ROBOTS content='noindex'><!-- <meta name=robots content=none> -->"
        b"<script>'<meta name=robots content=none>'</script><body><meta name=' PoolCrawl ' content=NoFollow>"
    )

    document = parse("http://h.test/", page, "text/html", None, 10)

    assert [("robots", "noindex"), ("poolcrawl", "NoFollow")] == document.robots_meta


@given(st.lists(st.tuples(st.text(), st.text())), st.text())
def test_no_text_breaks_them(metas, header):
    """Whatever stands there gives directives."""
    assert all(word.islower() for word in applying(metas, header, US))
