"""The model: what limits it, where its costs come from, what it is used for."""

from __future__ import annotations

import pytest
from specimen import result, trial

from lab import forecast
from lab.forecast import Costs, predict
from lab.way import Way
from lab.workload import PRESETS, Workload

COSTS = Costs(
    worker_ms={"gevent": 1.0, "threads": 1.0, "prefork": 1.0},
    share=dict.fromkeys(("gevent", "threads", "prefork"), 1.0),
    others_ms=0.0,
)


def _one(workload: Workload, way: Way, cores: int = 4, costs: Costs = COSTS) -> forecast.Forecast:
    return predict(workload, cores, [way], costs)[0]


@pytest.mark.parametrize(
    ("knobs", "way", "cores", "limit", "rate"),
    [
        ({"latency_ms": 99, "hosts": 100}, Way("gevent", 10), 4, "slots", 100.0),
        ({"latency_ms": 99, "hosts": 1}, Way("gevent", 100), 4, "hosts", 80.0),
        ({"parse_ms": 19, "hosts": 100}, Way("gevent", 100), 4, "cpu", 50.0),
        ({"parse_ms": 19, "hosts": 100}, Way("gevent", 100, 2), 4, "cpu", 100.0),
        ({"parse_ms": 19, "hosts": 100}, Way("prefork", 16), 4, "cpu", 200.0),
        (
            {"hosts": 100},
            Way("threads", 50, 2, parse_pool="prefork", parse_concurrency=4),
            2,
            "cores",
            2000.0,
        ),
    ],
)
def test_the_least_of_the_limits_holds(knobs, way, cores, limit, rate):
    """Slots full of waiting, hosts that allow no more, interpreters or cores that are busy."""
    found = _one(Workload("w", pages=20_000, latency_sigma=0.0, **knobs), way, cores)

    assert limit == found.limit
    assert rate == pytest.approx(found.pages_s, rel=0.01)


def test_the_end_of_a_small_site_waits_for_its_slowest_page():
    """100 slots and 100 pages are one wave: the slowest page is all of it."""
    small = _one(Workload("w", pages=100, hosts=100, latency_ms=500, latency_sigma=0.0), Way("gevent", 100))
    large = _one(
        Workload("w", pages=20_000, hosts=100, latency_ms=500, latency_sigma=0.0), Way("gevent", 100)
    )

    assert large.pages_s == pytest.approx(200, rel=0.02)
    assert small.pages_s < 0.55 * large.pages_s


def test_the_presets_rank_as_the_tutorial_says():
    """Waiting wants slots, parsing wants processes."""
    web = predict(PRESETS["web"], 2)
    heavy = predict(PRESETS["heavy"], 2, [Way("gevent", 100), Way("threads", 32), Way("prefork", 2)])

    assert web[0].way.pool in {"gevent", "asyncio"}
    assert "prefork" == heavy[0].way.pool


def test_costs_come_from_the_trials_without_latency():
    """What a page costs by itself, what the others pay, and what a ms of parsing really takes."""
    found = result(
        trial("lan", Way("gevent", 100), 600.0, worker_cpu=1.5, producer_cpu=0.2, redis_cpu=0.1),
        trial("lan", Way("prefork", 2), 500.0, worker_cpu=2.0, producer_cpu=0.2, redis_cpu=0.1),
        trial("lan", Way("solo", 1), 900.0, worker_cpu=0.1, invalid="dropped a page"),
        trial("lan", Way("gevent", 100, batch=1), 90.0, worker_cpu=5.0),
        trial("heavy", Way("gevent", 100), 30.0, worker_cpu=25.5),
        trial("web", Way("gevent", 100), 300.0, worker_cpu=2.0),
    )
    costs = forecast.costs_of(found)

    assert {"gevent": 1.5, "prefork": 2.0} == costs.worker_ms
    assert {"gevent": pytest.approx(0.9), "prefork": forecast.USUAL_SHARE} == costs.share
    assert (pytest.approx(0.3), {"gevent": pytest.approx(1.2)}) == (costs.others_ms, costs.burn)


def test_without_such_trials_the_project_s_own_costs_are_taken():
    """A replayed crawl has no `lan`."""
    assert Costs() == forecast.costs_of(result(trial("web", Way("gevent", 100), 300.0)))


def test_the_shortlist_has_every_pool_and_then_the_next_best():
    """The model may order ways; it may not strike a pool."""
    ranked = predict(PRESETS["web"], 2)
    ways = forecast.shortlist(ranked, 9)
    pools = {(way.pool, way.parse_pool) for way in forecast.grid(2)}

    assert 9 == len(ways) == len(set(ways))
    assert pools == {(way.pool, way.parse_pool) for way in ways}
    assert ranked[0].way == ways[0]
    assert pools == {(way.pool, way.parse_pool) for way in forecast.shortlist(ranked, 1)}


@pytest.mark.parametrize("cores", [1, 2, 64])
def test_a_grid_names_no_way_twice(cores):
    """One core and as many as there are may be the same."""
    names = [way.name for way in forecast.grid(cores)]

    assert sorted(set(names)) == sorted(names)


def test_errors_are_shown_against_what_was_measured():
    """On the trials that it was made from it is right; elsewhere it says how wrong."""
    found = result(
        trial("lan", Way("gevent", 100), 600.0, worker_cpu=1.5),
        trial("web", Way("gevent", 100), 30.0, worker_cpu=1.5),
    )
    rows = forecast.errors(found)

    assert ["lan/gevent-100", "web/gevent-100"] == [row["name"] for row in rows]
    assert rows[0]["ratio"] == pytest.approx(1.0)
    assert 2 < rows[1]["ratio"] < 5
    assert "of 2 trials, at worst by" in forecast.error_sentence(rows)
    assert "(web/gevent-100)" in forecast.error_sentence(rows)
    assert "no measurement" in forecast.error_sentence([])
