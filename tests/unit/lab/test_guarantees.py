"""The judges of the guarantees: what is planted is found, and what was not shown is not kept."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from lab.guarantees import CHECKS, check, of_findings
from lab.guarantees.checks import MIDDLE, Middle
from lab.guarantees.finding import (
    DRAIN_S,
    LEAST_GROWTH_MB,
    MARGIN_S,
    Endless,
    Finding,
    Memory,
    of_deadline,
    of_drain,
    of_kill,
    of_recycling,
)
from lab.guarantees.site import ENDLESS, PAGES, Asked, Log, Site, page
from lab.guarantees.stage import Crawled
from worker import pools

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


def _deadline(*asked: Endless, crawled: Crawled = CLEAN) -> Finding:
    return of_deadline("threads", 2.0, asked, crawled)


def _kill(crawled: Crawled, at: int | None = 20) -> Finding:
    return of_kill("threads", 60, at, 1.5, crawled, DIGEST)


def _drain(crawled: Crawled, at: int | None = 20, code: int | None = 0, took_s: float = 0.5) -> Finding:
    return of_drain("threads", 60, at, code, took_s, crawled, DIGEST)


def _recycling(
    rest_mb: float, peak_mb: float, after_mb: float, *, replaced: bool = False, **changes: int
) -> Finding:
    memory = Memory(rest_mb, peak_mb, after_mb, replaced)
    return of_recycling("threads", 60, memory, replace(CLEAN, **changes))


def test_requests_that_end_with_their_deadline_keep_it():
    """The longest one is what was measured."""
    found = _deadline(Endless("hang", "failed", "timeout", 2.02), Endless("drip", "failed", "timeout", 2.31))

    assert found.kept
    assert "2.31 s" in found.measured


@pytest.mark.parametrize(
    ("late", "word"),
    [
        (Endless("drip", "failed", "timeout", 2.0 + MARGIN_S + 0.01), "drip took 3.01 s"),
        (Endless("drip", "failed", "timeout", None), "not ended"),
        (Endless("drip", "failed", "reset", 2.0), "reason reset"),
        (Endless("drip", "ok", None, 2.0), "as ok"),
        (Endless("drip", None, None, 2.0), "drip has no record"),
    ],
)
def test_one_late_or_wrongly_recorded_request_breaks_the_deadline(late, word):
    """However many others were on time."""
    found = _deadline(Endless("hang", "failed", "timeout", 2.0), late)

    assert not found.kept
    assert word in found.measured


def test_a_deadline_that_nothing_tested_is_not_kept():
    """Neither an empty crawl nor one that had to be ended proves anything."""
    on_time = Endless("hang", "failed", "timeout", 2.0)

    assert not _deadline().kept
    assert not _deadline(on_time, crawled=replace(CLEAN, code=None)).kept


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


def test_the_table_says_fails_in_a_word_and_fits_100_columns():
    """Colour alone is lost in a log, and on some eyes."""
    measured = "grew from 76 to 188 MB over 6 large pages, holds 188 MB after them, not replaced; " * 2
    found = [
        Finding(pool, guarantee, guarantee != "recycling", measured)
        for pool in pools.TABLE
        for guarantee in CHECKS
    ]
    out = io.StringIO()
    Console(file=out, width=100, no_color=True).print(of_findings(found))
    lines = out.getvalue().splitlines()

    assert len(pools.TABLE) == sum("FAILS" in line for line in lines)
    assert len(pools.TABLE) * (len(CHECKS) - 1) == sum(" kept " in line for line in lines)
    assert max(map(len, lines)) <= 100


def test_a_finding_is_a_row_of_the_result():
    """The names the JSON result has."""
    expected = {"pool": "solo", "guarantee": "kill", "kept": False, "measured": "lost 1"}

    assert expected == Finding("solo", "kill", False, "lost 1").row()


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
