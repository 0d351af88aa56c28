"""The demo crawl as a newcomer runs it, in every pool: same records, every field filled, nothing left behind."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import msgspec
import pytest
from equal import QUICK, Crawled, quick
from stack import POOLS

from crawl.records import OUTCOMES, REASONS, PageRecord
from demo.expected import RECOVERING, RETRIED, TITLES, expected_records
from worker.pools import TABLE

#: What DESIGN section 6 calls RFC 3339 UTC with milliseconds.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

#: Served without a Content-Type, and yet a page.
UNTYPED = "http://alpha.demo.test/no-type"

#: The crawls are made by whichever test comes first, six of them, mostly at the same time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(params=QUICK, ids=lambda way: way.name)
def crawled(request) -> Crawled:
    return next(found for found in quick() if found.way == request.param)


@pytest.fixture(params=POOLS)
def pooled(request) -> Crawled:
    """The default crawl of one pool."""
    return next(found for found in quick() if found.way.pool == request.param)


def requested(record) -> bool:
    """Whether the record's URL was ever asked for: what robots.txt forbids is not."""
    return record["reason"] != "robots"


def test_the_demo_crawl_ends_well_and_leaves_no_process(crawled):
    """Exit 0, and neither server, site, worker nor Flower outlives it."""
    assert crawled.done.code == 0, crawled.done.stderr
    assert crawled.left == []


def test_the_records_are_what_the_site_promises(crawled):
    """Outcome and reason of every page are those the site was made for, and there is no other record."""
    found = {record["url"]: (record["outcome"], record["reason"]) for record in crawled.records}

    assert expected_records() == found
    assert len(found) == len(crawled.records)


def test_every_way_gives_one_digest():
    """Pool, batch size and pipeline are no part of what is recorded; nothing is missing or double."""
    audits = {found.way.name: found.audit for found in quick()}

    assert {1} == {len({audit["digest"] for audit in audits.values()})}, audits
    assert {(0, 0, 0)} == {(a["missing"], a["duplicate"], a["capped"]) for a in audits.values()}, audits


def test_the_summary_is_what_the_records_add_up_to(crawled):
    """`--json` counts what `export` writes."""
    summary = crawled.done.summary
    outcomes = {name: sum(r["outcome"] == name for r in crawled.records) for name in OUTCOMES}

    assert outcomes == summary["outcomes"]
    assert len(crawled.records) == summary["pages"] == summary["admitted"]
    assert ("finished", 0, 0) == (summary["state"], summary["waiting"], summary["leased"])


def test_the_first_and_last_minute_tell_what_happened_and_what_to_do_next(crawled):
    """Flower's address first and last, outcomes, reasons, a rate, three sample records, the next commands."""
    said = crawled.done.stderr
    samples = [line for line in said.splitlines() if line.startswith('  {"url"')]

    assert 2 == len(
        re.findall(r"^Flower: http://127\.0\.0\.1:\d+/ user \S+ password \S+$", said, re.MULTILINE)
    )
    assert re.search(r"finished; 300 of 300 pages done \(100%\) in [\d.]+ s, [\d.]+ pages/s", said)
    assert re.search(r"^  reasons: .*\bprotocol \d", said, re.MULTILINE)
    assert 3 == len(samples)
    assert f"poolcrawl export {crawled.done.summary['crawl']} --output pages.jsonl" in said
    assert re.search(
        r"^  CRAWL_POOL=(prefork|threads|gevent|asyncio|solo) poolcrawl demo$", said, re.MULTILINE
    )


def test_every_record_has_every_field_with_its_type(crawled):
    """The fields of DESIGN section 6, no other, each of its declared type (strictly: no number in a string)."""
    for record in crawled.records:
        msgspec.convert(record, PageRecord, strict=True)

    assert {PageRecord.__struct_fields__} == {tuple(record) for record in crawled.records}


