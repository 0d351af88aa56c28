"""A result as Markdown, as CSV, and against an older one."""

from __future__ import annotations

import csv
import io
import json

import pytest
from rich.console import Console
from specimen import latency, result, trial

from lab import comparison
from lab.markdown import to_markdown
from lab.sheet import COLUMNS, to_csv
from lab.way import Way
from lab.workload import PRESETS

GEVENT = Way("gevent", 100)
THREADS = Way("threads", 32)
PREFORK = Way("prefork", 2)
SPLIT = Way("gevent", 100, parse_pool="prefork", parse_concurrency=2, pipeline="callback")


def _result() -> dict:
    found = result(
        trial("web", PREFORK, (8.0, 9.0, 9.5), latency=latency(fetch=310)),
        trial("web", GEVENT, (300.0, 310.0, 320.0), failures={"http": 5, "timeout": 1}),
        trial("web", THREADS, (), invalid="digest bb | expected aa\nall of it"),
        trial("heavy", SPLIT, (70.0,)),
    )
    found["guarantees"] = [
        {"pool": "threads", "guarantee": "deadline", "kept": True, "measured": "60.1 s of 60"},
        {"pool": "gevent", "guarantee": "recycling", "kept": False, "measured": "410 MB of 200"},
    ]
    losers = [{"sentence": "prefork-2: both slots waited"}]
    found["advice"] = [
        {"workload": "web", "goal": "memory", "way": "gevent-100", "sentence": "gevent-100", "losers": losers}
    ]
    return found


def test_markdown_opens_with_the_machine_and_sorts_each_workload():
    """Numbers without their machine are worth nothing; the best stands first, the invalid last."""
    text = to_markdown(_result())
    rows = [line.split(" | ")[0] for line in text.split("## heavy")[0].splitlines() if "| " in line]

    assert (
        text.index("Some CPU") < text.index("## web") < text.index("## heavy") < text.index("## Guarantees")
    )
    assert text.index("## Guarantees") < text.index("## Advice")
    assert ["| gevent-100", "| prefork-2", "| threads-32"] * 2 == [
        row for row in rows if row.split("-")[0] in ("| gevent", "| prefork", "| threads")
    ]
    assert "| gevent-100 | 310 | 300 to 320 | 3 | 50 / 100 / 120 | 10 / 20 / 24 |" in text
    assert "latency 300 ms in the median" in text
    assert "5,000 pages/s" in text


def test_markdown_spells_what_does_not_count():
    """A row without numbers says why in words, and a reason cannot break the table."""
    text = to_markdown(_result())
    row = next(line for line in text.splitlines() if "no valid run" in line)

    assert "| **NO**: digest bb \\| expected aa all of it |" in row
    assert "| gevent | recycling | **NOT KEPT** | 410 MB of 200 |" in text
    assert "- **web, memory**: gevent-100\n  - prefork-2: both slots waited" in text


def test_every_row_of_a_markdown_table_has_as_many_cells_as_its_head():
    """GitHub drops what is over."""
    for block in to_markdown(_result()).split("\n\n"):
        lines = [line.replace("\\|", "") for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1


def test_markdown_of_a_result_of_nothing_is_a_document():
    """All trials may have been left out, and a system may tell nothing of itself."""
    found = result() | {"conditions": {}}
    found["workloads"] = [{"name": "web", "pages": 10}]

    assert "No trial was run." in to_markdown(found)


def test_csv_has_one_row_per_trial_and_nothing_nested():
    """A spreadsheet needs no idea of JSON."""
    rows = list(csv.DictReader(io.StringIO(to_csv(_result()))))

    assert list(COLUMNS) == list(rows[0])
    assert ["web/prefork-2", "web/gevent-100", "web/threads-32", "heavy/gevent-100+prefork-2"] == [
        row["name"] for row in rows
    ]
    assert ("310.0", "true", "20.0", "http=5 timeout=1", "") == tuple(
        rows[1][name] for name in ("pages_s", "valid", "fetch_p95_ms", "failures", "parse_pool")
    )
    assert ("", "false", "digest bb | expected aa\nall of it") == tuple(
        rows[2][name] for name in ("pages_s", "valid", "invalid")
    )
    assert "prefork" == rows[3]["parse_pool"]


def _verdicts(old: dict, new: dict) -> dict[str, str]:
    return {row["name"]: row["verdict"] for row in comparison.compare(old, new)}


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ((100.0, 110.0, 120.0), (200.0, 210.0, 220.0), "faster"),
        ((200.0, 210.0, 220.0), (100.0, 110.0, 120.0), "slower"),
        ((100.0, 150.0, 160.0), (155.0, 200.0, 210.0), "no difference"),
        ((100.0, 101.0, 102.0), (103.0, 104.0, 105.0), "no difference"),
        ((100.0,), (125.0,), "no difference"),
        ((100.0,), (200.0,), "faster"),
        ((100.0,), (), "invalid"),
    ],
)
def test_a_difference_is_one_only_outside_the_spread(before, after, verdict):
    """Ranges that overlap, medians that are close, and single runs that are not far apart say nothing."""
    old, new = result(trial("web", GEVENT, before)), result(trial("web", GEVENT, after))

    assert {"web/gevent-100": verdict} == _verdicts(old, new)


