"""What a feature costs is read from rounds in which it met the same machine as the plain crawl."""

from __future__ import annotations

from lab import costs
from lab.features import PLAIN, Feature, Result

ON = Feature("on", ("--on",))
OFF = Feature("off", ("--off",), switches_off=True)


def _shares(**cpu: list[float]) -> dict[str, float | None]:
    result = Result({}, {PLAIN if name == "plain" else name: runs for name, runs in cpu.items()})
    return {row["feature"]: row["share"] for row in result.rows((ON, OFF))}


def test_a_feature_that_is_switched_on_costs_what_it_adds() -> None:
    """Its share is of the plain crawl of the same round, and the median round counts."""
    shares = _shares(plain=[1.0, 2.0, 4.0], on=[1.1, 2.4, 4.8])

    assert {PLAIN: None, "on": 0.2} == shares


def test_a_feature_that_is_on_by_default_costs_what_its_absence_saves() -> None:
    """The crawl without it is what it is a share of."""
    shares = _shares(plain=[1.5, 3.0, 6.0], off=[1.0, 2.0, 4.0])

    assert {PLAIN: None, "off": 0.5} == shares


def test_every_single_cost_has_a_mark() -> None:
    """A verdict, a canonical URL and big pages are measured here and now, and are more than nothing."""
    found = costs.marks()

    assert 4 == len(found)
    assert all(mark.value is not None and mark.value > 0 for mark in found)
