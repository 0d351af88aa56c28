"""Reading a robots.txt: groups, rules, matching, and any bytes at all (RFC 9309 section 2.2)."""

from __future__ import annotations

import random
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protego import Protego

from worker.matching import path_of
from worker.robotstxt import MAX_BYTES, MAX_SITEMAPS, Rules, product_token

US = "poolcrawl/0.1 (+https://example.org/)"


def allowed(text: str | bytes, path: str, user_agent: str = US) -> bool:
    """Return the verdict on a path of one origin."""
    body = text if isinstance(text, bytes) else text.encode()
    return Rules.from_text(body).allowed(f"http://h.test{path}", user_agent)


@pytest.mark.parametrize(
    ("user_agent", "token"),
    [
        (US, "poolcrawl"),
        ("PoolCrawl", "poolcrawl"),
        ("my-bot_x/2.0", "my-bot_x"),
        ("", ""),
        ("42", "42"),
        ("42bot/1.0", "42bot"),
    ],
)
def test_the_product_token_is_the_name_before_the_version(user_agent, token):
    """Groups are matched with the product token in lower case (section 2.2.1)."""
    assert token == product_token(user_agent)


@pytest.mark.parametrize(
    ("text", "path", "verdict"),
    [
        # Ours alone counts where there is one, in any case, with or without a version behind it.
        ("User-agent: *\nDisallow: /\n\nUser-agent: PoolCrawl\nDisallow: /x", "/y", True),
        ("User-agent: *\nAllow: /\n\nUser-agent: POOLCRAWL/0.1\nDisallow: /x", "/x", False),
        ("User-agent: poolcrawl extra\nDisallow: /x", "/x", False),
        ("User-agent: poolcrawl\nDisallow:\n\nUser-agent: *\nDisallow: /", "/x", True),
        # Another name is another robot, also one that ours begins with or that begins with ours.
        ("User-agent: pool\nDisallow: /", "/x", True),
        ("User-agent: poolcrawler\nDisallow: /", "/x", True),
        ("User-agent: p\nDisallow: /\n\nUser-agent: *\nDisallow: /x", "/y", True),
        ("User-agent: other\nDisallow: /", "/y", True),
        # Groups of one name are one group; of `*` too.
        (
            "User-agent: poolcrawl\nDisallow: /a\n\nUser-agent: b\nDisallow: /c\n\nUser-agent: PoolCrawl\nDisallow: /b",
            "/a",
            False,
        ),
        (
            "User-agent: poolcrawl\nDisallow: /a\n\nUser-agent: b\nDisallow: /c\n\nUser-agent: PoolCrawl\nDisallow: /b",
            "/b",
            False,
        ),
        (
            "User-agent: poolcrawl\nDisallow: /a\n\nUser-agent: b\nDisallow: /c\n\nUser-agent: PoolCrawl\nDisallow: /b",
            "/c",
            True,
        ),
        ("User-agent: *\nDisallow: /a\n\nUser-agent: *\nDisallow: /b", "/b", False),
        # Several names share their rules; neither empty lines nor other records end the list of names.
        ("User-agent: a\nUser-agent: poolcrawl\nDisallow: /x", "/x", False),
        ("User-agent: poolcrawl\n\n\nUser-agent: b\nDisallow: /x", "/x", False),
        ("User-agent: poolcrawl\nSitemap: http://h.test/s.xml\nUser-agent: b\nDisallow: /x", "/x", False),
        ("User-agent: poolcrawl\nCrawl-delay: 9\nUser-agent: b\nDisallow: /x", "/x", False),
        ("User-agent: poolcrawl\nDisallow:\nUser-agent: b\nDisallow: /x", "/x", True),
        # Rules before any name belong to nobody; `*` with something behind it is no `*`.
        ("Disallow: /\nUser-agent: *\nDisallow: /x", "/y", True),
        ("User-agent: *bot\nDisallow: /", "/y", True),
        ("User-agent: * # all\nDisallow: /", "/y", False),
    ],
)
def test_the_group_is_chosen_by_the_product_token(text, path, verdict):
    """Sections 2.2.1 and 2.2.4."""
    assert verdict is allowed(text, path)


