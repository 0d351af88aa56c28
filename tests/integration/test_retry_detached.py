"""`retry` beside a stack that is left up, and after it was stopped: whoever is there crawls, each URL once."""

from __future__ import annotations

from collections import Counter

import pytest
from stack import Directory, wait_for
from website import Response, Website

from crawl import names, results

HOST = "sick.test"
PAGES = 9
OPTIONS = ("--delay", "0", "--depth", "2", "--robots", "ignore", "--pool", "threads", "--concurrency", "4")
#: One attempt each, so that failures are quick.
QUICK = {"CRAWL_MAX_ATTEMPTS": "1", "CRAWL_LEASE_S": "3"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


class Site:
    """A page that links to nine others, each of which has one below; page N is well only while `well` > N % 3."""

    def __init__(self) -> None:
        self.well = 0

    def answer(self, request):
        if request.path == "/":
            return "".join(f'<a href="/{number}">n</a>' for number in range(PAGES))
        if int(request.path.split("/")[1]) % 3 >= self.well:
            return Response("", 500)
        return f'<a href="{request.path}/below">below</a>' if request.path.count("/") == 1 else "below"


def finished(directory, records):
    """Wait until the crawl of the stack that is up has ended with so many records."""
    with directory.client() as client:

        def ended():
            status = results.status(client, "one")
            return (status.state, status.done) == (names.FINISHED, records)

        wait_for(ended, f"the end of the crawl with {records} records", 60)


def generations(directory):
    """Return how many pages were fetched in each generation, and how many URLs have more than one record."""
    records = directory.records("one")
    fetched = Counter(record["generation"] for record in records if record["outcome"] == "ok")
    return dict(fetched), len(records) - len({record["url"] for record in records})


def test_a_retry_is_crawled_by_the_stack_that_is_left_up_and_by_its_own_after_that(tmp_path):
    """With and without `--detach`; audits are clean, generations count, and the end is that of a healthy site."""
    site, directory = Site(), Directory(tmp_path, QUICK)
    with Website({HOST: site.answer}) as web:
        try:
            seed, resolved = web.url(HOST), web.resolve(HOST)
            done = directory.run("crawl", seed, "--name", "one", "--detach", *OPTIONS, *resolved)
            assert done.code == 0, done.stderr
            finished(directory, 1 + PAGES)
            stack = directory.run_json()["parent"]

            site.well = 1
            beside = directory.run("retry", "one", "--json")
            finished(directory, 1 + PAGES + 3)
            after_first = directory.audit("one")

            site.well = 2
            detached = directory.run("retry", "one", "--detach")
            finished(directory, 1 + PAGES + 6)
            after_second = directory.audit("one")
            same = directory.run_json()["parent"]

            assert directory.run("stop").code == 0
            assert directory.left() == []
            site.well = 3
            alone = directory.run("retry", "one", "--detach")
            between = directory.run("status", "one", "--json").summary
            asked = len(web.log)
            followed = directory.run("retry", "one", "--json")
            after_third = directory.audit("one")
            found = generations(directory)

            healthy = directory.run("crawl", seed, "--name", "two", *OPTIONS, *resolved)
            expected = directory.audit("two")
        finally:
            directory.end()

    assert (0, 1, 9, "finished") == (
        *(beside.code, beside.summary["generation"], beside.summary["retried"], beside.summary["state"]),
    )
    assert (True, True) == (
        detached.code == 0,
        "6 URLs are tried again (http 6), generation 2" in detached.stdout,
    )
    assert "a pump service sends them within seconds" in detached.stdout
    assert stack == same
    assert (0, True) == (alone.code, "crawl them with `poolcrawl crawl --name one`" in alone.stdout)
    assert ("running", 1 + PAGES + 3) == (between["state"], between["pages"])
    # Nobody is left up, so the command crawls what waits, and nothing else.
    assert followed.code == 0, followed.stderr
    assert ("finished", 1 + 2 * PAGES) == (followed.summary["state"], followed.summary["pages"])
    assert asked + 6 == len(web.log) - (1 + 2 * PAGES)
    # What a retried page links to is new, so it is of no later generation.
    assert ({0: 1 + PAGES, 1: 3, 2: 3, 3: 3}, 0) == found
    for number, audit in enumerate((after_first, after_second, after_third), start=1):
        assert (number, 0, 0, 0) == (
            *(audit["generations"], audit["missing"], audit["duplicate"], audit["pending"]),
        )
    assert healthy.code == 0, healthy.stderr
    assert expected["digest"] == after_third["digest"]
