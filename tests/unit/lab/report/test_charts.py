"""Charts as files and as elements of a page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from labresult import DEFAULT_WAYS, GRID_WAYS, result, trial

from crawl.errors import UsageError
from lab.report import charts, drawing, lanes, palette, reading

_PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """All charts of a small result, written once."""
    directory = tmp_path_factory.mktemp("charts") / "new"
    made = result(workloads=("heavy",), timelines=("heavy",))
    return [*charts.write_charts(made, directory), *lanes.write_timelines(made, directory)]


def test_each_chart_is_written_as_svg_and_png(written) -> None:
    """Four kinds of charts, and one picture of the timelines of each workload."""
    names = ["throughput", "cpu", "memory", "latency", "timeline-heavy"]

    assert [f"{name}.{kind}" for name in names for kind in ("svg", "png")] == [path.name for path in written]
    assert all(path.read_bytes().startswith(_PNG) for path in written if path.suffix == ".png")


def test_an_svg_is_whole_and_its_text_is_text(written) -> None:
    """It parses as XML, and what a reader searches for can be found."""
    svgs = {path.stem: path.read_text() for path in written if path.suffix == ".svg"}

    assert all(ET.fromstring(svg).tag.endswith("svg") for svg in svgs.values())
    assert ">threads-32<" in svgs["throughput"]
    assert ">pages/s<" in svgs["throughput"]
    assert ">workers' peak memory, MB<" in svgs["memory"]


def test_equal_results_make_equal_files(written, tmp_path) -> None:
    """No date, no random id: a chart in a repository changes only when a number did."""
    again = charts.write_charts(result(workloads=("heavy",)), tmp_path)
    before = {path.name: path.read_bytes() for path in written}

    assert all(before[path.name] == path.read_bytes() for path in again)


def _panel(name: str, made: dict) -> str:
    chart = next(chart for chart in charts.CHARTS if chart.name == name)
    return "".join(charts.page_panels(chart, made))


def test_bars_stand_where_each_pool_has_one_concurrency_only() -> None:
    """Nothing can be drawn against slots then."""
    trials = reading.trials(result(workloads=("web",)))

    assert charts.one_concurrency_each(trials)
    assert "slots (requests at once" not in _panel("throughput", result(workloads=("web",)))


def test_lines_are_drawn_where_concurrencies_differ() -> None:
    """And each line carries its name."""
    svg = _panel("throughput", result(ways=GRID_WAYS, workloads=("web",)))

    assert "slots (requests at once" in svg
    assert all(
        f">{name}<" in svg for name in ("prefork", "threads", "gevent", "gevent+prefork-2", "threads x2")
    )


@pytest.mark.parametrize("ways", [DEFAULT_WAYS, GRID_WAYS])
def test_an_invalid_trial_is_marked(ways) -> None:
    """Where a number would mislead, the chart says so."""
    made = result(ways=ways, workloads=("web",))
    made["trials"][0] = trial("web", ways[0], invalid="its digest differs")

    assert "invalid, not counted" in _panel("throughput", made)


def test_a_pool_has_one_colour_in_every_chart() -> None:
    """What is blue in one picture is not another pool in the next."""
    made = result(workloads=("web",))
    svgs = [_panel(chart.name, made) for chart in charts.CHARTS]

    assert all(f"var(--{pool})" in svg for svg in svgs for pool in ("prefork", "threads", "gevent"))


def test_pools_differ_in_mark_and_colour() -> None:
    """Colour alone is not enough for everybody."""
    looks = palette.looks()

    assert len(looks) == len({look.marker for look in looks}) == len({look.mark for look in looks})
    assert len(looks) == len({look.ink.light for look in looks}) == len({look.ink.dark for look in looks})


def _luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_its_paper(scheme: str) -> None:
    """WCAG's contrast of 4.5 to 1 for everything that is written, pools' names included."""
    paper = _luminance(getattr(palette.PAPER, scheme))
    for ink in (palette.TEXT, palette.QUIET, palette.BAD, *(look.ink for look in palette.looks())):
        low, high = sorted((paper, _luminance(getattr(ink, scheme))))

        assert (high + 0.05) / (low + 0.05) >= 4.5, ink.name


def test_elements_of_a_page_refer_to_nothing_outside() -> None:
    """No address, no font, no id that another element has; colours are the page's."""
    svg = _panel("throughput", result(workloads=("web", "heavy")))
    ids = re.findall(r'\bid="([^"]*)"', svg)

    assert "http" not in svg
    assert "font-family" not in svg
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) == set()
    assert set(re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', svg))


def test_names_are_shown_as_they_are(tmp_path) -> None:
    """Markup, dollar signs, other alphabets and control characters neither break a chart nor become part of it."""
    made = result(workloads=("web",))
    for row in made["trials"]:
        row["workload"] = "<b>&$x^$ 网\x00 ]]>"
        row["way"] = row["way"] + '/"$<i>'
    svg = _panel("throughput", made)
    path = charts.write_charts(made, tmp_path)[0]

    assert "<b>" not in svg
    assert "&lt;b&gt;&amp;$x^$ 网\N{REPLACEMENT CHARACTER} ]]&gt;" in svg
    assert ET.fromstring(path.read_text(encoding="utf-8")).tag.endswith("svg")


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"pages_s": 12.0},
        {"pages_s": 0, "workers_mb": 0, "worker_cpu": 0, "latency": {"fetch_ms": {"p50": 0}}},
        {"pages_s": 5, "slowest": None, "fastest": None, "worker_cpu": None, "latency": None, "slots": None},
        {"pages_s": 5, "latency": {"fetch_ms": {"p50": 1, "p95": None, "p99": None}, "parse_ms": None}},
        {"pages_s": float("nan"), "worker_cpu": float("inf"), "workers_mb": "much"},
        {"pages_s": 5, "slowest": 9, "fastest": 1, "latency": []},
    ],
)
def test_a_gap_in_the_measures_is_a_gap_in_the_charts(broken) -> None:
    """Nulls, zeros, nonsense, in a trial alone and beside a whole one: what is there is drawn."""
    rows = [{"name": "web/threads-4", "workload": "web", "pool": "threads", "way": "threads-4", **broken}]
    for chart in charts.CHARTS:
        alone = _panel(chart.name, {"schema": 1, "trials": rows})
        beside = _panel(chart.name, {"schema": 1, "trials": [*rows, trial("web", GRID_WAYS[-1])]})

        assert bool(alone) == chart.has(reading.trials({"trials": rows})[0])
        assert "<svg" in beside


