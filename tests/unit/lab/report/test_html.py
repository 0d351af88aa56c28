"""The report as one HTML file; how it looks in a browser is tested in tests/compose/test_report.py."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser

import pytest
from labresult import result, trial

from crawl.errors import UsageError
from lab.report import html, page
from lab.way import Way

_VOID = {"meta", "link", "br"}


class _Reading(HTMLParser):
    """What a browser would find: elements that are not closed, ids, references, headings, text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.headings: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(source)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split()).replace(" :", ":")

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.add(tag)
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.references += [
            value for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}
        ]
        self.headings += [tag] if re.fullmatch(r"h[1-6]", tag) else []
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def made():
    """A result of two workloads, one trial of it invalid for a reason with markup in it."""
    made = result(workloads=("web", "heavy"), timelines=("heavy",))
    made["trials"][1] = trial("web", Way("threads", 32), invalid="its digest differs: <b>1 page</b> & more")
    return made


@pytest.fixture(scope="module")
def source(made):
    """Its report."""
    return html.render(made)


@pytest.fixture(scope="module")
def read(source):
    """Its report, as a browser would find it."""
    return _Reading(source)


def test_the_report_is_whole(source: str, read) -> None:
    """Every element is closed, every id is there once, headings leave out no level."""
    levels = [int(heading[1]) for heading in read.headings]

    assert ([], []) == (read.open, read.wrong)
    assert len(read.ids) == len(set(read.ids))
    assert 1 == levels.count(1)
    assert all(deeper - level <= 1 for level, deeper in itertools.pairwise(levels))
    assert source.startswith("<!DOCTYPE html>")


def test_the_report_needs_no_network(source: str, read) -> None:
    """No script, no address; the page itself forbids the browser to load anything."""
    assert all(reference.startswith("#") or reference == "data:," for reference in read.references)
    assert not read.tags & {"script", "iframe", "img", "object", "embed", "image", "base", "form"}
    assert "@import" not in source
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", source))
    assert re.findall(r"https?:", source) == []
    assert "default-src 'none'" in source


def test_every_reference_has_its_target(read) -> None:
    """The contents lead to sections, and the marks of charts to their definitions."""
    assert {reference[1:] for reference in read.references if reference[0] == "#"} <= set(read.ids)
    assert {"#advice", "#throughput", "#timelines", "#guarantees", "#trials"} <= set(read.references)


def test_what_others_wrote_is_shown_and_not_obeyed(source: str) -> None:
    """Names, reasons, commands and sentences are text, whatever they hold."""
    assert "its digest differs: &lt;b&gt;1 page&lt;/b&gt; &amp; more" in source
    assert "<b>" not in source


def test_markup_in_any_place_stays_text() -> None:
    """One string in every place of the result that holds words."""
    bad = "<script>alert('1')</script>"
    made = result(workloads=("web",), timelines=("heavy",))
    made["conditions"] = {"command": bad, "versions": {bad: bad}, bad: bad, "machine": [bad], "memory": bad}
    made["poolcrawl"] = bad
    made["workloads"] = [{"name": bad, "pages": bad}]
    made["guarantees"] = [{"pool": bad, "guarantee": bad, "kept": bad, "measured": bad}]
    row = {"workload": bad, "goal": bad, "way": bad, "unit": bad, "value": 1, "sentence": bad, "pool": bad}
    made["advice"] = [{**row, "settings": {bad: bad}, "losers": [{"sentence": bad}]}]
    for each in made["trials"]:
        each.update(workload=bad, way=bad, pool=bad, failures={bad: bad})
        each["each"][0].update(valid=False, invalid=bad)
    for each in made["timelines"]:
        each.update(workload=bad, way=bad)
        each["lanes"][0].update(worker=bad, slot=bad, kind=bad)

    assert "<script" not in html.render(made)


def test_the_advice_comes_first_with_its_reason(read) -> None:
    """What to choose for each goal, why not another pool, and the variables that choose it."""
    assert read.text.index("What to choose, and why") < read.text.index("Pages per second")
    assert "prefork-2 46 pages/s 2.76 times threads-32, the best of another pool" in read.text
    assert "its 32 slots were full of waiting; it would need 100 slots" in read.text
    assert "CRAWL_POOL=gevent CRAWL_CONCURRENCY=100" in read.text


def test_invalid_trials_are_named_before_everything_else(read) -> None:
    """Nobody should have to find them in a table."""
    assert "1 trial of 8 invalid, not counted anywhere web/threads-32: its digest differs" in read.text
    assert read.text.index("not counted anywhere") < read.text.index("What to choose, and why")


