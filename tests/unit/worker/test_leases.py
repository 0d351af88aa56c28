"""The renewer keeps short leases alive, however long it slept for the ones before."""

from __future__ import annotations

import time

import pytest

from crawl.batches import Renewal
from worker import leases
from worker.leases import Renewer


class Renewals:
    """Answers every renewal, and remembers whose."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, client, renewals):
        self.seen += [renewal.lease for renewal in renewals]
        return ["running"] * len(renewals)


@pytest.fixture
def renewals(monkeypatch):
    made = Renewals()
    monkeypatch.setattr(leases, "renew", made)
    return made


def test_a_short_lease_wakes_a_renewer_that_sleeps_for_a_long_one(renewals):
    """A third of 0.9 s passes long before the 10 s the renewer was going to sleep: the lease is kept all the same."""
    renewer = Renewer(None)
    renewer.drop(renewer.hold(Renewal("one", "long", "host", "nonce", 30.0)))
    time.sleep(0.1)
    short = renewer.hold(Renewal("two", "short", "host", "nonce", 0.9))

    time.sleep(2.0)

    assert short.kept()
    assert "short" in renewals.seen
    renewer.drop(short)


def test_leases_of_one_length_do_not_wake_it(renewals):
    """A new lease every moment must not keep the renewer from ever renewing."""
    renewer = Renewer(None)
    held = renewer.hold(Renewal("one", "first", "host", "nonce", 0.9))
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        renewer.drop(renewer.hold(Renewal("one", "other", "host", "nonce", 0.9)))
        time.sleep(0.01)

    assert held.kept()
    assert "first" in renewals.seen
    renewer.drop(held)
