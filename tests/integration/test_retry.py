"""`retry` in the frontier: a new generation takes the place of the old record, once, whatever is killed or repeated."""

from __future__ import annotations

import json

import pytest
import standin

from crawl import keys, names, records, results, retrying, urls
from crawl.audit import audit
from crawl.errors import UsageError
from crawl.frontier import HOST_FAIL_LIMIT, Frontier
from export import files
from poolcrawl.explaining import explain


def crawled(frontier, opts, failed: dict[str, str], *good: str, depth: int = 0):
    """Make a crawl whose pages have failed for these reasons, or were fetched, and let it finish."""
    standin.admit(frontier, opts, *failed, *good, depth=depth)
    visit(frontier, opts, failed)
    assert frontier.finish() == names.FINISHED


def visit(frontier, opts, failed: dict[str, str]) -> list[records.FetchRequest]:
    """Take all that is due through its life; return the requests."""
    made = []
    while batches := standin.lease(frontier, opts):
        for batch in batches:
            started = standin.start(frontier, batch, opts)
            assert standin.fetched(frontier, started, opts)
            made += close(frontier, batch, opts, failed)
    return made


def close(frontier, batch, opts, failed: dict[str, str]) -> list[records.FetchRequest]:
    """Complete a fetched batch; return its requests."""
    loaded = standin.load(frontier, batch.lease, opts)
    found = [
        standin.result(
            frontier.crawl,
            request,
            "failed" if request.url in failed else "ok",
            failed.get(request.url),
        )
        for request in loaded.requests
    ]
    closed, _ = frontier.complete(batch.lease, found, [], standin.links(opts), options=opts)
    assert closed
    return loaded.requests


def told(frontier) -> dict[str, tuple[str, str | None, int]]:
    """Return outcome, reason and generation of every record that an export would write; each URL once."""
    rows = [json.loads(line) for _, line in results.lines(frontier.client, frontier.crawl)]
    assert len(rows) == len({row["url"] for row in rows})
    return {row["url"]: (row["outcome"], row["reason"], row["generation"]) for row in rows}


@pytest.fixture
def failing(frontier, host):
    """A finished crawl of four pages: two timed out, one was not found, one is there."""
    opts = standin.options(batch=1)
    a, b, c, d = standin.pages(host, 4)
    crawled(frontier, opts, {a: "timeout", b: "timeout", c: "parse"}, d)
    return frontier, opts, (a, b, c, d)


def test_a_retry_puts_newer_records_in_the_place_of_the_old(failing):
    """The crawl is open again; what is fetched now has generation 1, the rest keeps its record; one line per URL."""
    frontier, opts, (a, b, c, d) = failing

    found = retrying.retry(frontier.client, frontier.crawl)
    requests = visit(frontier, opts, {b: "dns"})

    assert (1, 2, 0, 1, {"timeout": 2}, names.FINISHED) == (
        *(found.generation, found.retried, found.waiting, found.left, found.reasons, found.state),
    )
    assert [(0, 0, 1), (0, 0, 1)] == [(one.attempts, one.losses, one.generation) for one in requests]
    assert {
        a: ("ok", None, 1),
        b: ("failed", "dns", 1),
        c: ("failed", "parse", 0),
        d: ("ok", None, 0),
    } == told(frontier)
    assert frontier.finish() == names.FINISHED


