"""robots.txt as a leased request: asked once per origin, politely, and shared by all crawls."""

from __future__ import annotations

import msgspec
import pytest
import standin

from crawl import keys, names, results
from crawl.batches import RobotsAnswer


def _answer(frontier, batch, options, **said):
    """Take a robots batch through its life."""
    started = standin.start(frontier, batch, options)
    standin.fetched(frontier, started, options)
    loaded = standin.load(frontier, batch.lease, options)
    answer = RobotsAnswer(origin=started.origin, **{"fresh_ms": 60_000, **said})
    closed, _ = frontier.complete(
        loaded.lease, [], [], standin.links(options), options=options, robots=answer
    )
    assert closed


@pytest.fixture
def obeying():
    return standin.options(robots="obey")


def test_an_unknown_origin_is_asked_for_its_robots_first_and_once(frontier, host, obeying):
    """However many of its URLs wait and however many slots are free, one request for /robots.txt goes out."""
    standin.admit(frontier, obeying, *standin.pages(host, 20))

    first = standin.lease(frontier, obeying)
    second = standin.lease(frontier, obeying)

    assert [(batch.kind, batch.url) for batch in first] == [(names.ROBOTS, f"http://{host}/robots.txt")]
    assert second == []


def test_each_origin_has_its_own_robots(frontier, host, obeying):
    """Another scheme or port is another origin (RFC 9309 section 2.3)."""
    standin.admit(frontier, obeying, f"http://{host}/", f"https://{host}/", f"http://{host}:81/")

    asked = {batch.url for batch in standin.lease(frontier, obeying)}

    assert asked == {
        f"{origin}/robots.txt" for origin in (f"http://{host}", f"https://{host}", f"http://{host}:81")
    }


def test_pages_are_due_as_soon_as_the_answer_is_there(frontier, host, obeying):
    """The answer frees the origin's URLs at once and tells its version and verdict to who fetches them."""
    standin.admit(frontier, obeying, *standin.pages(host, 3))
    _answer(frontier, standin.lease(frontier, obeying)[0], obeying, verdict="rules", body="User-agent: *\n")

    (page,) = standin.lease(frontier, obeying, window=1)
    started = standin.start(frontier, page, obeying)
    version, verdict, body = frontier.robots(f"http://{host}")

    assert page.kind == names.PAGE
    assert (verdict, body) == ("rules", b"User-agent: *\n")
    assert started.robots_version == version


def test_a_denial_is_remembered_like_an_answer(frontier, host, obeying):
    """What cannot be had denies everything; its URLs are still leased, so that each gets its record."""
    standin.admit(frontier, obeying, *standin.pages(host, 2))
    _answer(frontier, standin.lease(frontier, obeying)[0], obeying, verdict="deny")

    assert {batch.kind for batch in standin.lease(frontier, obeying)} == {names.PAGE}
    assert frontier.robots(f"http://{host}")[1] == "deny"


def test_an_answer_worth_another_attempt_is_asked_for_later(frontier, host, obeying):
    """Nothing of the origin is due until then; the attempts are counted and end with an answer."""
    standin.admit(frontier, obeying, *standin.pages(host, 2))
    _answer(frontier, standin.lease(frontier, obeying)[0], obeying, retry_ms=300)
    early = frontier.lease(obeying, window=9, slots=4)
    attempts = frontier.robots_attempts(f"http://{host}")
    standin.wait_until(frontier.client, early.next_ms)
    (again,) = standin.lease(frontier, obeying)
    _answer(frontier, again, obeying)

    assert early.batches == []
    assert attempts == 1
    assert again.kind == names.ROBOTS
    assert frontier.robots_attempts(f"http://{host}") == 0


def test_an_answer_that_is_no_longer_fresh_is_asked_for_again(frontier, host, obeying):
    """A verdict counts for as long as it was given for."""
    standin.admit(frontier, obeying, *standin.pages(host, 2))
    _answer(frontier, standin.lease(frontier, obeying)[0], obeying, fresh_ms=20)
    fresh_until = float(frontier.client.hget(keys.robots(f"http://{host}"), "fresh_until"))
    standin.wait_until(frontier.client, fresh_until)

    assert [batch.kind for batch in standin.lease(frontier, obeying)] == [names.ROBOTS]


