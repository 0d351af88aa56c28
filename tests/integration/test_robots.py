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
        started = standin.start(frontier, batch, options)
        if started.requests[0].suspect:
            frontier.isolate(batch.lease, started.nonce)
        standin.overdue(frontier)
        frontier.reap(options)

    # Two deaths make it a suspect; the third one is charged with one of them.
    assert asked == 3
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


def _redirected(frontier, options, batch, url, hops):
    """Answer a robots batch with a redirect."""
    _answer(frontier, batch, options, ask_url=url, hops=hops)


def test_a_redirect_is_asked_next_under_the_politeness_of_its_host(frontier, host, obeying):
    """The next hop waits for the host it leads to: its delay, its hold, its cap. The origin's own does not matter."""
    other = f"other-{host}"
    standin.admit(frontier, obeying, *standin.pages(host, 3))
    (first,) = standin.lease(frontier, obeying)
    now = standin.now_ms(frontier.client)
    frontier.client.hset(keys.host(other), "hold", now + 400)
    _redirected(frontier, obeying, first, f"http://{other}/r.txt", 1)
    frontier.client.hset(keys.host(host), "hold", now + 60_000)

    early = frontier.lease(obeying, window=9, slots=4)
    standin.wait_until(frontier.client, now + 400)
    (hop,) = standin.lease(frontier, obeying)
    started = standin.start(frontier, hop, obeying)

    assert early.batches == []
    assert abs(early.next_ms - (now + 400)) <= 1
    assert (hop.kind, hop.url) == (names.ROBOTS, f"http://{other}/r.txt")
    assert (started.origin, started.host) == (f"http://{host}", other)
    assert started.requests[0].hops == 1
    assert frontier.client.zcard(keys.host_out(other)) == 1
    assert frontier.client.zcard(keys.host_out(host)) == 0


def test_a_hop_to_the_same_host_keeps_its_delay(frontier, host):
    """Two requests follow each other no closer than the crawl's delay, redirect or not."""
    options = standin.options(robots="obey", delay_s=0.3)
    standin.admit(frontier, options, f"http://{host}/")
    (first,) = standin.lease(frontier, options)
    began = standin.now_ms(frontier.client)
    _redirected(frontier, options, first, f"https://{host}/robots.txt", 1)
    early = standin.lease(frontier, options)
    standin.wait_until(frontier.client, began + 300 + 50)

    assert early == []
    assert [batch.url for batch in standin.lease(frontier, options)] == [f"https://{host}/robots.txt"]


def test_the_answer_of_the_last_hop_is_the_origins(frontier, host, obeying):
    """Rules, delay and sitemaps are kept for the origin that was asked for first; the hops are forgotten."""
    other = f"other-{host}"
    standin.admit(frontier, obeying, *standin.pages(host, 1))
    _redirected(frontier, obeying, standin.lease(frontier, obeying)[0], f"http://{other}/1", 1)
    _redirected(frontier, obeying, standin.lease(frontier, obeying)[0], f"http://{other}/2", 2)
    (last,) = standin.lease(frontier, obeying)
    sitemaps = "http://x.test/1\nhttp://x.test/2"
    _answer(frontier, last, obeying, verdict="rules", body="User-agent: *", delay_ms=7, sitemaps=sitemaps)
    kept = frontier.client.hgetall(keys.robots(f"http://{host}"))

    assert last.url == f"http://{other}/2"
    assert frontier.robots(f"http://{host}")[1] == "rules"
    assert frontier.robots_sitemaps(f"http://{host}") == sitemaps.split("\n")
    assert frontier.robots_sitemaps(f"http://{other}") == []
    assert not {b"ask_url", b"hops", b"asked_until"} & kept.keys()
    assert frontier.robots(f"http://{other}") is None


