"""What comes when deeper levels were served: whenever it comes, the crawl ends as if it had been there at once."""

from __future__ import annotations

import json
import random

import pytest
import standin
from orders import Crawler, Page, outcome, short_cuts, submit

from crawl import keys, names, parked, results, retrying, urls
from crawl.audit import audit
from crawl.frontier import Frontier
from producer.again import SecondLook


def told(frontier):
    """Return what a crawl came to: the depth of each page, and how many links were refused by reason."""
    rows = [json.loads(line) for _, line in results.lines(frontier.client, frontier.crawl)]
    return {row["url"]: (row["depth"], row["outcome"]) for row in rows}, outcome(frontier)[1]


def recovering(host):
    """Return a site with short cuts, and a third seed that knows a page which others find at the limit."""
    seeds, site = short_cuts(host)
    late = f"http://late.{host}/"
    site[late] = Page(seeds[0] + "5", late + "more")
    site[late + "more"] = Page(seeds[0] + "9")
    return (*seeds, late), site


def crawl(frontier, options, site, *, pick=0, down=(), at=None):
    """Crawl with these pages down; at a step of a second look, or after the end (None), all are up and tried again.

    Returns how many steps there were.
    """
    order = random.Random(pick)

    def meanwhile():
        if at is not None and crawler.looks == at:
            again()

    def again():
        crawler.down.clear()
        retrying.retry(frontier.client, frontier.crawl)

    submit(frontier, options)
    crawler = Crawler(
        frontier, options, site, lambda opened: order.randrange(len(opened)), down=down, meanwhile=meanwhile
    )
    crawler.run()
    looks = crawler.looks
    if crawler.down:
        again()
        crawler.run()
    return looks


@pytest.fixture(autouse=True)
def _slices(monkeypatch):
    """Have looks taken in many steps."""
    for module in ("past", "again", "levels"):
        monkeypatch.setattr(f"producer.{module}.SLICE", 1)


def test_a_retry_at_any_step_of_a_second_look_keeps_its_note(frontier, host):
    """The seed that was down leads to a page by a shorter way, so what was cut off behind that is followed."""
    seeds, site = recovering(host)
    options = standin.options(seeds=seeds, batch=1, sitemaps=True, depth=2)
    healthy = Frontier(frontier.client, f"{frontier.crawl}-healthy")
    crawl(healthy, options, site)
    after = Frontier(frontier.client, f"{frontier.crawl}-after")
    steps = crawl(after, options, site, down=seeds[2:])

    assert steps > 4
    assert seeds[0] + "7" in told(healthy)[0]
    assert told(after) == told(healthy)
    for step in range(1, steps + 1):
        own = Frontier(frontier.client, f"{frontier.crawl}-{step}")
        crawl(own, options, site, down=seeds[2:], at=step)

        assert (step, told(own)) == (step, told(healthy))
        assert audit(own.client, own.crawl).clean


@pytest.mark.parametrize("number", range(6))
def test_random_sites_that_were_down_in_part_come_to_the_same_pages_and_depths(frontier, host, number):
    """Whatever was down, and whenever it was tried again."""
    make = random.Random(number)
    pages = [f"http://{name}.{host}/{page}" for name in "abc" for page in ("", "1", "2", "3", "4")]
    pages += [f"http://{name}.{host}/sitemap.xml" for name in "ab"]
    site = {}
    for page in pages:
        kind = "sitemap" if page.endswith(".xml") else "html"
        links = make.sample(pages[:15], make.randrange(4))
        moved_to = make.choice(pages[:15])
        moved = kind == "html" and moved_to != page and make.random() < 0.3
        site[page] = Page(to=moved_to) if moved else Page(*links, kind=kind)
    seeds = (pages[0], pages[5], pages[10])
    options = standin.options(seeds=seeds, batch=1, sitemaps=True, depth=2, traps="ignore")
    healthy = Frontier(frontier.client, f"{frontier.crawl}-healthy")
    crawl(healthy, options, site)
    for order in range(8):
        down = make.sample(pages, 4)
        own = Frontier(frontier.client, f"{frontier.crawl}-{order}")
        crawl(own, options, site, pick=order, down=down, at=make.choice((None, 1, 2, 3, 5, 8)))

        assert (order, told(own)) == (order, told(healthy))


