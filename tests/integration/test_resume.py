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


@pytest.fixture(scope="module")
def happened(tmp_path_factory):
    """What came of every disturbance, by its name. They happen at the same time: each mostly waits for timeouts."""
    base = tmp_path_factory.mktemp("resume")
    works = {"interrupted": interrupt, "killed": kill_parent} | dict.fromkeys(POOLS, kill_worker)

    def work(name: str):
        directory = Directory(base / name)
        try:
            return name, works[name](directory)
        finally:
            directory.end()

    return dict(at_once(work, works, len(works)))


@pytest.fixture
def directory(tmp_path):
    made = Directory(tmp_path)
    yield made
    made.end()


def begun(directory: Directory, name: str, *arguments: str, least: float = 0.3):
    """Start a demo crawl and return it when `least` of its pages are done, with a client of its server."""
    # Only leases of a lost worker are waited for; short ones make that quick.
    running = directory.start("demo", "--name", name, *arguments, CRAWL_LEASE_S="3")
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


def interrupt(directory: Directory):
    """Ctrl-C half-way, then the command that the interrupted one names."""
    running, _ = begun(directory, "halfway", "--pool", "threads", "--concurrency", "4", "--latency", "0.5")
    running.interrupt()
    interrupted = running.ended(60)
    left = directory.left()
    ports = _ports(directory)
    finished = {record["url"] for record in directory.records("halfway")}
    before = directory.requests()
    resumed = directory.run("demo", "--name", "halfway", "--pool", "threads", "--latency", "0", "--json")
    again = directory.requests()[len(before) :]
    same_ports = ports == _ports(directory)
    audit = directory.audit("halfway")
    return interrupted, left, finished, resumed, again, same_ports, audit, directory.left()


def test_an_interrupted_demo_goes_on_where_it_was(happened):
    """Ctrl-C half-way: exit 130, no process left, one line with the command that continues it.

    That command starts the site on the same ports and asks for no page again that had its record.
    """
    interrupted, left, finished, resumed, again, same_ports, audit, left_after = happened["interrupted"]

    assert interrupted.code == 130
    assert left == []
    assert "continues with `poolcrawl demo --name halfway`" in interrupted.stderr
    assert "Traceback" not in interrupted.stderr
    assert 20 < len(finished) < 295
    assert resumed.code == 0, resumed.stderr
    assert same_ports
    assert again
    assert set() == urls_of(again) & finished
    assert resumed.summary["pages"] == 300
    assert (0, 0, undisturbed()) == (audit["missing"], audit["duplicate"], audit["digest"])
    assert left_after == []


def _ports(directory: Directory):
    return re.findall(r'"(?:rough_)?port": \d+', (directory.state / "site.json").read_text())


def test_a_finished_crawl_is_not_crawled_again(directory):
    """`--name` of a crawl that has ended says so and exits 0."""
    done = directory.run(
        "crawl", "http://127.0.0.1:9/", "--name", "over", "--depth", "0", CRAWL_MAX_ATTEMPTS="1"
    )
    again = directory.run("crawl", "--name", "over")

    assert done.code == 1
    assert again.code == 0
    assert "'over' is finished already" in again.stderr


def kill_parent(directory: Directory):
    """SIGKILL `poolcrawl demo`, wait until its children have ended by themselves, and continue the crawl."""
    running, _ = begun(directory, "killed", "--pool", "prefork", "--latency", "0.2")
    running.interrupt(signal.SIGKILL)
    killed = running.ended(10)
    wait_for(lambda: not directory.left(), "the children of a killed parent end", 60)
    resumed = directory.run(
        "demo", "--name", "killed", "--pool", "gevent", "--latency", "0", CRAWL_LEASE_S="3"
    )
    return killed, resumed, directory.audit("killed"), directory.left()


def test_a_killed_parent_leaves_nothing_and_loses_nothing(happened):
    """SIGKILL of `poolcrawl demo`: its children end by themselves, and the crawl can be continued to the same end."""
    killed, resumed, audit, left = happened["killed"]

    assert killed.code == -signal.SIGKILL
    assert resumed.code == 0, resumed.stderr
    assert (0, 0, undisturbed()) == (audit["missing"], audit["duplicate"], audit["digest"])
    assert left == []


def surprises(directory: Directory):
    """Return the records that are not what the site promises: they tell more than two digests that differ."""
    promised = expected_records()
    return [
        (record["url"], record["outcome"], record["reason"], record["detail"])
        for record in directory.records()
        if promised.get(record["url"]) != (record["outcome"], record["reason"])
    ]


def kill_worker(directory: Directory):
    """SIGKILL the only worker of a demo crawl, its children included, in the pool the directory is named after."""
    running, _ = begun(
        directory, "disturbed", "--json", "--latency", "0.3", "--pool", directory.path.name, least=0.25
    )
    record = directory.run_json()
    assert record is not None
    (pid,) = [process["pid"] for process in record["others"] if process["name"] == "worker-1"]
    victims = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    killed_at = time.time()
    for victim in victims:
        victim.kill()
    done = running.ended()
    after = [entry for entry in directory.requests() if entry["time"] > killed_at]
    return done, after, surprises(directory), directory.audit("disturbed"), directory.left()


@pytest.mark.parametrize("pool", POOLS)
def test_a_killed_worker_costs_time_but_no_page(happened, pool):
    """SIGKILL of the only worker in every pool: it is started again, and the records are the same."""
    done, after, wrong, audit, left = happened[pool]

    assert done.code == 0, done.stderr
    assert "worker-1 ended (killed by SIGKILL); starting it again" in done.stderr
    assert wrong == [], done.stderr
    assert after, "the new worker fetched nothing"
    assert (0, 0, undisturbed()) == (audit["missing"], audit["duplicate"], audit["digest"])
    assert left == []