@pytest.mark.parametrize(
    ("rules", "path", "verdict"),
    [
        ("Disallow: /private", "/private/x", False),
        ("Disallow: /private", "/public", True),
        ("Disallow: /private", "/Private", True),
        ("Disallow: /a\nAllow: /a/b", "/a/b/c", True),
        ("Allow: /a/b\nDisallow: /a/b/c", "/a/b/c", False),
        ("Disallow: /a\nAllow: /a", "/a", True),
        ("Allow: /fish*\nDisallow: /fish/", "/fish/x", True),
        ("Allow: /page\nDisallow: /*.htm", "/page.htm", False),
        ("Allow: /x/page.\nDisallow: /*.html", "/x/page.html", True),
        ("Disallow: /\nAllow: /$", "/", True),
        ("Disallow: /\nAllow: /$", "/x", False),
        ("Disallow: /*.pdf$", "/a.pdf", False),
        ("Disallow: /*.pdf$", "/a.pdf?x", True),
        ("Disallow: /*.pdf$", "/a.pdf.pdf", False),
        ("Disallow: /a*b*c", "/a-b-b-c-", False),
        ("Disallow: /a*b*c", "/a-c-b", True),
        ("Disallow: /*aba*ba$", "/aba", True),
        ("Disallow: /*a*$", "/xax", False),
        ("Disallow: *.php", "/x.php5", False),
        ("Disallow: *", "/x", False),
        ("Disallow: /***x", "/ax", False),
        ("Disallow: /*?s=", "/find?s=1", False),
        ("Disallow: /*?", "/find", True),
        ("Disallow: /x$y", "/x$y", False),
        ("Disallow: private", "/private", True),
        ("Disallow:", "/x", True),
        ("Disallow: /x # not /y", "/x", False),
        ("Disallow: /x#y", "/x", False),
        ("disallow /x", "/x", False),
        ("  DISALLOW \t:\t /x  ", "/x", False),
        ("Dissallow: /x", "/x", False),
        ("Noindex: /x\nFoo: bar", "/x", True),
        ("Disallow: /", "/robots.txt", True),
        ("Disallow: /robots.txt", "/robots.txt", True),
        ("Disallow: /", "/robots.txt2", False),
        ("Disallow: /a/b/index.html", "/a/b/", True),
    ],
)
def test_the_longest_match_decides(rules, path, verdict):
    """The most octets win, then the rule that allows; `*`, `$` and comments (sections 2.2.2 and 2.2.3)."""
    assert verdict is allowed(f"User-agent: *\n{rules}\n", path)


@pytest.mark.parametrize(
    ("rule", "path", "matches"),
    [
        # The table of section 2.2.2.
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz", True),
        ("/foo/bar?baz=http://foo.bar", "/foo/bar?baz=http%3A%2F%2Ffoo.bar", True),
        ("/foo/bar?baz=http%3a%2f%2ffoo.bar", "/foo/bar?baz=http://foo.bar", True),
        ("/foo/bar/\u30c4", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%E3%83%84", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%e3%83%84", "/foo/bar/\u30c4", True),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz", True),
        # Special characters, escaped (section 2.2.3).
        ("/path/file-with-a-%2A.html", "/path/file-with-a-*.html", True),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-x.html", False),
        ("/path/foo-%24", "/path/foo-$", True),
        ("/path/foo-%24", "/path/foo-", False),
        ("/a%23b", "/a%23b", True),
        # An escaped delimiter in a path is none.
        ("/a%2Fb", "/a%2fb", True),
        ("/a%2Fb", "/a/b", False),
        ("/a/b", "/a%2Fb", False),
        ("/what%3Fx", "/what?x", False),
        ("/a%252Fb", "/a%2Fb", False),
        # Behind a star it may stand in the path or in the query: both match.
        ("/*=http%3A%2F%2F", "/go?to=http://x.test", True),
        ("/*=http://", "/go?to=http%3A%2F%2Fx.test", True),
        ("/*/b%2Fc", "/a/b%2Fc", True),
        ("/*/b%2Fc", "/a/b/c", True),
        # Broken escapes stand for themselves.
        ("/100%", "/100%", True),
        ("/a%zzb", "/a%zzb", True),
        ("/a%4", "/a%4", True),
    ],
)
def test_escapes_do_not_matter(rule, path, matches):
    """What is the same octets is the same path, however it is written (section 2.2.2)."""
    assert (not matches) is allowed(f"User-agent: *\nDisallow: {rule}\n", path)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_lines_end_in_three_ways(end):
    """Section 2.2: EOL is LF, CR or CRLF, and nothing else."""
    text = end.join(["User-agent: *", "", "Disallow: /a\x0b/b\x85/c\u2028/d", "Disallow: /e", ""])

    assert not allowed(text, "/e")
    assert allowed(text, "/a")


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xef\xbb", b"\xef"])
def test_a_byte_order_mark_is_passed_over(mark):
    """Even half of one."""
    assert not allowed(mark + b"User-agent: *\nDisallow: /a", "/a")