def test_a_second_crawl_uses_the_first_ones_answer(new_frontier, host, obeying):
    """The answer belongs to the origin; while one crawl asks for it, another one waits for it."""
    one, two = new_frontier(), new_frontier()
    standin.admit(one, obeying, f"http://{host}/1")
    standin.admit(two, obeying, f"http://{host}/2")
    (asked,) = standin.lease(one, obeying)
    while_asked = standin.lease(two, obeying)
    _answer(one, asked, obeying)

    assert while_asked == []
    assert [(batch.kind, batch.url) for batch in standin.lease(two, obeying)] == [
        (names.PAGE, f"http://{host}/2")
    ]


def test_a_slow_robots_answer_is_not_asked_for_twice(frontier, host):
    """A lease that is renewed, re-sent or waits for its parse is still the one request for that origin."""
    options = standin.options(robots="obey", lease_s=0.1)
    standin.admit(frontier, options, *standin.pages(host, 3))
    (batch,) = standin.lease(frontier, options)
    kinds = []
    for _ in range(3):
        standin.overdue(frontier)
        resent, _, _ = frontier.reap(options)
        kinds += [again.lease for again in resent] + [
            other.kind for other in standin.lease(frontier, options)
        ]
    long = standin.options(robots="obey", lease_s=30)
    started = frontier.start(batch.lease, nonce="n", worker="w", options=long)
    standin.wait_until(frontier.client, standin.now_ms(frontier.client) + 220)
    while_fetching = standin.lease(frontier, options)
    standin.fetched(frontier, started, long)
    standin.wait_until(frontier.client, standin.now_ms(frontier.client) + 220)

    assert kinds == [batch.lease] * 3
    assert while_fetching == []
    assert standin.lease(frontier, options) == []


def test_a_robots_request_that_is_given_back_is_asked_by_the_next(frontier, host, obeying):
    """A worker that drains leaves no mark that would keep the origin waiting."""
    standin.admit(frontier, obeying, f"http://{host}/")
    (batch,) = standin.lease(frontier, obeying)
    standin.fetched(frontier, standin.start(frontier, batch, obeying), obeying, count=0)

    assert [batch.kind for batch in standin.lease(frontier, obeying)] == [names.ROBOTS]


def test_a_robots_request_that_kills_workers_denies_its_origin(frontier, host):
    """After `CRAWL_MAX_LOSSES` dead workers it counts as unreachable (RFC 9309 section 2.3.1.4): the crawl ends."""
    options = standin.options(robots="obey", lease_s=0.02, max_losses=2)
    standin.admit(frontier, options, f"http://{host}/")
    asked = 0
    while (batch := standin.lease(frontier, options)[0]).kind == names.ROBOTS:
        asked += 1
        standin.start(frontier, batch, options)
        standin.overdue(frontier)
        frontier.reap(options)

    assert asked == 2
    assert frontier.robots(f"http://{host}")[1] == "deny"


def test_robots_requests_are_no_pages(frontier, host, obeying):
    """They have no record and are counted neither as waiting nor as leased."""
    standin.admit(frontier, obeying, *standin.pages(host, 2))
    (batch,) = standin.lease(frontier, obeying)
    leased = results.status(frontier.client, frontier.crawl)
    _answer(frontier, batch, obeying)
    answered = results.status(frontier.client, frontier.crawl)

    assert (leased.waiting, leased.leased, leased.done) == (2, 0, 0)
    assert (answered.waiting, answered.leased, answered.done) == (2, 0, 0)


def test_a_crawl_that_ignores_robots_does_not_ask(frontier, host):
    """`--robots ignore` is the submitter's own responsibility."""
    options = standin.options(robots="ignore")
    standin.admit(frontier, options, f"http://{host}/")

    assert [batch.kind for batch in standin.lease(frontier, options)] == [names.PAGE]


def test_a_crawl_that_maps_names_elsewhere_asks_for_itself(new_frontier, host, obeying):
    """An answer from a rehearsal under the same name says nothing about the real server, nor the other way round."""
    mapped = msgspec.structs.replace(obeying, resolve=(f"{host}:80=127.0.0.1:8080",))
    rehearsal, real = new_frontier(), new_frontier()
    standin.admit(rehearsal, mapped, *standin.pages(host, 1))
    _answer(rehearsal, standin.lease(rehearsal, mapped)[0], mapped, verdict="allow")
    standin.admit(real, obeying, *standin.pages(host, 1))

    (asked,) = standin.lease(real, obeying)

    assert asked.kind == names.ROBOTS
    assert [batch.kind for batch in standin.lease(rehearsal, mapped)] == [names.PAGE]
