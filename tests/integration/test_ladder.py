"""The whole ladder on short pages: every rung gives the same digest and works in the way it says it does."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import psutil
import pytest

from lab.ladder import pages, runner
from lab.ladder.rungs import RUNGS, Rung
from lab.ladder.runner import Stage, run_ladder

#: The tutorial's seconds, made short; what is asserted are counts and lower bounds, which no busy machine changes.
SCALE = 0.03
PARSE_MS = 4.0
LADDER = (sys.executable, "-m", "poolcrawl", "bench", "--ladder")


@pytest.fixture(scope="module", name="result")
def _result():
    return run_ladder(tuple(RUNGS), parse_ms=PARSE_MS, scale=SCALE, say=lambda _: None)


@pytest.fixture(scope="module", name="rows")
def _rows(result):
    return {row.name: row for row in result.rows}


def test_all_rungs_give_one_digest(result):
    """Ways differ in time and cost, never in what they find."""
    assert result.violations == []
    assert [row.name for row in result.rows if row.skipped] == []
    assert {row.digest for row in result.rows} == {pages.expected_digest()}


@pytest.mark.parametrize("name", ["serial", "process-sync", "thread-sync"])
def test_a_synchronous_rung_asks_for_one_page_at_a_time(rows, result, name):
    """However many slots its pool has, so it takes at least all latencies together."""
    assert rows[name].at_once == 1
    assert rows[name].wall_s >= result.bounds()["serial_s"]


@pytest.mark.parametrize("name", [name for name, rung in RUNGS.items() if rung.compared])
def test_a_rung_asks_for_no_more_pages_at_once_than_it_has_slots(rows, result, name):
    """And no schedule of its slots beats the floor."""
    assert rows[name].at_once <= rows[name].slots
    if rows[name].slots == 4:
        assert rows[name].wall_s >= result.bounds()["floor_s"]


OVERLAPPING = [
    name
    for name, rung in RUNGS.items()
    if not rung.late and not rung.instant and name not in ("serial", "process-sync", "thread-sync")
]


@pytest.mark.parametrize("name", OVERLAPPING)
def test_every_other_rung_overlaps_its_waiting(rows, name):
    """The server has seen several pages asked for at once."""
    assert rows[name].at_once > 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("serial", "main thread"),
        ("process-collect", "main thread"),
        ("thread-collect", "main thread"),
        ("process-callback", "1 other thread"),
        ("callback-io", "1 other thread"),
        ("gevent", "main thread"),
        ("asyncio", "main thread"),
        ("select", "main thread"),
        ("selector", "main thread"),
        ("celery-collect-prefork", "main thread"),
        ("celery-collect-split", "main thread"),
        ("celery-fused-gevent", "1 other process"),
        ("celery-callback-gevent", "1 other process"),
    ],
)
def test_a_rung_parses_where_its_docstring_says(rows, name, expected):
    """Where the callback runs is the question that the tutorial's versions turn on."""
    assert expected == rows[name].parsed_in


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("process-fused", "other process"),
        ("thread-fused", "other thread"),
        ("thread-callback", "other thread"),
        ("celery-fused-prefork", "other process"),
        ("celery-callback-split", "other process"),
        ("celery-callback-threads", "1 other process"),
    ],
)
def test_a_rung_with_parses_in_its_slots_has_none_in_the_main_thread(rows, name, words):
    """How many of its slots got a page is chance."""
    assert words in rows[name].parsed_in
    assert "main thread" not in rows[name].parsed_in


def test_callbacks_that_wait_queue_up_and_a_second_pool_cures_it(rows):
    """One after the other, they take at least ten times what one takes."""
    assert rows["callback-io"].wall_s >= 10 * runner.STORE_S * SCALE


def test_an_event_needs_no_looking(rows):
    """A polled flag is looked at in vain; `wait()` is not; `wait(timeout)` runs out when the gun is late."""
    assert rows["event-flag"].notes["looks"] >= 4
    assert rows["event-wait"].notes["noticed_ms"] < 5000
    assert rows["event-timeout"].notes["timeouts"] >= 1
    assert rows["event-shutdown"].notes["shutdown_ms"] < 5000


def test_polling_pays_for_idle_sockets_and_the_best_selector_does_not(rows):
    """A call of select looks at a thousand sockets; twenty times the price was measured, three is asserted."""
    price = {name: rows[name].notes["cpu_us_per_wakeup"] for name in rows if "-idle-1000" in name}

    assert price["select-idle-1000"] > 3 * price["selector-idle-1000"]


def test_a_rung_that_drops_a_page_is_found_out(monkeypatch):
    """The sabotage is in what is asked for: nine of the ten pages, one of them twice."""
    with Stage(PARSE_MS, 0.01) as stage:
        asked = stage.task_of

        def spoiled(rung):
            task = asked(rung)
            return task | {"pages": [*task["pages"][:-1], task["pages"][0]]}

        monkeypatch.setattr(stage, "task_of", spoiled)
        outcome = stage.perform(RUNGS["serial"])

    assert outcome.digest != pages.expected_digest()


def test_a_rung_that_fails_says_why():
    """Its last words stand in the row instead of a traceback."""
    with Stage(PARSE_MS, 0.01) as stage:
        outcome = stage.perform(Rung("broken", "no_such_module", "planted by a test"))

    assert "no_such_module" in outcome.invalid


def test_one_rung_by_name_as_json(tmp_path):
    """`--only` runs it alone, `--json` is one line of the documented form."""
    done = subprocess.run(
        [*LADDER, "--only", "asyncio-all", "--parse-ms", "0", "--json"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = json.loads(done.stdout)

    assert done.returncode == 0
    assert (found["kind"], found["schema"], found["parse_ms"]) == ("ladder", 1, 0)
    assert [row["name"] for row in found["rungs"]] == ["asyncio-all"]
    assert found["rungs"][0]["digest"] == pages.expected_digest()
    assert found["rungs"][0]["at_once"] > 4
    assert "asyncio-all" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_rung_ends_with_two_and_one_line(tmp_path):
    """The line has the nearest name."""
    done = subprocess.run(
        [*LADDER, "--only", "asyncio_all"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "did you mean asyncio-all" in done.stderr


@pytest.mark.parametrize("name", ["process-fused", "celery-fused-prefork"])
def test_an_interrupt_leaves_no_process_behind(tmp_path, name):
    """Neither the page server, nor the rung and its pool, nor Celery's workers and their server."""
    ladder = subprocess.Popen(
        [*LADDER, "--only", name], cwd=tmp_path, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        found = _children(ladder.pid, f"lab.ladder.{RUNGS[name].module}")
        ladder.send_signal(signal.SIGINT)
        ladder.wait(30)
    finally:
        ladder.kill()
        ladder.wait()
    _, alive = psutil.wait_procs(found, timeout=10)

    assert ladder.returncode == 130
    assert alive == []


def _children(pid, module):
    """Return all descendants as soon as the rung itself is among them."""
    until = time.monotonic() + 40
    while time.monotonic() < until:
        found = psutil.Process(pid).children(recursive=True)
        for process in found:
            try:
                if module in process.cmdline():
                    return found
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.05)
    pytest.fail("the rung was never started")
