"""`bench --ladder`: what it refuses, what it prints, and what it ends with."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from lab.command import bench
from lab.ladder import showing
from lab.ladder.pages import latencies
from lab.ladder.result import Outcome, Result, Row
from lab.ladder.rungs import RUNGS


@pytest.fixture(name="asked")
def _asked(monkeypatch):
    """Replace the ladder by one whose serial rung gives the digest it is told to; return what it was asked."""
    found = {"digest": "right"}

    def run(only, *, parse_ms, rounds, say):
        found.update(only=only, parse_ms=parse_ms, rounds=rounds)
        say("round 1 of 1")
        row = Row.of(RUNGS["serial"], [Outcome(wall_s=1.0, cpu_s=0.5, digest=found["digest"])], "right")
        return Result([row], [], latencies(), parse_ms, rounds)

    monkeypatch.setattr(showing, "run_ladder", run)
    return found


def _ends_with(*words):
    done = CliRunner().invoke(bench, words, standalone_mode=False)
    return done.return_value, done.stdout, done.stderr


def test_the_ladder_is_climbed_once_with_the_parse_of_the_tutorial(asked):
    """Without further options."""
    code, out, _ = _ends_with("--ladder")

    assert code == 0
    assert (asked["only"], asked["parse_ms"], asked["rounds"]) == ((), 200, 1)
    assert "serial" in out


def test_options_reach_the_ladder(asked):
    """A free parse is zero, not the default; `--only` alone means the ladder, too."""
    _ends_with("--only", "serial", "--only", "select", "--parse-ms", "0", "--rounds", "3")

    assert (asked["only"], asked["parse_ms"], asked["rounds"]) == (("serial", "select"), 0, 3)


def test_json_is_one_line_on_stdout_and_the_table_goes_to_stderr(asked):
    """With the conditions that numbers need."""
    _, out, err = _ends_with("--ladder", "--json")
    row = json.loads(out)

    assert out.count("\n") == 1
    assert (row["kind"], row["rungs"][0]["name"], row["conditions"]["cores"] > 0) == (
        "ladder",
        "serial",
        True,
    )
    assert "serial" in err


def test_another_digest_ends_with_one_and_says_which_rung(asked):
    """A way that finds something else is a violation, not a row like the others."""
    asked["digest"] = "wrong"
    code, _, err = _ends_with("--ladder")

    assert code == 1
    assert "the ladder: serial: digest wrong instead of right" in err


@pytest.mark.parametrize("words", [("--pages", "100"), ("--grid",), ("--peers",), ("--pools", "threads")])
def test_an_option_of_another_measurement_is_refused(asked, words):
    """Instead of being ignored."""
    done = CliRunner().invoke(bench, ["--ladder", *words])

    assert done.exit_code == 2
    assert f"{words[0]} means nothing beside --ladder" in done.output
    assert "only" not in asked