def test_a_hop_is_asked_once_for_all_crawls(new_frontier, host, obeying):
    """A second crawl neither repeats a hop that is under way nor begins the chain again; its answer frees both."""
    one, two = new_frontier(), new_frontier()
    standin.admit(one, obeying, f"http://{host}/1")
    standin.admit(two, obeying, f"http://{host}/2")
    _redirected(one, obeying, standin.lease(one, obeying)[0], f"http://other-{host}/r", 1)
    (hop,) = standin.lease(two, obeying)
    meanwhile = standin.lease(one, obeying)
    _answer(two, hop, obeying)

    assert hop.url == f"http://other-{host}/r"
    assert meanwhile == []
    assert [batch.url for batch in standin.lease(one, obeying)] == [f"http://{host}/1"]
    assert [batch.url for batch in standin.lease(two, obeying)] == [f"http://{host}/2"]


def test_a_hop_that_fails_for_now_is_asked_again_itself(frontier, host, obeying):
    """Its attempts are its own; the hops before it are not repeated."""
    standin.admit(frontier, obeying, f"http://{host}/")
    _answer(frontier, standin.lease(frontier, obeying)[0], obeying, retry_ms=1)
    standin.wait_until(frontier.client, standin.now_ms(frontier.client) + 2)
    _redirected(frontier, obeying, standin.lease(frontier, obeying)[0], f"http://other-{host}/r", 1)
    fresh = frontier.robots_attempts(f"http://{host}")
    _answer(frontier, standin.lease(frontier, obeying)[0], obeying, retry_ms=1)
    standin.wait_until(frontier.client, standin.now_ms(frontier.client) + 2)

    assert fresh == 0
    assert frontier.robots_attempts(f"http://{host}") == 1
    assert [batch.url for batch in standin.lease(frontier, obeying)] == [f"http://other-{host}/r"]


def test_a_hop_that_kills_workers_denies_its_origin(frontier, host):
    """Lost hops are counted like any loss of robots.txt; then the origin is unreachable, and its records say why."""
    options = standin.options(robots="obey", lease_s=0.02, max_losses=2)
    standin.admit(frontier, options, f"http://{host}/")
    _redirected(frontier, options, standin.lease(frontier, options)[0], f"http://other-{host}/r", 1)
    asked = []
    while (batch := standin.lease(frontier, options)[0]).kind == names.ROBOTS:
        asked.append(batch.url)
        started = standin.start(frontier, batch, options)
        if started.requests[0].suspect:
            frontier.isolate(batch.lease, started.nonce)
        standin.overdue(frontier)
        frontier.reap(options)
    _, verdict, body = frontier.robots(f"http://{host}")

    assert asked == [f"http://other-{host}/r"] * 3
    assert verdict == "deny"
    assert body.startswith(b"robots robots.txt could not be had (every worker")


def test_a_hop_given_back_is_asked_by_the_next(frontier, host, obeying):
    """A paused crawl or a draining worker leaves no mark that would keep the origin waiting."""
    standin.admit(frontier, obeying, f"http://{host}/")
    _redirected(frontier, obeying, standin.lease(frontier, obeying)[0], f"http://other-{host}/r", 1)
    (hop,) = standin.lease(frontier, obeying)
    standin.fetched(frontier, standin.start(frontier, hop, obeying), obeying, count=0)
    (again,) = standin.lease(frontier, obeying)
    frontier.client.hset(keys.crawl(frontier.crawl), "state", names.PAUSED)
    released = frontier.start(again.lease, nonce="n", worker="w", options=obeying)
    frontier.client.hset(keys.crawl(frontier.crawl), "state", names.RUNNING)

    assert released == names.PAUSED
    assert [batch.url for batch in standin.lease(frontier, obeying)] == [f"http://other-{host}/r"]


