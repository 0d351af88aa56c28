"""What is admitted: once, up to the cap, in bounded slices, under fingerprints that lose no bit."""

from __future__ import annotations

import standin

from crawl import keys, results, urls
from crawl.links import LINK_BYTES_PER_CALL, LINKS_PER_CALL


def test_a_url_is_admitted_once(frontier, host):
    """However often a link is found, it waits once and is counted once."""
    options = standin.options()
    first, second, third = standin.pages(host, 3)
    standin.admit(frontier, options, first, second)

    again = standin.admit(frontier, options, second, third, second)

    assert again == (1, 0)
    assert standin.waiting(frontier, f"http://{host}") == [first, second, third]
    assert results.status(frontier.client, frontier.crawl).admitted == 3


def test_the_cap_leaves_the_surplus_unseen_and_counts_it(frontier, host):
    """`--max-pages` bounds the admitted URLs exactly; a URL it kept out is not seen, and `audit` can tell."""
    options = standin.options(max_pages=3)
    pages = standin.pages(host, 5)

    assert standin.admit(frontier, options, *pages) == (3, 2)
    assert standin.admit(frontier, options, *pages) == (0, 2)

    seen = set(results.seen_fingerprints(frontier.client, frontier.crawl, options.seen_buckets))
    assert seen == {str(urls.fingerprint(url)) for url in pages[:3]}
    assert results.status(frontier.client, frontier.crawl).refused == {"capped": 4}


def test_a_cap_on_the_way_through_several_hosts_is_exact(frontier, host):
    """The cap counts URLs over all hosts of one call, not per host."""
    options = standin.options(max_pages=4)
    pages = [*standin.pages(f"a.{host}", 3), *standin.pages(f"b.{host}", 3)]

    assert standin.admit(frontier, options, *pages) == (4, 2)

    assert len(standin.waiting(frontier, f"http://a.{host}")) == 3
    assert len(standin.waiting(frontier, f"http://b.{host}")) == 1


def test_many_links_go_in_slices_that_lose_none(frontier, host):
    """No call carries more than `LINKS_PER_CALL` links, and all of them arrive in order."""
    options = standin.options()
    pages = [*standin.pages(f"a.{host}", 1700), *standin.pages(f"b.{host}", 900)]

    sizes = [sum(len(part) for _, _, part in call) for call in standin.links(options, *pages).slices()]
    admitted = standin.admit(frontier, options, *pages)

    assert sizes == [LINKS_PER_CALL, LINKS_PER_CALL, 600]
    assert admitted == (2600, 0)
    assert standin.waiting(frontier, f"http://a.{host}") == pages[:1700]
    assert standin.waiting(frontier, f"http://b.{host}") == pages[1700:]


def test_long_links_go_in_slices_of_bounded_bytes(frontier, host):
    """A thousand URLs of 4 KB would hold Redis too long: a call is bounded in bytes as well."""
    options = standin.options()
    pages = [f"http://{host}/{number}/{'x' * 4000}" for number in range(300)]

    slices = standin.links(options, *pages).slices()
    sizes = [sum(len(link[2]) for _, _, part in call for link in part) for call in slices]

    assert max(sizes) <= LINK_BYTES_PER_CALL
    assert sum(len(part) for call in slices for _, _, part in call) == 300
    assert standin.admit(frontier, options, *pages) == (300, 0)


def test_closing_the_seeds_comes_with_the_last_slice(frontier, host):
    """A producer killed between two slices of seeds leaves the seed source open, so the crawl cannot end early."""
    options = standin.options()
    frontier.create(options)

    frontier.add(standin.links(options, *standin.pages(host, 1)), max_pages=None)
    before = frontier.client.hget(keys.crawl(frontier.crawl), "seeds_open")
    frontier.add(standin.links(options), max_pages=None, close_seeds=True)
    after = frontier.client.hget(keys.crawl(frontier.crawl), "seeds_open")

    assert (before, after) == (b"1", b"0")


def test_links_of_a_closed_lease_are_not_added(frontier, host):
    """Surplus links go in before `complete`, but only while their page's lease is open."""
    options = standin.options()
    standin.admit(frontier, options)

    answer = frontier.add(standin.links(options, f"http://{host}/"), max_pages=None, lease="l999")

    assert answer == (0, 0)
    assert standin.waiting(frontier, f"http://{host}") == []


def test_seen_buckets_stay_intsets(frontier, host):
    """A seen URL costs about 9 bytes only while its bucket is an intset, which a number with lost bits would end."""
    options = standin.options(seen_buckets=16)

    standin.admit(frontier, options, *standin.pages(host, 2000))

    encodings = {
        frontier.client.object("encoding", keys.seen(frontier.crawl, number)) for number in range(16)
    }
    assert encodings == {b"intset"}


def test_fingerprints_survive_every_bit_from_link_to_record(frontier, host):
    """A 64-bit fingerprint passes Python, MessagePack, Lua, the seen set, the records and the stream unchanged."""
    options = standin.options()
    pages = standin.pages(host, 300)
    exact = {str(urls.fingerprint(url)) for url in pages}
    standin.admit(frontier, options, *pages)
    while batches := standin.lease(frontier, options):
        for batch in batches:
            standin.visit(frontier, batch, options)

    seen = set(results.seen_fingerprints(frontier.client, frontier.crawl, options.seen_buckets))
    recorded = {field.decode() for field in frontier.client.hkeys(keys.records(frontier.crawl))}
    streamed = {fingerprint for _, fingerprint in results.entries(frontier.client, frontier.crawl)}

    assert any(abs(int(fingerprint)) > 2**62 for fingerprint in exact)
    assert exact == seen == recorded == streamed


def test_results_come_in_order_of_completion(frontier, host):
    """`results.lines` yields each record once, oldest first, and goes on after any of its stream ids."""
    options = standin.options(batch=1)
    pages = standin.pages(host, 6)
    standin.admit(frontier, options, *pages)
    batches = standin.lease(frontier, options)
    for batch in reversed(batches):
        standin.visit(frontier, batch, options)
    order = [batch.url for batch in reversed(batches)]

    rows = list(results.lines(frontier.client, frontier.crawl))
    rest = list(results.lines(frontier.client, frontier.crawl, after=rows[3][0]))

    assert [standin.url_of(line) for _, line in rows] == order
    assert rest == rows[4:]


def test_results_are_read_in_pages_without_a_gap(frontier, host, monkeypatch):
    """Reading goes over page borders: the last page may be full, partial or empty."""
    options = standin.options(batch=1)
    standin.admit(frontier, options, *standin.pages(host, 6))
    while batches := standin.lease(frontier, options):
        for batch in batches:
            standin.visit(frontier, batch, options)

    for page in (1, 2, 4, 6, 7):
        monkeypatch.setattr(results, "PAGE", page)
        assert len({standin.url_of(line) for _, line in results.lines(frontier.client, frontier.crawl)}) == 6