@pytest.mark.parametrize("made", [[], {}, {"trials": None}, {"trials": [], "schema": 2}, "result", None])
def test_what_is_no_result_is_refused_in_one_line(made, tmp_path) -> None:
    """A file of something else, or of another schema."""
    with pytest.raises(UsageError) as caught:
        charts.write_charts(made, tmp_path)

    assert "\n" not in str(caught.value)


def test_a_result_without_trials_has_no_charts(tmp_path) -> None:
    """No empty pictures."""
    assert [] == charts.write_charts({"schema": 1, "trials": []}, tmp_path)
    assert [] == lanes.write_timelines({"schema": 1, "trials": [], "timelines": [{"lanes": []}]}, tmp_path)


def test_many_lanes_are_cut_and_counted() -> None:
    """The picture shows 24 of 30 greenlets and says so."""
    part = lanes.shown(result(workloads=("heavy",), timelines=("heavy",)))["heavy"][2]

    assert lanes.MOST_LANES == len(part.lanes)
    assert "6 of 30 greenlets are left out" in part.left_out


def test_timelines_of_a_workload_are_shown_for_equally_long() -> None:
    """Otherwise a longer bar would not be a longer time."""
    parts = lanes.shown(result(workloads=("heavy",), timelines=("heavy",)))["heavy"]

    assert 1 == len({round(part.within[1] - part.within[0], 6) for part in parts})


def test_without_matplotlib_the_remedy_is_named(monkeypatch) -> None:
    """It is in no lock but the lab's."""
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)

    with pytest.raises(UsageError, match=r"pip install -r locks/lab\.txt"), drawing.style():
        pass