def test_the_old_record_stays_until_the_new_one_is_there(failing):
    """Readers see it; the status counts the URL as waiting, and no number is negative or drifts."""
    frontier, opts, (a, b, *_) = failing
    before = results.status(frontier.client, frontier.crawl)

    retrying.retry(frontier.client, frontier.crawl)
    between = results.status(frontier.client, frontier.crawl)

    assert ("failed", "timeout", 0) == told(frontier)[a]
    assert (4, 2, 2, 2, {"ok": 1, "failed": 1}, {"parse": 1}) == (
        *(
            between.admitted,
            between.done,
            between.waiting,
            between.retrying,
            between.outcomes,
            between.reasons,
        ),
    )
    assert (names.RUNNING, None) == (between.state, between.ended_ms)

    batch = standin.lease(frontier, opts, window=1)[0]
    leased = results.status(frontier.client, frontier.crawl)
    assert (2, 1, 1) == (leased.done, leased.leased, leased.waiting)

    started = standin.start(frontier, batch, opts)
    standin.fetched(frontier, started, opts)
    close(frontier, batch, opts, {a: "timeout", b: "timeout"})
    visit(frontier, opts, {a: "timeout", b: "timeout"})
    after = results.status(frontier.client, frontier.crawl)
    assert (before.outcomes, before.reasons, before.done, 0) == (
        *(after.outcomes, after.reasons, after.done, after.waiting),
    )


def test_an_audit_takes_a_retry_for_what_it_is(failing):
    """Before, between and after: neither missing nor double; the newest record makes the digest."""
    frontier, opts, pages = failing
    before = audit(frontier.client, frontier.crawl)
    retrying.retry(frontier.client, frontier.crawl)
    between = audit(frontier.client, frontier.crawl)
    visit(frontier, opts, {})
    after = audit(frontier.client, frontier.crawl)

    assert [True, True, True] == [one.clean for one in (before, between, after)]
    assert [(0, 0, 0), (2, 1, 2), (0, 1, 2)] == [
        (one.pending, one.generations, one.retried) for one in (before, between, after)
    ]
    assert before.digest == between.digest != after.digest
    assert 4 == after.records == len(pages)


def test_a_second_retry_is_another_generation(failing):
    """As often as somebody asks; each generation has one record per URL."""
    frontier, opts, (a, b, *_) = failing
    for _ in range(3):
        retrying.retry(frontier.client, frontier.crawl)
        visit(frontier, opts, {a: "timeout"})

    assert (("failed", "timeout", 3), ("ok", None, 1)) == (told(frontier)[a], told(frontier)[b])
    assert (True, 3) == (
        (found := audit(frontier.client, frontier.crawl)).clean,
        found.generations,
    )


def test_a_repeated_retry_admits_nothing_twice(failing):
    """What waits since the first one is told; a finished URL that is good again is left alone."""
    frontier, opts, (a, b, *_) = failing
    retrying.retry(frontier.client, frontier.crawl)
    again = retrying.retry(frontier.client, frontier.crawl)

    assert (0, 0, 2) == (again.generation, again.retried, again.waiting)
    assert [a, b] == [request.url for request in visit(frontier, opts, {})]
    assert 0 == retrying.retry(frontier.client, frontier.crawl).retried


def test_a_retry_that_was_killed_is_finished_by_repeating_it(new_frontier, monkeypatch):
    """One slice is in, the rest is not; the next call does the rest, and every URL is asked once more."""
    frontier, opts = new_frontier(), standin.options(batch=20)
    pages = standin.pages("killed.test", 12)
    crawled(frontier, opts, dict.fromkeys(pages, "timeout"))
    monkeypatch.setattr(retrying, "RETRIED_PER_CALL", 5)

    class Killed(BaseException):
        pass

    def kill(number: int) -> None:
        if number >= 5:
            raise Killed

    with pytest.raises(Killed):
        retrying.retry(frontier.client, frontier.crawl, tell=kill)
    assert audit(frontier.client, frontier.crawl).clean
    rest = retrying.retry(frontier.client, frontier.crawl)

    assert (7, 5) == (rest.retried, rest.waiting)
    assert sorted(pages) == sorted(request.url for request in visit(frontier, opts, {}))
    assert {"ok"} == {outcome for outcome, _, _ in told(frontier).values()}


def test_a_call_whose_reply_was_lost_changes_nothing_when_repeated(failing):
    """The verb compares the record it was told of with the one that is there."""
    frontier, *_ = failing
    calls = []
    genuine = frontier.retry

    def twice(*arguments, **more):
        calls.append(genuine(*arguments, **more))
        image = standin.image(frontier)
        calls.append(genuine(*arguments, **more))
        assert image == standin.image(frontier)
        return calls[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Frontier, "retry", lambda _, *arguments, **more: twice(*arguments, **more))
        retrying.retry(frontier.client, frontier.crawl)

    assert [(2, 0, set(), "finished"), (0, 2, set(), "running")] == calls


