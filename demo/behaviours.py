"""Ordinary pages named after their behaviour, and what a correct crawl records for each.

All of it is correct HTTP, served by the ordinary server; what breaks HTTP is in `demo.misbehaviour`.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

from demo import charsets
from demo.behaviour import BACK, DENIED, HTTP, NOT_READ, OK, TOO_LARGE, Behaviour, answer, plain
from demo.chance import ordinary_latency, slow_latency
from demo.hosts import ALPHA, BETA, DELTA, SLOW, Host
from demo.page import Link, Page, document, page
from demo.redirects import redirects

if TYPE_CHECKING:
    from collections.abc import Callable

#: More than the crawler's default body cap of 10 MiB.
HUGE_BYTES = 11 * 1024 * 1024
SLOW_PAGES = 10
PRIVATE_PAGES = 5
#: No gap of a slow page is longer, so that a read timeout of a second or more never strikes.
SLOW_GAP_S = 0.4

XHTML = "application/xhtml+xml; charset=utf-8"

#: A valid picture of one pixel, and a valid document of no pages.
_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154"
    "08d763f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
_PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n"
    b"trailer<</Root 1 0 R>>\n%%EOF\n"
)


def _status(host: Host, path: str, what: str, status: int) -> Behaviour:
    return answer(host, path, what, HTTP, lambda markup, wait: page(markup, status=status, latency_s=wait))


def _flaky(host: Host, path: str, status: int, headers: tuple[tuple[str, str], ...] = ()) -> Behaviour:
    def shape(markup: str, wait: float) -> Page:
        trouble = page(f"<!doctype html><title>{status}</title><p>Try again.", status=status, headers=headers)
        return replace(page(markup, latency_s=wait), at_first=trouble)

    return answer(host, path, f"Answers {status} to the first request of a crawl, then 200", OK, shape)


def _statuses() -> list[Behaviour]:
    return [
        _status(BETA, "/notfound", "Answers 404: there is no such page", 404),
        _status(BETA, "/gone", "Answers 410: there is no such page any more", 410),
        _status(BETA, "/forbidden", "Answers 403", 403),
        _status(BETA, "/server-error", "Answers 500, however often it is asked", 500),
        _flaky(BETA, "/flaky/500-then-ok", 500),
        _flaky(DELTA, "/flaky/503-then-ok", 503, (("Retry-After", "1"),)),
    ]


def _gzipped(markup: str) -> bytes:
    return gzip.compress(markup.encode(), mtime=0)


def _huge() -> bytes:
    line = b"<p>The same lane, once more, because a page without an end has to be made of something.</p>\n"
    return b"<!doctype html><title>Huge</title>\n" + line * (HUGE_BYTES // len(line) + 1)


def _bodies() -> list[Behaviour]:
    def encoded(name: str, body: Callable[[str], bytes]) -> Callable[[str, float], Page]:
        return lambda markup, wait: page(body(markup), headers=(("Content-Encoding", name),), latency_s=wait)

    return [
        answer(ALPHA, "/gzip", "Compressed with gzip", OK, encoded("gzip", _gzipped)),
        answer(ALPHA, "/deflate", "Compressed with deflate (zlib)", OK,
                encoded("deflate", lambda markup: zlib.compress(markup.encode()))),
        answer(ALPHA, "/chunked", "Sent in chunks, without a length", OK,
                lambda markup, wait: page(markup, latency_s=wait, parts=6, chunked=True)),
        answer(ALPHA, "/xhtml", "XHTML", OK,
                lambda markup, wait: page(markup, content_type=XHTML, latency_s=wait)),
        answer(ALPHA, "/no-type", "HTML without a Content-Type", OK,
                lambda markup, wait: page(markup, content_type=None, latency_s=wait)),
        Behaviour(ALPHA, "/empty", "An empty page", OK, lambda _seed: page(b"")),
        Behaviour(ALPHA, "/huge", "11 MiB, announced", TOO_LARGE, lambda _seed: page(_huge())),
        Behaviour(ALPHA, "/huge-chunked", "11 MiB, not announced", TOO_LARGE,
                  lambda _seed: page(_huge(), parts=16, chunked=True)),
        Behaviour(ALPHA, "/files/plan.png", "A picture", NOT_READ,
                  lambda _seed: page(_PNG, content_type="image/png")),
        Behaviour(ALPHA, "/files/hours.pdf", "A document", NOT_READ,
                  lambda _seed: page(_PDF, content_type="application/pdf")),
    ]  # fmt: skip


def _encoded(entry: charsets.Encoded) -> Behaviour:
    url = DELTA.origin + entry.path

    def build(seed: int) -> Page:
        markup = document(
            entry.title, [entry.text] * 4, [BACK], lang=entry.lang, head=entry.head, description=entry.title
        )
        body = charsets.encode(markup, entry)
        return page(body, content_type=entry.content_type, latency_s=ordinary_latency(seed, url))

    return Behaviour(DELTA, entry.path, entry.how, OK, build, title=entry.title)


def _unclosed(markup: str) -> str:
    return markup.replace("</p>", "").partition("</main>")[0]


def _references() -> list[Behaviour]:
    """Pages about how links are written."""
    same = tuple(
        Link(href, f"the same, {how}")
        for href, how in (
            ("/landing-place", "plain"),
            ("/landing-place#top", "with a fragment"),
            ("/a/../landing-place", "with dot segments"),
            ("http://alpha.demo.test:80/landing-place", "with the default port"),
            ("HTTP://ALPHA.demo.test/landing%2Dplace", "in capitals, with a needless escape"),
            ("//alpha.demo.test/./landing-place", "without a scheme"),
            ("\n /landing-place ", "with white space around it"),
        )
    )
    elsewhere = (
        Link("http://elsewhere.invalid/", "out of scope"),
        Link("https://elsewhere.invalid/secure?x=1", "out of scope, too"),
        Link("mailto:keeper@alpha.demo.test", "a mail address"),
        Link("javascript:void(0)", "a script"),
        Link("tel:+441234567", "a telephone"),
        Link("data:text/plain,water", "data"),
        Link("http://[broken/", "no URL at all"),
    )
    street = "/wiki/Schwimmbad-Straße"
    deep = "Links relative to a base element"
    based_on = '<meta charset="utf-8"><base href="http://alpha.demo.test/based/deep/">'

    def based(seed: int) -> Page:
        url = ALPHA.origin + "/base"
        markup = plain(seed, url, deep, (Link("target", "deep target"),), based_on)
        return page(markup, latency_s=ordinary_latency(seed, url))

    return [
        answer(ALPHA, "/same-page", "One page, linked in seven ways", links=same),
        answer(ALPHA, "/landing-place", "A page that many spellings lead to", listed=False),
        answer(ALPHA, "/elsewhere", "Links that no crawl of this site follows", links=elsewhere),
        answer(ALPHA, "/umlaut", "A link with letters beyond ASCII", links=(Link(street, "Straße"),)),
        answer(ALPHA, "/wiki/Schwimmbad-Stra%C3%9Fe", "A path beyond ASCII", listed=False),
        Behaviour(ALPHA, "/base", deep, OK, based, title=deep),
        answer(ALPHA, "/based/deep/target", "Found through a base element", listed=False),
        answer(ALPHA, "/broken-html", "Markup that never ends its elements", OK,
                lambda markup, wait: page(_unclosed(markup), latency_s=wait)),
    ]  # fmt: skip


def _private() -> list[Behaviour]:
    hidden = (Link("/only-from-private", "known to private pages only"),)
    found = [
        answer(ALPHA, f"/private/{number}", f"Denied by robots.txt, {number}", DENIED, links=hidden)
        for number in range(1, PRIVATE_PAGES + 1)
    ]
    return [*found, answer(ALPHA, "/only-from-private", "Never to be asked for", None, listed=False)]


def slow_pages() -> list[Behaviour]:
    """Return the tutorial's case: ten pages that take one to three seconds each."""

    def build(number: int) -> Callable[[int], Page]:
        url = f"{SLOW.origin}/page/{number}"

        def slow(seed: int) -> Page:
            latency_s = slow_latency(seed, url)
            markup = plain(seed, url, f"Slow page {number}")
            return page(markup, latency_s=latency_s, parts=int(latency_s / SLOW_GAP_S) + 1)

        return slow

    return [
        Behaviour(
            SLOW, f"/page/{number}", f"Slow page {number}", OK, build(number), title=f"Slow page {number}"
        )
        for number in range(1, SLOW_PAGES + 1)
    ]


def behaviours() -> list[Behaviour]:
    """Return every ordinary behaviour but the slow pages, in the order of the index."""
    listed = [*_statuses(), *redirects(), *_bodies(), *map(_encoded, charsets.PAGES), *_references()]
    return [*listed, *_private()]
