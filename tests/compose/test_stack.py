"""The crawl in containers: every pool, Flower in a browser, killed workers, several workers, split workers."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request

import pytest
from compose import browser
from compose.stack import Stack, wait_for

from crawl.names import FETCH_TASK, PARSE_TASK
from demo.expected import expected_records

pytestmark = pytest.mark.timeout(480)

#: Pool -> longest demo crawl, in seconds: solo fetches one page at a time, some of which take seconds on purpose.
POOLS = {"threads": 120, "prefork": 120, "gevent": 120, "asyncio": 120, "solo": 300}
LONG_RUNNING = ("redis", "site", "worker", "pump", "flower")


@pytest.fixture(scope="session")
def digests():
    """Digest of every finished demo crawl, by what was special about it; all must be one."""
    return {}


@pytest.fixture(scope="session", params=POOLS)
def pool(request, stack):
    """The stack's workers on one pool; session scope, so that pytest runs all tests of a pool together."""
    stack.settings["CRAWL_POOL"] = request.param
    return request.param


def finishes(stack: Stack, digests: dict[str, str], label: str, within_s: float) -> str:
    """Assert that the producer exits 0 with a complete crawl whose digest is that of all others; return its log."""
    code, log = stack.producer_ends(within_s)
    assert code == 0, log
    audit = stack.audit()
    digests[label] = audit["digest"]

    assert (len(expected_records()), 0, 0) == (audit["records"], audit["missing"], audit["duplicate"]), log
    assert len(set(digests.values())) == 1, digests
    return log


def healthy(stack: Stack, *services: str) -> bool:
    states = [each["State"] for service in services for each in stack.containers(service)]
    return bool(states) and all(state.get("Health", {}).get("Status") == "healthy" for state in states)


class TestEveryPool:
    def test_the_demo_crawl_ends_well_and_everything_else_stays_up(self, stack, digests, pool):
        """`docker compose up`: the producer exits 0 with the one digest; the services stay, all healthy."""
        stack.up()
        log = finishes(stack, digests, pool, POOLS[pool])

        address = f"http://127.0.0.1:{stack.flower_port}"
        lines = [line for line in log.splitlines() if line.strip()]
        for line in (lines[0], lines[-1]):
            assert address in line, log
            assert "make flower-password" in line, log
        wait_for(lambda: healthy(stack, *LONG_RUNNING), "all services healthy", 30)

    def test_flower_shows_the_workers_and_every_task_in_a_browser(self, stack, pool):
        """Worker names say the pool; each fetch has one parse of its own, all succeeded, with readable arguments."""
        address = f"http://127.0.0.1:{stack.flower_port}"
        with browser.opened(address, "poolcrawl", stack.flower_password()) as page:
            workers = browser.worker_names(page)
            rows = [row for row in browser.tasks(page) if any(w in row["worker"] for w in workers)]
            known = browser.api_tasks(page)

        assert workers
        assert all(pool in name for name in workers), workers
        assert {FETCH_TASK, PARSE_TASK} == {row["name"] for row in rows}
        assert {"SUCCESS"} == {row["state"] for row in rows}
        assert all("http" in row["args"] or re.search(r"\d", row["args"]) for row in rows), rows[:3]
        assert not any("<html" in row["args"] + row["result"] for row in rows)

        shown = {row["uuid"]: row for row in rows}
        fetches = [uuid for uuid, row in shown.items() if row["name"] == FETCH_TASK]
        parents = [_parent(known[uuid]) for uuid, row in shown.items() if row["name"] == PARSE_TASK]
        assert sorted(fetches) == sorted(parents)

    def test_a_crawl_survives_the_death_of_every_worker(self, stack, digests, pool):
        """SIGKILL in the middle; restarted by the engine, the crawl ends as if nothing had happened."""
        _up_in_small_steps(stack)
        done = wait_for(lambda: _progress(stack), "20 % of the crawl is done", POOLS[pool], every_s=0.2)
        before = stack.containers("worker")[0]
        # Every process of the container but its init, which ends with them: what the kernel does when memory is out.
        stack.compose("exec", "-T", "worker", "sh", "-c", "kill -9 -1", check=False)

        assert 20 <= done <= 80
        wait_for(
            lambda: stack.containers("worker")[0]["RestartCount"] > before["RestartCount"], "a restart", 30
        )
        finishes(stack, digests, f"{pool}, killed at {done:.0f} %", POOLS[pool] + 120)


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
    _up_in_small_steps(stack)
    wait_for(lambda: _progress(stack), "20 % of the crawl is done", 60, every_s=0.2)
    stack.compose("kill", "producer")
    unfinished = json.loads(stack.poolcrawl("status", "--json").splitlines()[-1])
    stack.up()
    log = finishes(stack, digests, "continued", 180)

    assert unfinished["state"] == "running"
    assert stack.audit()["crawl"] == unfinished["crawl"], log


def test_a_crawl_survives_a_killed_redis_and_a_frozen_worker(stack, digests):
    """SIGKILL of Redis, which starts again on its append-only file, and a worker paused for longer than its leases."""
    stack.settings["CRAWL_POOL"] = "threads"
    _up_in_small_steps(stack)
    wait_for(lambda: _progress(stack), "20 % of the crawl is done", 60, every_s=0.2)
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
        records = _records(stack)
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
        records = _records(stack)
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


def _parent(task: dict[str, object]) -> object:
    return task.get("parent_id") or task.get("parent")


def _up_in_small_steps(stack: Stack) -> None:
    """Start a crawl whose middle lasts long enough to be met in the fast pools too.

    Leases are short, since what a dead worker held comes back when they end.
    """
    given = dict(stack.settings)
    stack.settings |= {"CRAWL_WINDOW": "4", "CRAWL_BATCH": "2", "CRAWL_LEASE_S": "10"}
    try:
        stack.up()
    finally:
        stack.settings = given


def _progress(stack: Stack) -> float | None:
    """Return the percentage of the running crawl's pages that have records, once that is at least 20."""
    shown = stack.compose("exec", "-T", "producer", "poolcrawl", "status", "--json", check=False).stdout
    if not shown.strip():
        return None
    status = json.loads(shown.splitlines()[-1])
    done = 100 * status["pages"] / len(expected_records())
    # Before the producer has made its crawl, the newest one is the finished one before it.
    return done if status["state"] == "running" and done >= 20 else None


def _records(stack: Stack) -> list[dict[str, object]]:
    return [json.loads(line) for line in stack.poolcrawl("export").splitlines()]


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