def test_a_record_that_has_changed_meanwhile_is_left_alone(failing):
    """Somebody else's retry came in between: what it brought is not thrown away."""
    frontier, opts, _ = failing
    stale = list(retrying._chosen(frontier.client, frontier.crawl, (), 2, retrying.Retried("c")))
    retrying.retry(frontier.client, frontier.crawl)
    visit(frontier, opts, {})

    again = retrying._again(frontier.client, frontier.crawl, stale, 2)
    changed = {str(urls.fingerprint(failure.url)) for failure, _ in stale}
    assert (0, 0, changed) == frontier.retry(again, 2, options=opts)[:3]


def test_a_late_completion_of_an_older_generation_changes_nothing(failing):
    """Only the generation that is asked for takes the record's place, and only once."""
    frontier, opts, (a, *_) = failing
    retrying.retry(frontier.client, frontier.crawl)
    batch = standin.lease(frontier, opts)[0]
    standin.fetched(frontier, standin.start(frontier, batch, opts), opts)
    request = standin.load(frontier, batch.lease, opts).requests[0]
    late = [standin.result(frontier.crawl, records.FetchRequest(url=request.url, generation=7))]
    frontier.complete(batch.lease, late, [], standin.links(opts), options=opts)

    assert ("failed", "timeout", 0) == told(frontier)[a]


def test_a_retry_of_a_running_crawl_joins_what_waits(frontier, host):
    """Nothing is reopened; the pump meets it like any URL."""
    opts = standin.options(batch=1)
    a, b = standin.pages(host, 2)
    standin.admit(frontier, opts, a, b)
    batch = standin.lease(frontier, opts, window=1)[0]
    standin.fetched(frontier, standin.start(frontier, batch, opts), opts)
    close(frontier, batch, opts, {a: "reset"})

    found = retrying.retry(frontier.client, frontier.crawl)

    assert (1, names.RUNNING) == (found.retried, found.state)
    assert [b, a] == [request.url for request in visit(frontier, opts, {})]
    assert names.FINISHED == frontier.finish()


def test_a_url_keeps_its_place_in_the_crawl(frontier, host):
    """Depth, parent, how it was found, and how many redirects led there, which no record holds."""
    opts = standin.options(batch=1, depth=3)
    chain = [f"http://{host}/hop/{number}" for number in range(4)]
    frontier.create(opts)
    for number, url in enumerate(chain):
        failed = number == 3
        record = records.PageRecord(
            *(
                frontier.crawl,
                url,
                "redirect" if number else "link",
                chain[number - 1] if number else f"http://{host}/",
            ),
            *(2, 1, "failed" if failed else "redirect"),
            redirect_to=None if failed else chain[number + 1],
            reason="timeout" if failed else None,
        )
        identity = str(urls.fingerprint(url))
        frontier.client.hset(keys.records(frontier.crawl), identity, records.to_json(record))
        frontier.client.xadd(keys.results(frontier.crawl), {"f": identity})

    retrying.retry(frontier.client, frontier.crawl)
    (entry,) = standin.entries(frontier, f"http://{host}", level=2)
    again = records.decode_entry(entry)

    assert (chain[3], 2, "redirect", chain[2], 3, 1) == (
        *(again.url, again.depth, again.via, again.parent, again.hops, again.generation),
    )