def test_records_say_what_came_of_the_page(crawled):
    """Status, size, hash, type and links stand where they must, and nowhere else."""
    for record in crawled.records:
        url, outcome, reason = record["url"], record["outcome"], record["reason"]

        assert (reason is None) == (outcome in ("ok", "redirect")), url
        assert reason is None or (reason in REASONS and record["detail"]), url
        assert (record["redirect_to"] is not None) == (outcome == "redirect") or reason == "redirects", url
        assert record["crawl"] == crawled.done.summary["crawl"]
        if outcome == "ok":
            assert record["status"] == 200, url
            assert re.fullmatch(r"[0-9a-f]{64}", record["sha256"]), url
            assert record["bytes"] >= 0, url
            assert record["content_type"] or url == UNTYPED, url
            assert record["charset"], url
            # One page is empty on purpose.
            assert bool(record["title"]) == (record["bytes"] > 0), url
            assert (record["text_length"] > 0) == (record["bytes"] > 0), url
            assert len(set(record["links"])) == len(record["links"]), url
        else:
            assert record["links"] == [], url
        if reason == "http":
            assert record["status"] >= 400, url
        if reason == "content_type":
            assert record["status"] == 200, url


def test_titles_are_read_in_the_page_s_own_encoding(crawled):
    """Every page in another charset shows the title it was written with."""
    titles = {record["url"]: record["title"] for record in crawled.records}

    assert TITLES == {url: titles[url] for url in TITLES}


def test_records_say_where_a_page_was_found(crawled):
    """Parents are pages of the same crawl whose links or redirect lead here, one level above (or the same)."""
    by_url = {record["url"]: record for record in crawled.records}
    for record in crawled.records:
        if record["via"] == "seed":
            assert (record["parent"], record["depth"]) == (None, 0)
            continue
        parent = by_url[record["parent"]]
        if record["via"] == "redirect":
            assert parent["redirect_to"] == record["url"]
            assert record["depth"] == parent["depth"]
        else:
            assert record["url"] in parent["links"]
            assert record["depth"] == parent["depth"] + 1


def test_attempts_are_counted_as_the_site_counted_them(crawled):
    """What fails once costs two requests, what fails always as many as allowed (two), what is forbidden none."""
    attempts = {record["url"]: record["attempts"] for record in crawled.records}
    agent = f"crawl {crawled.done.summary['crawl']})"
    asked = [entry for entry in crawled.directory.requests() if agent in entry["agent"]]

    assert {2} == {attempts[url] for url in (*RETRIED, *RECOVERING)}
    assert {1, 0} == {count for url, count in attempts.items() if url not in (*RETRIED, *RECOVERING)}
    assert all((attempts[r["url"]] > 0) == requested(r) for r in crawled.records)
    assert sum(attempts.values()) == len([entry for entry in asked if entry["path"] != "/robots.txt"])


def test_times_are_in_order_and_in_utc_with_milliseconds(crawled):
    """Queued, started, fetched, parsed: RFC 3339 in that order, and the durations fit between them."""
    for record in crawled.records:
        stamps = [record[name] for name in ("queued_at", "started_at", "fetched_at", "parsed_at")]
        assert all(_TIME.fullmatch(stamp) for stamp in stamps), stamps
        times = [datetime.fromisoformat(stamp) for stamp in stamps]
        assert times == sorted(times), record["url"]
        assert timedelta(milliseconds=record["fetch_ms"]) == times[2] - times[1]
        assert timedelta(milliseconds=record["wait_ms"]) == times[1] - times[0]
        assert (record["parse_ms"] is not None) == (record["outcome"] == "ok"), record["url"]


def test_records_say_who_fetched_and_who_parsed(pooled):
    """Pool, slot and worker of the fetch, pool and worker of the parse, and the lease, in every record."""
    pool = TABLE[pooled.way.pool]
    slots = pool.default_concurrency()
    name = re.compile(rf"{pool.name}-{slots}-\d+@\S+")
    for record in pooled.records:
        assert (pool.name, pool.name) == (record["pool"], record["parse_pool"])
        assert name.fullmatch(record["worker"]), record["worker"]
        assert name.fullmatch(record["parse_worker"]), record["parse_worker"]
        assert re.fullmatch(rf"{pool.slot}-\d+", record["slot"]), record["slot"]
        assert 1 <= int(record["slot"].rpartition("-")[2]) <= slots
        assert record["lease"]


def test_several_slots_take_part(pooled):
    """More than one slot fetched where the pool has more than one."""
    used = {record["slot"] for record in pooled.records if requested(record)}

    assert (len(used) > 1) == (TABLE[pooled.way.pool].default_concurrency() > 1)
