"""Known deviations from public test data, kept as data (tests/conformance/known/) and shown in docs/conformance.md.

POOLCRAWL_CONFORMANCE=update brings the data up to date with what the tests find; whatever is new then waits for a
reason, and a test fails until it has one. Run as a script, this module writes the tables of the page again.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from publicdata import version_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KNOWN = Path(__file__).parent / "conformance" / "known"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "conformance.md"
#: Set to `update` to rewrite the data.
UPDATE = "POOLCRAWL_CONFORMANCE"
UNEXPLAINED = "not explained yet"
BEGIN, END = "<!-- suites -->\n", "<!-- end of suites -->\n"


@dataclass(frozen=True)
class Suite:
    """One set of public cases. `deviations` maps a case to why we differ; `ours` is the code under test."""

    name: str
    data: str
    package: str
    ours: str
    cases: int
    deviations: dict[str, str]

    @property
    def source(self) -> str:
        """Where the data come from, with the locked version; Debian's packages carry their version in `package`."""
        return self.package if " " in self.package else f"{self.package} {version_of(self.package)}"


def known(name: str) -> Suite:
    """Return a suite as it is on record."""
    found: dict[str, Any] = json.loads((KNOWN / f"{name}.json").read_text())
    deviations = {case: group["reason"] for group in found.pop("deviations") for case in group["cases"]}
    return Suite(name, **found, deviations=deviations)


def suites() -> list[Suite]:
    """Return every suite on record."""
    return [known(path.stem) for path in sorted(KNOWN.glob("*.json"))]


def _record(tally: Tally) -> None:
    """Write down what a suite came to, and keep the reasons that still apply."""
    path = KNOWN / f"{tally.name}.json"
    found = json.loads(path.read_text())
    reasons = known(tally.name).deviations
    groups: dict[str, list[str]] = {}
    for case in tally.differing:
        groups.setdefault(reasons.get(case, UNEXPLAINED), []).append(case)
    deviations = [{"reason": reason, "cases": cases} for reason, cases in groups.items()]
    path.write_text(json.dumps(found | {"cases": tally.cases, "deviations": deviations}, indent=2) + "\n")


class Tally:
    """Counts the cases of a suite and remembers those in which we differ."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cases = 0
        self.differing: dict[str, str] = {}
        self._seen: Counter[str] = Counter()

    def case(self, name: str, expected: object, actual: object) -> None:
        """Compare one case; names that repeat are numbered."""
        self.cases += 1
        self._seen[name] += 1
        if self._seen[name] > 1:
            name = f"{name} #{self._seen[name]}"
        if expected != actual:
            self.differing[name] = f"{name}: expected {expected!r}, got {actual!r}"

    def verify(self, *, counted: bool = True) -> None:
        """Fail with each deviation that is new, and each known one that is gone, or with another number of cases."""
        if os.environ.get(UPDATE) == "update":
            _record(self)
        suite = known(self.name)
        new = [text for name, text in self.differing.items() if name not in suite.deviations]
        gone = [name for name in suite.deviations if name not in self.differing]

        assert [] == new, "\n".join(new)
        assert [] == gone, f"no deviation any more; take it out of {self.name}.json"
        assert not counted or suite.cases == self.cases


def rendered() -> str:
    """Return the tables of docs/conformance.md."""
    return "".join(_lines())


def _lines() -> Iterator[str]:
    yield "| suite | data | our code | cases | passed | deviations |\n|---|---|---|---|---|---|\n"
    for suite in suites():
        different = len(suite.deviations)
        # Only suites with deviations have a section that a link could lead to.
        name = f"[{suite.name}](#{suite.name})" if different else suite.name
        yield (
            f"| {name} | {suite.data} ({suite.source}) | {suite.ours} "
            f"| {suite.cases} | {suite.cases - different} | {different} |\n"
        )
    for suite in suites():
        if suite.deviations:
            yield f"\n### {suite.name}\n\n| case | why we differ |\n|---|---|\n"
            yield from (f"| {_cell(case)} | {reason} |\n" for case, reason in suite.deviations.items())


def _cell(case: str) -> str:
    # Control characters and the table's own marks, readable and one by one.
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in case)
    ticks = "``" if "`" in shown else "`"
    return f"{ticks}{' ' * (ticks == '``')}{shown.replace('|', chr(92) + '|')}{' ' * (ticks == '``')}{ticks}"


def page() -> str:
    """Return docs/conformance.md with its tables as they should be."""
    head, _, rest = PAGE.read_text().partition(BEGIN)
    return f"{head}{BEGIN}\n{rendered()}\n{END}{rest.partition(END)[2]}"


def main(arguments: Iterable[str]) -> None:
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main(sys.argv[1:])
