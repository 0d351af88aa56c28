"""Faults on plain processes, as many as `make test` has time for; `make chaos` has all of them in every pool."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
import pytest
from chaos import run
from chaos.faults import FAULTS
from chaos.judge import Row, Terms, judge
from chaos.scene import CRAWL, Scene
from chaos.table import table
from stack import ROOT

from crawl import keys

pytestmark = pytest.mark.timeout(240)

#: A lost worker, a lost server, no room; `.ci/run` has the others.
CHOSEN = (("worker killed", "gevent"), ("redis killed", "asyncio"), ("disk full: redis", "threads"))


@pytest.mark.parametrize(("fault", "pool"), CHOSEN)
def test_nothing_is_lost(fault, pool):
    """Half-way through a crawl something happens; it ends with the records of an undisturbed one."""
    row = run.play(FAULTS[fault], pool)

    assert [] == row.wrong
    assert run.PAGES == row.pages


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small crawl that has ended undisturbed."""
    with Scene(tmp_path_factory.mktemp("chaos"), "threads", pages=30, workers=1) as scene:
        done = scene.ended()
        scene.stop()
        yield scene, done


def verdict(finished):
    scene, done = finished
    return judge(scene, "planted", done, Terms(refetches=0)).wrong


def test_an_undisturbed_crawl_is_good(finished):
    """The site foretells its digest, no page is asked for twice, and nobody complains."""
    assert [] == verdict(finished)


def test_the_judge_sees_a_lost_record(finished):
    """A record that is removed is a lost page, and the digest is another."""
    client = finished[0].client
    (fingerprint, record), *_ = client.hgetall(keys.records(CRAWL)).items()
    client.hdel(keys.records(CRAWL), fingerprint)
    try:
        wrong = verdict(finished)
    finally:
        client.hset(keys.records(CRAWL), fingerprint, record)

    assert any("1 pages lost" in complaint for complaint in wrong)
    assert any("differ from those of an undisturbed crawl" in complaint for complaint in wrong)


def test_the_judge_sees_a_double_record(finished):
    """A URL that was completed twice stands twice in the stream of results."""
    client = finished[0].client
    (_, fields), *_ = client.xrange(keys.results(CRAWL), count=1)
    added = client.xadd(keys.results(CRAWL), fields)
    try:
        wrong = verdict(finished)
    finally:
        client.xdel(keys.results(CRAWL), added)

    assert "1 records are double" in wrong
    assert not any("lost" in complaint for complaint in wrong)


def test_the_judge_sees_a_changed_record(finished):
    """A page that ended otherwise than the site gave it is named."""
    client = finished[0].client
    (fingerprint, record), *_ = client.hgetall(keys.records(CRAWL)).items()
    changed = msgspec.json.decode(record) | {"status": 599}
    client.hset(keys.records(CRAWL), fingerprint, msgspec.json.encode(changed))
    try:
        wrong = verdict(finished)
    finally:
        client.hset(keys.records(CRAWL), fingerprint, record)

    assert len(wrong) == 1
    assert "599" in wrong[0]


def test_the_judge_sees_a_request_too_many_and_too_soon(finished):
    """Every request counts, whatever the crawl says of it; the polite host's pause is measured by its own clock."""
    scene, _ = finished
    last = max((visit for visit in scene.site.visits if visit.host == "d.chaos.test"), key=lambda it: it.at)
    scene.site.note(last._replace(at=last.done + 0.05))
    try:
        wrong = verdict(finished)
    finally:
        scene.site.forget()

    assert any("asked for again more than 0 times" in complaint for complaint in wrong)
    assert any("impolite" in complaint for complaint in wrong)


def test_the_judge_sees_losses_deserters_and_tracebacks(finished):
    """What only the logs and counts tell is judged, too."""
    scene, _ = finished
    scene.client.hincrby(keys.counts(CRAWL), "losses", 3)
    scene.deserted.append(1)
    log = scene.everybody[0].stderr
    before = log.read_text()
    log.write_text(before + "Traceback (most recent call last):\n  File x\nValueError: planted\n")
    try:
        wrong = verdict(finished)
    finally:
        scene.client.hdel(keys.counts(CRAWL), "losses")
        scene.deserted.clear()
        log.write_text(before)

    assert [
        "3 losses were charged, at most 0 may be",
        "workers ended by themselves, exit codes [1]",
        "traceback (1): ValueError: planted",
    ] == wrong


def test_two_deaths_are_charged_to_nobody():
    """They make a suspect; each one after that charges one URL, with two at most."""
    assert [0, 0, 0, 2, 4] == [run.most_losses(deaths) for deaths in range(5)]


def test_a_run_that_takes_too_long_names_what_is_left_and_leaves_nothing(tmp_path):
    """A change that makes the faults slower than their time fails, and says where."""
    words = ("--within", "3", "--faults", "undisturbed", "--pools", "threads,solo")
    places = {"PYTHONPATH": str(ROOT / "tests"), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "chaos", *words],
        check=False,
        cwd=ROOT,
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert 1 == done.returncode, done
    assert "not over within 3 s: undisturbed in threads; undisturbed in solo" == done.stdout.splitlines()[-1]
    assert [] == [process for process in psutil.process_iter() if works_below(tmp_path, process)]
    assert [] == list(tmp_path.iterdir())


def works_below(folder, process):
    with suppress(psutil.Error, OSError):
        return Path(process.cwd()).is_relative_to(folder) or any(
            str(folder) in word for word in process.cmdline()
        )
    return False


def test_the_table_has_the_last_row_of_each_fault_and_pool():
    """A row that was made again stands in the place of the first; what broke a promise is marked."""
    rows = [
        Row("redis killed", "solo", 120, 0, 0, 2, 0.25, 20.0),
        Row("worker killed", "solo", 120, 1, 0, 2, 1.5, 20.0, wrong=["1 pages lost"]),
        Row("worker killed", "threads", 120, 0, 0, 3, None, 20.0),
        Row("redis killed", "solo", 120, 0, 0, 1, 0.5, 20.0),
    ]

    assert [
        "| fault | pages | lost | duplicate | threads | solo |",
        "|---|---|---|---|---|---|",
        "| worker killed | 120 | 1 | 0 | 3 | 2, 1.5 s, **wrong** |",
        "| redis killed | 120 | 0 | 0 | - | 1, 0.5 s |",
    ] == table(rows).splitlines()