def test_every_trial_is_in_a_table_with_its_spread(made, read) -> None:
    """Way, median, slowest and fastest run, validity."""
    valid = made["trials"][0]
    rates = " ".join(f"{valid[name]:.2f}" for name in ("pages_s", "slowest", "fastest"))

    assert all(f"{row['way']}" in read.text for row in made["trials"])
    assert f"{rates} 3 of 3" in read.text
    assert "- - - \N{MULTIPLICATION SIGN} invalid" in read.text
    assert "invalid: its digest differs" in read.text[read.text.index("Every trial Medians") :]


def test_guarantees_conditions_and_command_are_there(read) -> None:
    """Kept and broken ones, the machine, the line that repeats it."""
    assert "recycling ● prefork ✓ kept" in read.text
    assert "recycling ▲ gevent ✗ broken" in read.text
    assert "poolcrawl bench --workloads lan,web,slow,heavy,mixed --report report" in read.text
    assert "Some CPU @ 2.8 GHz" in read.text


def test_timelines_stand_with_what_to_look_for(read) -> None:
    """The sentence is below the picture, and in its name for whoever cannot see it."""
    assert "Threads take turns: up to 4 parses were under way at the same moment" in read.text


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"schema": 1, "trials": []}, "Nothing to choose from: the result holds no trial."),
        ({"schema": 1, "trials": None}, "The result holds no trial."),
        ({"schema": 1, "trials": [{}]}, "Nothing to choose from: no trial is valid."),
        ({"schema": 1, "trials": [{"name": "web/x", "pages_s": 5}]}, "The result holds no advice"),
        (
            {"schema": 1, "trials": [trial("web", Way("gevent", 100), invalid="why not")]},
            "1 trial of 1 invalid, not counted anywhere web/gevent-100: why not",
        ),
        (
            {
                "schema": 1,
                "trials": [],
                "timelines": None,
                "guarantees": [None, 3],
                "advice": {},
                "conditions": [],
            },
            "does not say by which command it was made",
        ),
    ],
)
def test_a_result_that_lacks_something_has_a_report_that_says_so(made, said: str) -> None:
    """Never a traceback, never a page that is not whole."""
    read = _Reading(html.render(made))

    assert said in read.text
    assert ([], []) == (read.open, read.wrong)


def _without_numbers(value):
    """Return the same object with null for each number."""
    if isinstance(value, dict):
        return {name: _without_numbers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_numbers(each) for each in value]
    return value if isinstance(value, str | bool) else None


def test_a_result_of_nulls_has_a_report() -> None:
    """A system that can tell nothing still shows what was tried."""
    made = {**_without_numbers(result(workloads=("web",))), "schema": 1}

    assert "gevent-100" in _Reading(html.render(made)).text


def test_a_large_result_stays_below_the_limit(monkeypatch) -> None:
    """Timelines are left out from the end, and the page says how many."""
    made = {**result(timelines=("heavy",)), "trials": []}
    whole = html.render(made)
    monkeypatch.setattr(html, "MOST_BYTES", len(whole.encode()) - 1)
    smaller = html.render(made)

    assert len(smaller.encode()) < len(whole.encode())
    assert "1 of 3 timelines are left out to keep this page small" in _Reading(smaller).text


def test_a_report_that_cannot_be_made_small_is_refused(monkeypatch, tmp_path) -> None:
    """In one line, with the remedy, and without half a file."""
    monkeypatch.setattr(html, "MOST_BYTES", 1000)

    with pytest.raises(UsageError, match="try fewer ways or workloads"):
        html.write_report({"schema": 1, "trials": []}, tmp_path / "report.html")
    assert [] == list(tmp_path.iterdir())


def test_the_report_is_written_where_it_is_asked_for(tmp_path) -> None:
    """Folders are made; where that cannot be, one line says so."""
    made = {"schema": 1, "trials": []}
    path = html.write_report(made, tmp_path / "new" / "report.html")
    (tmp_path / "file").write_text("")

    assert html.render(made) == path.read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be written"):
        html.write_report(made, tmp_path / "file" / "report.html")


def test_a_way_that_its_sentence_repeats_is_said_once() -> None:
    """The way and its number stand above the sentence already; another sentence is left as it is."""
    row = {
        "workload": "w",
        "goal": "g",
        "way": "solo-1",
        "sentence": "solo-1 (1 slot): 3 MB; the best; a default",
    }
    cards = page.of(
        {"schema": 1, "trials": [], "advice": [row, {**row, "sentence": "no valid run, so no advice"}]}
    ).cards

    assert ["The best; a default", "no valid run, so no advice"] == [
        each.sentence for each in cards[0].advice
    ]
