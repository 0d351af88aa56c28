"""What a parsed batch offers to the frontier: links, redirects, sitemaps; each judged by the crawl's scope."""

from __future__ import annotations

import msgspec
import pytest

from crawl import names, sitemaps
from crawl.admission import Admission, forbid_links
from crawl.records import CrawlOptions, FetchRequest, decode_entry
from crawl.scope import Scope
from worker.parse import Document

SEED = "http://a.test/"


def admission(*, listed=lambda count: count, also=None, **options):
    """Return the admission of a batch of a crawl of `SEED`; a second one, after the scope came to hold `also`."""
    options = CrawlOptions(**{"seeds": (SEED,), "sitemaps": True, **options})
    only = None if also is None else Scope(msgspec.structs.replace(options, seeds=()), also)
    return Admission(options, Scope(options, also or ()), listed, now_ms=1, only=only)


def admitted(found):
    """Return what was offered, by URL."""
    requests = [
        decode_entry(entry)
        for call in found.new.slices()
        for _, _, links in call
        for _, _, entry, *_ in links
    ]
    return {request.url: request for request in requests}


def request(url=SEED, via=names.SEED, depth=0, hops=0):
    return FetchRequest(url=url, via=via, depth=depth, hops=hops)


def sitemap(*links):
    return Document(kind="sitemap", links=list(links))


def test_a_site_that_declares_sitemaps_offers_those_on_any_host():
    """A sitemap that the robots.txt of a seed's origin names may live elsewhere (sitemaps.org, cross submission)."""
    found = admission()
    found.site(request(), ["http://a.test/one.xml", "http://cdn.test/two.xml"])

    assert {url: (one.via, one.depth, one.parent) for url, one in admitted(found).items()} == dict.fromkeys(
        ("http://a.test/one.xml", "http://cdn.test/two.xml"), ("sitemap", 0, "http://a.test/robots.txt")
    )


def test_a_site_that_declares_none_is_asked_for_the_usual_one():
    """`/sitemap.xml`; its parent is the seed."""
    found = admission()
    found.site(request("http://a.test/x"), [])

    (one,) = admitted(found).values()
    assert (one.url, one.via, one.parent) == ("http://a.test/sitemap.xml", "sitemap", "http://a.test/x")


def test_include_patterns_are_for_pages_and_exclude_patterns_for_everything():
    """Who wants /docs/ only still gets the sitemap that names its pages; who excludes XML gets none."""
    wanted, unwanted = admission(include=("/docs/",)), admission(exclude=(r"\.xml$",))
    for found in (wanted, unwanted):
        found.site(request(), [])
    wanted.links(request("http://a.test/sitemap.xml", "sitemap"), sitemap(SEED + "docs/x", SEED + "y"))

    assert sorted(admitted(wanted)) == [SEED + "docs/x", SEED + "sitemap.xml"]
    assert wanted.refused == {"include": 1}
    assert admitted(unwanted) == {}


def test_what_a_sitemap_of_the_crawl_lists_stays_on_its_level_and_passes_the_scope():
    """Its pages are seeds in all but name: depth 0; those of other hosts are refused."""
    found = admission(depth=0)
    found.links(request("http://cdn.test/s.xml", "sitemap"), sitemap(SEED + "p", "http://b.test/p"))

    assert {(one.url, one.via, one.depth) for one in admitted(found).values()} == {(SEED + "p", "sitemap", 0)}
    assert found.refused == {"scope": 1}


def test_a_sitemap_that_a_page_links_to_is_one_level_deeper_than_its_links():
    """Without having been asked for, it is a page like others."""
    found = admission(depth=1)
    found.links(request(SEED + "s.xml", "link", depth=0), sitemap(SEED + "p"))
    found.links(request(SEED + "t.xml", "link", depth=1), sitemap(SEED + "q"))

    assert [(one.url, one.via, one.depth) for one in admitted(found).values()] == [(SEED + "p", "sitemap", 1)]
    assert found.refused == {"depth": 1}


def test_an_index_leads_to_sitemaps_beside_it_but_not_to_those_of_strangers():
    """An index on another host has its parts there; what it lists of a third host is refused."""
    found = admission()
    index = request("http://cdn.test/index.xml", "sitemap")
    found.links(index, sitemap("http://cdn.test/1.xml.gz", "http://c.test/2.xml", "http://cdn.test/page"))

    assert {(one.url, one.hops) for one in admitted(found).values()} == {("http://cdn.test/1.xml.gz", 1)}
    assert found.refused == {"scope": 2}


def test_indexes_nest_as_deep_as_redirects_and_list_only_so_many():
    """A site that makes up a new index for every one it is asked for ends, and so does one that lists a million."""
    deep, wide = admission(max_redirects=3), admission(listed=lambda _: sitemaps.MOST_LISTED + 1)
    deep.links(request(SEED + "3.xml", "sitemap", hops=3), sitemap(SEED + "4.xml", SEED + "page"))
    wide.links(request(SEED + "0.xml", "sitemap"), sitemap(SEED + "1.xml", SEED + "2.xml"))

    assert list(admitted(deep)) == [SEED + "page"]
    assert (deep.refused, wide.refused) == ({"sitemaps": 1}, {"sitemaps": 2})


