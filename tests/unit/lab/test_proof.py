"""The judge of the advice, and the workloads it is judged on."""

from __future__ import annotations

import pytest
from specimen import trial

from crawl.errors import UsageError
from lab import proof
from lab.proof import draw, judge
from lab.way import Way
from lab.workload import PRESETS

GEVENT = Way("gevent", 100)
THREADS = Way("threads", 32)


def test_drawn_workloads_depend_on_the_seed_only():
    """Whoever has the seed has the proof's sites."""
    assert draw(7) == draw(7)
    assert draw(7)[:3] == draw(7, 3)
    assert {workload.row()["seed"] for workload in draw(7)}.isdisjoint(w.seed for w in draw(8))
    assert [f"drawn-7-{letter}" for letter in "abcdef"] == [workload.name for workload in draw(7)]


def test_drawn_workloads_are_sites_that_fit_and_spread_over_the_range():
    """Every one can be served; together they are fast and slow, cheap and dear, and none is a preset."""
    drawn = [workload for seed in range(100) for workload in draw(seed)]
    for workload in drawn:
        workload.check()

    assert {0.0} < {w.latency_ms for w in drawn}
    assert {0.0} < {w.parse_ms for w in drawn}
    assert all(
        w.latency_ms <= 1500 and w.parse_ms <= 30 and 4 <= w.hosts <= 64 and w.errors <= 0.1 for w in drawn
    )
    assert max(w.latency_ms for w in drawn) > 1000
    assert max(w.hosts for w in drawn) > 40
    assert not {w.name for w in drawn} & PRESETS.keys()


def test_a_pool_of_two_slots_takes_about_a_quarter_of_a_minute():
    """Shorter runs show the beginning and the end only, longer ones cost too much."""
    drawn = [w for seed in range(50) for w in draw(seed) if proof.FEWEST_PAGES < w.pages < proof.MOST_PAGES]
    seconds = [
        sum(w.page(n).latency_ms + w.parse_ms + proof.OWN_MS for n in range(w.pages)) / 1000 / 2
        for w in drawn
    ]

    assert len(drawn) > 50
    assert 13 < sorted(seconds)[len(seconds) // 2] < 20


@pytest.mark.parametrize("count", [0, 27])
def test_an_impossible_number_of_workloads_is_refused(count):
    """They are named by letters."""
    with pytest.raises(UsageError, match="expected 1 to 26"):
        draw(1, count)


@pytest.mark.parametrize(
    ("best", "advised", "held", "allowed"),
    [
        ((99.0, 100.0, 101.0), (89.0, 90.0, 91.0), True, 0.9),
        ((99.0, 100.0, 101.0), (89.0, 89.9, 90.5), False, 0.9),
        ((80.0, 100.0, 120.0), (79.0, 81.0, 83.0), True, 0.8),
        ((80.0, 100.0, 120.0), (70.0, 79.0, 120.0), False, 0.8),
    ],
)
def test_advice_holds_within_a_tenth_or_within_the_best_s_spread(best, advised, held, allowed):
    """Larger of the two; the advised way's own spread excuses nothing."""
    verdict = judge("threads-32", [trial("web", THREADS, advised), trial("web", GEVENT, best)])

    assert ("gevent-100", "threads-32", held, allowed) == (
        verdict.best, verdict.advised, verdict.held, verdict.allowed,
    )  # fmt: skip
    assert (" does not hold: " in verdict.sentence) is not held


def test_the_best_itself_holds():
    """Nothing is better than the best."""
    verdict = judge("gevent-100", [trial("web", THREADS, 50.0), trial("web", GEVENT, 100.0)])

    assert (1.0, True) == (verdict.ratio, verdict.held)
    assert "it is the best of the grid" in verdict.sentence


def test_what_the_grid_does_not_have_proves_nothing():
    """Not measured, invalid, or a grid of nothing."""
    fast = trial("web", GEVENT, 900.0, invalid="dropped a page")
    slow = trial("web", THREADS, 50.0)

    assert ("threads-32", False) == (judge("gevent-100", [slow]).best, judge("gevent-100", [slow]).held)
    assert not judge("gevent-100", [fast, slow]).held
    assert judge("threads-32", [fast, slow]).held
    assert (None, False) == (judge("gevent-100", [fast]).best, judge("gevent-100", [fast]).held)
    assert "the advice held on 1 of 2 drawn workloads" == proof.summarise(
        [judge("threads-32", [slow]), judge("gevent-100", [slow])]
    )


def test_the_proof_advises_from_a_few_ways_and_judges_by_all():
    """What the advice is made from never judges it."""
    grid = (*(Way("gevent", slots) for slots in range(10, 300, 10)), THREADS, Way("prefork", 2))
    asked: list[tuple[str, str, int]] = []

    def measuring(stage: str, best: int):
        def measure(workload, ways):
            asked.append((stage, workload.name, len(ways)))
            trials = [trial(workload.name, way, 200.0 - abs(way.slots - best)) for way in ways]
            return {"trials": trials}

        return measure

    workloads = draw(3, 2)
    verdicts = dict(proof.prove(workloads, grid, 2, measuring("coarse", 100), measuring("fine", 32)))

    assert [("coarse", "drawn-3-a", proof.COARSE_WAYS), ("fine", "drawn-3-a", len(grid))] == asked[:2]
    assert ["drawn-3-a", "drawn-3-b"] == list(verdicts)
    assert ["threads-32", "threads-32"] == [verdict.best for verdict in verdicts.values()]
    assert all(verdict.advised.startswith("gevent-") for verdict in verdicts.values())


def test_a_proof_without_a_valid_trial_does_not_hold():
    """Nothing advised is nothing proven."""

    def measure(workload, ways):
        return {"trials": [trial(workload.name, way, (), invalid="late") for way in ways]}

    assert [("drawn-3-a", False)] == [
        (name, verdict.held) for name, verdict in proof.prove(draw(3, 1), (GEVENT,), 2, measure, measure)
    ]
