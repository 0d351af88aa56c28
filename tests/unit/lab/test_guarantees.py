"""The judges of the guarantees: what is planted is found, and what was not shown is not kept."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from lab import matrix
from lab.guarantees import CHECKS, GUARANTEES, check, columns, of_findings, of_matrix
from lab.guarantees.endings import MIDDLE, Middle
from lab.guarantees.finding import (
    DRAIN_S,
    LEAST_GROWTH_MB,
    STALLED_S,
    Finding,
    Memory,
    of_drain,
    of_kill,
    of_recycling,
    of_stalled,
)
from lab.guarantees.site import ENDLESS, PAGES, Asked, Log, Site, page
from lab.guarantees.stage import Crawled
from lab.guarantees.verdicts import (
    BUFFERS_BYTES,
    CANCEL_S,
    DNS_MARGIN_S,
    MARGIN_S,
    UNPACKED_MB,
    Body,
    Cancelled,
    Endless,
    of_cancel,
    of_dns,
    of_endless,
    of_fatal,
    of_raw,
    of_unpacked,
)

DIGEST = "d" * 64
CLEAN = Crawled(
    code=0, seconds=3.0, records=60, missing=0, duplicate=0, reclaimed=0, digest=DIGEST, repeated=0
)
#: What no disturbance may leave behind, and a word of the sentence that says so.
LOSSES = {
    "a page without a record": ({"missing": 1, "records": 59}, "lost 1"),
    "a page that was never admitted": ({"records": 59}, "lost 1"),
    "two records of a page": ({"duplicate": 1}, "duplicate 1"),
    "a page too many": ({"records": 61}, "duplicate 1"),
    "another content": ({"digest": "e" * 64}, "differ"),
    "a crawl without an end": ({"code": None}, "did not end"),
    "a crawl that failed": ({"code": 3, "said": "no worker is alive"}, "no worker is alive"),
}


def _deadline(one: Endless, crawled: Crawled = CLEAN) -> Finding:
    return of_endless("threads", 2.0, one, crawled)


def _dns(
    *asked: Endless,
    other: str | None = "ok",
    drained: tuple[int | None, float] = (0, 0.5),
    crawled: Crawled = CLEAN,
) -> Finding:
    return of_dns("threads", 2.0, asked, other, drained, crawled)


def _body(**changes: object) -> Body:
    body = Body("/endless", "failed", "too_large", ("failed", "too_large"), 1_000_000)
    return replace(body, **changes)


def _kill(crawled: Crawled, at: int | None = 20) -> Finding:
    return of_kill("threads", 60, at, 1.5, crawled, DIGEST)


def _drain(crawled: Crawled, at: int | None = 20, code: int | None = 0, took_s: float = 0.5) -> Finding:
    return of_drain("threads", 60, at, code, took_s, crawled, DIGEST)


def _recycling(
    rest_mb: float, peak_mb: float, after_mb: float, *, replaced: bool = False, **changes: int
) -> Finding:
    memory = Memory(rest_mb, peak_mb, after_mb, replaced)
    return of_recycling("threads", 60, memory, replace(CLEAN, **changes))


#: What breaks a deadline, and a word of the sentence that says so.
LATE = [
    (Endless("hang", "failed", "timeout", 2.0 + DNS_MARGIN_S + 0.01), "hang took 4.01 s"),
    (Endless("hang", "failed", "timeout", None), "not ended"),
    (Endless("hang", "failed", "reset", 2.0), "reason reset"),
    (Endless("hang", "ok", None, 2.0), "as ok"),
    (Endless("hang", None, None, 2.0), "hang has no record"),
]


def test_a_request_that_ends_with_its_deadline_keeps_it():
    """What was measured is said, and named by what was in the way."""
    found = _deadline(Endless("drip-header", "failed", "timeout", 2.31))

    assert found.kept
    assert ("deadline-header", "2.3 s") == (found.guarantee, found.figure)
    assert "2.31 s" in found.measured


@pytest.mark.parametrize(("late", "word"), LATE)
def test_a_late_or_wrongly_recorded_request_breaks_the_deadline(late, word):
    """Whatever it met; and one of many names suffices."""
    found = _deadline(late)
    of_many = _dns(Endless("name-0", "failed", "timeout", 2.0), late)

    assert not found.kept
    assert not of_many.kept
    assert word in found.measured
    assert word in of_many.measured


def test_a_second_is_all_that_a_deadline_may_be_late():
    """Two where the end is seen by the record only."""
    late = Endless("hang", "failed", "timeout", 2.0 + MARGIN_S + 0.01)

    assert not _deadline(late).kept
    assert _dns(late).kept


def test_a_deadline_that_nothing_tested_is_not_kept():
    """Neither an empty crawl nor one that had to be ended proves anything."""
    on_time = Endless("hang", "failed", "timeout", 2.0)

    assert not _dns().kept
    assert not _deadline(on_time, crawled=replace(CLEAN, code=None)).kept
    assert not _dns(on_time, crawled=replace(CLEAN, code=None)).kept


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"other": "failed"}, "as failed"),
        ({"other": None}, "as nothing"),
        ({"drained": (None, 10.0)}, "10 s after SIGTERM"),
        ({"drained": (1, 0.5)}, "exit 1"),
    ],
)
def test_threads_that_wait_for_a_resolver_may_stop_nothing_else(changes, word):
    """Neither other names nor the worker's end."""
    on_time = Endless("name-0", "failed", "timeout", 2.0)
    found = _dns(on_time, **changes)

    assert _dns(on_time).kept
    assert not found.kept
    assert word in found.measured


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"outcome": "ok", "reason": None}, "as ok"),
        ({"reason": "timeout"}, "reason timeout"),
        ({"taken": 1_000_000 + BUFFERS_BYTES + 1}, "18 MB were taken"),
        ({"taken": None}, "never asked"),
    ],
)
def test_a_body_that_is_taken_beyond_its_cap_is_found(changes, word):
    """By the record, and by the bytes that the server got rid of."""
    found = of_raw("threads", 1_000_000, [_body(), _body(**changes)], CLEAN)

    assert of_raw("threads", 1_000_000, [_body()], CLEAN).kept
    assert not of_raw("threads", 1_000_000, [], CLEAN).kept
    assert not found.kept
    assert word in found.measured


