"""The cookie jar of one registrable domain."""

from __future__ import annotations

import http.cookiejar

import pytest

from worker.cookies import MAX_COOKIES, Jar

URL = "http://www.shop.example/a/b"


def jar_with(*set_cookies, url=URL):
    jar = Jar()
    jar.take(url, set_cookies)
    return jar


def again(jar):
    """Return a jar as the next worker has it."""
    return Jar(jar.changes()[0])


@pytest.mark.parametrize(
    ("set_cookie", "url", "expected"),
    [
        ("a=1", URL, "a=1"),
        ("a=1", "http://www.shop.example/a/c", "a=1"),
        ("a=1", "http://www.shop.example/", None),
        ("a=1; Path=/", "http://www.shop.example/", "a=1"),
        ("a=1; Path=/x", "http://www.shop.example/xy", None),
        ("a=1; Path=/", "http://other.shop.example/", None),
        ("a=1; Path=/", "http://deep.www.shop.example/", None),
        ("a=1; Path=/; Domain=shop.example", "http://other.shop.example/", "a=1"),
        ("a=1; Path=/; Domain=.shop.example", "http://deep.www.shop.example/", "a=1"),
        ("a=1; Path=/; Domain=shop.example", "http://notshop.example/", None),
        ("a=1; Path=/; Domain=other.example", "http://other.example/", None),
        ("a=1; Path=/; Domain=example", "http://www.shop.example/", None),
        ("a=1; Path=/; Max-Age=100", URL, "a=1"),
        ("a=1; Path=/; Max-Age=0", URL, None),
        ("a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", URL, None),
        ("a=1; Path=/; Expires=Fri, 01 Jan 2100 00:00:00 GMT", URL, "a=1"),
        ("a=1; Path=/; HttpOnly; SameSite=Lax", URL, "a=1"),
        ("a=1; Secure; Path=/", "https://www.shop.example/", None),
        ("__Secure-a=1; Path=/", URL, None),
        ("__Host-a=1; Path=/", URL, None),
        ("a=" + "x" * 4096, URL, None),
        ("a=\x01", URL, None),
        ("", URL, None),
        ("=;;;", URL, None),
    ],
)
def test_a_cookie_goes_where_it_belongs(set_cookie, url, expected):
    """Domain, Path, Expires, Secure and the prefixes are honoured, in a jar that went through Redis, too."""
    jar = jar_with(set_cookie)

    assert (expected, expected) == (jar.header(url), again(jar).header(url))


def test_a_secure_cookie_goes_over_https_only():
    """Set over https, it is not sent over http."""
    jar = jar_with("a=1; Secure; Path=/", "__Host-b=2; Secure; Path=/", url="https://www.shop.example/")

    assert "a=1; __Host-b=2" == jar.header("https://www.shop.example/x")
    assert None is jar.header("http://www.shop.example/x")


@pytest.mark.parametrize(
    ("host", "domain"), [("www.foo.co.uk", "co.uk"), ("me.github.io", "github.io"), ("www.foo.com", "com")]
)
def test_no_cookie_is_set_for_a_public_suffix(host, domain):
    """Else one customer of a registry would set cookies for all others."""
    jar = jar_with(f"a=1; Path=/; Domain={domain}", url=f"http://{host}/")

    assert None is jar.header(f"http://{host}/")
    assert None is jar.header(f"http://other.{domain}/")


def test_addresses_and_bare_names_have_cookies_of_their_own():
    """An address has no domain above it."""
    for host in ("127.0.0.1", "localhost"):
        assert "a=1" == jar_with("a=1; Path=/", url=f"http://{host}:8000/").header(f"http://{host}:8000/x")


def test_only_what_changed_is_stored_and_removed():
    """A batch that learns nothing new writes nothing."""
    stored = jar_with("a=1; Path=/", "b=2; Path=/").changes()[0]
    jar = Jar(stored)

    assert ({}, []) == jar.changes()
    jar.take(URL, ["a=; Path=/; Max-Age=0", "b=3; Path=/", "c=4; Path=/"])
    changed, removed = jar.changes()
    assert (2, 1) == (len(changed), len(removed))
    assert "b=3; c=4" == Jar({**{k: v for k, v in stored.items() if k not in removed}, **changed}).header(URL)


def test_take_tells_whether_the_request_would_change():
    """That decides whether a redirect to itself is asked for again."""
    jar = Jar()

    assert [True, False, False] == [
        jar.take(URL, ["a=1"]),
        jar.take(URL, ["a=1"]),
        jar.take(URL, ["b=1; Path=/elsewhere"]),
    ]


def test_a_flood_of_cookies_stays_within_the_limits():
    """One domain keeps so many; new ones win over those of earlier batches."""
    jar = Jar(jar_with(*(f"old{number}=1; Path=/" for number in range(40))).changes()[0])
    for start in range(0, 2000, 40):
        jar.take(URL, [f"n{number}={'x' * 200}; Path=/" for number in range(start, start + 40)])
        jar.header(URL)

    changed, removed = jar.changes()

    assert (MAX_COOKIES, 40) == (len(changed), len(removed))
    assert None is jar.header(URL)


def test_no_header_raises_or_prints(capsys):
    """Whatever a server sends."""
    for text in (
        "\x00\xff",
        "a=1; Expires=never; Max-Age=x",
        "a=1; Max-Age=" + "9" * 400,
        "é=ü",
        ";" * 3000,
        "a",
    ):
        jar = jar_with(text)
        jar.header(URL)
        jar.changes()

    assert ("", "") == capsys.readouterr()


def test_what_another_release_stored_is_dropped():
    """Unreadable fields cost nothing but themselves."""
    assert None is Jar({b"x": b"{}", b"y": b"nonsense"}).header(URL)


def test_the_library_is_no_laxer_than_its_policy_says():
    """A host-only cookie needs this flag of the library's."""
    assert 2 == http.cookiejar.DefaultCookiePolicy.DomainStrictNonDomain
