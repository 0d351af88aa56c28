"""How the lab's site answers, without sockets: its statistics, and the order of what one connection gets."""

from __future__ import annotations

import asyncio
import time

import pytest

from lab.answering import Answers, Connection, Spread
from lab.pages import Pages
from lab.workload import Workload

WORKLOAD = Workload("small", pages=4, latency_ms=20, latency_sigma=0, page_kb=1, links=2)


class _Transport:
    """Keeps what is written; closed when told so."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture(name="answers")
def _answers():
    return Answers(Pages(WORKLOAD))


@pytest.fixture(name="connected")
def _connected(answers):
    connection, transport = Connection(answers), _Transport()
    connection.connection_made(transport)
    return connection, transport


def _get(path: str, *more: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: h1.lab.test", *more, "", ""]).encode()


def test_a_spread_tells_its_percentiles_in_milliseconds():
    """Nearest rank; what was early was not late."""
    spread = Spread()
    for number in range(1, 101):
        spread.add(number / 1000)
    early = Spread()
    early.add(-1.0)

    assert {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0} == spread.row()
    assert 0.0 == early.row()["max"]
    assert {"p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0} == Spread().row()


def test_an_answer_that_the_loop_gave_late_is_counted_as_late(answers, connected):
    """Trials are judged by it: a site that was busy elsewhere must not pass for a slow page."""
    connection, transport = connected

    async def answer_late() -> None:
        connection.data_received(_get("/"))
        await asyncio.sleep(0)
        time.sleep(0.1)  # noqa: ASYNC251 - the loop is held up on purpose
        await asyncio.sleep(0.02)

    asyncio.run(answer_late())

    assert transport.written
    found = answers.statistics.row()
    assert 75 < found["answers_ms"]["p50"] <= found["late_ms"]["p50"] < 100


def test_a_busy_loop_is_seen_by_its_ticks(answers):
    """Also where no answer was due meanwhile."""

    async def be_busy() -> None:
        watch = asyncio.ensure_future(answers.watch())
        await asyncio.sleep(0)
        time.sleep(0.1)  # noqa: ASYNC251 - the loop is held up on purpose
        await asyncio.sleep(0.02)
        watch.cancel()

    asyncio.run(be_busy())

    found = answers.statistics.row()
    assert 85 < found["loop_ms"]["max"] == found["late_ms"]["max"] < 200


def test_nothing_is_answered_while_the_client_does_not_read(connected):
    """A flood of requests fills no memory with answers."""
    connection, transport = connected
    connection.pause_writing()
    connection.data_received(_get("/robots.txt") * 3)
    before = transport.written
    connection.resume_writing()

    assert before == b""
    assert 3 == transport.written.count(b"HTTP/1.1 200 OK")


def test_an_answer_that_nobody_waits_for_is_not_given(answers, connected):
    """A client that gave up costs nothing."""
    connection, transport = connected

    async def leave() -> None:
        connection.data_received(_get("/"))
        connection.connection_lost(None)
        await asyncio.sleep(0.04)

    asyncio.run(leave())

    assert (b"", 0) == (transport.written, answers.statistics.answers)


@pytest.mark.parametrize(
    ("header", "at_once"), [("X-No-Latency: 1", True), ("x-no-latency:1", True), ("Y-X-No-Latency: 1", False)]
)
def test_latency_is_left_out_only_where_asked_for(connected, header, at_once):
    """The name of a header is the whole name."""
    connection, transport = connected

    async def ask() -> None:
        connection.data_received(_get("/", header))

    asyncio.run(ask())

    assert at_once == bool(transport.written)