def test_a_bomb_that_goes_off_is_found():
    """By what the worker grew by, even where the record is right."""
    small = of_unpacked("threads", 256_000_000, [_body()], UNPACKED_MB - 1, CLEAN)
    large = of_unpacked("threads", 256_000_000, [_body()], UNPACKED_MB + 1, CLEAN)
    wrong = of_unpacked("threads", 256_000_000, [_body(outcome="ok")], 0.0, CLEAN)

    assert (True, False, False) == (small.kept, large.kept, wrong.kept)
    assert "it was unpacked" in large.measured


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"code": 2, "said": "No such command 'cancel'."}, "No such command"),
        ({"idle_s": None}, "requests were under way still"),
        ({"idle_s": CANCEL_S + 0.1}, "requests were under way still"),
        ({"ended_s": None}, "its producer ran still"),
        ({"later": 1}, "1 requests came after"),
        ({"state": "finished"}, "its state is finished"),
    ],
)
def test_a_cancel_that_ends_nothing_is_found(changes, word):
    """The verb, the requests, the producer and the state each tell."""
    good = Cancelled(open=4, code=0, said="", idle_s=0.4, ended_s=1.0, later=0, state="cancelled")
    found = of_cancel("threads", replace(good, **changes), replace(CLEAN, code=4))

    assert of_cancel("threads", good, replace(CLEAN, code=4)).kept
    assert not of_cancel("threads", None, CLEAN).kept
    assert not found.kept
    assert word in found.measured


@pytest.mark.parametrize(
    ("record", "changes", "word"),
    [
        (None, {}, "no record"),
        (("ok", None), {}, "as ok"),
        (("failed", "lost"), {"losses": 3}, "1 losses were charged to other pages"),
        (("failed", "lost"), {"missing": 1}, "1 pages without a record"),
        (("failed", "lost"), {"code": None}, "did not end"),
        (("failed", "lost"), {"digest": "e"}, "not those of the undisturbed"),
    ],
)
def test_a_fatal_page_that_is_not_lost_or_costs_others_is_found(record, changes, word):
    """It is lost alone."""
    digest = changes.pop("digest", "d")
    found = of_fatal("threads", "crash", record, 2, replace(CLEAN, **changes), ("d", digest))

    assert of_fatal("threads", "crash", ("failed", "lost"), 2, CLEAN, ("d", "d")).kept
    assert not found.kept
    assert word in found.measured


