"""How much less is leased as memory runs out: numbers only, a stand-in for Redis."""

from __future__ import annotations

import pytest

from crawl.errors import StoppedError
from producer import pressure
from producer.pressure import Pressure

MB = 2**20


class _Server:
    """Answers what Pressure asks for."""

    def __init__(self, used=0, limit=100 * MB, page_bytes=0) -> None:
        self.memory = {"used_memory": used, "maxmemory": limit}
        self.page_bytes = page_bytes
        self.leases = 0
        self.running = True
        self.fields: dict[str, str] = {}

    def info(self, _):
        return self.memory

    def hmget(self, *_):
        return str(self.page_bytes), "1000"

    def hset(self, _, field, value):
        self.fields[field] = value

    def hget(self, _, field):
        return self.fields[field].encode() if field in self.fields else None

    def hdel(self, _, field):
        self.fields.pop(field, None)

    def eval(self, *_):
        """Mark, as the script does where the crawl runs."""
        self.fields["paused_by"] = "memory"
        return int(self.running)

    def zcard(self, _):
        return self.leases


def _at(share, **more):
    """Return the pressure of a server that is so full, and what was said."""
    said: list[str] = []
    server = _Server(used=int(share * 100 * MB), **more)
    made = Pressure(server, "c", say=said.append)
    made.look()
    return made, server, said


@pytest.mark.parametrize(
    ("share", "window"), [(0.1, 60), (0.74, 60), (0.8, 40), (0.825, 30), (0.899, 1), (0.901, 0)]
)
def test_the_window_shrinks_from_three_quarters_to_nine_tenths(share, window):
    """Linearly; at least one batch goes until nothing does."""
    made, _, _ = _at(share)

    assert made.window(60) == pytest.approx(window, abs=1)
    assert (made.window(60) == 0) == (window == 0)


def test_half_of_what_is_left_is_for_what_is_under_way():
    """The other half covers what was misjudged; without a limit there is no bound."""
    assert _at(0.6)[0].room_bytes == 20 * MB
    assert _at(0.99)[0].room_bytes == MB // 2
    assert _at(0.0, limit=0)[0].room_bytes is None


def test_large_pages_need_a_larger_reserve():
    """A page of 4 MB is there three times on its way, and half of what is left must hold it."""
    assert not _at(0.74, page_bytes=4 * MB)[0].paused
    assert _at(0.77, page_bytes=4 * MB)[0].paused


def test_one_large_page_does_not_pause_a_crawl_for_good():
    """Most pages are smaller, and only another page can show it; one that would not fit is not asked for."""
    assert not _at(0.74, page_bytes=8 * MB)[0].paused
    assert _at(0.76, page_bytes=8 * MB)[0].paused
    assert _at(0.5, page_bytes=20 * MB)[0].paused


def test_without_a_limit_nothing_changes():
    """Redis may then use all of the machine."""
    made, _, said = _at(0.0, limit=0)

    assert (made.window(100), made.most_body_bytes, said) == (100, pressure.BODIES_BYTES, [])


def test_the_smaller_of_two_limits_counts():
    """A CRAWL_MAX_REDIS_MB above maxmemory cannot hold."""
    server = _Server(used=50 * MB)
    made = Pressure(server, "c", limit_bytes=1000 * MB)
    made.look()
    assert made.most_body_bytes == 25 * MB

    made = Pressure(server, "c", limit_bytes=40 * MB)
    made.look()
    assert made.paused


def test_it_says_each_thing_once_and_goes_on_below():
    """Slower, paused with the remedy, going on: one line each, and the crawl's hash says who paused."""
    made, server, said = _at(0.8)
    made.look()
    server.memory["used_memory"] = 95 * MB
    made.look()
    made.look()
    assert server.fields == {"paused_by": "memory"}
    server.memory["used_memory"] = 89 * MB
    made.look()
    assert made.paused
    server.memory["used_memory"] = 50 * MB
    made.look()

    assert [line.split(".")[0].split(":")[0] for line in said] == [
        "memory is short",
        "paused",
        "Redis holds 50 MB of 100 MB; going on",
    ]
    assert "raise maxmemory" in said[1]
    assert "--trim" in said[1]
    assert server.fields == {}


def test_seeds_of_a_stream_slow_down_and_stop():
    """One slice a second above three quarters, none while nothing is leased."""
    free, short, full = (_at(share)[0] for share in (0.5, 0.8, 0.95))

    assert [free.takes_seeds() for _ in range(3)] == [True, True, True]
    assert [short.takes_seeds() for _ in range(3)] == [True, False, False]
    assert [full.takes_seeds() for _ in range(3)] == [False, False, False]


def test_seeds_of_a_file_are_refused_before_redis_is_full():
    """What is admitted must have room to be worked on."""
    _at(0.89)[0].require_room_for_seeds()
    made, server, _ = _at(0.5)
    server.memory["used_memory"] = 91 * MB

    with pytest.raises(StoppedError, match=r"paused: memory\. Redis holds 91 MB of 100 MB, before all seeds"):
        made.require_room_for_seeds()


@pytest.mark.parametrize("leases", [0, 3])
def test_a_crawl_that_comes_to_nothing_stops(monkeypatch, leases):
    """Nothing in flight, or nothing that moves: there is nothing to wait for."""
    monkeypatch.setattr(pressure, "STALL_S", -1.0)
    monkeypatch.setattr(pressure, "STUCK_S", 1e9 if not leases else -1.0)
    server = _Server(used=95 * MB)
    server.leases = leases

    with pytest.raises(StoppedError, match=r"paused: memory.*crawl --name c"):
        Pressure(server, "c").look()


def test_a_crawl_with_work_under_way_waits(monkeypatch):
    """Its completions may free memory."""
    monkeypatch.setattr(pressure, "STALL_S", -1.0)
    server = _Server(used=95 * MB)
    server.leases = 3

    Pressure(server, "c").look()
