"""Ways to crawl: their names and their knobs are two spellings of one thing."""

from __future__ import annotations

import pytest

from crawl.errors import UsageError
from lab.way import Way, default, parse


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("prefork-2", Way("prefork", 2)),
        ("threads-32x2", Way("threads", 32, 2)),
        ("gevent-100+prefork-2", Way("gevent", 100, parse_pool="prefork", parse_concurrency=2)),
        (
            "gevent-100x2+prefork-2x3/b1",
            Way("gevent", 100, 2, batch=1, parse_pool="prefork", parse_concurrency=2, parse_processes=3),
        ),
        ("solo-1/fused/b5/events", Way("solo", 1, pipeline="fused", batch=5, events=True)),
    ],
)
def test_a_name_and_its_knobs_are_the_same(name, way):
    """What tables print can be asked for again."""
    assert way == parse(name)
    assert name == way.name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("threads-0", "'threads-0': a threads worker has 1 to 2000 slots, not 0"),
        ("gevent-9999", "has 1 to 2000 slots, not 9999"),
        ("solo-2", "'solo-2': a solo worker has 1 to 1 slots, not 2"),
        ("threads-2..10", "a range of slots means autoscale"),
        ("fibers-3", "'fibers' is none of prefork, threads, gevent, asyncio, solo"),
        ("threads", "expected POOL-SLOTS, such as gevent-100"),
        ("threads-4x0", "expected 1 to 512 worker processes, not 0"),
        ("gevent-4+prefork-2/fused", "nothing is split"),
        ("gevent-4/b0", "'b0' is none of fused, events, b1 to b1000"),
        ("gevent-4/quick", "'quick' is none of fused, events"),
        ("gevent-4+", "expected POOL-SLOTS"),
        ("", "expected POOL-SLOTS"),
        ("threads-\u0663", "expected POOL-SLOTS"),
        ("{foo}", "expected POOL-SLOTS"),
    ],
)
def test_what_is_no_way_is_one_line_that_names_it(text, said):
    """A combination that cannot run is refused before anything starts."""
    with pytest.raises(UsageError) as raised:
        parse(text)

    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_default_of_a_pool_is_the_tables():
    """32 threads, 100 greenlets, one process."""
    assert (default("threads").name, default("gevent", processes=2).name) == ("threads-32", "gevent-100x2")


def test_the_slots_of_all_processes_count():
    """What is asked for at once is what the pages wait for."""
    assert parse("threads-32x2").slots == 64
