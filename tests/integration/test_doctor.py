"""`poolcrawl doctor` names the pump services that are alive, and crawls that wait because there is none."""

from __future__ import annotations

import os
import re
import signal
import socket

import pytest
import standin
from stack import Directory, PrivateServer, wait_for

from crawl import keys, results
from crawl.frontier import Frontier
from producer.fleet import SERVICE_ALIVE_S

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]


def _pumps(done):
    return next(check for check in done.summary if check["what"] == "pump services")


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    """What doctor says: with nothing there, with crawls that nobody serves, with two services, with one again."""
    directory = Directory(tmp_path_factory.mktemp("doctor"))
    found = {}
    with PrivateServer(directory.path / "server") as server:

        def look(name):
            found[name] = directory.run("doctor", "--json", CRAWL_REDIS_URL=server.url)
            found[f"{name}, told"] = directory.run("doctor", CRAWL_REDIS_URL=server.url)

        look("nothing")
        for number in range(7):
            crawl = Frontier(server.client, f"shop-{number}")
            standin.admit(crawl, standin.options(), "http://shop.test/")
        server.client.set(keys.pump("shop-6"), "somebody", px=600_000)
        Frontier(server.client, "shop-0").cancel()
        look("waiting")
        pumps = [directory.start("pump", CRAWL_REDIS_URL=server.url) for _ in range(2)]
        wait_for(lambda: results.pump_services(server.client) == 2, "two services")
        found["pids"] = [pump.process.pid for pump in pumps]
        look("two")
        for pump in pumps:
            pump.interrupt(signal.SIGTERM)
            pump.ended()
        expired = standin.now_ms(server.client) - 1
        server.client.zadd(keys.pumps(), {f"dead-host-{os.getpid()}-abcdef": expired})
        look("dead")
    yield found
    directory.end()


def test_nobody_has_to_run_a_service(looked):
    """Where no crawl waits for one, none is nothing wrong."""
    check = _pumps(looked["nothing"])

    assert (True, "none alive", []) == (check["ok"], check["found"], check["services"])
    assert "ok   pump services: none alive" in looked["nothing, told"].stdout


@pytest.mark.parametrize("name", ["waiting", "dead"])
def test_crawls_that_nobody_goes_on_with_are_named(looked, name):
    """The newest five of them, how to go on, and exit 1; neither one that has an owner nor one that was cancelled."""
    check, told = _pumps(looked[name]), looked[f"{name}, told"]
    crawls = ["shop-1", "shop-2", "shop-3", "shop-4", "shop-5"]

    assert (False, []) == (check["ok"], check["services"])
    assert check["found"] == f"none alive, and nobody goes on with {', '.join(crawls)}"
    assert (1, 1) == (looked[name].code, told.code)
    assert "FAIL pump services: none alive, and nobody" in told.stdout
    assert "-> start `poolcrawl pump`" in told.stdout


def test_services_are_named_with_where_they_are_and_their_last_sign(looked):
    """Also for people; with a service no crawl is without an owner for long."""
    check, told = _pumps(looked["two"]), looked["two, told"].stdout

    assert check["ok"]
    assert sorted(looked["pids"]) == sorted(one["pid"] for one in check["services"])
    assert {socket.gethostname()} == {one["host"] for one in check["services"]}
    assert all(0 <= one["seen_s"] < SERVICE_ALIVE_S for one in check["services"])
    for one in check["services"]:
        assert f"{one['name']} (pid {one['pid']} on {one['host']}, last seen" in told


def test_only_that_check_has_the_new_field(looked):
    """The others keep the fields they have."""
    others = [check for check in looked["two"].summary if check["what"] != "pump services"]

    assert others
    assert {"what", "ok", "found", "remedy"} == set().union(*others)


def test_a_stack_that_was_left_up_is_its_own_service(tmp_path):
    """Without CRAWL_REDIS_URL, in its state directory; where nothing runs, nothing is said of services."""
    directory = Directory(tmp_path)
    try:
        before = directory.run("doctor", "--json").summary
        done = directory.run("crawl", "http://shop.invalid/", "--detach")
        check = _pumps(directory.run("doctor", "--json"))
        stack = directory.run_json()["parent"]["pid"]
        directory.run("stop")
    finally:
        directory.end()

    assert "pump services" not in [check["what"] for check in before]
    assert done.code == 0, done.stderr
    assert (True, [stack]) == (check["ok"], [one["pid"] for one in check["services"]])


def test_a_redis_that_is_full_fails(tmp_path):
    """It takes the writes that are tried, and no crawl would go on: exit 1 with what to do; the limit may be ours."""
    directory = Directory(tmp_path)
    with PrivateServer(tmp_path / "server") as server:
        server.client.config_set("appendonly", "yes")
        free = directory.run("doctor", CRAWL_REDIS_URL=server.url)
        ours = directory.run("doctor", CRAWL_REDIS_URL=server.url, CRAWL_MAX_REDIS_MB="1")
        server.client.config_set("maxmemory", server.client.info("memory")["used_memory"] // 2)
        full = directory.run("doctor", CRAWL_REDIS_URL=server.url)
        (check,) = (
            one
            for one in directory.run("doctor", "--json", CRAWL_REDIS_URL=server.url).summary
            if one["what"] == "redis memory"
        )
    directory.end()

    assert re.search(r"^ok   redis memory: \d+\.\d MB, without a limit$", free.stdout, re.MULTILINE)
    for done, limit in ((ours, r"1\.0 MB"), (full, r"\d+\.\d MB")):
        line = rf"^FAIL redis memory: \d+\.\d MB of {limit}, \d+ %; crawls pause .* -> raise maxmemory .*--trim`$"
        assert re.search(line, done.stdout, re.MULTILINE), done.stdout
        assert (1, "") == (done.code, done.stderr)
    assert "ok   redis writes: taken" in full.stdout
    assert (False, "raise maxmemory") == (check["ok"], check["remedy"][:15])
