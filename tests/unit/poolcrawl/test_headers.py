"""`--header`: what may be sent, and what the refusal says."""

from __future__ import annotations

import pytest

from poolcrawl.headers import REFUSED, parsed


def test_headers_are_taken_apart():
    """Name and value, white space around the value dropped, colons in it kept."""
    assert (("Accept-Language", "de, en;q=0.5"), ("X-Time", "12:30"), ("X-Empty", "")) == parsed(
        ["Accept-Language:  de, en;q=0.5 ", "X-Time: 12:30", "X-Empty:"]
    )


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["no colon"], "Name: value"),
        ([": x"], "'' is no header name"),
        (["Na me: x"], "'Na me' is no header name"),
        (["X-\r\nEvil: s3cret"], "no header name"),
        (["Ü: x"], "no header name"),
        (["X-A: s3cret\r\nX-B: c"], "the value of X-A has a control character"),
        (["X-A: s3cret\x00"], "the value of X-A has a control character"),
        (["X-A: s3crét"], "not ASCII"),
        (["X-A: s3cret", "x-a: c"], "x-a is given twice"),
        ([f"X-{number}: s3cret" for number in range(51)], "at most 50 headers"),
        (["X-A: s3cret" + "x" * 9000], "8000 characters"),
        (["Authorization: Basic s3cret"], "--credentials"),
        (["COOKIE: a=s3cret"], "--cookies"),
        (["host: x"], "--resolve"),
        (["User-Agent: x"], "CRAWL_USER_AGENT"),
        (["If-None-Match: x"], "--recrawl"),
        (["Proxy-Authorization: s3cret"], "CRAWL_PROXY"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_what_to_do(texts, said):
    """One line that names the header and never its value."""
    with pytest.raises(ValueError, match=r".") as raised:
        parsed(texts)

    text = str(raised.value)
    assert said in text
    assert "s3c" not in text
    assert text.isprintable()


@pytest.mark.parametrize("name", REFUSED)
def test_every_refused_name_has_a_remedy(name):
    """And is written in lower case, or it would never be found."""
    with pytest.raises(ValueError, match="cannot be set: "):
        parsed([f"{name.title()}: x"])

    assert name.lower() == name