@pytest.mark.parametrize(
    ("line", "path", "verdict"),
    [
        (b"Disallow: /\xff", "/%FF", False),
        (b"Disallow: /\xff", "/x", True),
        (b"Disallow: /a\x00b", "/a%00b", False),
        (b"Disallow: /a\x00b", "/a", True),
        (b"\x00\x01\x02\xfe\xff", "/x", True),
        (b"<html>Disallow: /", "/x", True),
    ],
)
def test_every_byte_stands_for_itself(line, path, verdict):
    """Neither NUL nor bytes that are no UTF-8 spoil a rule, or make one of what is none."""
    assert verdict is allowed(b"User-agent: *\n" + line + b"\nDisallow: /last", path)
    assert not allowed(b"User-agent: *\n" + line + b"\nDisallow: /last", "/last")


def test_a_line_cut_by_the_limit_does_not_count():
    """`Disallow: /private` cut to `Disallow: /` would forbid the whole site (section 2.5)."""
    head = b"User-agent: *\nDisallow: /x\n"
    last = b"Disallow: /private"
    body = head + b"#" * (MAX_BYTES - len(head) - 12) + b"\n" + last
    assert body[:MAX_BYTES].endswith(b"\nDisallow: /")

    rules = Rules.from_text(body)

    assert rules.allowed("http://h.test/public", US)
    assert not rules.allowed("http://h.test/x", US)


def test_a_hundred_megabytes_cost_what_500_kib_cost():
    """The rest is not looked at: little time, little memory."""
    body = b"User-agent: *\n" + b"Disallow: /x\n" * 8_000_000
    assert len(body) > 100_000_000
    tracemalloc.start()
    began = time.perf_counter()

    rules = Rules.from_text(body)
    verdict = rules.allowed("http://h.test/x", US)
    seconds = time.perf_counter() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert not verdict
    assert seconds < 60
    assert peak < 50_000_000


@pytest.mark.parametrize(
    "body",
    [
        b"user-agent:a\n" * 20_000 + b"crawl-delay:1\n" * 18_000,
        b"".join(b"user-agent:a%d\n" % number for number in range(15_000)) + b"crawl-delay:1\n" * 15_000,
        b"user-agent:*\n" + b"disallow:/*a*a*a*a*a*a*a*a*a*a*ab\n" * 15_000,
        b"user-agent:*\ndisallow:/" + b"*a" * 250_000 + b"b",
        b"\n" * MAX_BYTES,
        b"sitemap:http://h.test/a\n" * 20_000,
        bytes(range(256)) * 2000,
    ],
)
def test_no_file_is_made_to_hang_us(body):
    """Many names, many stars, many anything: read and answered in a moment, on a busy machine too."""
    began = time.perf_counter()

    rules = Rules.from_text(body)
    rules.allowed("http://h.test/" + "a" * 4000, US)
    rules.crawl_delay("a14999")

    assert time.perf_counter() - began < 30


@pytest.mark.parametrize(
    ("value", "delay_s"),
    [
        ("2.5", 2.5),
        ("0", 0.0),
        (".5", 0.5),
        ("7.", 7.0),
        ("10 # seconds", 10.0),
        ("86401", 86_400.0),
        ("9" * 400, 86_400.0),
        ("-3", None),
        ("soon", None),
        ("1e3", None),
        ("inf", None),
        ("nan", None),
        ("1_0", None),
        ("\u0663", None),
        ("1,5", None),
        ("", None),
    ],
)
def test_a_crawl_delay_is_a_plain_number_of_seconds(value, delay_s):
    """Fractions count, nonsense does not, and nothing is longer than a day."""
    body = f"User-agent: *\nCrawl-delay: {value}\nDisallow: /x\n".encode()

    assert delay_s == Rules.from_text(body).crawl_delay(US)


def test_the_crawl_delay_is_that_of_our_group():
    """A delay for others is not ours, also where they share the rules; of several for us the longest counts."""
    rules = Rules.from_text(
        b"User-agent: other\nCrawl-delay: 9\nUser-agent: *\nCrawl-delay: 2\nDisallow: /x\nCrawl-delay: 1\n\n"
        b"User-agent: quick\nDisallow: /y"
    )

    assert 2.0 == rules.crawl_delay(US)
    assert 9.0 == rules.crawl_delay("other/1")
    assert rules.crawl_delay("quick") is None


def test_sitemaps_belong_to_no_group():
    """Absolute ones in canonical form, relative ones by the file's own URL, each once, in order."""
    body = b"Sitemap: HTTP://H.test:80/a.xml#x\nUser-agent: *\nsitemap:/b.xml\nSITEMAP: ftp://h.test/c\nSitemap: http://h.test/a.xml"

    assert ["http://h.test/a.xml"] == Rules.from_text(body).sitemaps
    assert ["http://h.test/a.xml", "http://h.test/b.xml"] == Rules.from_text(
        body, "http://h.test/robots.txt"
    ).sitemaps


