"""A new result against an old one, trial by trial: ratios, and whether the difference is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from rich import box
from rich.table import Table

from lab import spread
from lab.results import usable
from lab.spread import NO_DIFFERENCE

if TYPE_CHECKING:
    from lab.results import Row

FASTER = "faster"
SLOWER = "slower"
#: The trial's workload has other knobs now, so its numbers are about another site.
OTHER_WORKLOAD = "other workload"
#: One of the two has no valid run.
INVALID = "invalid"
ONLY_OLD = "only old"
ONLY_NEW = "only new"

#: What is compared beside pages_s: name of the ratio -> field of the trial. Below one is less than before.
COSTS = {"worker_cpu": "worker_cpu", "memory": "workers_mb", "commands": "commands"}

#: Conditions whose change makes ratios say something about the machine rather than the crawler.
_CONDITIONS = ("cores", "machine", "system", "python", "memory", "settings", "versions", "niced", "rounds")
#: What a workload says of its site beside its knobs.
_NO_KNOBS = {"expected_digest", "site_alone_pages_s"}


@dataclass(frozen=True)
class Difference:
    """One condition that is not what it was."""

    what: str
    old: str
    new: str

    @property
    def sentence(self) -> str:
        """Return it for people."""
        return f"{self.what}: {self.old} -> {self.new}"


def differences(old: Row, new: Row) -> list[Difference]:
    """Return what differs in machine, settings and workloads; to be shown before any ratio."""
    found = _changed("poolcrawl", old["poolcrawl"], new["poolcrawl"])
    for name in _CONDITIONS:
        found += _changed(name, old["conditions"].get(name), new["conditions"].get(name))
    before, after = _workloads(old), _workloads(new)
    for name in sorted(before.keys() & after.keys()):
        found += _changed(f"workload {name}", *_common(before[name], after[name]))
    return found


def compare(old: Row, new: Row) -> list[Row]:
    """Return one row per trial of either result, in the new one's order and then those that are only in the old one.

    `pages_s`, `worker_cpu`, `memory` and `commands` are ratios, new by old, None where one is missing. The verdict is
    about pages per second: FASTER or SLOWER, NO_DIFFERENCE when the spreads overlap or the medians are close
    (`lab.spread`), else why there is none.
    """
    before = {trial["name"]: trial for trial in old["trials"]}
    after = {trial["name"]: trial for trial in new["trials"]}
    old_knobs, new_knobs = _workloads(old), _workloads(new)
    rows = []
    for name, trial in after.items():
        if name not in before:
            rows.append(_lonely(name, None, trial, ONLY_NEW))
            continue
        one, other = _common(old_knobs.get(trial["workload"], {}), new_knobs.get(trial["workload"], {}))
        rows.append(_row(before[name], trial, same=one == other))
    return rows + [_lonely(name, t, None, ONLY_OLD) for name, t in before.items() if name not in after]


def table(rows: list[Row]) -> Table:
    """Return the rows for people, at most 100 characters wide."""
    title = "pages per second, old and new; ratios new by old"
    plain: dict[str, Any] = {"box": box.SIMPLE_HEAD, "padding": (0, 1, 0, 0), "pad_edge": False}
    found = Table(title=title, title_style="bold", title_justify="left", **plain)
    found.add_column("trial", overflow="fold")
    for head in ("old", "new", "pages/s", "CPU", "MB", "commands"):
        found.add_column(head, justify="right", no_wrap=True)
    found.add_column("verdict", no_wrap=True)
    for row in rows:
        rates = (_cell(row[name], ",.0f") for name in ("old_pages_s", "new_pages_s"))
        ratios = (_cell(row[name], ".2f") for name in ("pages_s", *COSTS))
        style = {SLOWER: "red", FASTER: "green"}.get(row["verdict"])
        found.add_row(row["name"], *rates, *ratios, row["verdict"], style=style)
    return found


def _row(old: Row, new: Row, *, same: bool) -> Row:
    row = _lonely(new["name"], old, new, _verdict(old, new) if same else OTHER_WORKLOAD)
    if row["verdict"] in (INVALID, OTHER_WORKLOAD):
        return row
    costs = {ratio: _ratio(old.get(name), new.get(name)) for ratio, name in COSTS.items()}
    return row | {"pages_s": _ratio(old["pages_s"], new["pages_s"]), **costs}


def _lonely(name: str, old: Row | None, new: Row | None, verdict: str) -> Row:
    """Return a row without ratios."""
    return {
        "name": name,
        "old_pages_s": None if old is None else old.get("pages_s"),
        "new_pages_s": None if new is None else new.get("pages_s"),
        "pages_s": None,
        **dict.fromkeys(COSTS),
        "verdict": verdict,
    }


def _verdict(old: Row, new: Row) -> str:
    before, after = (spread.of(trial, spread.field("pages_s")) for trial in (old, new))
    if before is None or after is None or not (usable(old) and usable(new)):
        return INVALID
    if spread.compare(before, after) == NO_DIFFERENCE:
        return NO_DIFFERENCE
    return FASTER if after.median > before.median else SLOWER


def _ratio(old: float | None, new: float | None) -> float | None:
    return None if not old or new is None else round(new / old, 3)


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _workloads(result: Row) -> dict[str, Row]:
    """Return the knobs of every workload, alike whether they come from a file or were just measured."""
    rows = msgspec.json.decode(msgspec.json.encode(result["workloads"]))
    return {row["name"]: {n: value for n, value in row.items() if n not in _NO_KNOBS} for row in rows}


def _common(one: Row, other: Row) -> tuple[Row, Row]:
    """Return both with only the knobs that both have: one that came later had its default before."""
    names = one.keys() & other.keys()
    return {name: one[name] for name in names}, {name: other[name] for name in names}


def _changed(what: str, old: Any, new: Any) -> list[Difference]:
    """Return what differs, of two objects only the fields that do."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted(old.keys() | new.keys())
        return [d for name in names for d in _changed(f"{what} {name}", old.get(name), new.get(name))]
    return [] if old == new else [Difference(what, _short(old), _short(new))]


def _short(value: Any) -> str:
    if value is None or value == {}:
        return "none"
    text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
