"""Ordinary code as coroutine slots of one loop: at once, never more than the limit, and nothing ends the loop."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Future
from pathlib import Path

import pytest
from rawserver import PEM, page

from worker import waiting
from worker.coroutines import Loop, current
from worker.guard import Guard
from worker.sessions import Web

RUN = """
import asyncio, sys
import pytest
from worker import coroutines, waiting
waits = 0
class Counted(coroutines.CoroutineSlot):
    def wait(self, awaitable):
        global waits
        waits += 1
        return super().wait(awaitable)
coroutines.CoroutineSlot = Counted
code = asyncio.run(coroutines.run(lambda: pytest.main(sys.argv[1:])))
assert waits > 100, waits
sys.exit(code)
"""


@pytest.fixture
def loop():
    """A loop of three slots."""
    made = Loop(3)
    made.start()
    yield made
    made.terminate()


def sleep(seconds: float) -> str:
    """Wait as a slot does, and say in which thread."""
    current().wait(asyncio.sleep(seconds))
    return threading.current_thread().name


def test_fetch_behaves_the_same_in_a_coroutine_slot():
    """Every promise of these suites holds where the loop waits instead of the thread."""
    suites = [
        str(Path(__file__).with_name(f"test_{name}.py"))
        for name in ("fetch", "abort", "guard", "requests", "proxy")
    ]

    done = subprocess.run(
        [sys.executable, "-c", RUN, *suites, "-q", "-p", "no:cacheprovider", "--timeout", "60"],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_slots_share_a_session_and_wait_side_by_side(serve, ask, monkeypatch, tls):
    """Six pages of half a second on six slots of one thread take half a second, handshakes included."""
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))

    def handler(connection, server):
        while server.head(connection):
            server.ended.wait(0.5)
            connection.sendall(page(b"slow", b"Content-Type: text/html"))

    url = serve(handler, tls=tls).url()
    session = Web(Guard(allow=["127.0.0.1"]), slots=6)
    loop = Loop(6)
    loop.start()
    begun = time.monotonic()
    futures = [loop.submit(lambda: ask(url, session=session)) for _ in range(6)]
    bodies = [future.result(10)[1] for future in futures]
    took = time.monotonic() - begun
    loop.stop()
    session.close()

    assert [b"slow"] * 6 == bodies
    assert took < 1.5


def test_never_more_calls_run_than_there_are_slots(loop):
    """Nine calls on three slots run three at a time, in the order they came."""
    running, most, order = 0, 0, []

    def call(number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        order.append(number)
        sleep(0.05)
        running -= 1

    for future in [loop.submit(lambda n=n: call(n)) for n in range(9)]:
        future.result(5)
    loop.stop()

    assert most == 3
    assert order == sorted(order)
    assert loop.running == 0


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_whatever_a_call_raises_stays_in_its_slot(loop, error):
    """The loop goes on and the slot is free, also after what would end a program."""

    def fail() -> None:
        sleep(0.01)
        raise error("planned")

    futures = [loop.submit(fail) for _ in range(6)]
    for future in futures:
        with pytest.raises(error):
            future.result(5)

    assert loop.submit(lambda: sleep(0)).result(5) == "coroutines"


def test_what_is_awaited_may_raise_in_the_slot(loop):
    """An error of the awaited thing is an error of the line that waits, which may handle it."""

    def handle() -> str:
        try:
            current().wait(asyncio.wait_for(asyncio.sleep(5), 0.01))
        except TimeoutError:
            return sleep(0) + " in time"
        return "never"

    assert loop.submit(handle).result(5) == "coroutines in time"


def test_a_loop_that_is_stopped_finishes_what_has_begun(loop):
    """Calls that run come to their end; calls that wait for a slot never begin."""
    futures = [loop.submit(lambda: sleep(0.3)) for _ in range(5)]
    while loop.running < 3:
        time.sleep(0.01)

    loop.stop()

    assert ["coroutines"] * 3 == [future.result(0) for future in futures[:3]]
    assert all(future.cancelled() for future in futures[3:])


def test_a_loop_that_is_terminated_waits_for_nobody(loop):
    """What runs is cancelled where it waits, and may clean up."""
    cleaned = []

    def call() -> None:
        try:
            sleep(60)
        finally:
            cleaned.append(True)

    future = loop.submit(call)
    while not loop.running:
        time.sleep(0.01)
    begun = time.monotonic()
    loop.terminate()

    assert time.monotonic() - begun < 2
    assert cleaned == [True]
    with pytest.raises((asyncio.CancelledError, CancelledError)):
        future.result(0)


def test_a_call_that_blocks_runs_elsewhere_with_the_slot_s_context(loop):
    """Slots go on meanwhile; context variables are those of the slot; outside of a slot it is an ordinary call."""
    variable = contextvars.ContextVar("variable", default="unset")

    def block() -> tuple[str, str]:
        time.sleep(0.3)
        return threading.current_thread().name, variable.get()

    def call() -> tuple[str, str]:
        variable.set("slot")
        return loop.elsewhere(block)()

    begun = time.monotonic()
    blocked = loop.submit(call)
    ticks = loop.submit(lambda: [sleep(0.01) for _ in range(10)])

    assert len(ticks.result(5)) == 10
    assert time.monotonic() - begun < 0.3
    name, seen = blocked.result(5)
    assert name.startswith("sender")
    assert seen == "slot"
    assert ("MainThread", "unset") == loop.elsewhere(block)()


def test_two_slots_wait_for_one_answer_of_a_thread(loop):
    """One gives up after its time, the other gets the answer; neither stops the loop."""
    answer: Future[str] = Future()

    def impatient() -> str:
        try:
            return waiting.done(answer, 0.1)
        except TimeoutError:
            return "gave up"

    first = loop.submit(impatient)
    second = loop.submit(lambda: waiting.done(answer, 5))

    assert first.result(5) == "gave up"
    answer.set_result("known")
    assert second.result(5) == "known"
    assert waiting.done(answer, 0) == "known"


def test_a_variable_of_a_slot_is_its_own(loop):
    """What one call sets, the next one on the same thread does not see."""
    variable = contextvars.ContextVar("variable", default=0)

    def call(number: int) -> tuple[int, int]:
        before = variable.get()
        variable.set(number)
        sleep(0.02)
        return before, variable.get()

    found = [future.result(5) for future in [loop.submit(lambda n=n: call(n)) for n in range(1, 7)]]

    assert [(0, n) for n in range(1, 7)] == found
