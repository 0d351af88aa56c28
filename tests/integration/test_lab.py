"""The benchmark against real servers: its counts are true, its site is served, one small run goes through."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import urllib.request

import pytest
import redis

from crawl import results
from lab import counters, frontierload, load, memory, site, webserver
from lab.rig import lone_server


@pytest.fixture(name="lone")
def _lone(tmp_path):
    with lone_server(tmp_path / "state") as client:
        yield client


def _commands(client: redis.Redis) -> None:
    """Send what workers send: scripts, transactions, pipelines, blocking reads that end and that do not."""
    script = client.register_script(
        "for n = 1, 50 do redis.call('SADD', KEYS[1], n) end return redis.call('SCARD', KEYS[1])"
    )
    for _ in range(3):
        assert script(keys=["set"]) == 50
    for transaction in (True, False):
        with client.pipeline(transaction=transaction) as pipe:
            pipe.lpush("list", "a", "b").hset("hash", "x", "1").pexpire("hash", 60_000)
            pipe.execute()
    assert client.brpop(["list"], timeout=1)
    assert client.brpop(["none"], timeout=1) is None
    with pytest.raises(redis.ResponseError):
        client.lpush("hash", "wrong type")


def _monitored(client: redis.Redis, end: str) -> list[str]:
    """Return who sent each command until `end` is echoed: `lua` for a script, else an address."""
    seen: list[str] = []
    ready = threading.Event()

    # A client of its own, lest it take the open connection away from the commands that are counted.
    known = client.connection_pool.connection_kwargs
    listener = redis.Redis(host=known["host"], port=known["port"], password=known["password"])

    def listen() -> None:
        with listener.monitor() as monitor:
            ready.set()
            while (found := monitor.next_command())["command"] != f"ECHO {end}":
                seen.append(found["client_type"])

    thread = threading.Thread(target=listen)
    thread.start()
    assert ready.wait(10)
    _commands(client)
    client.echo(end)
    thread.join(10)
    listener.close()
    return seen


def test_commands_of_clients_are_counted_as_monitor_tells_them(lone):
    """The mark of two commands a page rests on a count that knows scripts from clients."""
    counters.watch(lone)
    _commands(lone)
    before = counters.read(lone)
    _commands(lone)
    traffic = counters.between(before, counters.read(lone))
    told = _monitored(lone, "over")

    assert len([who for who in told if who != "lua"]) == traffic.sent
    assert len([who for who in told if who == "lua"]) == traffic.in_scripts == 3 * 51


def test_a_frontier_is_measured_within_its_marks(lone):
    """The measuring itself: what waits and what was seen add up to something plausible."""
    found = memory.footprints(lone, sizes=(20_000,))[0]

    assert memory.URL_LENGTH < found.waiting < 160
    # Few members share the cost of a bucket here; the marks are about a hundred thousand.
    assert 8 < found.seen < 150
    assert found.tombstone is not None
    assert 36 < found.tombstone


def test_the_speed_of_frontiers_of_two_sizes_is_compared(lone, monkeypatch):
    """Each shape has both sizes; a frontier keeps its size, and closed what it says it closed."""
    monkeypatch.setattr(frontierload, "URLS_A_ROUND", 100)
    found = frontierload.compare(lone, few=300, many=1200, rounds=3)

    assert [(one.shape, one.few, one.many) for one in found] == [
        ("one host", 300, 1200),
        ("many hosts", 300, 1200),
    ]
    for one in found:
        assert min(one.few_urls_s, one.many_urls_s, one.few_redis_us, one.many_redis_us, one.ratio) > 0
    for crawl in ("one-300", "many-1200"):
        status = results.status(lone, crawl)
        assert status.done >= 4 * 100
        assert status.waiting == int(crawl.partition("-")[2])


@pytest.mark.parametrize("nginx", [None, ""], ids=["nginx where there is one", "aiohttp"])
def test_the_site_is_served_as_it_was_generated(tmp_path, nginx):
    """Whatever serves it, a crawler sees the same bytes and types."""
    small = site.generate(tmp_path / "www", pages=60)
    with webserver.serve(small.root, tmp_path / "run", nginx=nginx) as server:
        for path, name in (
            ("", "index.html"),
            ("p/000059.html", "p/000059.html"),
            ("robots.txt", "robots.txt"),
        ):
            with urllib.request.urlopen(server.url + path, timeout=10) as answer:
                assert (small.root / name).read_bytes() == answer.read()
                expected = "text/plain" if path == "robots.txt" else "text/html"
                assert expected == answer.headers.get_content_type()
        expected = (
            "nginx" if nginx is None and shutil.which("nginx", path=webserver.search_path()) else "aiohttp"
        )

        assert expected == server.kind
        assert (server.note is None) == (server.kind == "nginx")
        assert load.fetch_many(load.of_site(server.port, 60), 0, 120).answers == 120


def test_a_small_benchmark_runs_and_prints_json(tmp_path):
    """One trial from site to table: every page, a clean audit, numbers in all columns."""
    words = ["bench", "--pools", "threads", "--pipelines", "callback", "--pages", "60", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "poolcrawl", *words],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = json.loads(done.stdout)
    run = found["trials"][0]["each"][0]

    assert found["trials"][0]["name"] == "threads/callback"
    assert run["pages"] == 60
    assert run["worker_cpu_s"] > 0
    assert run["producer_cpu_s"] > 0
    assert run["worker_bytes"] > 10_000_000
    assert run["client_commands"] > 0
    assert len(run["digest"]) == 64
    assert "threads/callback" in done.stderr
    assert list(tmp_path.iterdir()) == []
