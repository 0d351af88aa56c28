"""A host that refuses whatever it is asked for: the crawl ends, and the host was asked a few times only."""

from __future__ import annotations

from stack import Directory
from website import Response, Website

from crawl.frontier import HOST_REFUSAL_LIMIT

HOST, FINE = "refuses.test", "fine.test"
PAGES = 60


def _refuse(request):
    """Allow to ask, and never answer."""
    return Response("", 404) if request.path == "/robots.txt" else Response("no", 429)


def test_a_host_that_refuses_everything_is_given_up_and_the_crawl_ends(tmp_path):
    """Its other URLs are not tried one by one: they end with the same reason, without a request."""
    directory = Directory(tmp_path, {"CRAWL_MAX_HOLD_S": "0.1"})
    with Website({HOST: _refuse, FINE: lambda _: "fine"}) as site:
        seeds = [site.url(HOST, f"/{number}") for number in range(PAGES)]
        try:
            options = ("--delay", "0", "--pool", "threads", "--concurrency", "8", "--json")
            done = directory.run("crawl", *seeds, site.url(FINE), *options, *site.resolve(HOST, FINE))
            records = {record["url"]: record for record in directory.records()}
            audit = directory.run("audit", "--politeness")
        finally:
            directory.end()
    refused = [record for url, record in records.items() if HOST in url]
    asked = [one for one in site.log if one.host == HOST and one.target != "/robots.txt"]

    assert done.code == 0, done.stderr
    assert [("failed", "http", 429)] * PAGES == [
        (each["outcome"], each["reason"], each["status"]) for each in refused
    ]
    assert HOST_REFUSAL_LIMIT <= len(asked) <= 2 * HOST_REFUSAL_LIMIT
    assert PAGES - HOST_REFUSAL_LIMIT <= sum(not each["attempts"] for each in refused)
    assert (0, "ok") == (audit.code, records[site.url(FINE)]["outcome"])
