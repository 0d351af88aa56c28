"""A crawl that runs into its Redis' limit: it pauses and says so, loses nothing, and goes on when there is room."""

from __future__ import annotations

import re

import pytest
from stack import Directory, PrivateServer, worker
from website import Website

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: Pages of the site, and links on each that lead nowhere: they make a record of about 28 KB.
PAGES = 300
DEAD = 160
#: Memory there is for the crawl, bytes: about two thirds of what it needs.
ROOM = 7 * 2**20


def _room(request):
    number = int(request.path.strip("/") or 0)
    following = "".join(
        f'<a href="/{number * 5 + step}">' for step in range(1, 6) if number * 5 + step < PAGES
    )
    dead = "".join(f'<a href="http://nowhere.test/{"x" * 140}/{number}/{link}">' for link in range(DEAD))
    return f"<title>page {number}</title>{following}{dead}"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A crawl with too little memory, then trimmed and continued; and the same one undisturbed."""
    directory = Directory(tmp_path_factory.mktemp("limit"))
    found = {}
    with Website({"127.0.0.1": _room}) as site, PrivateServer(directory.path / "server") as server:
        settings = {"CRAWL_ALLOW_ADDRESSES": "127.0.0.1", "CRAWL_CONCURRENCY": "8"}
        with worker(directory, server.url, **settings):

            def crawl(*arguments):
                more = ("--delay", "0", "--robots", "ignore") if len(arguments) > 2 else ()
                return directory.run("crawl", *arguments, *more, "--json", CRAWL_REDIS_URL=server.url)

            limit = server.client.info("memory")["used_memory"] + ROOM
            server.client.config_set("maxmemory", limit)
            found["first"] = crawl(f"http://127.0.0.1:{site.port}/", "--name", "full")
            found["status"] = directory.run("status", CRAWL_REDIS_URL=server.url)
            found["used"] = server.client.info("memory")["used_memory"] / limit
            trim = ("export", "full", "--output", "full.jsonl", "--trim")
            found["trim"] = directory.run(*trim, CRAWL_REDIS_URL=server.url)
            found["trimmed"] = directory.audit("full", CRAWL_REDIS_URL=server.url)
            found["second"] = crawl("--name", "full")
            found["refused"] = server.client.info("errorstats").get("errorstat_OOM")
            server.client.config_set("maxmemory", 0)
            found["audit"] = directory.audit("full", "--with", "full.jsonl", CRAWL_REDIS_URL=server.url)
            crawl(f"http://127.0.0.1:{site.port}/", "--name", "free")
            found["free"] = directory.audit("free", CRAWL_REDIS_URL=server.url)
    yield found
    directory.end()


def test_it_pauses_with_the_remedy_and_ends_with_4(ran):
    """One line says what is full, what to do, and how to go on; `status` repeats it."""
    first = ran["first"]

    assert first.code == 4, first.stderr
    last = first.stderr.splitlines()[-1]
    assert re.search(
        r"paused: memory\. Redis holds \d+ MB of \d+ MB.*raise maxmemory.*crawl --name full", last
    )
    assert "running, paused: memory" in ran["status"].stdout
    assert "raise maxmemory" in ran["status"].stdout


def test_redis_refuses_nothing_while_the_limits_are_kept(ran):
    """What was in flight fits into what was left: no write failed for lack of memory."""
    assert 0.88 <= ran["used"] < 1
    assert ran["refused"] is None


def test_trimming_makes_room_and_the_crawl_goes_on(ran):
    """Everything that was done is in the file, and the same memory holds more pages."""
    done = int(re.search(r"(\d+) of \d+ pages done", ran["status"].stdout)[1])

    assert PAGES / 3 < done < PAGES
    assert f"{done} trimmed from Redis" in ran["trim"].stderr
    assert (ran["trimmed"]["records"], ran["trimmed"]["missing"], ran["trimmed"]["digest"]) == (done, 0, None)
    assert ran["second"].code == 0, ran["second"].stderr
    assert ran["second"].summary["pages"] == PAGES


def test_nothing_is_lost_or_double_and_the_digest_is_that_of_an_undisturbed_crawl(ran):
    """With the file, the audit of the paused and trimmed crawl says what that of the other one says."""
    found, free = ran["audit"], ran["free"]

    assert (found["records"], found["missing"], found["duplicate"], found["absent"]) == (PAGES, 0, 0, 0)
    assert found["trimmed"] > 0
    assert found["digest"] == free["digest"]


def test_seeds_that_do_not_fit_are_left_outside(tmp_path):
    """Before Redis is full the command ends with 4 and says how to go on; what was admitted is kept, each once."""
    directory = Directory(tmp_path)
    seeds = tmp_path / "seeds.txt"
    seeds.write_text(
        "".join(f"http://{number % 50}.seeds.test/{number}/{'x' * 60}\n" for number in range(20_000))
    )
    with PrivateServer(tmp_path / "server") as server:
        limit = server.client.info("memory")["used_memory"] + 3 * 2**20
        server.client.config_set("maxmemory", limit)
        done = directory.run("crawl", "--seeds", str(seeds), "--name", "seeds", CRAWL_REDIS_URL=server.url)
        status = directory.run("status", "--json", CRAWL_REDIS_URL=server.url).summary
        refused = server.client.info("errorstats").get("errorstat_OOM")

    assert done.code == 4
    last = done.stderr.splitlines()[-1]
    assert re.search(
        r"paused: memory\. .*before all seeds were admitted.*--name seeds` and the same seeds", last
    )
    assert 1000 < status["waiting"] < 20_000
    assert (status["paused_by"], refused) == ("memory", None)
    assert 0.8 < status["redis_used_bytes"] / status["redis_limit_bytes"] < 1
