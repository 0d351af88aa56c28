"""Trials with real workers on a workload's site: valid, flagged when a page is dropped, continued when interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import stack

from lab import results, running
from lab.grid import Cell
from lab.lanes import read_trace
from lab.plan import Plan
from lab.way import parse
from lab.workload import Workload

TESTS = Path(__file__).resolve().parents[1]
SMALL = Workload("small", pages=60, hosts=4, latency_ms=20, parse_ms=2)


def _plan(*ways: str, rounds: int = 1, lanes: tuple[str, ...] = ()) -> Plan:
    return Plan(
        tuple(Cell(SMALL, parse(way)) for way in ways),
        rounds,
        tuple(Cell(SMALL, parse(way)) for way in lanes),
    )


@pytest.mark.parametrize("way", [f"{pool}-{1 if pool == 'solo' else 2}" for pool in stack.POOLS])
def test_a_trial_is_valid_and_has_every_measure(tmp_path, way):
    """Each pool crawls the workload to the digest that was foretold, and no measure is missing."""
    result = running.run(_plan(way), lambda _: None, keep=tmp_path)
    (trial,) = result["trials"]
    (workload,) = result["workloads"]

    assert trial["invalid"] is None
    assert trial["valid"]
    assert workload["expected_digest"] == trial["digest"]
    assert trial["pages_s"] > 0
    # 2 ms a page are burned, in whichever process of the worker.
    assert trial["worker_cpu"] > 2
    for name in (
        "producer_cpu",
        "redis_cpu",
        "workers_mb",
        "redis_mb",
        "commands",
        "redis_bytes",
        "switches",
    ):
        assert trial[name] > 0, name
    assert trial["latency"]["fetch_ms"]["p50"] >= 5
    assert trial["latency"]["parse_ms"]["p50"] >= 2
    assert {row["goal"] for row in result["advice"]} == {"throughput", "memory", "latency"}


def test_a_timeline_says_who_did_what_and_when_each_parse_ran(tmp_path):
    """Fetch and parse on workers of their own; one line of trace a page, with the CPU time that the page asks for."""
    result = running.run(_plan(lanes=("gevent-4+prefork-2",)), lambda _: None, keep=tmp_path)
    (timeline,) = result["timelines"]
    kinds = {(lane["kind"], span["kind"]) for lane in timeline["lanes"] for span in lane["spans"]}
    runs = read_trace(next(tmp_path.glob("lanes/timeline-*/trace")))

    assert {("greenlet", "fetch"), ("process", "parse")} == kinds
    assert SMALL.pages == len(runs)
    assert all(sum(end - start for start, end in spans) >= 0.0015 for spans in runs.values())


def test_a_worker_that_drops_a_page_makes_its_trial_invalid(tmp_path, monkeypatch):
    """Speed without the work is no speed: the planted bug is flagged, and the trial has no figures."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    said: list[str] = []
    command = (sys.executable, "-P", "-m", "sabotaged")
    result = running.run(_plan("threads-4"), said.append, keep=tmp_path, command=command)
    (trial,) = result["trials"]

    assert not trial["valid"]
    assert trial["pages_s"] is None
    assert trial["invalid"] == ("59 records of which 59 are good, the site has 60 pages of which 60 are good")
    assert any("INVALID" in line for line in said)
    assert all(row["way"] is None for row in result["advice"])


def test_an_interrupted_run_goes_on_where_it_was(tmp_path):
    """What a journal holds is not measured again, and another plan is refused."""
    words = [
        "--latency-ms",
        "20",
        "--hosts",
        "4",
        "--pages",
        "60",
        "--ways",
        "threads-4,solo-1",
        "--repeat",
        "2",
    ]
    command = [sys.executable, "-P", "-m", "poolcrawl", "bench", *words, "--no-timelines", "--report", "out"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as first:
        assert first.stderr is not None
        for line in first.stderr:
            if line.startswith("run 2 of 4"):
                first.send_signal(signal.SIGINT)
                break
        rest = first.stderr.read()
    second = subprocess.run(
        [*command, "--json"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = json.loads(second.stdout)
    read = results.read(tmp_path / "out" / "result.json")
    changed = subprocess.run(
        [*command, "--seed", "2"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert first.returncode == 130
    assert "continues" in rest
    assert second.returncode == 0
    assert "holds 2 results" in second.stderr
    assert [trial["runs"] for trial in found["trials"]] == [2, 2]
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"report.html", "result.json", "result.md", "result.csv", "runs.jsonl", "charts"} <= written
    assert [found["trials"], found["schema"]] == [read["trials"], read["schema"]]
    assert changed.returncode == 2
    assert "holds the runs of another benchmark" in changed.stderr