def test_a_killed_worker_may_repeat_requests_but_lose_nothing():
    """What was in its hands is asked for again; the sentence says how much."""
    found = _kill(replace(CLEAN, repeated=7, reclaimed=7))

    assert found.kept
    assert "lost 0, duplicate 0, repeated requests 7; next request 1.5 s after the kill" in found.measured


@pytest.mark.parametrize("judge", [_kill, _drain])
@pytest.mark.parametrize("name", LOSSES)
def test_a_planted_loss_is_a_violation(judge, name):
    """A page lost, doubled or different, or a crawl that does not end, whatever disturbed it."""
    changes, word = LOSSES[name]
    found = judge(replace(CLEAN, **changes))

    assert judge(CLEAN).kept
    assert not found.kept
    assert word in found.measured


@pytest.mark.parametrize("judge", [_kill, _drain])
def test_a_disturbance_that_never_came_proves_nothing(judge):
    """A crawl that was over before is clean, and says nothing about the guarantee."""
    found = judge(CLEAN, at=None)

    assert not found.kept
    assert "never" in found.measured


@pytest.mark.parametrize(
    ("changes", "end", "word"),
    [
        ({"repeated": 1}, {}, "requested twice"),
        ({"reclaimed": 2}, {}, "2 URLs were not handed back"),
        ({}, {"code": 137}, "exit code 137"),
        ({}, {"code": None, "took_s": DRAIN_S}, "had not ended after 10 s"),
        ({}, {"took_s": DRAIN_S + 1}, "had not ended after 11 s"),
    ],
)
def test_a_drain_repeats_nothing_and_ends_in_time_with_0(changes, end, word):
    """Unlike a kill, it leaves no request to be made again."""
    found = _drain(replace(CLEAN, **changes), **end)

    assert not found.kept
    assert word in found.measured


@pytest.mark.parametrize(
    ("changes", "end", "word"),
    [
        ({}, {"code": None, "took_s": STALLED_S}, "had not ended after 20 s"),
        ({}, {"code": 1}, "exit code 1"),
        ({}, {"good": 59}, "1 pages were charged"),
        ({"reclaimed": 1}, {}, "1 URLs were not handed back"),
        ({"losses": 1}, {}, "1 URLs were not handed back"),
        ({"repeated": 5}, {}, "1 pages were requested again that had not hung"),
        ({"records": 59}, {}, "pages were lost"),
        ({}, {"open_": None}, "never asked to end"),
    ],
)
def test_a_drain_whose_requests_hang_hands_them_back_in_time(changes, end, word):
    """What was cut may be asked for again, at nobody's cost."""
    arguments = {"open_": 4, "code": 0, "took_s": 8.5, "good": 60} | end
    crawled = replace(CLEAN, **{"repeated": 4, **changes})
    good = of_stalled("threads", 60, 4, 0, 8.5, 60, replace(CLEAN, repeated=4))
    found = of_stalled("threads", 60, crawled=crawled, **arguments)

    assert good.kept
    assert not found.kept
    assert word in found.measured


def test_memory_that_stays_is_not_recycled():
    """Half of what a worker grew by may stay; more only if the worker was replaced."""
    stays = _recycling(80, 240, 238)

    assert not stays.kept
    assert "grew from 80 to 240 MB" in stays.measured
    assert "not replaced" in stays.measured
    assert _recycling(80, 240, 160).kept
    assert not _recycling(80, 240, 161).kept
    assert _recycling(80, 240, 161, replaced=True).kept


def test_recycling_that_costs_work_is_none():
    """A worker that dies of its memory is replaced as well; its pages tell the difference."""
    assert not _recycling(80, 240, 85, replaced=True, records=59).kept
    assert not _recycling(80, 240, 85, replaced=True, repeated=1).kept
    assert not _recycling(80, 240, 85, replaced=True, code=1).kept


