"""Trimming beside retry and cancel: generations of trimmed records, what cannot be tried again, room given back."""

from __future__ import annotations

import pytest
import standin

from crawl import audit as auditing
from crawl import failures, keys, lifecycle, names, results, retrying, tombstones, urls
from crawl.errors import UsageError
from export import files, trimmed
from producer.again import SecondLook


def visit(frontier, opts, failed):
    """Take all that is due through its life; these URLs fail for these reasons, the others are fetched."""
    while batches := standin.lease(frontier, opts):
        for batch in batches:
            assert standin.fetched(frontier, standin.start(frontier, batch, opts), opts)
            loaded = standin.load(frontier, batch.lease, opts)
            found = [
                standin.result(
                    frontier.crawl, one, "failed" if one.url in failed else "ok", failed.get(one.url)
                )
                for one in loaded.requests
            ]
            closed, _ = frontier.complete(batch.lease, found, [], standin.links(opts), options=opts)
            assert closed


def crawled(frontier, opts, failed, *good):
    """Make a crawl of these pages and let it finish."""
    standin.admit(frontier, opts, *failed, *good)
    visit(frontier, opts, failed)
    assert frontier.finish() == names.FINISHED


@pytest.fixture
def failing(frontier, host):
    """A finished crawl of four pages: two timed out, one was not found, one is there."""
    opts = standin.options(batch=1)
    a, b, c, d = standin.pages(host, 4)
    crawled(frontier, opts, {a: "timeout", b: "timeout", c: "parse"}, d)
    return frontier, opts, (a, b, c, d)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pages.jsonl"


def _trim(frontier, path):
    return trimmed.to_file(frontier.client, frontier.crawl, str(path))


def _audit(frontier, path=None):
    if path is None:
        return auditing.audit(frontier.client, frontier.crawl)
    with path.open("rb") as file:
        return auditing.audit(frontier.client, frontier.crawl, file)


def test_what_waits_to_be_tried_again_is_not_trimmed(failing, path):
    """Its newer record is, later; the audit is clean throughout, and with the file its digest is that of all."""
    frontier, opts, (a, b, *_) = failing
    retrying.retry(frontier.client, frontier.crawl)

    assert _trim(frontier, path) == trimmed.Trimmed(records=4, trimmed=2, kept=2)
    between, status = _audit(frontier), results.status(frontier.client, frontier.crawl)
    assert (between.clean, between.records, between.pending, between.trimmed) == (True, 4, 2, 2)
    assert (status.done, status.waiting, status.retrying) == (2, 2, 2)

    visit(frontier, opts, {b: "dns"})
    whole = _audit(frontier, path)
    assert (whole.clean, whole.digest is None) == (True, False)
    assert _trim(frontier, path) == trimmed.Trimmed(records=6, trimmed=2, kept=0)
    last, status = _audit(frontier, path), results.status(frontier.client, frontier.crawl)
    assert (last.clean, last.records, last.trimmed, last.retried, last.pending) == (True, 4, 4, 2, 0)
    assert last.digest == whole.digest
    assert (status.done, status.waiting, status.outcomes) == (4, 0, {"ok": 2, "failed": 2})
    stone = tombstones.of_url(frontier.client, frontier.crawl, a, opts.seen_buckets)
    assert stone is not None
    assert (stone.outcome, stone.generation) == ("ok", 1)


def test_a_file_that_has_both_generations_is_trimmed_behind_its_cursor(frontier, host, path):
    """The older line of a URL may stand just before the newer one."""
    opts = standin.options(batch=1)
    (page,) = standin.pages(host, 1)
    crawled(frontier, opts, {page: "timeout"})
    files.to_file(frontier.client, frontier.crawl, "jsonl", str(path))
    retrying.retry(frontier.client, frontier.crawl)
    visit(frontier, opts, {})
    files.to_file(frontier.client, frontier.crawl, "jsonl", str(path))

    assert _trim(frontier, path) == trimmed.Trimmed(records=2, trimmed=1, kept=0)
    assert _audit(frontier, path).clean


def test_a_second_entry_of_a_trimmed_generation_is_a_duplicate(failing, path):
    """The entry of an older generation is none."""
    frontier, opts, (a, *_) = failing
    retrying.retry(frontier.client, frontier.crawl)
    visit(frontier, opts, {})
    _trim(frontier, path)
    assert _audit(frontier, path).clean

    frontier.client.xadd(keys.results(frontier.crawl), {"f": str(urls.fingerprint(a)), "g": "1"})
    found = _audit(frontier, path)

    assert (found.duplicate, found.missing) == (1, 0)
    assert [(fault.kind, fault.url) for fault in found.faults] == [("duplicate", a)]