def test_a_page_that_kills_its_workers_is_charged_within_the_generation(failing):
    """Losses start afresh, and the generation travels with the URL through its suspicion to its end as `lost`."""
    frontier, _, (a, *_) = failing
    opts = standin.options(batch=1, lease_s=0.05, max_losses=2)
    retrying.retry(frontier.client, frontier.crawl, pages=[a])
    for _ in range(3):
        (batch,) = standin.lease(frontier, opts)
        started = standin.start(frontier, batch, opts)
        if started.requests[0].suspect:
            frontier.isolate(batch.lease, started.nonce)
        standin.overdue(frontier)
        doomed, _, _ = frontier.reap(opts)
    started = standin.start(frontier, doomed[0], opts)

    assert ("lost", 2, 1) == (started.doom, started.requests[0].losses, started.requests[0].generation)


def test_a_host_that_was_given_up_is_asked_again(frontier, host):
    """In a running crawl, too, where nothing else would give it a fresh chance."""
    opts = standin.options(batch=1)
    (a,) = standin.pages(host, 1)
    standin.admit(frontier, opts, a)
    visit(frontier, opts, {a: "connect"})
    frontier.client.hset(keys.host(host), mapping={"fails": HOST_FAIL_LIMIT, "fail_reason": "connect"})

    retrying.retry(frontier.client, frontier.crawl)
    started = standin.start(frontier, standin.lease(frontier, opts)[0], opts)

    assert (a, None) == (started.requests[0].url, started.doom)


@pytest.mark.parametrize(("verdict", "kind"), [("deny", "robots"), ("rules", "page")])
def test_a_robots_txt_that_could_not_be_had_is_asked_again(frontier, host, verdict, kind):
    """Its refusal counts for an hour; a retry must not run into it. An answer that was given keeps its time."""
    opts = standin.options(batch=1, robots="obey")
    (a,) = standin.pages(host, 1)
    known = {
        "verdict": verdict,
        "body": "",
        "version": 1,
        "fresh_until": standin.now_ms(frontier.client) + 60_000,
    }
    frontier.client.hset(keys.robots(f"http://{host}"), mapping=known)
    standin.admit(frontier, opts, a)
    visit(frontier, opts, {a: "timeout"})

    retrying.retry(frontier.client, frontier.crawl)

    assert [kind] == [batch.kind for batch in standin.lease(frontier, opts)]


@pytest.mark.parametrize(
    ("status", "reason", "detail", "again"),
    [
        (503, "http", None, True),
        (404, "http", None, False),
        (None, "robots", "robots.txt could not be had (503), so nothing may be fetched", True),
        (None, "robots", "http://a.test/robots.txt disallows it", False),
        (None, "lost", None, True),
        (None, "tls", None, False),
    ],
)
def test_what_may_pass_by_itself_is_tried_again_unasked(frontier, host, status, reason, detail, again):
    """By status and detail, where the reason alone does not say."""
    opts = standin.options()
    frontier.create(opts)
    outcome = "skipped" if reason == "robots" else "failed"
    record = records.PageRecord(
        frontier.crawl,
        f"http://{host}/",
        "seed",
        None,
        0,
        1,
        outcome,
        reason=reason,
        status=status,
        detail=detail,
    )
    identity = str(urls.fingerprint(record.url))
    frontier.client.hset(keys.records(frontier.crawl), identity, records.to_json(record))
    frontier.client.xadd(keys.results(frontier.crawl), {"f": identity})

    assert again == bool(retrying.retry(frontier.client, frontier.crawl).retried)
    named = retrying.retry(frontier.client, frontier.crawl, [reason])
    assert 1 == named.retried + named.waiting


def test_a_cancelled_crawl_is_refused(failing):
    """Its leases are fenced and its hosts freed; the message names what can be done instead."""
    frontier, *_ = failing
    frontier.client.hset(keys.crawl(frontier.crawl), "state", names.CANCELLED)

    with pytest.raises(UsageError, match=f"'{frontier.crawl}' is cancelled.*--recrawl {frontier.crawl}"):
        retrying.retry(frontier.client, frontier.crawl)
    assert (0, 0, set(), names.CANCELLED) == frontier.retry([], 1, options=standin.options())


