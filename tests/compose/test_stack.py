"""The crawl in containers: Flower's login, killed workers and servers, several workers, split workers, the lab."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request

import pytest
from compose.crawls import LONG_RUNNING, finishes, healthy, progress, records_of, up_in_small_steps
from compose.stack import wait_for

pytestmark = pytest.mark.timeout(480)


def test_flower_refuses_whoever_has_no_login(stack):
    """Neither its pages nor its API answer without the password."""
    stack.up("flower")
    wait_for(lambda: healthy(stack, "flower"), "Flower is healthy", 60)
    for path in ("/", "/workers", "/tasks", "/broker", "/api/tasks"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{stack.flower_port}{path}", timeout=10)

        refused.value.close()
        assert refused.value.code == 401, path


def test_the_next_up_continues_an_unfinished_demo_crawl(stack, digests):
    """A producer that was killed leaves a crawl; the next one finishes that crawl and starts no other."""
    up_in_small_steps(stack)
    wait_for(lambda: progress(stack), "20 % of the crawl is done", 60, every_s=0.2)
    stack.compose("kill", "producer")
    unfinished = json.loads(stack.poolcrawl("status", "--json").splitlines()[-1])
    stack.up()
    log = finishes(stack, digests, "continued", 180)

    assert unfinished["state"] == "running"
    assert stack.audit()["crawl"] == unfinished["crawl"], log


def test_a_crawl_survives_a_killed_redis_and_a_frozen_worker(stack, digests):
    """SIGKILL of Redis, which starts again on its append-only file, and a worker paused for longer than its leases."""
    stack.settings["CRAWL_POOL"] = "threads"
    up_in_small_steps(stack)
    wait_for(lambda: progress(stack), "20 % of the crawl is done", 60, every_s=0.2)
    before = stack.containers("redis")[0]
    stack.compose("exec", "-T", "redis", "sh", "-c", "kill -9 -1", check=False)
    wait_for(lambda: stack.containers("redis")[0]["RestartCount"] > before["RestartCount"], "a restart", 30)
    stack.compose("pause", "worker")
    time.sleep(12)  # longer than the leases of small steps
    stack.compose("unpause", "worker")

    finishes(stack, digests, "redis killed, worker frozen", 180)


def test_three_workers_share_one_crawl(stack, digests):
    """`--scale worker=3`: the same digest, and every worker has a part in it."""
    stack.settings |= {
        "CRAWL_POOL": "threads",
        "CRAWL_CONCURRENCY": "2",
    }  # so that one worker alone cannot take everything
    try:
        stack.up("--scale", "worker=3", "--force-recreate")
        finishes(stack, digests, "three workers", 180)
        records = records_of(stack)
    finally:
        del stack.settings["CRAWL_CONCURRENCY"]

    assert len({record["worker"] for record in records if record["worker"]}) == 3


def test_split_workers_keep_to_their_own_stage(stack, digests):
    """With compose.split.yml no worker serves both stages: it stands in the records."""
    stack.settings["CRAWL_POOL"] = ""
    stack.settings |= {"CRAWL_FETCH_POOL": "gevent", "CRAWL_PARSE_POOL": "prefork"}
    stack.files = ("docker-compose.yml", "compose.split.yml")
    try:
        stack.up("--force-recreate")
        finishes(stack, digests, "split", 180)
        records = records_of(stack)
    finally:
        stack.files = ("docker-compose.yml",)
        del stack.settings["CRAWL_FETCH_POOL"], stack.settings["CRAWL_PARSE_POOL"]

    parsed = [record for record in records if record["outcome"] == "ok"]
    assert {("gevent", "prefork")} == {(record["pool"], record["parse_pool"]) for record in parsed}
    assert set() == {r["worker"] for r in parsed} & {r["parse_worker"] for r in parsed}


def test_another_crawl_writes_its_output_into_the_volume(stack):
    """`docker compose run --rm producer crawl URL --output FILE`, and the file is there for a later container."""
    stack.up("worker", "flower")
    stack.compose(
        *("run", "--rm", "-T", "producer", "crawl", "http://alpha.demo.test/"),
        *("--depth", "0", "--delay", "0", "--output", "one.jsonl"),
    )
    text = stack.compose(
        "run", "--rm", "--no-deps", "-T", "--entrypoint", "cat", "producer", "/data/one.jsonl"
    ).stdout

    assert [json.loads(line)["url"] for line in text.splitlines()] == ["http://alpha.demo.test/"]


def test_a_detached_crawl_is_served_by_the_pump_service(stack):
    """`crawl --detach` returns its name; nobody follows it, and it ends."""
    stack.up("worker", "flower", "pump")
    seed = ("http://alpha.demo.test/", "--depth", "0", "--delay", "0")
    name = stack.compose("run", "--rm", "-T", "producer", "crawl", *seed, "--detach").stdout.split()[-1]
    wait_for(lambda: '"state": "finished"' in stack.poolcrawl("status", name, "--json"), "its end", 60)

    assert f"{name}: finished" in stack.logs("pump")


def test_the_image_has_no_compiler_and_no_root(stack):
    """What runs is a plain user, on a file system it cannot write, with nothing to build with."""
    probe = "id -u; command -v gcc cc make ld; touch /opt/x 2>/dev/null && echo writable; echo end"
    seen = stack.compose(
        "run", "--rm", "--no-deps", "-T", "--entrypoint", "sh", "producer", "-c", probe
    ).stdout

    assert seen.split() == ["10001", "end"]


def test_only_flower_is_published_and_only_on_this_machine(stack):
    """Redis and the site have no port on the host; Flower's is bound to 127.0.0.1."""
    stack.up("worker", "flower")
    published = [
        (each["Config"]["Labels"]["com.docker.compose.service"], binding["HostIp"], int(binding["HostPort"]))
        for each in stack.containers()
        for bindings in each["NetworkSettings"]["Ports"].values()
        for binding in bindings or ()
    ]

    assert [("flower", "127.0.0.1", stack.flower_port)] == published


def test_stopping_ends_every_service_by_itself(stack):
    """`docker compose stop` drains: no worker has to be killed when its time is up."""
    stack.up("worker", "pump", "flower")
    wait_for(lambda: healthy(stack, *LONG_RUNNING), "all services healthy", 60)
    stack.compose("stop")

    ends = {each["Name"]: each["State"]["ExitCode"] for each in stack.containers()}
    assert {0} == set(ends.values()), ends


def test_the_lab_runs_in_a_container_of_its_own(stack):
    """One command measures in there, without a network, and its report is in the volume."""
    words = ("--workloads", "lan", "--pages", "60", "--ways", "threads-4,gevent-4", "--repeat", "1")
    done = stack.compose("run", "--rm", "-T", "lab", *words, "--report", "/data/bench", "--json")
    found = json.loads(done.stdout.splitlines()[-1])
    reading = ("--no-deps", "--entrypoint", "cat", "lab", "/data/bench/report.html")
    report = stack.compose("run", "--rm", "-T", *reading).stdout

    assert [trial["valid"] for trial in found["trials"]] == [True, True]
    assert [timeline["pool"] for timeline in found["timelines"]] == ["threads", "gevent"]
    assert "<svg" in report
