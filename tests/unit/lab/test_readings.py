"""What the records of a run say: warm-up, stages, failures."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from crawl.errors import ViolationError
from crawl.records import PageRecord
from lab import readings


def _moment(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def _record(
    number: int, *, start: float, fetch: float = 100, wait: float = 30, parse: float = 20, **changes
) -> PageRecord:
    end = start + fetch
    values = {
        "crawl": "c",
        "url": f"http://a.test/{number}",
        "via": "link",
        "parent": None,
        "depth": 1,
        "attempts": 1,
        "outcome": "ok",
        "started_at": _moment(start),
        "fetched_at": _moment(end),
        "parsed_at": _moment(end + wait + parse),
        "fetch_ms": fetch,
        "parse_ms": parse,
        "wait_ms": 7.0,
    }
    return PageRecord(**(values | changes))


def test_the_warm_up_is_left_out_of_the_rate():
    """The first tenth of the pages took 300 ms each, the others 100."""
    records = [_record(number, start=300 * number) for number in range(4)]
    records += [_record(number, start=1000 + 100 * (number - 4)) for number in range(4, 40)]
    found = readings.read(records)

    assert found.records == found.good == 40
    # The page that follows began 50 ms before the warm-up ended: a third of its time.
    assert found.steady_pages == pytest.approx(35 + 2 / 3, abs=0.01)
    assert found.steady_s == pytest.approx(3.6)
    assert found.last - found.first == pytest.approx(4.65)


def test_the_warm_up_of_one_wave_is_not_all_of_it():
    """Sixty pages of three seconds at once end together; their rate is still twenty a second."""
    found = readings.read([_record(n, start=n, fetch=3000, wait=0, parse=0) for n in range(60)])

    assert found.steady_pages / found.steady_s == pytest.approx(20, rel=0.03)


@pytest.mark.parametrize("slots", [1, 4, 30, 60])
@pytest.mark.parametrize("latency_ms", [10.0, 3000.0])
def test_no_rate_is_higher_than_slots_allow(slots, latency_ms):
    """Little's law: so many slots, each busy for so long with a page, make at most that many pages a second."""
    records = [
        _record(n, start=n // slots * latency_ms + n % slots, fetch=latency_ms, wait=0, parse=0)
        for n in range(60)
    ]
    found = readings.read(records)
    rate = found.steady_pages / found.steady_s

    assert rate <= 1.01 * slots / (latency_ms / 1000)
    # Nor is it far below what the whole crawl made.
    assert rate > 0.7 * 60 / (found.last - found.first)


def test_each_stage_has_its_own_time():
    """The wait for the parse is what lies between fetch and parse."""
    found = readings.read([_record(number, start=10 * number) for number in range(50)])

    assert found.latency["fetch_ms"] == {"p50": 100, "p95": 100, "p99": 100}
    assert found.latency["parse_ms"]["p95"] == pytest.approx(20)
    assert found.latency["parse_wait_ms"]["p50"] == pytest.approx(30, abs=1)
    assert found.latency["queue_ms"]["p99"] == pytest.approx(7)


def test_failures_are_counted_by_reason():
    """A failed page has its place in the rate and none in the stages."""
    records = [_record(number, start=number) for number in range(20)]
    records += [_record(99, start=0, outcome="failed", reason="http", fetch=9000)]
    found = readings.read(records)

    assert found.failures == {"http": 1}
    assert (found.records, found.good) == (21, 20)
    assert found.latency["fetch_ms"]["p99"] == pytest.approx(100)


def test_a_crawl_that_asked_for_nothing_is_a_violation():
    """There is no rate of nothing."""
    with pytest.raises(ViolationError, match="no record of a page"):
        readings.read([_record(0, start=0, started_at=None)])


def test_quantiles_lie_on_the_line_between_neighbours():
    """One value is every quantile of itself."""
    assert readings.quantiles([float(n) for n in range(101)]) == {"p50": 50, "p95": 95, "p99": 99}
    assert readings.quantiles([4.0]) == {"p50": 4, "p95": 4, "p99": 4}
    assert readings.quantiles([]) == {"p50": 0, "p95": 0, "p99": 0}


def test_the_latency_of_a_trial_is_the_median_of_its_runs():
    """A run with a hiccup does not shape it."""
    runs = [{"fetch_ms": {"p50": value}} for value in (10.0, 500.0, 12.0)]

    assert readings.median_latency(runs) == {"fetch_ms": {"p50": 12.0}}
    assert readings.median_latency([{}]) == {}
