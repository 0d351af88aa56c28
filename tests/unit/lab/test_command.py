"""The `bench` verb: bad input is one line and exit code 2, help has an example."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from lab import bench as benchmark
from lab.command import bench


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pools", "threads,fibers"], "'fibers' is none of prefork, threads, gevent, asyncio, solo"),
        (["--pools", ","], "empty; give one or more of"),
        (["--pipelines", "direct"], "'direct' is none of callback, fused"),
        (["--pages", "10"], "10 is not in the range 50<=x<=200000"),
        (["--repeat", "0"], "0 is not in the range 1<=x<=100"),
        (["--concurrency", "-1"], "-1 is not in the range"),
        (["extra"], "unexpected extra argument"),
    ],
)
def test_bad_input_names_the_thing_and_ends_with_2(arguments, said):
    """Nothing is started for words that cannot be meant."""
    result = CliRunner().invoke(bench, arguments)

    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--workloads", "lan,moon"], "'moon' is none of lan, web, slow, heavy, mixed"),
        (["--concurrency", "0"], "0 is not in the range 1<=x<=1000"),
        (["--ways", "threads-0"], "a threads worker has 1 to 2000 slots, not 0"),
        (["--ways", "threads-2..9"], "a range of slots means autoscale"),
        (["--ways", "prefork-2000"], "MB of memory"),
        (["--ways", "gevent-4", "--pools", "gevent"], "--ways says pools and slots already"),
        (["--latency-ms", "-1"], "-1.0 is not in the range"),
        (
            ["--latency-least-ms", "50", "--latency-most-ms", "10"],
            "latency_most_ms is 10, expected 50 to 15000",
        ),
        (["--hosts", "60", "--pages", "50"], "hosts is 60, expected 1 to 50"),
        (["--page-kb", "4000", "--pages", "200"], "which the site's server holds in memory"),
        (["--compare", "nowhere.json"], "nowhere.json cannot be read"),
        (["--result", "nowhere.json"], "nowhere.json cannot be read"),
        (["--result", "nowhere.json", "--workloads", "web"], "--workloads means nothing beside --result"),
        (["--prove", "1", "--ways", "gevent-4"], "--ways means nothing beside --prove"),
        (["--replay", "none", "--workloads", "web"], "--workloads means nothing beside --replay"),
        (["--peers", "--report", "x"], "--report means nothing beside --peers"),
        (["--ladder", "--ways", "gevent-4"], "--ways means nothing beside --ladder"),
        (["--memory", "--pages", "100"], "--pages means nothing beside --memory"),
    ],
)
def test_what_the_lab_cannot_do_is_said_before_anything_starts(tmp_path, monkeypatch, arguments, said):
    """One line that names the option or the way, exit code 2, and nothing left behind."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(bench, arguments)
    text = result.output + str(result.exception)

    assert said in text
    assert result.exit_code == 2 or result.exception.exit_code == 2
    assert [] == list(tmp_path.iterdir())


def test_keep_refuses_a_directory_with_something_in_it(tmp_path):
    """State of another run would be taken for this one's."""
    (tmp_path / "other").touch()
    result = CliRunner().invoke(bench, ["--keep", str(tmp_path)])

    assert result.exit_code == 2
    assert "is not empty" in result.output


def test_a_wrong_setting_is_said_before_anything_starts(monkeypatch):
    """Workers and crawls would all trip over it."""
    monkeypatch.setenv("CRAWL_BATCH", "none")
    result = CliRunner().invoke(bench, [])

    assert "CRAWL_BATCH='none'" in str(result.exception)
    assert result.exception.exit_code == 2


def test_help_has_an_example():
    """A person can copy a line that works."""
    result = CliRunner().invoke(bench, ["--help"])

    assert "poolcrawl bench --pools threads,gevent --pages 2000 --repeat 3" in result.output


def test_peers_without_scrapy_says_how_to_get_it(monkeypatch):
    """Scrapy is no dependency of the crawler."""
    monkeypatch.setattr(benchmark.peer.importlib.util, "find_spec", lambda name: None)
    result = CliRunner().invoke(bench, ["--peers"])

    assert result.exit_code == 1
    assert "make bench-peers" in str(result.exception)
    assert result.exception.exit_code == 2