def test_a_worker_that_hardly_grew_has_shown_nothing():
    """No growth, nothing to recycle, no proof."""
    found = _recycling(80, 80 + LEAST_GROWTH_MB - 1, 80)

    assert not found.kept
    assert "prove nothing" in found.measured


@pytest.mark.parametrize("table", [of_findings, of_matrix])
def test_the_table_says_fails_in_a_word_and_fits_100_columns(table):
    """Colour alone is lost in a log, and on some eyes."""
    measured = "grew from 76 to 188 MB over 6 large pages, holds 188 MB after them, not replaced; " * 2
    found = [
        Finding(pool, guarantee, guarantee != "recycling", measured, "10.0 MB")
        for pool in columns()
        for guarantee in GUARANTEES
    ]
    out = io.StringIO()
    Console(file=out, width=100, no_color=True).print(table(found))
    lines = out.getvalue().splitlines()

    assert len(columns()) == sum(line.count("FAILS") for line in lines)
    assert len(columns()) * (len(GUARANTEES) - 1) == sum(line.count("kept ") for line in lines)
    assert max(map(len, lines)) <= 100


def test_a_matrix_leaves_out_what_was_not_asked_for():
    """A row that nobody checked is not there, a cell that one column lacks is no promise."""
    found = [Finding("solo", "kill", True, "", "1.0 s"), Finding("gevent", "drain", False, "late")]
    out = io.StringIO()
    Console(file=out, width=100, no_color=True).print(of_matrix(found))
    rows = [line.split() for line in out.getvalue().splitlines()]

    assert ["kill", "kept", "1.0", "s", "-"] in rows
    assert ["drain", "-", "FAILS"] in rows
    assert not any(row[:1] == ["crash"] for row in rows)


def test_the_verb_names_every_column_and_check():
    """Its own lists exist so that the command line need not import the lab."""
    assert matrix.COLUMNS == columns()
    assert matrix.CHECKS == tuple(CHECKS)


def test_a_finding_is_a_row_of_the_result():
    """The names the JSON result has."""
    expected = {"pool": "solo", "guarantee": "kill", "kept": False, "measured": "lost 1", "figure": "2 s"}
    found = Finding("solo", "kill", False, "lost 1", "2 s")

    assert expected == found.row()
    assert found == Finding.of(expected | {"of a later version": 1})


def test_a_pool_there_is_not_is_named_before_anything_starts(tmp_path):
    """With those there are."""
    with pytest.raises(Exception, match=r"'fibers' is no pool; choose of prefork, threads") as raised:
        check(("threads", "fibers"), tmp_path, print)

    assert raised.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_every_ordinary_page_can_be_reached():
    """The number of pages is what a crawl of them must find."""
    found, todo = {"/"}, [0]
    while todo:
        for path in re.findall(rb'href="([^"]+)"', page(todo.pop())):
            if (text := path.decode()) not in found:
                found.add(text)
                todo.append(int(text.rpartition("/")[2]))

    assert len(found) == PAGES


def test_the_log_counts_what_was_asked_for_twice():
    """Per host and path; a third time counts again."""
    asked = [("a", "/"), ("b", "/"), ("a", "/"), ("a", "/x"), ("a", "/")]
    log = Log([Asked(host, path, 0.0, None if path == "/x" else 1.0) for host, path in asked])

    assert (2, 1) == (log.repeated(), log.open())


def test_a_worker_is_disturbed_once_and_while_a_request_is_under_way():
    """Between two requests there would be nothing to lose."""
    acts = []
    log = Log([Asked("a", str(number), 0.0, 1.0) for number in range(MIDDLE)])
    middle = Middle(lambda: acts.append(len(log.asked)))
    middle(log)
    idle = list(acts)
    log.asked.append(Asked("a", "open", 0.0))
    middle(log)
    middle(log)

    assert idle == []
    assert [MIDDLE + 1] == acts
    assert middle.at == MIDDLE + 1


def test_every_endless_page_has_a_host_of_its_own():
    """Else a polite crawler would let them wait for each other."""
    with Site() as site:
        hosts = {url.split("/")[2] for url in site.endless()}
        mapped = {entry.partition(":")[0] for entry in site.resolve}

    assert len(ENDLESS) == len(hosts)
    assert hosts < mapped
