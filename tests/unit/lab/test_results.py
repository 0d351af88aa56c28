"""Reading, writing and the schema of a result."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from specimen import result, trial

from crawl.errors import UsageError
from lab import results, schema
from lab.way import Way

ROOT = Path(__file__).resolve().parents[3]
GEVENT = Way("gevent", 100)


def _good() -> dict:
    return result(trial("web", GEVENT, (300.0, 310.0, 320.0)))


def test_what_was_written_is_read_again_with_what_nobody_knows(tmp_path):
    """A later version adds fields; an earlier one keeps them."""
    path = tmp_path / "result.json"
    written = _good() | {"added_later": [1]}
    written["trials"][0]["added_later"] = {"a": None}
    results.write(written, path)

    assert json.loads(json.dumps(written)) == results.read(path)
    assert [path] == list(tmp_path.iterdir())
    assert 1 == path.read_bytes().count(b"\n")


def test_a_trial_without_a_valid_run_is_readable(tmp_path):
    """It says so itself; only its numbers are missing."""
    path = tmp_path / "result.json"
    results.write(result(trial("web", GEVENT, (), invalid="another digest")), path)

    assert results.read(path)["trials"][0]["pages_s"] is None
    assert not results.usable(results.read(path)["trials"][0])


def test_a_failed_write_leaves_what_was_there(tmp_path):
    """An hour of measurements is not lost to the next hour's full disk."""
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(TypeError):
        results.write({"schema": object()}, path)

    assert "old" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


def test_a_directory_that_is_not_there_is_one_line(tmp_path):
    """The user gave a path that cannot be."""
    with pytest.raises(UsageError, match=r"none/result.json cannot be written: No such file.*; give another"):
        results.write(_good(), tmp_path / "none" / "result.json")


def test_a_number_that_is_none_becomes_null(tmp_path):
    """JSON has no word for NaN, and other readers refuse Python's."""
    path = tmp_path / "result.json"
    results.write(_good() | {"added_later": math.nan}, path)

    assert results.read(path)["added_later"] is None


def _without(*names: str) -> str:
    return json.dumps({name: value for name, value in _good().items() if name not in names})


def _with(**changes: object) -> str:
    return json.dumps(_good() | changes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        (json.dumps(_good())[:-40], "is not JSON, or was cut off: Input data was truncated"),
        ("pages_s,way\n1,2\n", "is not JSON, or was cut off"),
        (json.dumps(_good()) * 2, "is not JSON, or was cut off"),
        ("[" * 200_000, "is not JSON, or was cut off"),
        ("[1]", "holds a list, not a result of the lab"),
        ("3", "holds a number, not a result of the lab"),
        ("null", "holds null, not a result of the lab"),
        ("{}", "has no 'schema', so it is not a result of the lab"),
        ('{"conditions": {}, "trials": [], "marks": []}', "was made by an older version of poolcrawl"),
        (_with(schema=2), "has schema 2, this poolcrawl reads 1; read it with a newer poolcrawl"),
        (_with(schema=0), "has schema 0, expected 1"),
        (_with(schema=True), "has schema True, expected 1"),
        (_with(schema="x" * 999), "has schema 'xxxxx"),
        (_with(kind="ladder"), "is of kind 'ladder', expected 'lab'"),
        (_without("kind"), "is of kind None, expected 'lab'"),
        (_without("trials"), "Object missing required field `trials`"),
        (_with(trials=[{}]), "Object missing required field"),
        (_with(trials=[{**_good()["trials"][0], "pages_s": "many"}]), r"Expected `float | null`, got `str`"),
        (_with(trials=[{**_good()["trials"][0], "pages_s": -1}]), "$.trials[0].pages_s"),
        (_with(trials=_good()["trials"] * 2), "has the trial 'web/gevent-100' twice"),
        (_with(workloads=[]), "does not say what the workload of the trial 'web/gevent-100' is"),
        (_with(workloads=[{"name": "web"}]), "Object missing required field `pages` - at `$.workloads[0]`"),
    ],
)
def test_a_file_that_is_no_result_is_one_line_that_names_it(tmp_path, text, said):
    """Old, broken, cut off or of something else: what was found, and what to do."""
    path = tmp_path / "numbers.json"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        results.read(path)
    message = str(caught.value)

    assert said in message
    assert message.startswith(str(path))
    assert "poolcrawl" in message.rsplit(";", maxsplit=1)[-1]
    assert "\n" not in message
    assert len(message) - len(str(path)) < 250
    assert 2 == caught.value.exit_code


@pytest.mark.parametrize("data", [b"\xff\xfe{", b'{"schema": "\xff"}', b"\x00" * 100])
def test_bytes_that_are_no_text_are_one_line(tmp_path, data):
    """A picture given by mistake is no traceback."""
    path = tmp_path / "numbers.json"
    path.write_bytes(data)

    with pytest.raises(UsageError, match="is not JSON"):
        results.read(path)


@pytest.mark.parametrize(("name", "said"), [("none.json", "No such file"), ("", "Is a directory")])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path, name, said):
    """The path and the system's reason are enough."""
    with pytest.raises(UsageError, match=f"cannot be read: {said}.*; make one with `poolcrawl bench"):
        results.read(tmp_path / name)


def test_the_published_schema_is_the_one_that_is_checked():
    """`python -m lab.schema > docs/benchmarks/schema.json` makes it again."""
    assert schema.document() == (ROOT / "docs/benchmarks/schema.json").read_text(encoding="utf-8")


def test_the_schema_requires_what_nobody_can_do_without():
    """A field may be added, never made necessary: the results of today must stay readable."""
    definitions = schema.json_schema()["$defs"]

    assert ["schema", "kind", "poolcrawl", "conditions", "workloads", "trials"] == definitions["Result"][
        "required"
    ]
    assert {
        "name",
        "workload",
        "way",
        "pool",
        "concurrency",
        "processes",
        "slots",
        "runs",
        "valid",
        "pages_s",
    } == set(definitions["Trial"]["required"])


def test_the_published_result_is_one():
    """Whoever compares with it reads it by the same schema."""
    found = results.read(ROOT / "docs" / "benchmarks" / "default" / "result.json")

    assert all(one["valid"] for one in found["trials"])
