"""A parse that waits for Redis is no page that hangs: the watchdog leaves it alone, however long it lasts."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import standin
from chaos.link import Link

from crawl import keys, names, results
from crawl.records import Fetched, PageRef

LIMIT_S = 1
#: Parses one batch; before and in its wait for Redis it says so, and waits for word.
WORKER = """
import sys
from crawl.frontier import Frontier
from worker import parsing, process

crawl, lease, wait = sys.argv[1:]
genuine = getattr(Frontier, wait)

def waiting(*arguments):
    print("waits", flush=True)
    sys.stdin.readline()
    return genuine(*arguments)

setattr(Frontier, wait, waiting)
done = parsing.parse_batch(process.current(), crawl, lease, worker="w@h", slot="1", turn=None)
print("closed", done, flush=True)
"""
INDEX = b"<sitemapindex><sitemap><loc>http://%s/sitemap-2.xml</loc></sitemap></sitemapindex>"


def site(frontier, host, opts):
    """A seed's page, with the sitemaps of its site."""
    known = {
        "verdict": "rules",
        "body": "",
        "version": 1,
        "fresh_until": standin.now_ms(frontier.client) + 60_000,
    }
    frontier.client.hset(keys.robots(f"http://{host}"), mapping=known)
    return (
        standin.links(opts, f"http://{host}/", via=names.SEED),
        PageRef(index=0, outcome="ok", status=200),
        b"x",
    )


def robots_attempts(frontier, host, opts):
    """A robots.txt that could not be had."""
    ref = PageRef(index=0, outcome="failed", reason="timeout")
    return standin.links(opts, f"http://{host}/", via=names.SEED), ref, b""


def listed_sitemaps(frontier, host, opts):
    """An index of sitemaps."""
    known = {
        "verdict": "allow",
        "body": "",
        "version": 1,
        "fresh_until": standin.now_ms(frontier.client) + 60_000,
    }
    frontier.client.hset(keys.robots(f"http://{host}"), mapping=known)
    index = standin.links(opts, f"http://{host}/sitemap.xml", depth=1, via=names.SITEMAP)
    ref = PageRef(index=0, outcome="ok", status=200, content_type="application/xml")
    return index, ref, INDEX % host.encode()


@pytest.mark.parametrize("wait", [site, robots_attempts, listed_sitemaps])
def test_a_stalled_redis_within_a_parse_ends_no_process(server, frontier, host, wait):
    """Silent for longer than a page may be parsed; then the batch is completed as if nothing had been."""
    opts = standin.options(batch=1, robots="obey", sitemaps=True)
    links, ref, body = wait(frontier, host, opts)
    frontier.create(opts)
    frontier.add(links, max_pages=None, close_seeds=True)
    (batch,) = standin.lease(frontier, opts)
    started = standin.start(frontier, batch, opts)
    report = standin.report(started)
    held = Fetched(pool="threads", slot="1", worker="w@h", refs=[ref])
    assert frontier.fetched(started, held, {0: body} if body else {}, report, options=opts, body_ttl_s=60)
    with Link(server.port) as link:
        settings = {
            "CRAWL_REDIS_URL": f"redis://127.0.0.1:{link.port}/0",
            "CRAWL_PARSE_TIMEOUT_S": str(LIMIT_S),
        }
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, frontier.crawl, batch.lease, wait.__name__],
            env={**os.environ, **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "waits\n", process.stderr.read()
        link.silence()
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(3 * LIMIT_S)
        link.silence(False)
        said, errors = process.communicate(timeout=60)

    assert (process.returncode, said.startswith("closed")) == (0, True), errors
    assert results.status(frontier.client, frontier.crawl).leased == 0
