"""The crawl's cookies in Redis: what one worker's batch learned, the next one's sends."""

from __future__ import annotations

import pytest

from crawl import cookies, keys
from worker.cookies import Jar

DOMAIN = "shop.example"
URL = "http://www.shop.example/"


@pytest.fixture
def crawl(frontier):
    """A crawl no other test uses."""
    return frontier.crawl


def batch(client, crawl, *set_cookies, domain=DOMAIN, url=URL):
    """Do what a batch does; return what it would send afterwards."""
    jar = Jar(cookies.load(client, crawl, domain))
    jar.take(url, set_cookies)
    cookies.store(client, crawl, domain, *jar.changes())
    return jar.header(url)


def test_cookies_go_from_batch_to_batch(client, crawl):
    """Set, changed, removed; two batches that overlap keep what both learned."""
    assert "a=1" == batch(client, crawl, "a=1")
    assert "a=1" == batch(client, crawl)
    first, second = (Jar(cookies.load(client, crawl, DOMAIN)) for _ in range(2))
    first.take(URL, ["b=2"])
    second.take(URL, ["c=3"])
    for jar in (first, second):
        cookies.store(client, crawl, DOMAIN, *jar.changes())
    assert {"a=1", "b=2", "c=3"} == set(batch(client, crawl).split("; "))
    assert {"a=9", "c=3"} == set(batch(client, crawl, "b=; Max-Age=0", "a=9").split("; "))
    assert {"a=9", "c=3"} == set(batch(client, crawl).split("; "))


def test_crawls_and_domains_have_jars_of_their_own(client, crawl):
    """Nothing leaks from one to the other."""
    batch(client, crawl, "a=1")

    assert None is batch(client, f"{crawl}-other")
    assert None is batch(client, crawl, domain="other.example", url="http://other.example/")


def test_a_jar_is_forgotten_some_time_after_its_last_change(client, crawl):
    """And without a change nothing is written at all."""
    batch(client, crawl)
    assert 0 == client.exists(keys.cookies(crawl, DOMAIN))

    batch(client, crawl, "a=1")

    assert 0 < client.ttl(keys.cookies(crawl, DOMAIN)) <= cookies.KEPT_S
