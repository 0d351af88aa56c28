"""What a drain cuts: requests that are still under way when their seconds are over, and no others."""

from __future__ import annotations

import threading

import pytest

from worker import drain


class Request:
    """Notes that it was ended."""

    def __init__(self) -> None:
        self.aborted = threading.Event()

    def abort(self) -> None:
        self.aborted.set()


@pytest.fixture
def cutter(monkeypatch):
    """A cutter whose seconds pass at once, and the flag it looks at, as a list that is empty until the drain begins."""
    begun, over = [], threading.Event()
    monkeypatch.setattr(drain, "begun", lambda: bool(begun) or over.is_set())
    made = drain.Cutter(pause=lambda seconds: over.wait(seconds / 1000))
    yield made, begun
    over.set()


def test_a_request_that_hangs_while_the_worker_ends_is_cut(cutter):
    """It learns that it was, so that its page is not charged."""
    cutter, begun = cutter
    hanging = Request()
    cutter.begin(hanging)
    begun.append(True)

    assert hanging.aborted.wait(5)
    assert cutter.end(hanging)


def test_a_request_that_ended_in_time_is_not_cut(cutter):
    """Its answer counts, and its connection may serve another."""
    cutter, begun = cutter
    done, hanging = Request(), Request()
    cutter.begin(done)
    cutter.begin(hanging)
    cut = cutter.end(done)
    begun.append(True)
    hanging.aborted.wait(5)

    assert not cut
    assert not done.aborted.is_set()


def test_nothing_is_cut_while_the_worker_runs(cutter):
    """However long it hangs: that is what deadlines are for."""
    cutter, _ = cutter
    hanging = Request()
    cutter.begin(hanging)

    assert not hanging.aborted.wait(0.2)
    assert not cutter.end(hanging)
