"""The politeness audit reads the attempts of every crawl that asked a host."""

from __future__ import annotations

import json

import redis
import standin
from stack import POOLCRAWL, Directory

from crawl import keys
from crawl.frontier import Frontier
from crawl.politeness import audit


def _plant(frontier, *rows, hold_ms=None):
    """Make a crawl if need be, and write one batch of requests: (URL, host, start, end, delay, cap)."""
    frontier.create(standin.options())
    told = [
        (url, host, "page", start_ms, end_ms, delay_ms, "w", "ok 200", cap)
        for url, host, start_ms, end_ms, delay_ms, cap in rows
    ]
    fields = {"a": json.dumps(told)} | ({} if hold_ms is None else {"h": hold_ms})
    frontier.client.xadd(keys.attempts(frontier.crawl), fields)


def test_two_crawls_that_are_each_polite_are_judged_together(new_frontier, host):
    """The promise is owed to the host: a gap or an overlap between requests of two crawls is named."""
    one, two = new_frontier(), new_frontier()
    _plant(
        one, (f"http://{host}/a", host, 1000, 1100, 500, 1), (f"http://{host}/b", host, 1700, 1800, 500, 1)
    )
    _plant(two, (f"http://{host}/c", host, 1300, 1310, 500, 1), (f"http://{host}/d", host, 1750, 1900, 0, 1))
    _plant(two, ("http://other.test/", "other.test", 1000, 1100, 500, 1))

    found = audit(one.client, one.crawl)

    assert [(each.kind, each.urls, each.gap_ms) for each in found.violations] == [
        ("gap", (f"http://{host}/a", f"http://{host}/c"), 200),
        ("gap", (f"http://{host}/c", f"http://{host}/b"), 390),
        ("overlap", (f"http://{host}/b", f"http://{host}/d"), -50),
    ]
    assert found.violations[0].crawls == (one.crawl, two.crawl)
    assert (found.hosts, found.requests) == (1, 4)


def test_what_the_frontier_hands_out_is_polite(frontier, host):
    """The workers' own reports, holds included, give a clean audit."""
    options = standin.options(delay_s=0.02)
    standin.admit(frontier, options, *standin.pages(host, 3))
    for _ in range(3):
        leased = frontier.lease(options, window=9, slots=4)
        while not leased.batches:
            standin.wait_until(frontier.client, leased.next_ms - 1)
            leased = frontier.lease(options, window=9, slots=4)
        started = standin.start(frontier, leased.batches[0], options)
        ended_ms = standin.now_ms(frontier.client)
        row = (
            started.requests[0].url,
            host,
            "page",
            started.now_ms,
            ended_ms,
            20,
            "w",
            "ok 200",
            started.cap,
        )
        standin.fetched(
            frontier,
            started,
            options,
            said=standin.report(started, ended_ms=ended_ms),
            attempts=json.dumps([row]).encode(),
        )

    found = audit(frontier.client, frontier.crawl)

    assert (found.requests, found.violations, found.trimmed) == (3, [], 0)


def test_batches_that_redis_no_longer_keeps_are_counted(frontier, host):
    """A clean audit of half the requests does not pass for one of all of them."""
    for number in range(3):
        _plant(frontier, (f"http://{host}/{number}", host, 1000 * number, 1000 * number + 9, 100, 1))
    frontier.client.xtrim(keys.attempts(frontier.crawl), maxlen=1, approximate=False)

    found = audit(frontier.client, frontier.crawl)

    assert (found.requests, found.trimmed) == (1, 2)


def test_what_our_own_guard_refused_was_not_asked(frontier, host):
    """An address that is not allowed is recorded as an attempt, and nobody was disturbed."""
    frontier.create(standin.options())
    rows = [(f"http://{host}/", host, "page", at, at, 1000, "w", "address", 1) for at in (1000, 1001)]
    frontier.client.xadd(keys.attempts(frontier.crawl), {"a": json.dumps(rows)})

    assert audit(frontier.client, frontier.crawl).requests == 0


def test_the_command_names_violations_and_exits_1(server, frontier, host, tmp_path):
    """One JSON line of its own before the audit's, whose keys stay; sentences without `--json`."""
    _plant(frontier, (f"http://{host}/a", host, 1000, 1100, 500, 1))
    _plant(frontier, (f"http://{host}/b", host, 1150, 1200, 500, 1))
    directory = Directory(tmp_path, {"CRAWL_REDIS_URL": server.url})

    told = directory.run("audit", frontier.crawl, "--politeness", "--json")
    said = directory.run("audit", frontier.crawl, "--politeness")
    plain = directory.run("audit", frontier.crawl, "--json")
    polite, whole = map(json.loads, told.stdout.splitlines())

    assert (told.code, said.code, plain.code) == (1, 1, 0)
    assert ({"crawl", "hosts", "requests", "violations"} - polite.keys(), whole) == (set(), plain.summary)
    assert (polite["crawl"], polite["violations"][0]["kind"]) == (frontier.crawl, "gap")
    assert f"gap at {host}: http://{host}/b (w) 50 ms after the end of the one before" in said.stdout


def test_a_full_folder_of_temporary_files_is_one_line(own_server, host, tmp_path):
    """More requests than SQLite keeps in memory, and no file may grow: exit 2, the folder, and how to name another."""
    frontier = Frontier(redis.Redis.from_url(own_server.url), "long")
    for batch in range(40):
        _plant(
            frontier, *((f"http://{host}/{batch}/{n}/{'x' * 100}", host, n, n, 0, None) for n in range(1000))
        )
    directory = Directory(tmp_path)
    limited = (
        "sh",
        "-c",
        'ulimit -f 16; exec "$@"',
        "sh",
        *POOLCRAWL,
        "audit",
        frontier.crawl,
        "--politeness",
    )
    more = {"CRAWL_REDIS_URL": own_server.url, "TMPDIR": str(tmp_path)}
    done = directory.spawn(limited, **more).ended()
    roomy = directory.spawn((*POOLCRAWL, "audit", frontier.crawl, "--politeness"), **more).ended()

    assert done.code == 2
    assert done.stderr.startswith("poolcrawl: audit --politeness keeps")
    assert done.stderr.count("\n") == 1
    assert str(tmp_path) in done.stderr
    assert "TMPDIR" in done.stderr
    assert "40000 requests" in roomy.stdout.replace(",", ""), roomy.stdout