def test_a_note_is_made_in_the_step_that_admits(frontier, host):
    """Else a look could begin and end in between, and take it away."""
    seeds, site = recovering(host)
    options = standin.options(seeds=seeds, batch=1, depth=2)
    submit(frontier, options)
    Crawler(frontier, options, site, lambda _: 0, down=seeds[2:]).run()
    before = frontier.look_due()
    genuine = frontier.retry

    def late(*arguments, **more):
        look = SecondLook(frontier)
        while look.step(ended=True):
            pass
        return genuine(*arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Frontier, "retry", lambda _, *arguments, **more: late(*arguments, **more))
        retrying.retry(frontier.client, frontier.crawl)

    assert (False, True) == (before.due, frontier.look_due().due)


def test_a_crawl_without_a_depth_takes_no_look_for_a_retry(frontier, host):
    """Nothing of it can be nearer."""
    seeds, site = recovering(host)
    options = standin.options(seeds=seeds, batch=1)
    submit(frontier, options)
    Crawler(frontier, options, site, lambda _: 0, down=seeds[2:]).run()
    retrying.retry(frontier.client, frontier.crawl)

    assert not frontier.look_due().due


def test_a_page_that_a_look_has_moved_meanwhile_is_tried_again_at_its_new_depth(frontier, host):
    """Its record is another than the retry has read, in nothing but the depth."""
    opts = standin.options(batch=1, depth=3)
    page = f"http://{host}/"
    standin.admit(frontier, opts, page, depth=2)
    Crawler(frontier, opts, {}, lambda _: 0, down=[page]).run()
    genuine, moved = frontier.retry, []

    def late(*arguments, **more):
        if not moved:
            moved.append(frontier.levelled(frontier.look_due(), [(str(urls.fingerprint(page)), 1, {})]))
        return genuine(*arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Frontier, "retry", lambda _, *arguments, **more: late(*arguments, **more))
        found = retrying.retry(frontier.client, frontier.crawl)

    assert (1, {"timeout": 1}, [True]) == (found.retried, found.reasons, moved)
    assert [page] == standin.waiting(frontier, f"http://{host}", level=1)
    assert names.RUNNING.encode() == frontier.client.hget(keys.crawl(frontier.crawl), "state")


def test_a_page_that_waits_by_another_retry_is_counted_once(frontier, host):
    """Another retry comes between, and a look moves both pages: one waits already, the other goes round again."""
    opts = standin.options(batch=1, depth=3)
    waits, moves = standin.pages(host, 2)
    standin.admit(frontier, opts, waits, moves, depth=2)
    Crawler(frontier, opts, {}, lambda _: 0, down=[waits, moves]).run()
    genuine, calls = Frontier.retry, []

    def late(own, again, *arguments, **more):
        calls.append(len(again))
        if len(calls) == 1:
            genuine(own, [one for one in again if one.request.url == waits], *arguments, **more)
            nearer = [(str(urls.fingerprint(page)), 1, {}) for page in (waits, moves)]
            frontier.levelled(frontier.look_due(), nearer)
        return genuine(own, again, *arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Frontier, "retry", late)
        found = retrying.retry(frontier.client, frontier.crawl)

    assert ([2, 1], 1, 1) == (calls, found.retried, found.waiting)


def released(frontier, options, site, *, pick=0, at=None):
    """Crawl, and release what is parked at a step of a second look, and after each end until nothing is."""
    order = random.Random(pick)

    def again():
        waiting = bool(parked.listing(frontier.client, frontier.crawl).parked)
        if waiting:
            parked.release(frontier.client, frontier.crawl, None)
        return waiting

    def meanwhile():
        if at is not None and crawler.looks == at:
            again()

    submit(frontier, options)
    crawler = Crawler(
        frontier, options, site, lambda opened: order.randrange(len(opened)), meanwhile=meanwhile
    )
    crawler.run()
    looks = crawler.looks
    while again():
        crawler.run()
    return looks


def trapped(host):
    """Return a site with short cuts of which one way leads through a trap."""
    seeds, site = short_cuts(host)
    trap = f"http://late.{host}/x/x/x"
    site[f"http://late.{host}/"] = Page(trap)
    site[trap] = Page(to=seeds[0] + "5")
    return (*seeds, f"http://late.{host}/"), site


