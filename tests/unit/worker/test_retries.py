"""The pause before another attempt."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from worker.parsing import _Parsing


def pauses(attempts, asked_s=None, count=300):
    parsing = SimpleNamespace(_options=SimpleNamespace(max_hold_s=100.0))
    return [_Parsing._pause_ms(parsing, attempts, asked_s) for _ in range(count)]


@pytest.mark.parametrize(
    ("attempts", "most_ms"), [(0, 1000), (1, 2000), (4, 16_000), (9, 300_000), (99, 300_000)]
)
def test_the_pause_doubles_and_is_spread_from_nothing_to_all_of_it(attempts, most_ms):
    """Full jitter: what failed together does not come back together."""
    drawn = pauses(attempts)

    assert 0 <= min(drawn) < 0.1 * most_ms
    assert 0.9 * most_ms < max(drawn) <= most_ms


def test_what_a_server_asks_for_takes_its_place():
    """Up to CRAWL_MAX_HOLD_S."""
    assert {7000} == set(pauses(3, 7.0))
    assert {100_000} == set(pauses(3, 7000.0))
