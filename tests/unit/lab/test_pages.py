"""A workload's pages: the same bytes everywhere, all of them found, and a digest known before the crawl."""

from __future__ import annotations

import hashlib
import re

import pytest

from crawl import urls
from crawl.audit import Told, digest_of
from crawl.errors import UsageError
from crawl.settings import check_resolve
from lab import pages
from lab.workload import PRESETS, Sample, Workload
from worker.parse import parse

SMALL = Workload("small", pages=60, hosts=4, latency_ms=20, parse_ms=5, errors=0.1, page_kb=6)


def _reached(site: pages.Pages, starts) -> set[int]:
    """Return what a crawl from `starts` finds, by the links in the pages themselves."""
    numbers = {site.url(number): number for number in range(len(site))}
    found, waiting = set(starts), list(starts)
    while waiting:
        number = waiting.pop()
        if not site.costs[number].fails:
            body = site.body(number).decode("ascii")
            new = {numbers[link] for link in re.findall(r'href="([^"]+)"', body)} - found
            found |= new
            waiting += new
    return found


def test_one_workload_always_gives_the_same_bytes():
    """Digests of different machines and days are about the same pages."""
    bodies = [pages.render(SMALL, number) for number in range(60)]
    backwards = [pages.Pages(SMALL).body(number) for number in reversed(range(60))]

    assert bodies == backwards[::-1]
    # Pinned, so that a change of the generator is seen: old numbers are then about another site.
    assert hashlib.sha256(b"".join(bodies)).hexdigest()[:16] == "46d7a8a18cf0ae9f"
    assert pages.expected(SMALL)[1][:16] == "da778a8047fb7d11"


def test_another_seed_or_host_gives_another_digest():
    """Neither is decoration."""
    changed = [SMALL, SMALL.with_(seed=2), SMALL.with_(hosts=5), SMALL.with_(tls=True)]

    assert len({pages.expected(workload)[1] for workload in changed}) == len(changed)


@pytest.mark.parametrize(
    "workload",
    [
        SMALL,
        PRESETS["mixed"],
        PRESETS["web"],
        Workload("one host", pages=50, links=5, errors=0.5, page_kb=1),
        Workload("few links", pages=50, links=1, page_kb=1),
        Workload("mostly broken", pages=80, links=2, errors=0.9, page_kb=1),
        Workload("one page", pages=1),
        Workload("all links", pages=9, hosts=9, links=20),
    ],
    ids=lambda workload: workload.name,
)
def test_every_page_is_found_from_page_0_and_from_all_seeds(workload):
    """A page that fails is nobody's only way, so every crawl can be complete."""
    site = pages.Pages(workload)
    whole = set(range(workload.pages))

    assert whole == _reached(site, [0])
    assert whole == _reached(site, range(workload.hosts))


def test_pages_have_their_drawn_size_and_number_of_links():
    """The knobs are obeyed to the byte."""
    site = pages.Pages(SMALL)
    for number in site.good:
        body = site.body(number)
        links = re.findall(rb'href="([^"]+)"', body)

        assert site.costs[number].size_bytes == len(body)
        assert SMALL.links == len(links) == len(set(links))
        assert site.url(number).encode() not in links


def test_a_page_too_small_for_its_links_keeps_the_links():
    """Links decide what is crawled; size is only weight."""
    tight = Workload("tight", pages=200, links=50, page_kb=0.5)

    assert 50 == len(re.findall(rb"href=", pages.render(tight, 7)))


def test_pages_are_spread_over_the_hosts_with_an_index_each():
    """Page i lives on host i % hosts + 1, and no URL holds a port."""
    assert pages.seeds(SMALL) == tuple(f"http://h{n}.lab.test/" for n in (1, 2, 3, 4))
    assert pages.url(SMALL, 6) == "http://h3.lab.test/p/000006.html"
    assert pages.url(SMALL.with_(tls=True), 4) == "https://h1.lab.test/p/000004.html"


@pytest.mark.parametrize(("tls", "asked"), [(False, 80), (True, 443)])
def test_every_host_is_resolved_to_the_sites_port(tls, asked):
    """CRAWL_RESOLVE takes the list as it is."""
    mapped = pages.resolve(SMALL.with_(tls=tls), 4711)

    assert mapped[3] == f"h4.lab.test:{asked}=127.0.0.1:4711"
    assert list(mapped) == [check_resolve(text) for text in mapped]
    assert len(mapped) == 4


def test_the_worker_reads_in_a_page_what_its_parse_shall_cost():
    """The marker is found by a search in the first bytes, also in pages with a cost each."""
    drawn = Workload("drawn", pages=40, samples=(Sample(0, 3000, 0.0), Sample(0, 3000, 12.3456)))

    assert pages.marker(pages.render(SMALL, 3)) == 5.0
    assert pages.marker(pages.render(PRESETS["lan"], 3)) == 0.0
    assert {pages.marker(pages.render(drawn, n)) for n in range(40)} == {0.0, 12.346}


@pytest.mark.parametrize(
    "body",
    [b"", b"<p>", b"<!-- parse-ms: x -->", b"<!-- parse-ms: 5", b" " * 1000 + b"<!-- parse-ms: 5.0 -->"],
)
def test_a_page_without_a_whole_marker_costs_nothing_more(body):
    """A page of somebody else is no reason to fail."""
    assert pages.marker(body) == 0.0


def test_the_expected_digest_is_the_parsers_view_of_the_pages():
    """What is computed without a crawl is what our parser reads: canonical links, each once, in document order."""
    site = pages.Pages(SMALL)
    told = []
    for number in range(SMALL.pages):
        url, body = site.url(number), site.body(number)
        if site.costs[number].fails:
            told.append(Told(url, "failed", reason="http", status=404))
            continue
        links = parse(url, body, "text/html", "utf-8", 10_000).links
        told.append(Told(url, "ok", status=200, sha256=hashlib.sha256(body).hexdigest(), links=links))

        assert url == urls.canonical(url)
    assert any(one.outcome == "failed" for one in told)
    assert (60, digest_of(told)) == pages.expected(SMALL)


def test_a_site_that_does_not_fit_into_memory_is_refused():
    """One line, with what it would need."""
    with pytest.raises(UsageError, match=r"'big': its 20000 pages have \d+ MB, .* at most 200 MB"):
        pages.check_size(Workload("big", pages=20_000))
