"""Pages that end their worker or hold it for ever, and workers that grow: in every pool nothing else is charged."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import NamedTuple

import pytest
from stack import POOLS, Directory, at_once, wait_for
from website import Website

pytestmark = pytest.mark.slow

HOST = "h.test"
#: Pages and what each does to the process that parses it: all of them where a new process is cheap; elsewhere some,
#: since each costs a start, so that each guard of every pool is tried (what holds gevent or solo holds all of it).
KILLERS = {
    "prefork": ("loop", "pattern", "abort", "memory"),
    "threads": ("loop", "pattern", "memory"),
    "gevent": ("loop", "abort"),
    "asyncio": ("loop", "pattern"),
    "solo": ("pattern", "memory"),
}
GOOD = 16
SLOTS = "4"
EXTRACTOR = """
import os, re, resource, signal

def read(url, tree, data):
    page = url.rpartition("/")[2]
    if page == "loop":
        while True:
            pass
    if page == "pattern":
        re.match("(a+)+$", "a" * 64 + "b")
    if page == "abort":
        os.abort()
    if page == "memory":
        # Until the limit, and then what the system does to a process that has taken all there is.
        used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), resource.RLIM_INFINITY))
        held = []
        try:
            while True:
                held.append(bytearray(16 << 20))
        except MemoryError:
            os.kill(os.getpid(), signal.SIGKILL)
    return {"page": page}

kept = []

def leak(url, tree, data):
    kept.append(os.urandom(1 << 20) * 16)
    return {"page": url.rpartition("/")[2]}
"""
#: One killer costs three workers: two deaths that make it a suspect, and one by itself.
LOSSES = 2
TIMEOUT_S = 2.0
#: Pages of which each leaves memory behind, how long each takes the site, and the limit of the workers.
LEAKS, SLOW_S, LIMIT_MB = 24, 0.3, 220
#: So long that waiting for one would be seen, on a busy machine too.
LEASE_S = 60


class Crawled(NamedTuple):
    """What one crawl came to."""

    records: dict
    count: int
    asked: Counter
    log: str
    said: str
    code: int


def _page(request):
    if killers := KILLERS.get(request.path[1:]):
        links = [f"/{name}" for name in (*killers, *(f"good-{n}" for n in range(GOOD)))]
        return "".join(f"<a href={link}>page</a>" for link in links)
    time.sleep(0.02 if request.path.startswith("/good") else SLOW_S)
    return f"<title>{request.path}</title>"


def _crawl(pool, path, seeds, function, *options, **settings):
    path.mkdir(parents=True)
    (path / "killers.py").write_text(EXTRACTOR)
    directory = Directory(path, {"PYTHONPATH": str(path)})
    site = Website({HOST: _page})
    with site:
        chosen = ["--delay", "0", "--robots", "ignore", "--pool", pool, "--output", "pages.jsonl"]
        chosen += ["--extractor", f"killers:{function}", *site.resolve(HOST), *options]
        done = directory.run(
            "crawl", *(site.url(HOST, seed) for seed in seeds), *chosen, CRAWL_BATCH="4", **settings
        )
    try:
        records = [json.loads(line) for line in (path / "pages.jsonl").read_text().splitlines()]
        log = (directory.state / "logs" / "worker-1.log").read_text()
    finally:
        directory.end()
    found = {record["url"].rpartition("/")[2]: record for record in records}
    asked = Counter(one.target for one in site.log)
    return Crawled(found, len(records), asked, log, done.stderr, done.code)


@pytest.fixture(scope="module")
def crawls(tmp_path_factory):
    """By pool: a crawl of two dozen good pages with all the killers among them."""

    def crawl(pool):
        return _crawl(
            pool,
            tmp_path_factory.mktemp("hazards") / pool,
            [f"/{pool}"],
            "read",
            *([] if pool == "solo" else ["--concurrency", SLOTS]),
            CRAWL_MAX_LOSSES=str(LOSSES),
            CRAWL_PARSE_TIMEOUT_S=str(TIMEOUT_S),
        )

    return dict(zip(POOLS, at_once(crawl, POOLS), strict=True))


@pytest.mark.parametrize("pool", POOLS)
def test_pages_that_kill_or_hold_their_worker_end_as_lost_and_nothing_else_does(crawls, pool):
    """A loop, a pattern that holds the interpreter, a crash in native code, endless memory: those URLs, no other."""
    crawled = crawls[pool]

    assert crawled.code == 0, crawled.said
    lost = {page for page, record in crawled.records.items() if record["reason"] == "lost"}
    assert set(KILLERS[pool]) == lost, crawled.said
    good = [record for page, record in crawled.records.items() if page not in lost]
    assert [("ok", None)] * (GOOD + 1) == [(record["outcome"], record["reason"]) for record in good]
    assert len(crawled.records) == crawled.count


@pytest.mark.parametrize("pool", POOLS)
def test_only_what_killed_is_charged_and_each_death_repeats_a_request_once_at_most(crawls, pool):
    """What the crawl charges are the killers' losses; of a good page, one request is repeated per death."""
    crawled = crawls[pool]
    reclaimed = crawled.said.count("from workers that ended")

    assert f"a lost worker: {LOSSES * len(KILLERS[pool])}\n" in crawled.said
    assert max(crawled.asked.values()) <= 1 + reclaimed


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """By pool: a crawl whose pages leave more memory behind than a worker may have."""

    def crawl(pool):
        return _crawl(
            pool,
            tmp_path_factory.mktemp("memory") / pool,
            [f"/leak-{number}" for number in range(LEAKS)],
            "leak",
            *([] if pool == "solo" else ["--concurrency", "2"]),
            CRAWL_MAX_WORKER_MB=str(LIMIT_MB),
        )

    return dict(zip(POOLS, at_once(crawl, POOLS), strict=True))


