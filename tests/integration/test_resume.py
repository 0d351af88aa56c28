"""A crawl that is interrupted, killed, or loses its workers goes on where it was, and ends with the same records."""

from __future__ import annotations

import re
import signal
import time

import psutil
import pytest
from equal import undisturbed
from stack import POOLS, Directory, at_once, wait_for

from crawl import results
from demo.expected import expected_records
from demo.hosts import HOSTS

#: The first test to ask for the undisturbed digest makes the crawls of tests/equal.py.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def directory(tmp_path):
    made = Directory(tmp_path)
    yield made
    made.end()


def begun(directory: Directory, name: str, *arguments: str, least: float = 0.3):
    """Start a demo crawl and return it when `least` of its pages are done, with a client of its server."""
    running = directory.start("demo", "--name", name, *arguments)
    client = directory.client()

    def far_enough():
        assert running.process.poll() is None, running.stderr.read_text()
        if name not in results.crawls(client):
            return None
        # The front page alone is no crawl to interrupt.
        status = results.status(client, name)
        return status if status.done_share >= least and status.done > 20 else None

    status = wait_for(far_enough, f"{least:.0%} of {name}", 60, every_s=0.005)
    assert status.done_share < 0.95, "the crawl was over before it could be disturbed"
    return running, client


def urls_of(requests):
    """Return the canonical URLs of requests in the site's log."""
    origins = {host.name: host.origin for host in HOSTS}
    return {origins[entry["host"]] + entry["path"] for entry in requests if entry["host"] in origins}


def test_an_interrupted_demo_goes_on_where_it_was(directory):
    """Ctrl-C half-way: exit 130, no process left, one line with the command that continues it.

    That command starts the site on the same ports and asks for no page again that had its record.
    """
    running, _ = begun(directory, "halfway", "--pool", "threads", "--concurrency", "4", "--latency", "0.5")
    running.interrupt()
    interrupted = running.ended(60)
    left = directory.left()
    ports = (directory.state / "site.json").read_text()
    finished = {record["url"] for record in directory.records("halfway")}
    before = directory.requests()

    assert interrupted.code == 130
    assert left == []
    assert "continues with `poolcrawl demo --name halfway`" in interrupted.stderr
    assert "Traceback" not in interrupted.stderr
    assert 20 < len(finished) < 295

    resumed = directory.run("demo", "--name", "halfway", "--pool", "threads", "--latency", "0", "--json")
    again = directory.requests()[len(before) :]

    assert resumed.code == 0, resumed.stderr
    assert _ports(ports) == _ports((directory.state / "site.json").read_text())
    assert again
    assert set() == urls_of(again) & finished
    assert resumed.summary["pages"] == 300
    audit = directory.audit("halfway")
    assert (0, 0, undisturbed()) == (audit["missing"], audit["duplicate"], audit["digest"])
    assert directory.left() == []


def _ports(text):
    return re.findall(r'"(?:rough_)?port": \d+', text)


def test_a_finished_crawl_is_not_crawled_again(directory):
    """`--name` of a crawl that has ended says so and exits 0."""
    done = directory.run(
        "crawl", "http://127.0.0.1:9/", "--name", "over", "--depth", "0", CRAWL_MAX_ATTEMPTS="1"
    )
    again = directory.run("crawl", "--name", "over")

    assert done.code == 1
    assert again.code == 0
    assert "'over' is finished already" in again.stderr


def test_a_killed_parent_leaves_nothing_and_loses_nothing(directory):
    """SIGKILL of `poolcrawl demo`: its children end by themselves, and the crawl can be continued to the same end."""
    running, _ = begun(directory, "killed", "--pool", "prefork", "--latency", "0.2")
    running.interrupt(signal.SIGKILL)
    killed = running.ended(10)
    wait_for(lambda: not directory.left(), "the children of a killed parent end", 40)

    resumed = directory.run(
        "demo", "--name", "killed", "--pool", "gevent", "--latency", "0", CRAWL_LEASE_S="3"
    )
    audit = directory.audit("killed")

    assert killed.code == -signal.SIGKILL
    assert resumed.code == 0, resumed.stderr
    assert (0, 0, undisturbed()) == (audit["missing"], audit["duplicate"], audit["digest"])
    assert directory.left() == []


def surprises(directory: Directory):
    """Return the records that are not what the site promises: they tell more than two digests that differ."""
    promised = expected_records()
    return [
        (record["url"], record["outcome"], record["reason"], record["detail"])
        for record in directory.records()
        if promised.get(record["url"]) != (record["outcome"], record["reason"])
    ]


def disturb(directory: Directory, pool: str):
    """Run a demo crawl whose worker is killed in the middle; return what it said and its audit."""
    environment = {"CRAWL_LEASE_S": "3", "CRAWL_POOL": pool}
    directory.environment = environment
    running, _ = begun(directory, "disturbed", "--json", "--latency", "0.3", least=0.25)
    record = directory.run_json()
    assert record is not None
    (pid,) = [process["pid"] for process in record["others"] if process["name"] == "worker-1"]
    victims = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    killed_at = time.time()
    for victim in victims:
        victim.kill()
    done = running.ended()
    return done, directory.audit("disturbed"), killed_at, surprises(directory)


def test_a_killed_worker_costs_time_but_no_page(tmp_path):
    """SIGKILL of the only worker, its children included, in every pool: it is started again, the records are the same.

    The four crawls run at the same time.
    """
    directories = [Directory(tmp_path / pool) for pool in POOLS]
    try:
        found = at_once(lambda one: disturb(one, one.path.name), directories)
        left = [process for one in directories for process in one.left()]
    finally:
        for one in directories:
            one.end()

    for directory, (done, audit, killed_at, wrong) in zip(directories, found, strict=True):
        pool = directory.path.name
        assert done.code == 0, f"{pool}: {done.stderr}"
        assert "worker-1 ended (killed by SIGKILL); starting it again" in done.stderr, pool
        assert wrong == [], f"{pool}: {done.stderr}"
        after = [entry for entry in directory.requests() if entry["time"] > killed_at]
        assert after, f"{pool}: the new worker fetched nothing"
        assert (0, 0, undisturbed()) == (audit["missing"], audit["duplicate"], audit["digest"]), pool
    assert left == []
