"""When a child that ended is started again."""

from __future__ import annotations

import sys

import pytest

from crawl.errors import UnavailableError, UsageError
from embedded.guard import Guard, how_ended
from embedded.restarts import MAX_QUICK, Restarts


class Ended:
    """A child that ends at once with the given code whenever it is started."""

    name = "worker-1"
    log = "worker-1.log"

    def __init__(self, code, line="the last line", lived=0.1):
        self.code, self.line, self.lived, self.starts = code, line, lived, 0

    def alive(self):
        return False

    def exit_code(self):
        return self.code

    def lived_s(self):
        return self.lived

    def last_line(self):
        return self.line

    def said(self, words):
        return bool(words) and words in self.line

    def start(self):
        self.starts += 1


def test_each_failure_at_once_doubles_the_pause():
    """A worker that cannot live does not take the machine down with it."""
    restarts = Restarts()
    pauses = []
    for _ in range(MAX_QUICK - 1):
        assert restarts.ended(lived_s=0.1, now=100.0)
        pauses.append(round(restarts.due - 100.0, 3))

    assert pauses == [0.2, 0.4, 0.8, 1.6]
    assert not restarts.ended(lived_s=0.1, now=100.0)


def test_a_child_that_lived_a_while_starts_afresh():
    """Failures count only in a row."""
    restarts = Restarts(quick=MAX_QUICK - 1)

    assert restarts.ended(lived_s=60.0, now=100.0)
    assert restarts.due == 100.2


def test_a_start_is_due_once():
    """Two looks in one moment start one child."""
    restarts = Restarts()
    restarts.ended(lived_s=60.0, now=0.0)

    assert [restarts.is_due(0.1), restarts.is_due(0.3), restarts.is_due(0.4)] == [False, True, False]


def look_until_it_raises(guard):
    for _ in range(1000):
        if guard.restarts.due is not None:
            guard.restarts.due = 0.0
        guard.look()
    pytest.fail("never gave up")


def test_a_worker_that_keeps_failing_ends_the_run_with_its_last_line():
    """The reason is in the message, not only in a log."""
    child = Ended(1)
    said = []

    with pytest.raises(UnavailableError, match=r"worker-1 keeps ending \(exit code 1\).*the last line"):
        look_until_it_raises(Guard(child, said.append))

    assert child.starts == MAX_QUICK - 1
    assert said[0] == "worker-1 ended (exit code 1); starting it again"


def test_a_worker_that_refuses_its_settings_is_not_started_again():
    """Exit code 2 means wrong settings, which another start does not mend."""
    child = Ended(2, "CRAWL_POOL=gevent needs the package gevent")

    with pytest.raises(UsageError, match="needs the package gevent"):
        Guard(child, print).look()

    assert child.starts == 0


def test_a_child_that_is_not_needed_is_given_up_with_a_line():
    """A crawl goes on without Flower."""
    child = Ended(1)
    said = []
    guard = Guard(child, said.append, needed=False)
    for _ in range(50):
        if guard.restarts.due is not None:
            guard.restarts.due = 0.0
        guard.look()

    assert guard.given_up
    assert child.starts == MAX_QUICK - 1
    assert "the last line" in said[-1]


def test_a_worker_that_ends_well_is_started_again_without_a_word():
    """Recycling its memory is a worker's own decision."""
    said = []
    Guard(Ended(0, lived=60), said.append).look()

    assert said == []


@pytest.mark.parametrize(
    ("code", "words"), [(1, "exit code 1"), (137, "killed by SIGKILL"), (255, "exit code 255")]
)
def test_an_exit_code_is_put_into_words(code, words):
    """128 + n is signal n, where there is such a signal."""
    assert sys.platform != "win32"
    assert how_ended(code) == words


def test_a_worker_that_came_to_work_is_started_again_however_often_it_ends():
    """Pages that kill workers must neither slow the crawl down more and more nor end it."""
    restarts = Restarts()
    pauses = []
    for _ in range(3 * MAX_QUICK):
        assert restarts.ended(0.1, 100.0, worked=True)
        pauses.append(restarts.due - 100.0)

    assert max(pauses) <= 0.5


def test_a_guard_tells_a_worker_that_worked_by_what_it_printed():
    """One that is ready has not failed at once; one that never is has, and that ends somewhere."""
    child = Ended(134, line="worker threads-4-7@vm ready: pool threads")
    guard = Guard(child, lambda _: None, ready=" ready: pool ")
    for _ in range(3 * MAX_QUICK):
        guard.look()
        guard.restarts.due = 0.0
        guard.look()

    assert child.starts == 3 * MAX_QUICK
    with pytest.raises(UnavailableError):
        _until_given_up(Guard(Ended(1), lambda _: None, ready=" ready: pool "))


def _until_given_up(guard):
    for _ in range(2 * MAX_QUICK):
        guard.look()
        guard.restarts.due = 0.0
        guard.look()
