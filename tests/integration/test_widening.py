"""Which pages a crawl has must not depend on which were parsed first: small sites, crawled in many orders."""

from __future__ import annotations

import random

import msgspec
import pytest
import standin
from orders import Crawler, Page, outcome, short_cuts, submit

from crawl import keys, urls
from crawl.frontier import Frontier
from producer.seeds import Intake

ORDERS = 12


def allow(frontier, *pages):
    """Have robots.txt answered for the origins of these pages: everything is allowed."""
    far = standin.now_ms(frontier.client) + 3_600_000
    for origin in {urls.origin_of(page) for page in pages}:
        frontier.client.hset(
            keys.robots(origin), mapping={"verdict": "allow", "body": "", "fresh_until": far}
        )


def orders(frontier, options, site):
    """Crawl one site in different orders; yield what each crawl came to, and how many looks it took."""
    for order in range(ORDERS):
        own = Frontier(frontier.client, f"{frontier.crawl}-{order}")
        submit(own, options)
        pick = random.Random(order)
        crawler = Crawler(own, options, site, lambda opened, pick=pick: pick.randrange(len(opened)))
        crawler.run()
        yield *outcome(own), crawler.looks


def in_many_orders(frontier, options, site):
    """Return what all orders come to (they must not differ), and how many looks they took together."""
    found = list(orders(frontier, options, site))
    pages, refused, _ = found[0]

    assert [
        (set(pages) ^ set(other), counts) for other, counts, _ in found if (other, counts) != (pages, refused)
    ] == []
    return (pages, refused), sum(looks for *_, looks in found)


def moved(host):
    """Return a site whose first seed lives two redirects away, and whose second seed knows it from its new place."""
    a, www, b = f"http://a.{host}/", f"https://www.a.{host}/", f"http://b.{host}/"
    return (a, b), {
        a: Page(to=f"https://a.{host}/"),
        f"https://a.{host}/": Page(to=www),
        f"http://a.{host}/sitemap.xml": Page(
            www + "listed", www + "listed", f"http://c.{host}/", kind="sitemap"
        ),
        www: Page(www + "x", b),
        b: Page(www + "from-b", b + "old", b + "shy", f"http://c.{host}/"),
        b + "old": Page(to=www + "new"),
        b + "shy": Page(www + "secret", robots=("nofollow",)),
        www + "from-b": Page(www + "deep"),
    }


def test_the_pages_do_not_depend_on_when_a_seeds_redirect_was_completed(frontier, host):
    """Links, a redirect and a sitemap to the host where a seed lives by now; what stays outside is counted."""
    seeds, site = moved(host)
    allow(frontier, *site)
    options = standin.options(seeds=seeds, batch=1, sitemaps=True, robots="obey")
    found, looks = in_many_orders(frontier, options, site)
    www = f"https://www.a.{host}/"

    pages, refused = found
    assert {www + page for page in ("", "x", "listed", "from-b", "deep", "new")} <= set(pages)
    assert www + "secret" not in pages
    assert refused["scope"] == 2
    assert looks > 0


def test_a_page_that_a_link_found_first_still_inherits_from_the_seed_that_redirects_to_it(frontier, host):
    """It redirects further, to another host: that joins the scope, and its sitemap is read, whoever was first."""
    a, middle, end, b = (f"http://{name}.{host}/" for name in ("a", "middle", "end", "b"))
    site = {
        a: Page(to=middle),
        middle: Page(to=end),
        end: Page(end + "x"),
        f"{end}sitemap.xml": Page(end + "listed", kind="sitemap"),
        b: Page(middle, end + "from-b"),
    }
    options = standin.options(seeds=(a, b, middle + "page"), batch=1, sitemaps=True)
    found, looks = in_many_orders(frontier, options, site)

    pages, refused = found
    assert {end, end + "x", end + "listed", end + "from-b", end + "sitemap.xml"} <= set(pages)
    assert refused == {}
    assert looks > 0