def test_what_the_file_lacks_is_named(failing, path):
    """By its URL where anything tells it, and there is no digest."""
    frontier, _, (a, *_) = failing
    _trim(frontier, path)
    kept = [line for line in path.read_bytes().splitlines(keepends=True) if a.encode() not in line]
    path.write_bytes(b"".join(kept))

    found = _audit(frontier, path)

    assert (found.clean, found.absent, found.digest) == (False, 1, None)
    assert [(fault.kind, fault.fingerprint) for fault in found.faults] == [
        ("absent", str(urls.fingerprint(a)))
    ]


def test_trimmed_failures_are_counted_and_not_tried_again(failing, path):
    """`failures` and `retry` say how many; the URL of one is refused, with the file."""
    frontier, _, (a, *_) = failing
    _trim(frontier, path)
    listing = failures.listing(frontier.client, frontier.crawl)
    found = retrying.retry(frontier.client, frontier.crawl)

    assert (listing.failed, listing.trimmed, listing.trimmed_to) == (0, 3, str(path))
    assert (found.retried, found.trimmed) == (0, 3)
    assert results.status(frontier.client, frontier.crawl).state == names.FINISHED
    with pytest.raises(UsageError, match=r"was trimmed, so it cannot be tried again.*pages\.jsonl"):
        retrying.retry(frontier.client, frontier.crawl, pages=[a])


def test_a_cancel_gives_back_the_room_of_its_bodies(frontier, host):
    """Of what was only leased, and of what waited for its parse."""
    opts = standin.options(batch=1, delay_s=0.0)
    standin.admit(frontier, opts, *(f"http://{number}.{host}/" for number in range(4)))
    batches = frontier.lease(opts, window=3, slots=4, most_body_bytes=10**9).batches
    standin.fetched(frontier, standin.start(frontier, batches[0], opts), opts, body=b"x" * 1000)
    counted = frontier.client.hmget(keys.crawl(frontier.crawl), "body_bytes", "coming")
    assert counted == [b"1000", b"2"]

    told = lifecycle.cancel(frontier.client, frontier.crawl)

    assert (told.cancelled, told.records) == (4, 0)
    assert frontier.client.hmget(keys.crawl(frontier.crawl), "body_bytes", "coming") == [b"0", b"0"]


def test_a_cancelled_crawl_is_trimmed_and_a_deleted_one_leaves_nothing(failing, path):
    """Its records are there to be exported; tombstones go with the crawl, and nothing comes back of it."""
    frontier, _, _ = failing
    retrying.retry(frontier.client, frontier.crawl)
    told = lifecycle.cancel(frontier.client, frontier.crawl)
    before = _audit(frontier)
    found = _trim(frontier, path)
    after = _audit(frontier)

    assert (told.records, before.clean, before.records) == (4, True, 4)
    # Nothing will take the place of what waited to be tried again.
    assert (found.trimmed, found.kept) == (4, 0)
    assert (after.clean, after.records, after.trimmed) == (True, 4, 4)

    lifecycle.delete(frontier.client, frontier.crawl)

    assert not list(frontier.client.scan_iter(keys.part(frontier.crawl, "*")))
    assert not frontier.client.exists(keys.crawl(frontier.crawl))


def test_nothing_of_a_crawl_that_is_being_deleted_is_trimmed(failing, path):
    """Its tombstones would come after whoever takes its keys away."""
    frontier, _, _ = failing
    frontier.delete()

    assert _trim(frontier, path) == trimmed.Trimmed(records=4, trimmed=0, kept=4)
    assert tombstones.count(frontier.client, frontier.crawl) == 0


def test_a_second_look_says_that_trimmed_records_are_not_looked_at(failing, path):
    """Their links may be missing; nobody is to find that out by counting."""
    frontier, _, _ = failing
    _trim(frontier, path)
    about = {"look_from": 0, "look_to": "0-1", "look_refused": 0}
    frontier.client.hset(keys.crawl(frontier.crawl), mapping=about)
    said: list[str] = []
    SecondLook(frontier, said.append).step(ended=True)

    assert any("but for 4 that were trimmed" in line for line in said)