def test_a_release_at_any_step_of_a_second_look_comes_to_the_pages_without_traps(frontier, host):
    """What lies behind the trap counts from there."""
    seeds, site = trapped(host)
    options = standin.options(seeds=seeds, batch=1, sitemaps=True, depth=2)
    free = Frontier(frontier.client, f"{frontier.crawl}-free")
    crawl(free, standin.options(seeds=seeds, batch=1, sitemaps=True, depth=2, traps="ignore"), site)
    after = Frontier(frontier.client, f"{frontier.crawl}-after")
    steps = released(after, options, site)

    assert steps > 4
    assert seeds[0] + "7" in told(free)[0]
    assert told(after) == told(free)
    for step in range(1, steps + 1):
        own = Frontier(frontier.client, f"{frontier.crawl}-{step}")
        released(own, options, site, at=step)

        assert (step, told(own)) == (step, told(free))
        assert audit(own.client, own.crawl).clean


@pytest.mark.parametrize("number", range(6))
def test_random_sites_with_traps_come_to_the_pages_without_them(frontier, host, number):
    """Links, redirects and sitemaps lead to traps and out of them, in many orders."""
    make = random.Random(number)
    paths = ("", "1", "2", "x/x/x", "y/y/y")
    pages = [f"http://{name}.{host}/{path}" for name in "abc" for path in paths]
    pages += [f"http://{name}.{host}/sitemap.xml" for name in "ab"]
    site = {}
    for page in pages:
        kind = "sitemap" if page.endswith(".xml") else "html"
        links = make.sample(pages[:15], make.randrange(4))
        moved_to = make.choice(pages[:15])
        moved = kind == "html" and moved_to != page and make.random() < 0.3
        site[page] = Page(to=moved_to) if moved else Page(*links, kind=kind)
    chosen = {"seeds": (pages[0], pages[5], pages[10]), "batch": 1, "sitemaps": True, "depth": 3}
    free = Frontier(frontier.client, f"{frontier.crawl}-free")
    crawl(free, standin.options(**chosen, traps="ignore"), site)
    for order in range(8):
        own = Frontier(frontier.client, f"{frontier.crawl}-{order}")
        released(own, standin.options(**chosen), site, pick=order, at=make.choice((None, 1, 2, 3, 5)))

        assert (order, told(own)) == (order, told(free))


def test_what_is_parked_waits_at_the_depth_of_the_shortest_way(frontier, host):
    """A redirect leads there on its level after a link has; one that comes from further away changes nothing."""
    opts = standin.options(batch=1, depth=3, max_pages_per_host=1)
    page, pages = f"http://{host}/parked", standin.pages(f"a.{host}", 3)
    standin.admit(frontier, opts, f"http://{host}/", *pages)
    depths = []
    ways = [(2, names.LINK), (1, names.REDIRECT), (2, names.REDIRECT)]
    for batch, (depth, via) in zip(standin.lease(frontier, opts)[:3], ways, strict=True):
        standin.visit(frontier, batch, opts, found=standin.links(opts, page, depth=depth, via=via))
        depths.append(parked.parked_entry(frontier.client, frontier.crawl, page).depth)

    assert [2, 1, 1] == depths
    assert {"budget": 1} == results.status(frontier.client, frontier.crawl).refused


def test_a_shorter_way_that_is_found_while_it_is_released_is_not_lost(frontier, host):
    """The release has read the longer one; before the crawl ends the page lies where the shorter one leads."""
    opts = standin.options(batch=1, depth=3, max_pages_per_host=1)
    page, end = f"http://{host}/parked", f"http://{host}/end"
    site = {page: Page(end)}
    standin.admit(frontier, opts, f"http://{host}/", *standin.pages(f"a.{host}", 2))
    first, second, third = standin.lease(frontier, opts)
    standin.visit(frontier, first, opts, found=standin.links(opts, page, depth=3))
    genuine = frontier.release

    def late(*arguments, **more):
        found = standin.links(opts, page, depth=1, via=names.REDIRECT)
        standin.visit(frontier, second, opts, found=found)
        return genuine(*arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Frontier, "release", lambda _, *arguments, **more: late(*arguments, **more))
        parked.release(frontier.client, frontier.crawl, None)
    standin.visit(frontier, third, opts)
    Crawler(frontier, opts, site, lambda _: 0).run()

    assert (1, "ok") == told(frontier)[0][page]


def inheriting(host, path):
    """Return a site with a page to which a link and a seed lead, and which lives elsewhere by now."""
    a, b, new = f"http://a.{host}/", f"http://b.{host}/", f"http://new.{host}/"
    heir = a + path
    return (
        (a, b),
        heir,
        {
            a: Page(heir, new + "known"),
            b: Page(to=heir),
            heir: Page(to=new),
            new: Page(new + "x"),
            new + "sitemap.xml": Page(new + "listed", kind="sitemap"),
        },
    )


