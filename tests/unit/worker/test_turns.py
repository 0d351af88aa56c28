"""Who works beside whom in one process."""

from __future__ import annotations

import threading
import time

import pytest

from worker.turns import Turn, Turns


@pytest.fixture
def turns():
    return Turns()


def _begin(turns, *, alone, log, name, until):
    def run():
        with Turn(turns) as turn:
            if alone:
                turn.be_alone()
            log.append(f"{name} begins")
            until.wait(5)
            log.append(f"{name} ends")

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def _wait(condition):
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_ordinary_batches_run_side_by_side(turns):
    """Nobody waits as long as there is no suspect."""
    with Turn(turns), Turn(turns):
        pass


def test_a_suspect_waits_for_the_others_and_the_others_for_it(turns):
    """While it runs, nothing else does; afterwards they go on."""
    log, first, second, third = [], threading.Event(), threading.Event(), threading.Event()
    threads = [_begin(turns, alone=False, log=log, name="a", until=first)]
    _wait(lambda: log == ["a begins"])
    threads.append(_begin(turns, alone=True, log=log, name="suspect", until=second))
    _wait(lambda: len(turns._wait_alone) == 1)
    threads.append(_begin(turns, alone=False, log=log, name="b", until=third))
    _wait(lambda: len(turns._wait_beside) == 1)
    assert log == ["a begins"]
    first.set()
    _wait(lambda: "suspect begins" in log)
    time.sleep(0.02)
    assert log == ["a begins", "a ends", "suspect begins"]
    second.set()
    third.set()
    for thread in threads:
        thread.join(5)

    assert log[3:] == ["suspect ends", "b begins", "b ends"]


def test_two_suspects_run_one_after_the_other(turns):
    """They have both begun beside others, and do not wait for each other for ever."""
    log, open_end = [], threading.Event()
    open_end.set()
    both = [_begin(turns, alone=True, log=log, name=name, until=open_end) for name in "ab"]
    for thread in both:
        thread.join(5)

    assert [line.split()[1] for line in log] == ["begins", "ends"] * 2


def test_being_alone_twice_is_being_alone_once(turns):
    """Where fetch and parse share a task, both ask for it."""
    with Turn(turns) as turn:
        turn.be_alone()
        turn.be_alone()
    with Turn(turns):
        pass