def test_the_host_of_a_hop_forgets_the_crawls_delay(frontier, host):
    """A host that only a robots.txt was redirected to is freed with the others when the crawl ends."""
    options = standin.options(robots="obey", delay_s=0.01)
    other = f"other-{host}"
    standin.admit(frontier, options, f"http://{host}/")
    _redirected(frontier, options, standin.lease(frontier, options)[0], f"http://{other}/r", 1)
    (hop,) = standin.lease(frontier, options)
    _answer(frontier, hop, options)
    standin.wait_until(frontier.client, standin.now_ms(frontier.client) + 20)
    while_running = frontier.client.hget(keys.host(other), f"delay {frontier.crawl}")
    standin.visit(frontier, standin.lease(frontier, options)[0], options)
    frontier.finish()

    assert while_running == b"10"
    assert frontier.client.hget(keys.host(other), f"delay {frontier.crawl}") is None


@pytest.mark.parametrize("said", [{"retry_ms": 60_000}, {"verdict": "deny", "body": "robots gone"}])
def test_an_old_answer_counts_while_no_new_one_is_to_be_had(frontier, host, said):
    """Its rules stay in force, and the next attempt is made when that time is over (RFC 9309 section 2.4)."""
    obeying = standin.options(robots="obey", batch=1)
    keeping = {"keep_ms": 60_000, "stale_ms": 200}
    standin.admit(frontier, obeying, *standin.pages(host, 2))
    rules = {"verdict": "rules", "body": "User-agent: *\nDisallow: /x"}
    _answer(frontier, standin.lease(frontier, obeying)[0], obeying, **rules, **keeping, fresh_ms=5)
    standin.wait_until(frontier.client, standin.now_ms(frontier.client) + 5)
    version = frontier.robots(f"http://{host}")[0]
    (again,) = standin.lease(frontier, obeying)
    _answer(frontier, again, obeying, **said, **keeping)
    stale = frontier.robots(f"http://{host}")
    (page, *_) = standin.lease(frontier, obeying, window=1)
    standin.wait_until(frontier.client, standin.now_ms(frontier.client) + 200)

    assert again.kind == names.ROBOTS
    assert stale == (version, "rules", b"User-agent: *\nDisallow: /x")
    assert page.kind == names.PAGE
    assert [batch.kind for batch in standin.lease(frontier, obeying)] == [names.ROBOTS]


@pytest.mark.parametrize("late", [{"ask_url": "http://late.test/", "hops": 1}, {"retry_ms": 60_000}])
def test_a_late_answer_does_not_undo_one_that_is_there(frontier, host, late):
    """Two workers may have asked, where one was silent for long: the next refresh begins at the origin all the same."""
    options = standin.options(robots="obey", batch=1)
    standin.admit(frontier, options, *standin.pages(host, 2))
    (slow,) = standin.lease(frontier, options)
    started = standin.start(frontier, slow, options)
    frontier.client.hdel(keys.robots(f"http://{host}"), "asked_until")
    frontier.client.zadd(keys.due(frontier.crawl, 0), {keys.queue(frontier.crawl, 0, f"http://{host}"): 1})
    _answer(frontier, standin.lease(frontier, options)[0], options, verdict="rules", body="", fresh_ms=200)
    standin.fetched(frontier, started, options)
    loaded = standin.load(frontier, slow.lease, options)
    answer = RobotsAnswer(origin=f"http://{host}", **late)
    frontier.complete(loaded.lease, [], [], standin.links(options), options=options, robots=answer)
    (page,) = standin.lease(frontier, options, window=1)
    standin.wait_until(frontier.client, standin.now_ms(frontier.client) + 200)

    assert page.kind == names.PAGE
    assert [batch.url for batch in standin.lease(frontier, options)] == [f"http://{host}/robots.txt"]


def test_a_very_old_answer_counts_no_more(frontier, host, obeying):
    """What was given longer ago than it is kept for gives way to the denial."""
    standin.admit(frontier, obeying, *standin.pages(host, 1))
    _answer(frontier, standin.lease(frontier, obeying)[0], obeying, fresh_ms=5, keep_ms=10)
    standin.wait_until(frontier.client, standin.now_ms(frontier.client) + 15)
    _answer(frontier, standin.lease(frontier, obeying)[0], obeying, verdict="deny", keep_ms=10, stale_ms=1000)

    assert frontier.robots(f"http://{host}")[1] == "deny"