@pytest.mark.parametrize("depth", [None, 2])
@pytest.mark.parametrize("chain", [False, True])
def test_an_heir_that_was_down_is_one_when_it_is_tried_again(frontier, host, depth, chain):
    """At any step of a look and after the crawl, itself or behind another: the scope becomes as wide as it would."""
    seeds, heir, site = inheriting(host, "p")
    if chain:
        # The seed's redirect leads to a page that is up, and that one to what is down.
        site[seeds[0]].links.append(f"http://b.{host}/q")
        site[seeds[1]], site[f"http://b.{host}/q"] = Page(to=f"http://b.{host}/q"), Page(to=heir)
    options = standin.options(seeds=seeds, batch=1, sitemaps=True, depth=depth)
    healthy = Frontier(frontier.client, f"{frontier.crawl}-healthy")
    crawl(healthy, options, site)
    assert f"http://new.{host}/listed" in outcome(healthy)[0]
    for pick in range(6):
        after = Frontier(frontier.client, f"{frontier.crawl}-{pick}")
        steps = crawl(after, options, site, pick=pick, down=[heir])

        assert (pick, outcome(after)) == (pick, outcome(healthy))
        for step in range(1, steps + 1):
            own = Frontier(frontier.client, f"{frontier.crawl}-{pick}-{step}")
            crawl(own, options, site, pick=pick, down=[heir], at=step)

            assert (pick, step, outcome(own)) == (pick, step, outcome(healthy))


def first_the_link(frontier, host, **chosen):
    """Return a crawler that follows the link to the heir before the seed's redirect, and the heir."""
    seeds, heir, site = inheriting(host, "p")
    options = standin.options(seeds=seeds, batch=1, sitemaps=True, **chosen)
    submit(frontier, options)

    def choose(opened):
        return min(range(len(opened)), key=lambda at: f"//b.{host}" in opened[at][0].url)

    return Crawler(frontier, options, site, choose, down=[heir]), heir


def test_a_crawl_whose_heir_stays_down_ends_each_time(frontier, host):
    """No look is due for what has failed, whether it was tried again or not; in the end it is up."""
    crawler, heir = first_the_link(frontier, host)
    identity = str(urls.fingerprint(heir)).encode()
    for _ in range(2):
        assert names.FINISHED == crawler.run(steps=crawler.looks + 50)
        assert {identity} == frontier.client.smembers(keys.failed_heirs(frontier.crawl))
        assert not frontier.look_due().due
        retrying.retry(frontier.client, frontier.crawl)
        assert [str(urls.fingerprint(heir))] == frontier.heirs()
        assert frontier.look_due().heirs
    crawler.down.clear()
    crawler.run()

    assert f"http://new.{host}/listed" in outcome(frontier)[0]
    assert [] == frontier.heirs()
    assert not frontier.client.exists(keys.failed_heirs(frontier.crawl))


def test_heirs_that_redirect_to_each_other_are_looked_at_once(frontier, host):
    """Each makes an heir of the other, and the crawl ends."""
    a, b = f"http://a.{host}/", f"http://b.{host}/"
    site = {
        a: Page(a + "1", a + "2"),
        b: Page(to=a + "1"),
        a + "1": Page(to=a + "2"),
        a + "2": Page(to=a + "1"),
    }
    options = standin.options(seeds=(a, b), batch=1)
    submit(frontier, options)
    crawler = Crawler(
        frontier, options, site, lambda opened: min(range(len(opened)), key=lambda at: opened[at][0].url == b)
    )

    assert names.FINISHED == crawler.run(steps=50)
    assert 0 < crawler.looks <= 3