def test_a_crawl_that_was_cancelled_meanwhile_is_audited_with_its_older_records(failing):
    """What waited to be tried again was taken away with the rest; that is no fault."""
    frontier, _, (a, *_) = failing
    retrying.retry(frontier.client, frontier.crawl, pages=[a])
    client = frontier.client
    client.delete(*client.smembers(keys.queues(frontier.crawl)), keys.queues(frontier.crawl))
    lost = audit(client, frontier.crawl)
    client.hset(keys.crawl(frontier.crawl), "state", names.CANCELLED)

    assert [("missing", a)] == [(fault.kind, fault.url) for fault in lost.faults]
    assert audit(client, frontier.crawl).clean


def test_a_paused_crawl_stays_paused(failing):
    """What is tried again waits until somebody resumes it."""
    frontier, opts, _ = failing
    frontier.client.hset(keys.crawl(frontier.crawl), "state", names.PAUSED)

    found = retrying.retry(frontier.client, frontier.crawl)

    assert (2, names.PAUSED) == (found.retried, results.status(frontier.client, frontier.crawl).state)
    assert [] == standin.lease(frontier, opts)


def test_a_url_that_has_not_failed_is_refused(failing):
    """Before anything is admitted: one of several wrong ones is named."""
    frontier, _, (a, _, _, d) = failing
    for wrong, why in ((d, "has not failed .*ok"), ("http://never.test/", "has no record")):
        with pytest.raises(UsageError, match=f"{wrong} {why}"):
            retrying.retry(frontier.client, frontier.crawl, pages=[a, wrong])
    assert 0 == results.status(frontier.client, frontier.crawl).retrying


def test_a_reader_that_is_overtaken_still_gets_the_newer_record(failing, monkeypatch):
    """Between reading the stream to its end and reading the records, a retry has put newer ones in their place."""
    frontier, opts, (a, b, c, d) = failing
    genuine, overtaken = results.listed, []

    def listed(*arguments):
        rows = list(genuine(*arguments))
        if not overtaken:
            overtaken.append(True)
            retrying.retry(frontier.client, frontier.crawl)
            visit(frontier, opts, {})
        yield from rows

    monkeypatch.setattr(results, "listed", listed)

    assert [(c, 0), (d, 0), (a, 1), (b, 1)] == [(url, row[2]) for url, row in told(frontier).items()]


def test_an_export_that_was_begun_gets_the_newer_lines(failing, tmp_path):
    """The cursor goes on behind the older lines; a file that is begun anew holds each URL once."""
    frontier, opts, (a, *_) = failing
    grown, fresh = tmp_path / "grown.jsonl", tmp_path / "fresh.jsonl"
    files.to_file(frontier.client, frontier.crawl, "jsonl", str(grown))
    retrying.retry(frontier.client, frontier.crawl, pages=[a])
    files.to_file(frontier.client, frontier.crawl, "jsonl", str(grown))
    visit(frontier, opts, {})

    assert 5 == files.to_file(frontier.client, frontier.crawl, "jsonl", str(grown))
    assert 4 == files.to_file(frontier.client, frontier.crawl, "jsonl", str(fresh))
    rows = [json.loads(line) for line in grown.read_text().splitlines()]
    assert [("failed", 0), ("ok", 1)] == [
        (row["outcome"], row["generation"]) for row in rows if row["url"] == a
    ]


def test_a_url_that_is_tried_again_is_told_so(failing):
    """`why` shows the record it has, and where it waits for the newer one."""
    frontier, opts, (a, *_) = failing
    retrying.retry(frontier.client, frontier.crawl, pages=[a])
    waiting = explain(frontier.client, frontier.crawl, a, a)
    visit(frontier, opts, {})
    after = explain(frontier.client, frontier.crawl, a, a)

    assert ("waiting", "failed") == (waiting.place, waiting.record.outcome)
    assert "it is tried again: it waits until its host may be asked" in waiting.conclusion
    assert "no producer works on the crawl" in waiting.waiting_for
    assert ("record", "ok", 1, None) == (
        *(after.place, after.record.outcome, after.record.generation, after.waiting_for),
    )
