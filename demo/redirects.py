"""Redirects of every kind: single, chained, circular, endless, out of scope."""

from __future__ import annotations

from demo.behaviour import REDIRECT, REDIRECTS, Behaviour, Verdict, answer
from demo.chance import ordinary_latency
from demo.hosts import ALPHA, BETA
from demo.page import Page, redirect

STATUSES = (301, 302, 303, 307, 308)
TARGET = "http://beta.demo.test/landing"
#: Redirects in a row; the crawler follows ten, so number eleven is the last one asked for.
LONG_CHAIN = 15
MAX_REDIRECTS = 10


def _moved(
    path: str,
    what: str,
    location: str,
    status: int = 302,
    verdict: Verdict | None = REDIRECT,
    listed: bool = True,
) -> Behaviour:
    def build(seed: int) -> Page:
        return redirect(status, location, ordinary_latency(seed, BETA.origin + path))

    return Behaviour(BETA, path, what, verdict, build, listed)


def _chain_verdict(number: int) -> Verdict | None:
    if number <= MAX_REDIRECTS:
        return REDIRECT
    return REDIRECTS if number == MAX_REDIRECTS + 1 else None


def redirects() -> list[Behaviour]:
    """Return every redirect, and the pages that only redirects lead to."""
    found = [answer(BETA, "/landing", "Where redirects end", listed=False)]
    found += [
        _moved(f"/redirect/{status}", f"Redirects with {status}", TARGET, status) for status in STATUSES
    ]
    found += [
        _moved("/redirect/relative", "Redirects to a relative reference", "../landing?from=relative"),
        answer(BETA, "/landing?from=relative", "Where a relative redirect ends", listed=False),
        _moved("/redirect/chain/1", "Redirects three times", "2"),
        _moved("/redirect/chain/2", "Second of a chain", "/redirect/chain/3", listed=False),
        _moved(
            "/redirect/chain/3", "Third of a chain", "http://alpha.demo.test/chain-end", 301, listed=False
        ),
        answer(ALPHA, "/chain-end", "Where the chain ends", listed=False),
        _moved("/redirect/loop/a", "Redirects in a circle", "/redirect/loop/b"),
        _moved("/redirect/loop/b", "Other half of the circle", "/redirect/loop/a", listed=False),
        _moved("/redirect/self", "Redirects to itself", "/redirect/self#again", verdict=REDIRECTS),
        _moved("/redirect/outside", "Redirects out of the crawl's scope", "http://elsewhere.invalid/door"),
        _moved(
            "/redirect/private",
            "Redirects to a page that robots.txt denies",
            "http://alpha.demo.test/private/1",
        ),
    ]
    return found + [_long_chain(number) for number in range(1, LONG_CHAIN + 1)]


def _long_chain(number: int) -> Behaviour:
    onward = f"/redirect/long/{number + 1}" if number < LONG_CHAIN else "/landing"
    first = number == 1
    what = "Redirects more often than a crawler follows" if first else f"Number {number} of the long chain"
    return _moved(f"/redirect/long/{number}", what, onward, verdict=_chain_verdict(number), listed=first)
