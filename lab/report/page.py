"""What stands on the page of a result, in words and cells; how it looks is the template's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lab.report import reading
from lab.report.charts import CHARTS, page_panels
from lab.report.lanes import Picture, page_picture, shown
from lab.report.palette import POOLS, look
from lab.report.tables import Cells, heads, runs, tables, workload_heads, workload_rows

_NONE = "-"
_TITLE = "Which pool for this mix?"
#: Shown in this order; other conditions follow.
_CONDITIONS = (
    "machine",
    "cores",
    "system",
    "python",
    "memory",
    "rounds",
    "niced",
    "settings",
    "versions",
    "started_at",
)
_KEPT = {"True": ("✓ kept", "good"), "False": ("✗ broken", "bad")}


@dataclass(frozen=True)
class Page:
    """Everything the template asks for; every string is still to be escaped, SVG excepted."""

    summary: str
    contents: list[tuple[str, str]]
    invalid: list[tuple[str, str]]
    invalid_heading: str
    cards: list[Cells]
    no_advice: str
    goals: list[str]
    choices: list[tuple[str, list[Cells | None]]]
    pools: list[Cells]
    variants: bool
    charts: list[Cells]
    timelines: list[tuple[str, list[Picture]]]
    timelines_left_out: str
    guarantees: list[Cells]
    tables: list[Cells]
    runs: list[Cells]
    memory: str
    command: str
    conditions: list[tuple[str, str]]
    workloads: list[list[str]]
    title: str = _TITLE
    heads: tuple[str, ...] = field(default_factory=heads)
    workload_heads: tuple[str, ...] = field(default_factory=workload_heads)


def of(result: dict[str, Any]) -> Page:
    """Return the page of a result."""
    trials = reading.trials(result)
    invalid = [(f"{trial.workload}/{trial.way}", trial.why) for trial in trials if not trial.valid]
    charts = _charts(result)
    timelines = pictures(result)
    guarantees = _guarantees(result)
    conditions = reading.mapping(result, "conditions")
    cards = _cards(result)
    goals = list(dict.fromkeys(advice.goal for card in cards for advice in card.advice))
    return Page(
        summary=_summary(result, trials),
        contents=_contents(charts, bool(timelines), bool(guarantees)),
        invalid=invalid,
        invalid_heading=f"{_count(len(invalid), 'trial')} of {len(trials)} invalid, not counted anywhere",
        cards=cards,
        goals=goals,
        choices=[(card.workload, [_choice(card, goal) for goal in goals]) for card in cards],
        no_advice=_no_advice(trials),
        pools=_pools(trials),
        variants=len({trial.series for trial in trials}) > len({trial.pool for trial in trials}),
        charts=charts,
        timelines=timelines,
        timelines_left_out="",
        guarantees=guarantees,
        tables=tables(trials),
        runs=runs(trials),
        memory=reading.text(conditions.get("memory")),
        command=reading.text(conditions.get("command")),
        conditions=_conditions(conditions),
        workloads=workload_rows(result),
    )


def pictures(result: dict[str, Any]) -> list[tuple[str, list[Picture]]]:
    """Return the pictures of timelines by workload."""
    found = []
    for group, (workload, parts) in enumerate(shown(result).items()):
        some = [page_picture(part, f"timeline-{group}-{place}") for place, part in enumerate(parts)]
        found.append((workload, some))
    return found


def _charts(result: dict[str, Any]) -> list[Cells]:
    drawn = [(chart, page_panels(chart, result)) for chart in CHARTS]
    return [
        Cells(name=chart.name, title=chart.title, caption=chart.caption, svgs=svgs)
        for chart, svgs in drawn
        if svgs
    ]


def _contents(charts: list[Cells], timelines: bool, guarantees: bool) -> list[tuple[str, str]]:
    found = [("advice", "What to choose"), *((each.name, each.title) for each in charts)]
    found += [("timelines", "What each slot did")] if timelines else []
    found += [("guarantees", "Guarantees")] if guarantees else []
    return [*found, ("trials", "Every trial"), ("conditions", "Conditions, command")]


def _summary(result: dict[str, Any], trials: list[reading.Trial]) -> str:
    if not trials:
        return "The result holds no trial."
    ways, workloads = {trial.way for trial in trials}, {trial.workload for trial in trials}
    most_runs = max((int(trial.measure("runs") or 0) for trial in trials), default=0)
    conditions = reading.mapping(result, "conditions")
    parts = [
        f"{_count(len(trials), 'trial')}: {_count(len(ways), 'way')} to crawl on {_count(len(workloads), 'workload')}",
        f"{_count(most_runs, 'run')} each" if most_runs else "",
        f"poolcrawl {reading.text(result.get('poolcrawl'))}" if result.get("poolcrawl") else "",
        _count(int(cores), "core") if (cores := reading.number(conditions.get("cores"))) else "",
        reading.text(conditions.get("started_at"))[:10],
    ]
    return ", ".join(filter(None, parts)) + "."


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def _no_advice(trials: list[reading.Trial]) -> str:
    if not trials:
        return "Nothing to choose from: the result holds no trial."
    if not any(trial.valid for trial in trials):
        return "Nothing to choose from: no trial is valid."
    return "The result holds no advice; the charts and tables below show what was measured."


def _cards(result: dict[str, Any]) -> list[Cells]:
    by_workload: dict[str, list[Cells]] = {}
    for row in reading.objects(result, "advice"):
        by_workload.setdefault(reading.text(row.get("workload")) or "?", []).append(_advice(row))
    about = {reading.text(row.get("name")): _about(row) for row in reading.objects(result, "workloads")}
    return [
        Cells(workload=name, about=about.get(name, ""), advice=some) for name, some in by_workload.items()
    ]


def _advice(row: dict[str, Any]) -> Cells:
    way, unit = reading.text(row.get("way")), reading.text(row.get("unit"))
    value = reading.number(row.get("value"))
    settings = reading.mapping(row, "settings")
    pool = look(reading.text(row.get("pool")) or way.partition("-")[0])
    return Cells(
        goal=reading.text(row.get("goal")) or "any goal",
        way=way,
        colour=pool.ink.name,
        mark=pool.mark,
        value="" if value is None else f"{value:,.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}",
        sentence=_beyond(way, reading.text(row.get("sentence"))),
        settings=" ".join(f"{name}={reading.text(value)}" for name, value in settings.items()),
        losers=[reading.text(each.get("sentence")) for each in reading.objects(row, "losers")],
    )


def _choice(card: Cells, goal: str) -> Cells | None:
    return next((advice for advice in card.advice if advice.goal == goal and advice.way), None)


def _beyond(way: str, sentence: str) -> str:
    """Return what a sentence of advice says beyond the way and its number, which stand above it."""
    first, _, rest = sentence.partition("; ")
    return rest[:1].upper() + rest[1:] if rest and way and first.startswith(f"{way} (") else sentence


def _about(row: dict[str, Any]) -> str:
    """Return a workload in a few words, from its knobs."""
    latency, parse = reading.number(row.get("latency_ms")), reading.number(row.get("parse_ms"))
    pages, hosts = reading.number(row.get("pages")), reading.number(row.get("hosts"))
    parts = [
        f"{pages:,.0f} pages" + (f" on {hosts:.0f} host{'s' if hosts != 1 else ''}" if hosts else "")
        if pages
        else "",
        f"the site answers after {latency:,.0f} ms (median)" if latency else "the site answers at once",
        f"a parse costs {parse:g} ms of CPU more" if parse else "",
    ]
    return ", ".join(filter(None, parts))


def _pools(trials: list[reading.Trial]) -> list[Cells]:
    there = {trial.pool for trial in trials}
    order = [pool for pool in POOLS if pool in there] + sorted(there - set(POOLS))
    return [Cells(name=pool, colour=look(pool).ink.name, mark=look(pool).mark) for pool in order]


def _guarantees(result: dict[str, Any]) -> list[Cells]:
    rows = [_guarantee(row) for row in reading.objects(result, "guarantees")]
    names = list(dict.fromkeys(row.guarantee for row in rows))
    return sorted(rows, key=lambda row: names.index(row.guarantee))


def _guarantee(row: dict[str, Any]) -> Cells:
    pool = reading.text(row.get("pool"))
    kept, tone = _KEPT.get(str(row.get("kept")), ("not measured", "quiet"))
    return Cells(
        guarantee=reading.text(row.get("guarantee")),
        pool=pool,
        colour=look(pool).ink.name,
        mark=look(pool).mark,
        kept=kept,
        tone=tone,
        measured=reading.text(row.get("measured")) or _NONE,
    )


def _conditions(conditions: dict[str, Any]) -> list[tuple[str, str]]:
    names = [name for name in _CONDITIONS if name in conditions]
    names += [name for name in conditions if name not in {*names, "command"}]
    return [(_words(name), _spelled(conditions[name])) for name in names]


def _words(name: Any) -> str:
    words = reading.text(name)
    return words if words.isupper() else words.replace("_", " ")


def _spelled(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_words(name)} {_spelled(each)}" for name, each in value.items()) or _NONE
    if isinstance(value, list):
        return ", ".join(map(_spelled, value)) or _NONE
    return reading.text(value) or _NONE