def test_sitemaps_are_bounded():
    """A hundred, and 64 KB of them."""
    many = b"".join(b"Sitemap: http://h.test/%d\n" % number for number in range(1000))
    long = b"".join(b"Sitemap: http://h.test/%d/%s\n" % (number, b"x" * 3000) for number in range(100))

    assert MAX_SITEMAPS == len(Rules.from_text(many).sitemaps)
    assert 65_536 >= sum(map(len, Rules.from_text(long).sitemaps)) > 60_000


def test_the_rule_that_decides_can_be_named():
    """For `poolcrawl why`: the line and its number in the file."""
    rules = Rules.from_text(
        "# hello\r\nUser-agent: *\r\n\r\nDisallow: /caf\u00e9 # closed\r\nAllow: /x\r\n".encode()
    )

    assert "Disallow: /caf%C3%A9 # closed (line 4)" == rules.rule_of("http://h.test/caf%C3%A9/1", US)
    assert rules.rule_of("http://h.test/y", US) is None


@given(st.binary(max_size=400), st.text(max_size=40))
def test_no_bytes_break_the_rules(body, path):
    """Whatever a server sends as robots.txt gives rules that answer, and what is kept of it gives the same ones."""
    rules = Rules.from_text(b"User-agent: *\nDisallow: /" + body)
    kept = Rules.from_kept(rules.text.encode())

    url = f"http://h.test/{path}"
    assert rules.text.isascii()
    assert rules.allowed(url, US) == kept.allowed(url, US)
    assert rules.text == kept.text


_PATHS = st.text("ab/?%2F*$", min_size=1, max_size=8)


@given(st.lists(st.tuples(st.sampled_from(["Allow", "Disallow"]), _PATHS), max_size=8), _PATHS)
def test_the_index_finds_what_looking_at_every_rule_finds(rules, path):
    """The verdict equals that of a matcher which tries each rule by itself."""
    url = f"http://h.test/{path.replace('*', '').replace('$', '')}"
    text = "User-agent: *\n" + "".join(f"{name}: /{value}\n" for name, value in rules)
    single = [
        (Rules.from_text(f"User-agent: *\n{name}: /{value}\n".encode())._matcher("*"), name)
        for name, value in rules
    ]
    found = [(matcher.rule(path_of(url)), name) for matcher, name in single]
    matching = [(rule.octets, name == "Allow") for rule, name in found if rule is not None]
    expected = max(matching)[1] if matching else True

    assert expected == Rules.from_text(text.encode()).allowed(url, US)


def _file(lines: int, starred: float) -> bytes:
    chance = random.Random(9309)
    words = ["".join(chance.choices("abcdefghijklmnop", k=chance.randint(3, 10))) for _ in range(3000)]
    rules = ["User-agent: *"]
    for _ in range(lines):
        if chance.random() < starred:
            rules.append("Disallow: " + chance.choice(["/*?%s=", "/*/%s/", "/*.%s$"]) % chance.choice(words))
        else:
            rules.append("Disallow: /" + "/".join(chance.choices(words, k=chance.randint(1, 4))))
    return "\n".join(rules).encode()[:MAX_BYTES]


@pytest.mark.parametrize(("lines", "starred"), [(100, 0.2), (25_000, 0.2), (25_000, 1.0)])
def test_a_verdict_costs_microseconds(lines, starred):
    """The quickest of many, against 100 rules and files of 500 KiB; `bench --features` holds the mark of 50 us."""
    rules = Rules.from_text(_file(lines, starred))
    rules.allowed("http://h.test/", US)
    times = []
    for number in range(1000):
        url = f"http://h.test/some/page-{number}/of/a-site.html?id={number}"
        begun = time.perf_counter()
        rules.allowed(url, US)
        times.append(time.perf_counter() - begun)

    assert min(times) < 200e-6


@pytest.mark.parametrize("starred", [0.0, 0.3, 1.0])
def test_protego_says_the_same(starred):
    """A second opinion, on what both read alike: plain paths, stars and ends, allowed and not."""
    body = _file(300, starred).replace(b"Disallow: /a", b"Allow: /a")
    ours, theirs = Rules.from_text(body), Protego.parse(body.decode())
    pages = [
        rule.partition(": ")[2].replace("*", "x/y").replace("$", "") for rule in body.decode().split("\n")[1:]
    ]
    urls = [f"http://h.test{page}{tail}" for page in pages for tail in ("", "z", "/z?q=1")]
    differing = [url for url in urls if ours.allowed(url, US) != theirs.can_fetch(url, "poolcrawl")]

    assert len(urls) == 900
    assert differing == []