@pytest.mark.parametrize("depth", [None, 3])
@pytest.mark.parametrize("turned", [False, True])
def test_a_link_and_a_seeds_redirect_in_one_batch_make_a_seed_of_their_target(frontier, host, depth, turned):
    """Whichever of the two pages is judged first; the crawl before lets the host have batches of more than one."""
    a, new = f"http://a.{host}/", f"http://new.{host}/"
    site = {
        a: Page(a + "heir"),
        a + "old": Page(to=a + "heir"),
        a + "heir": Page(to=new),
        new: Page(new + "x"),
    }
    seeds = (a + "old", a) if turned else (a, a + "old")
    for batch in (1, 2):
        options = standin.options(seeds=seeds, batch=batch, depth=depth)
        own = Frontier(frontier.client, f"{frontier.crawl}-{batch}")
        submit(own, options)
        sizes = []

        def choose(opened, sizes=sizes):
            sizes.append(opened[0][0].count)
            return 0

        Crawler(own, options, site, choose).run()

        assert batch == max(sizes)
        assert outcome(own) == (sorted([*site, new + "x"]), {})


def test_with_a_finite_depth_the_shortest_way_counts_whoever_was_first(frontier, host):
    """A redirect and a sitemap stay on their level; links that were cut by the longer way are followed in the end."""
    (a, b), site = short_cuts(host)
    options = standin.options(seeds=(a, b), batch=1, sitemaps=True, depth=2)
    found, looks = in_many_orders(frontier, options, site)

    pages, refused = found
    names_ = {page.removeprefix(a) for page in pages if page.startswith(a)}
    assert names_ == {"", "sitemap.xml", "moved", "listed", "far", "1", "2", "hop", "3", "4", "5", "6", "8"}
    assert refused == {"depth": 3}
    assert looks > 0


def test_random_sites_come_to_the_same_pages_in_every_order(frontier, host):
    """Links, redirects and sitemaps between several hosts, seeds among them, with and without a finite depth."""
    for number in (1, 2, 3, 4, 25):
        make = random.Random(number)
        pages = [f"http://{name}{number}.{host}/{page}" for name in "abc" for page in ("", "1", "2", "3")]
        pages += [f"http://{name}{number}.{host}/sitemap.xml" for name in "abc"]
        site = {}
        for page in pages:
            kind = "sitemap" if page.endswith(".xml") else "html"
            links = make.sample(pages[:12], make.randrange(5))
            moved_to = make.choice(pages[:12])
            redirects = kind == "html" and moved_to != page and make.random() < 0.4
            site[page] = Page(to=moved_to) if redirects else Page(*links, kind=kind)
        options = standin.options(
            seeds=(pages[0], pages[4]),
            batch=1,
            sitemaps=True,
            depth=make.choice((None, 1, 2)),
            traps="ignore",
        )
        own = Frontier(frontier.client, f"{frontier.crawl}-{number}")
        pages, _ = in_many_orders(own, options, site)

        assert pages


def test_a_crawl_whose_scope_was_known_from_the_start_has_no_second_look(frontier, host):
    """Also where a seed redirects within its host, to http's sister, or before anything was refused."""
    seeds = (f"http://a.{host}/", f"http://b.{host}/")
    site = {
        seeds[0]: Page(to=f"https://a.{host}/"),
        seeds[1]: Page("http://stranger.test/", f"http://a.{host}/x"),
        f"https://a.{host}/": Page("http://stranger.test/"),
    }
    options = standin.options(seeds=seeds, batch=1, sitemaps=True)
    _, looks = in_many_orders(frontier, options, site)

    assert looks == 0


