"""Each kind of concurrency does the six things that are measured, and does them as its kind does."""

from __future__ import annotations

import pytest

from lab.ladder import kinds

ALL = pytest.mark.parametrize("name", list(kinds.KINDS))


@pytest.fixture(name="kind")
def _kind(name):
    if name == "greenlet":
        pytest.importorskip("gevent")
    return kinds.KINDS[name]()


@ALL
def test_a_kind_can_be_made_held_switched_and_kept_busy(kind):
    """The measured operations come to an end."""
    kind.create(2)
    kind.pass_on(4)
    kind.burn(2, 1)
    with kind.hold(2):
        held = True

    assert held
    assert set(kind.how_many) == {"create", "hold", "pass_on"}


@pytest.mark.parametrize(("name", "expected"), [("process", 0), ("greenlet", 200), ("coroutine", 200)])
def test_a_number_is_not_shared_between_processes_and_safe_between_switches(kind, expected):
    """A process changes its own copy; what switches only where it waits loses nothing."""
    assert expected == kind.count(2, 100)


@pytest.mark.parametrize("name", ["greenlet", "coroutine"])
def test_a_busy_neighbour_stops_whoever_shares_its_thread(kind):
    """Nobody takes the thread away from it."""
    assert kind.gap(60) >= 0.05


@pytest.mark.parametrize("name", ["process", "thread"])
def test_the_system_does_not_let_a_busy_neighbour_stop_the_others(kind):
    """Waking up during 300 ms of computing, a thread gets its turn well before the end."""
    assert kind.gap(300) < 0.25