def test_a_sitemap_that_has_moved_stays_a_sitemap_and_widens_nothing():
    """Neither its redirect nor that of a page it lists passes for a seed's."""
    found = admission()
    found.redirect(request(SEED + "s.xml", "sitemap"), SEED + "t.xml")
    found.redirect(request("http://cdn.test/s.xml", "sitemap"), "http://cdn.test/t.xml")
    found.redirect(request(SEED + "page", "sitemap"), "http://b.test/")

    assert {one.url: (one.via, one.hops) for one in admitted(found).values()} == {
        SEED + "t.xml": ("sitemap", 1),
        "http://cdn.test/t.xml": ("sitemap", 1),
    }
    assert (found.scope_seeds, found.refused) == ([], {"scope": 1})


def test_a_seeds_redirect_widens_the_scope_for_the_rest_of_the_batch():
    """Before the frontier knows: the target itself, and links to its host."""
    found = admission()
    found.redirect(request(), "https://www.a.test/x")
    found.links(request("https://www.a.test/x", "redirect"), Document(links=["https://www.a.test/y"]))

    assert sorted(admitted(found)) == ["https://www.a.test/x", "https://www.a.test/y"]
    assert found.scope_seeds == ["http://www.a.test/"]


def test_a_second_look_offers_only_what_the_scope_has_come_to_hold():
    """And counts what still lies outside; a seed's redirect widens nothing again."""
    found = admission(also=["http://www.a.test/"])
    found.redirect(request(), "http://www.a.test/")
    found.redirect(request(SEED + "x", "link", depth=1), "http://b.test/")
    found.links(request(SEED + "y"), Document(links=[SEED + "z", "http://www.a.test/z", "http://b.test/"]))
    found.links(request(SEED + "s.xml", "sitemap"), sitemap("http://www.a.test/s", SEED + "t.xml"))

    assert {one.url: (one.via, one.depth, one.hops) for one in admitted(found).values()} == {
        "http://www.a.test/": ("redirect", 0, 1),
        "http://www.a.test/z": ("link", 1, 0),
        "http://www.a.test/s": ("sitemap", 0, 0),
    }
    assert (found.scope_seeds, found.heirs, found.refused) == ([], [], {"scope": 2})


def test_what_lies_inside_already_widens_nothing():
    """Most seeds redirect within their host; nobody need look again for that."""
    found = admission()
    found.redirect(request(), "https://a.test:444/x")

    assert (found.scope_seeds, found.heirs) == ([], ["https://a.test:444/x"])


@pytest.mark.parametrize("depth", [None, 3])
def test_a_seeds_redirect_takes_the_place_of_a_link_in_the_batch(depth):
    """Its target counts as a seed; what else is held, and the first of two redirects, stays first."""
    found = admission(depth=depth)
    found.links(request(SEED), Document(links=[SEED + "x", SEED + "y"]))
    found.redirect(request(SEED + "old"), SEED + "x")
    found.redirect(request(SEED + "older", hops=2), SEED + "x")

    held = [decode_entry(link[2]) for call in found.new.slices() for *_, links in call for link in links]
    told = [(one.url, one.via, one.hops) for one in held]
    assert told[:2] == [(SEED + "y", "link", 0), (SEED + "x", "redirect", 1)]
    assert not any(one.via == "link" for one in held if one.url == SEED + "x")


def test_a_sitemap_stays_held_where_a_seed_redirects_to_it_beyond_the_patterns():
    """A redirect has to pass the patterns, and the site's sitemap has not."""
    found = admission(include=("/shop/",))
    found.site(request(SEED + "shop/"), [])
    found.redirect(request(SEED + "shop/old"), SEED + "sitemap.xml")

    assert [one.via for one in admitted(found).values()] == ["sitemap"]


@pytest.mark.parametrize(
    ("words", "forbidden"), [(["none"], True), (["nofollow"], True), (["noindex", "all"], False), ([], False)]
)
def test_nofollow_and_none_forbid_links(words, forbidden):
    """`noindex` speaks of showing a page, which we do not do."""
    assert forbidden is forbid_links(words)


@pytest.mark.parametrize(
    ("url", "looks"),
    [
        ("http://a.test/sitemap-1.xml", True),
        ("http://a.test/sitemap-1.xml.gz?x=1", True),
        ("http://a.test/sitemap.txt", True),
        ("http://a.test/page.html", False),
        ("http://a.test/?file=sitemap.xml", False),
        ("http://a.test/sitemap?page=2", True),
        ("http://sitemap.test/page", False),
        ("http://a.test/page?next=x.xml", False),
    ],
)
def test_a_further_sitemap_is_known_by_its_name(url, looks):
    """Only to say whom an index may lead to; what it is, its answer tells."""
    assert sitemaps.is_one(url) is looks


def test_sitemap_lines_are_read_as_links_are():
    """Relative ones are resolved, other schemes are passed over, each counts once."""
    lines = ["http://B.test/s.xml", "/own.xml", "ftp://c.test/x", "http://b.test:80/s.xml#top"]

    assert sitemaps.declared("http://a.test", lines) == ["http://b.test/s.xml", "http://a.test/own.xml"]