def test_a_comparison_has_ratios_and_lists_what_only_one_has():
    """New by old; a trial of one side has no ratio."""
    old = result(
        trial("web", GEVENT, 100.0, worker_cpu=2.0, workers_mb=80.0, commands=4.0), trial("web", PREFORK, 9.0)
    )
    new = result(trial("web", THREADS, 90.0), trial("web", GEVENT, 150.0, worker_cpu=1.0, commands=1.0))
    rows = {row["name"]: row for row in comparison.compare(old, new)}

    assert ["web/threads-32", "web/gevent-100", "web/prefork-2"] == list(rows)
    assert ["only new", "faster", "only old"] == [row["verdict"] for row in rows.values()]
    ratios = rows["web/gevent-100"]
    assert (1.5, 0.5, 1.25, 0.25) == tuple(ratios[n] for n in ("pages_s", "worker_cpu", "memory", "commands"))
    assert rows["web/prefork-2"]["pages_s"] is None


def test_another_machine_or_site_is_pointed_out():
    """Ratios between two machines are about the machines; between two sites they are not made."""
    old, new = _result(), _result()
    new["conditions"] |= {"cores": 8, "settings": {"CRAWL_BATCH": "1"}}
    web = next(row for row in new["workloads"] if row["name"] == "web")
    web |= {"pages": 999, "site_alone_pages_s": 4000.0, "knob_of_later": 1}

    assert [
        "cores: 2 -> 8",
        "settings CRAWL_BATCH: none -> 1",
        f"workload web pages: {PRESETS['web'].pages} -> 999",
    ] == [difference.sentence for difference in comparison.differences(old, new)]
    assert "other workload" == _verdicts(old, new)["web/gevent-100"]
    assert "no difference" == _verdicts(old, new)["heavy/gevent-100+prefork-2"]


def test_a_file_and_what_was_just_measured_are_the_same_site():
    """JSON knows no tuples."""
    measured = _result()
    read = json.loads(json.dumps(measured))

    assert [] == comparison.differences(read, measured)
    assert "no difference" == _verdicts(read, measured)["web/gevent-100"]


def test_the_comparison_fits_100_columns_and_cuts_nothing():
    """The longest name is folded; a verdict is whole."""
    long = Way("prefork", 16, 4, "fused", 1, True, "prefork", 8, 2)
    trials = [trial("drawn-1-a", long, (12345.0, 12346.0, 12347.0)), trial("web", GEVENT, 1.0)]
    rows = comparison.compare(_named(trials), _named([trials[0]]))
    out = io.StringIO()
    Console(file=out, width=100).print(comparison.table(rows))
    text = out.getvalue()

    assert all(len(line.rstrip()) <= 100 and "…" not in line for line in text.splitlines())
    assert "no difference" in text
    assert "12,346" in text
    assert "only old" in text


def _named(trials: list[dict]) -> dict:
    found = result()
    return found | {"trials": trials}