@pytest.mark.parametrize("pool", POOLS)
def test_a_worker_that_has_grown_is_replaced_without_losing_or_repeating_anything(grown, pool):
    """It says why, drains, ends with 0 and is started again; the records are those of any other pool."""
    crawled = grown[pool]

    assert crawled.code == 0, crawled.said
    assert " recycles: it holds " in crawled.log, crawled.log
    # One that was asked to end with its last page had nothing left for another to do.
    assert crawled.log.count(" ready: pool ") >= len(_workers(crawled))
    assert "worker-1 ended" not in crawled.said
    assert {f"leak-{number}" for number in range(LEAKS)} == set(crawled.records)
    assert {("ok", 1)} == {(record["outcome"], record["attempts"]) for record in crawled.records.values()}
    assert {1} == set(crawled.asked.values()), crawled.asked
    assert len(crawled.records) == crawled.count


def test_the_work_of_a_worker_that_has_grown_is_gone_on_with(grown):
    """In most pools there is some left: whether it is in each depends on how fast the machine is."""
    assert sum(len(_workers(crawled)) > 1 for crawled in grown.values()) >= 3


def _workers(crawled):
    return {record["worker"] for record in crawled.records.values()}


def test_a_stack_that_was_killed_whole_goes_on_at_once(tmp_path):
    """Nobody of before can live, so nobody waits for the time of their leases."""
    directory = Directory(tmp_path)
    options = ("--delay", "0", "--robots", "ignore", "--concurrency", "4", "--name", "again")
    try:
        with Website({HOST: _page}) as site:
            seeds = [site.url(HOST, f"/slow-{number}") for number in range(24)]
            first = directory.start(
                "crawl", *seeds, *options, *site.resolve(HOST), CRAWL_LEASE_S=str(LEASE_S)
            )
            wait_for(lambda: len(site.log) > 6, "the crawl's middle")
            # All at once, server included: what was under way stays leased.
            for process in directory.left():
                process.kill()
            first.ended(10)
            wait_for(lambda: not directory.left(), "all to be gone")
            began = time.time()
            done = directory.run("crawl", "--name", "again")
            took_s = time.time() - began
            audit = directory.audit("again")
            asked = Counter(one.target for one in site.log)
    finally:
        directory.end()

    assert done.code == 0, done.stderr
    assert (24, 0, 0) == (audit["records"], audit["missing"], audit["duplicate"])
    assert max(asked.values()) <= 2
    assert took_s < LEASE_S
