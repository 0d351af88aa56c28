"""The result as Markdown, as GitHub shows it: the machine first, then a section per workload, guarantees, advice."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lab.results import usable
from lab.sheet import QUANTILES, STAGES, quantile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lab.results import Row

_NONE = "-"
_STAGE_HEADS = ("queue wait", "fetch", "parse wait", "parse")


def to_markdown(result: Row) -> str:
    """Return the whole result as one document, trials sorted by pages per second."""
    parts = [
        "# The pool lab",
        _conditions(result),
        *(_workload(result, workload) for workload in result["workloads"]),
        _guarantees(result.get("guarantees") or []),
        _advice(result.get("advice") or []),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _conditions(result: Row) -> str:
    conditions = result["conditions"]
    machine = conditions.get("machine") or {}
    niced = ", ".join(f"{who} by {by}" for who, by in (conditions.get("niced") or {}).items())
    rows = {
        "poolcrawl": result["poolcrawl"],
        "cores": conditions.get("cores"),
        "CPU": machine.get("cpu"),
        "memory of the machine": _unit(machine.get("memory_mb"), "MB"),
        "system": conditions.get("system"),
        "Python": conditions.get("python"),
        "started": conditions.get("started_at"),
        "rounds": conditions.get("rounds"),
        "niced": niced,
        "settings": _pairs(conditions.get("settings")),
        "versions": _pairs(conditions.get("versions")),
        "command": f"`{conditions['command']}`" if conditions.get("command") else None,
    }
    there = [(name, value) for name, value in rows.items() if value not in (None, "")]
    return _table(("condition", ""), there, left=2) + "\n\n" + _reading(conditions.get("memory"))


def _reading(memory: str | None) -> str:
    return (
        "pages/s are medians of the valid runs with their range, latencies p50 / p95 / p99 in ms, CPU in seconds per "
        f"1000 pages, memory peak {memory or 'memory'} in MB, all other costs per page."
    )


def _workload(result: Row, workload: Row) -> str:
    name = workload["name"]
    trials = [trial for trial in result["trials"] if trial["workload"] == name]
    trials.sort(key=lambda trial: (not usable(trial), -(trial.get("pages_s") or 0)))
    parts = [f"## {_text(name)}", _knobs(workload)]
    if not trials:
        return "\n\n".join([*parts, "No trial was run."])
    return "\n\n".join([*parts, _speed(trials), _cost(trials), _disturbance(trials)])


def _knobs(workload: Row) -> str:
    said = [
        f"{workload['pages']} pages on {workload.get('hosts', 1)} hosts",
        f"latency {_number(workload.get('latency_ms'))} ms in the median"
        if workload.get("latency_ms")
        else "no latency",
        f"{_number(workload.get('page_kb'))} kB a page",
        f"{_number(workload.get('parse_ms'))} ms of CPU to parse" if workload.get("parse_ms") else "",
        f"{100 * workload['errors']:.3g} % errors" if workload.get("errors") else "",
        "TLS" if workload.get("tls") else "",
        f"drawn from {len(workload['samples'])} real pages" if workload.get("samples") else "",
        f"seed {workload.get('seed', 1)}",
        f"the site alone {_number(workload.get('site_alone_pages_s'))} pages/s"
        if workload.get("site_alone_pages_s")
        else "",
    ]
    return ", ".join(word for word in said if word) + "."


def _disturbance(trials: Sequence[Row]) -> str:
    """Return how far the site and the lab itself may have shaped the numbers."""
    late = max((trial.get("site_late_ms") or 0.0 for trial in trials), default=0.0)
    share = max((trial.get("harness_share") or 0.0 for trial in trials), default=0.0)
    return (
        f"The site was at most {_number(late)} ms late (p95); the lab itself took at most "
        f"{100 * share:.1f} % of the machine's CPU."
    )


def _speed(trials: Sequence[Row]) -> str:
    heads = ("way", "pages/s", "range", "runs", *_STAGE_HEADS, "valid")
    return _table(heads, [_speed_row(trial) for trial in trials])


def _speed_row(trial: Row) -> tuple[Any, ...]:
    stages = [_quantiles(trial, stage) for stage in STAGES]
    if trial.get("pages_s") is None:
        return (trial["way"], "no valid run", _NONE, _runs(trial), *stages, _validity(trial))
    spread = f"{_number(trial.get('slowest'))} to {_number(trial.get('fastest'))}"
    return (trial["way"], _number(trial["pages_s"]), spread, _runs(trial), *stages, _validity(trial))


def _runs(trial: Row) -> str:
    """Return how many runs count, and of how many where that is not all."""
    made = len(trial.get("each") or ())
    return str(trial["runs"]) if made in (0, trial["runs"]) else f"{trial['runs']} of {made}"


def _validity(trial: Row) -> str:
    return "yes" if trial["valid"] else f"**NO**: {trial.get('invalid') or 'no reason given'}"


def _cost(trials: Sequence[Row]) -> str:
    heads = (
        "way", "CPU: workers", "producer", "Redis", "MB: workers", "largest", "producer", "Redis", "commands",
        "in scripts", "Redis bytes", "switches (forced)", "failures",
    )  # fmt: skip
    return _table(heads, [_cost_row(trial) for trial in trials])


def _cost_row(trial: Row) -> tuple[Any, ...]:
    cpu = (_number(trial.get(f"{who}_cpu"), 2) for who in ("worker", "producer", "redis"))
    memory = (_number(trial.get(f"{who}_mb")) for who in ("workers", "worker", "producer", "redis"))
    switches = f"{_number(trial.get('switches'), 1)} ({_number(trial.get('switches_forced'), 1)})"
    counts = (_number(trial.get("commands"), 2), _number(trial.get("script_calls"), 1))
    failures = _pairs(trial.get("failures")) or "none"
    return (trial["way"], *cpu, *memory, *counts, _number(trial.get("redis_bytes")), switches, failures)


def _guarantees(guarantees: Sequence[Row]) -> str:
    if not guarantees:
        return ""
    rows = [
        (g["pool"], g["guarantee"], "kept" if g["kept"] else "**NOT KEPT**", g["measured"])
        for g in guarantees
    ]
    return "## Guarantees\n\n" + _table(("pool", "guarantee", "", "measured"), rows, left=4)


def _advice(advice: Sequence[Row]) -> str:
    if not advice:
        return ""
    lines = []
    for row in advice:
        lines.append(f"- **{_text(row['workload'])}, {_text(row['goal'])}**: {_text(row['sentence'])}")
        lines += [f"  - {_text(loser['sentence'])}" for loser in row.get("losers") or ()]
    return "## Advice\n\n" + "\n".join(lines)


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]], *, left: int = 1) -> str:
    """Return a table whose first `left` columns are words and whose others, but for reasons, are numbers."""
    rule = ["---" if place < left else "---:" for place in range(len(heads))]
    lines = [heads, rule, *rows]
    return "\n".join("| " + " | ".join(_text(cell) for cell in line) + " |" for line in lines)


def _text(value: Any) -> str:
    """Return a cell: one line, without what Markdown would take for the table's or for a tag."""
    return re.sub(r"\s+", " ", str(value)).replace("|", "\\|").replace("<", "&lt;")


def _quantiles(trial: Row, stage: str) -> str:
    values = [quantile(trial, stage, name) for name in QUANTILES]
    return _NONE if all(value is None for value in values) else " / ".join(map(_number, values))


def _number(value: float | None, digits: int | None = None) -> str:
    """Return a number with as many digits as a reader can use."""
    if value is None:
        return _NONE
    if digits is None:
        digits = 0 if value >= 10 or value == int(value) else 1
    return f"{value:,.{digits}f}"


def _unit(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:,.0f} {unit}"


def _pairs(values: dict[str, Any] | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in (values or {}).items())