@pytest.mark.parametrize(("make", "depth"), [(moved, None), (moved, 2), (short_cuts, 2)])
def test_a_look_that_is_cut_off_anywhere_is_done_again(frontier, host, monkeypatch, make, depth):
    """A killed producer's successor comes to the same pages and the same counts; nothing is admitted twice."""
    for module in ("past", "again", "levels"):
        monkeypatch.setattr(f"producer.{module}.SLICE", 1)
    seeds, site = make(host)
    options = standin.options(seeds=seeds, batch=1, sitemaps=True, depth=depth)

    def latest(opened):
        """Leave what brings the news for the end: the moved seed, or what lies nearer by it."""
        news = seeds[0] if make is moved else seeds[1]
        return max(range(len(opened)), key=lambda index: (opened[index][0].url != news, -index))

    whole = Frontier(frontier.client, f"{frontier.crawl}-whole")
    submit(whole, options)
    crawler = Crawler(whole, options, site, latest)
    crawler.run()
    assert crawler.looks > 4
    for steps in range(1, crawler.looks):
        own = Frontier(frontier.client, f"{frontier.crawl}-{steps}")
        submit(own, options)
        Crawler(own, options, site, latest).run(steps=steps)
        Crawler(own, options, site, latest).run()

        assert outcome(own) == outcome(whole)


def test_seeds_that_come_late_widen_the_scope_for_pages_parsed_before(frontier, host):
    """From a stream, and named by a further command; a link that had led to such a seed does not take its rank."""
    a, b, c = (f"http://{name}.{host}/" for name in "abc")
    site = {a: Page(b + "x", c + "x", a + "old"), a + "old": Page(to=f"http://d.{host}/")}
    options = standin.options(seeds=(a,), batch=1)
    submit(frontier, options)
    Crawler(frontier, options, site, lambda _: 0).run()
    before = outcome(frontier)
    frontier.reopen(msgspec.structs.replace(options, seeds=(a, b)), unnamed=True)
    intake = Intake(frontier, options)
    intake.admit([c, a + "old"], late=True)
    intake.close()
    Crawler(frontier, options, site, lambda _: 0).run()

    assert before == ([a, a + "old"], {"scope": 3})
    assert outcome(frontier) == (sorted([a, a + "old", b + "x", c, c + "x", f"http://d.{host}/"]), {})


def test_a_further_file_widens_the_scope_but_makes_no_seed_of_a_page_that_a_link_had_found(frontier, host):
    """As docs/seeds.md says: the same file is given again after an interruption, when all its URLs are known."""
    a, b, c = (f"http://{name}.{host}/" for name in "abc")
    site = {a: Page(b + "x", c + "x", a + "old"), a + "old": Page(to=f"http://d.{host}/")}
    options = standin.options(seeds=(a,), batch=1)
    submit(frontier, options)
    Crawler(frontier, options, site, lambda _: 0).run()
    frontier.reopen(None, unnamed=True)
    intake = Intake(frontier, options)
    intake.admit_all([c, a + "old"])
    intake.close()
    Crawler(frontier, options, site, lambda _: 0).run()

    assert outcome(frontier) == (sorted([a, a + "old", c, c + "x"]), {"scope": 2})


def test_what_a_look_admits_passes_caps_and_budgets(frontier, host):
    """What is over them is counted or parked as at any time."""
    seeds, site = moved(host)
    options = standin.options(seeds=seeds, batch=1, sitemaps=True, max_pages=9)
    found = list(orders(frontier, options, site))

    assert {len(pages) for pages, *_ in found} == {9}
    assert all(refused["capped"] > 0 for _, refused, _ in found)
    assert any(looks for *_, looks in found)


def test_a_look_without_some_of_the_records_leaves_the_count_alone(frontier, host):
    """What records that were taken out of Redis refuse cannot be known; what is left is looked at."""
    a, b = f"http://a.{host}/", f"http://b.{host}/"
    site = {a: Page(a + "x", "http://stranger.test/"), a + "x": Page(b + "x")}
    options = standin.options(seeds=(a,), batch=1)
    submit(frontier, options)
    Crawler(frontier, options, site, lambda _: 0).run()
    frontier.client.hdel(keys.records(frontier.crawl), str(urls.fingerprint(a)))
    frontier.reopen(msgspec.structs.replace(options, seeds=(a, b)))
    Intake(frontier, options).close()
    Crawler(frontier, options, site, lambda _: 0).run()

    assert outcome(frontier) == ([a + "x", b + "x"], {"scope": 2})