def test_an_heir_that_is_released_while_others_are_looked_at_is_looked_at_then(frontier, host):
    """It has been admitted by a link, and has no record yet, when the look comes to what redirects to it."""
    a, b, c = (f"http://{name}.{host}/" for name in "abc")
    one, two, traps = a + "one", a + "two", (a + "x/x/x", a + "y/y/y")
    site = {
        a: Page(one, two, *traps, f"http://new1.{host}/known"),
        b: Page(to=one),
        c: Page(to=two),
        one: Page(to=traps[0]),
        two: Page(to=traps[1]),
        traps[0]: Page(to=f"http://new1.{host}/"),
        traps[1]: Page(to=f"http://new2.{host}/"),
    }
    chosen = {"seeds": (a, b, c), "batch": 1}
    free = Frontier(frontier.client, f"{frontier.crawl}-free")
    crawl(free, standin.options(**chosen, traps="ignore"), site)
    options = standin.options(**chosen)
    submit(frontier, options)
    crawler = Crawler(
        frontier,
        options,
        site,
        lambda opened: min(range(len(opened)), key=lambda at: opened[at][0].url in (b, c)),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SecondLook, "step", lambda *_, **__: pytest.fail("its time has come"))
        with pytest.raises(pytest.fail.Exception):
            crawler.run()
    look = SecondLook(frontier)
    look.step(ended=True)
    parked.release(frontier.client, frontier.crawl, None)
    while look.step(ended=False):
        pass
    crawler.run()

    assert f"http://new2.{host}/" in outcome(free)[0]
    assert outcome(frontier) == outcome(free)


def test_an_heirs_look_whose_reply_was_lost_takes_no_note_of_a_retry_away(frontier, host):
    """The call is repeated after the retry, and once more after the page has come."""
    crawler, heir = first_the_link(frontier, host)
    crawler.run()
    identity = str(urls.fingerprint(heir))
    before = standin.image(frontier)
    frontier.inherited([identity], {identity})
    assert before == standin.image(frontier)
    retrying.retry(frontier.client, frontier.crawl)
    frontier.inherited([identity], {identity})
    assert [identity] == frontier.heirs()
    crawler.down.clear()
    batch = frontier.lease(crawler.options, window=10, slots=4).batches[0]
    crawler.complete(*crawler.load(batch))
    frontier.inherited([identity], {identity})

    assert [identity] == frontier.heirs()
    assert frontier.look_due().heirs


@pytest.mark.parametrize("depth", [None, 3])
def test_what_a_seed_redirects_to_is_released_as_a_seed(frontier, host, depth):
    """Though a link had led there before, and it was parked for that."""
    seeds, _, site = inheriting(host, "x/x/x")
    chosen = {"seeds": seeds, "batch": 1, "sitemaps": True, "depth": depth}
    free = Frontier(frontier.client, f"{frontier.crawl}-free")
    crawl(free, standin.options(**chosen, traps="ignore"), site)
    assert f"http://new.{host}/listed" in outcome(free)[0]
    for pick in range(6):
        own = Frontier(frontier.client, f"{frontier.crawl}-{pick}")
        released(own, standin.options(**chosen), site, pick=pick)

        assert (pick, outcome(own)) == (pick, outcome(free))


def test_a_seeds_redirect_that_comes_while_its_target_is_released_is_not_lost(frontier, host):
    """The release has read how the link led there."""
    opts = standin.options(batch=1, max_pages_per_host=1)
    page = f"http://{host}/parked"
    standin.admit(frontier, opts, f"http://{host}/", *standin.pages(f"a.{host}", 1))
    first, second = standin.lease(frontier, opts)
    standin.visit(frontier, first, opts, found=standin.links(opts, page, depth=1))
    genuine = frontier.release

    def late(*arguments, **more):
        found = standin.links(opts, page, depth=0, via=names.REDIRECT)
        standin.visit(frontier, second, opts, found=found)
        return genuine(*arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Frontier, "release", lambda _, *arguments, **more: late(*arguments, **more))
        parked.release(frontier.client, frontier.crawl, None)

    assert [str(urls.fingerprint(page))] == frontier.heirs()


def test_a_release_whose_reply_was_lost_marks_nothing(frontier, host):
    """Repeated, it changes nothing: what it has admitted lies where it was parked."""
    opts = standin.options(batch=1, depth=3, max_pages_per_host=1)
    standin.admit(frontier, opts, f"http://{host}/")
    (batch,) = standin.lease(frontier, opts)
    standin.visit(frontier, batch, opts, found=standin.links(opts, *standin.pages(host, 3), depth=1))
    genuine = frontier.release

    def twice(*arguments, **more):
        first = genuine(*arguments, **more)
        image = standin.image(frontier)
        assert (0, 0) == genuine(*arguments, **more)[:2]
        assert image == standin.image(frontier)
        return first

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Frontier, "release", lambda _, *arguments, **more: twice(*arguments, **more))
        found = parked.release(frontier.client, frontier.crawl, None)

    assert (3, []) == (found.released, list(frontier.nearer()))
