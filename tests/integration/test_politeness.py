"""No host sees two requests closer than its delay, or more at once than its cap, over all crawls on one Redis."""

from __future__ import annotations

import standin

from crawl import keys
from crawl.batches import Refusal, RobotsAnswer
from crawl.frontier import HOST_FAIL_LIMIT, HOST_REFUSAL_LIMIT


def _refusal(started, pause_ms=0, status=429):
    return Refusal(status=status, began_ms=started.now_ms, pause_ms=pause_ms)


def _out(frontier, host):
    return frontier.client.zcard(keys.host_out(host))


def test_a_host_with_a_delay_has_one_request_outstanding(frontier, host):
    """However many slots are free, the second request waits for the first one's report."""
    options = standin.options(delay_s=0.05)
    standin.admit(frontier, options, *standin.pages(host, 5))

    first = standin.lease(frontier, options)
    second = standin.lease(frontier, options)

    assert [batch.count for batch in first] == [1]
    assert second == []


def test_requests_to_a_host_keep_their_distance_in_redis_time(frontier, host):
    """The next request is leased no earlier than the end of the last one plus the delay, and not much later."""
    options = standin.options(delay_s=0.06)
    standin.admit(frontier, options, *standin.pages(host, 4))
    gaps = []
    ended = None
    while len(gaps) < 3:
        leased = frontier.lease(options, window=9, slots=4)
        if not leased.batches:
            standin.wait_until(frontier.client, leased.next_ms - 1)
            continue
        if ended is not None:
            gaps.append(leased.now_ms - ended)
        started = standin.start(frontier, leased.batches[0], options)
        ended = standin.now_ms(frontier.client)
        standin.fetched(frontier, started, options, said=standin.report(started, ended_ms=ended))

    assert min(gaps) >= 60
    assert max(gaps) < 1000


def test_the_end_of_a_request_counts_even_if_it_is_reported_late(frontier, host):
    """A batch reports the time its last request ended; the host is not made to wait for the report as well."""
    options = standin.options(delay_s=1.0)
    standin.admit(frontier, options, *standin.pages(host, 2))
    (batch,) = standin.lease(frontier, options)
    started = standin.start(frontier, batch, options)
    ended = started.now_ms - 5000

    standin.fetched(frontier, started, options, said=standin.report(started, ended_ms=ended))

    assert len(standin.lease(frontier, options)) == 1
    assert int(frontier.client.hget(keys.host(host), "ended")) == ended


def test_a_host_without_delay_has_a_cap_on_its_batches(frontier, host):
    """`CRAWL_HOST_CONCURRENCY` batches at once, and the next one as soon as one of them reports."""
    options = standin.options(batch=1, host_concurrency=3)
    standin.admit(frontier, options, *standin.pages(host, 9))

    first = standin.lease(frontier, options)
    full = standin.lease(frontier, options)
    standin.fetched(frontier, standin.start(frontier, first[0], options), options)
    freed = standin.lease(frontier, options)

    assert (len(first), len(full), len(freed)) == (3, 0, 1)


def test_two_origins_of_a_host_share_its_politeness(frontier, host):
    """Politeness is owed to the host, not to a port of it."""
    options = standin.options(delay_s=1.0)
    standin.admit(frontier, options, f"http://{host}/", f"https://{host}/", f"http://{host}:8080/")

    assert len(standin.lease(frontier, options)) == 1


def test_the_largest_delay_of_all_active_crawls_counts_for_each(new_frontier, host):
    """Two crawls on one Redis are one visitor to a host."""
    hasty, calm = new_frontier(), new_frontier()
    quick, slow = standin.options(delay_s=0), standin.options(delay_s=5)
    standin.admit(hasty, quick, *standin.pages(host, 3))
    standin.admit(calm, slow, *standin.pages(host, 3))

    (first,) = standin.lease(calm, slow)
    blocked = standin.lease(hasty, quick)
    started = standin.start(calm, first, slow)
    standin.fetched(calm, started, slow)
    later = hasty.lease(quick, window=9, slots=4)

    assert blocked == []
    assert later.batches == []
    assert later.next_ms == started.now_ms + 5000


def test_a_finished_crawl_takes_its_delay_with_it(new_frontier, host):
    """The delay of a crawl counts while it is active; afterwards the other crawl has the host for itself."""
    hasty, calm = new_frontier(), new_frontier()
    quick, slow = standin.options(delay_s=0), standin.options(delay_s=5)
    standin.admit(calm, slow, f"http://{host}/")
    standin.visit(calm, standin.lease(calm, slow)[0], slow)
    standin.admit(hasty, quick, f"http://{host}/2")
    calm.finish()
    calm.finish()

    assert f"delay {calm.crawl}".encode() not in hasty.client.hkeys(keys.host(host))


def test_a_report_wakes_the_queues_of_other_crawls(new_frontier, host):
    """A host that one crawl frees is due for the other one too, not only when its own mark runs out."""
    one, two = new_frontier(), new_frontier()
    options = standin.options(delay_s=0.001)
    standin.admit(one, options, f"http://{host}/1")
    standin.admit(two, options, f"http://{host}/2")
    (batch,) = standin.lease(one, options)
    assert standin.lease(two, options) == []

    started = standin.start(one, batch, options)
    standin.fetched(one, started, options)
    standin.wait_until(one.client, started.now_ms + 1)

    assert [batch.url for batch in standin.lease(two, options)] == [f"http://{host}/2"]


def test_retry_after_holds_the_whole_host(frontier, host):
    """A 429 or 503 with Retry-After pauses every origin of the host, without a delay of ours."""
    options = standin.options(batch=1, host_concurrency=2)
    standin.admit(frontier, options, *standin.pages(host, 4), *standin.pages(host, 4, "https"))
    first, second = standin.lease(frontier, options)
    started = standin.start(frontier, first, options)
    until = started.now_ms + 300

    standin.fetched(frontier, started, options, said=standin.report(started, refusal=_refusal(started, 300)))
    frontier.start(second.lease, nonce="n", worker="w", options=options)
    early = frontier.lease(options, window=9, slots=4)
    standin.wait_until(frontier.client, until)

    assert early.batches == []
    assert standin.lease(frontier, options) != []


def test_a_batch_sent_before_a_hold_is_put_back_when_it_starts_after_it(frontier, host):
    """Batches that lie in the broker when a host asks for a pause must not break it; nothing is charged."""
    options = standin.options(batch=1, host_concurrency=2)
    standin.admit(frontier, options, *standin.pages(host, 3))
    first, second = standin.lease(frontier, options)
    started = standin.start(frontier, first, options)
    standin.fetched(
        frontier, started, options, said=standin.report(started, refusal=_refusal(started, 60_000))
    )

    answer = frontier.start(second.lease, nonce="n", worker="w", options=options)

    assert answer == "busy"
    assert standin.waiting(frontier, f"http://{host}") == [f"http://{host}/1", f"http://{host}/2"]
    assert standin.entries(frontier, f"http://{host}")[0].startswith("0 0 0 ")


def test_a_message_that_waited_too_long_does_not_start_beside_another(frontier, host):
    """Its place at the host ran out and was given away: it goes back uncharged instead of asking at the same time."""
    options = standin.options(delay_s=0.02, lease_s=0.03)
    calm = standin.options(delay_s=0.02)
    standin.admit(frontier, options, *standin.pages(host, 2))
    (late,) = standin.lease(frontier, options)
    mark = frontier.client.zscore(keys.host_out(host), keys.lease(frontier.crawl, late.lease))
    standin.wait_until(frontier.client, mark + 25)
    (early,) = standin.lease(frontier, calm)
    standin.start(frontier, early, calm)

    answer = frontier.start(late.lease, nonce="n", worker="w", options=calm)

    assert answer == "busy"
    assert standin.waiting(frontier, f"http://{host}") == [late.url]


def test_the_reaper_does_not_send_again_what_lost_its_place(frontier, host):
    """Re-sending an overdue batch while another one is at the host would ask it twice at once."""
    options = standin.options(delay_s=0.02, lease_s=0.03)
    standin.admit(frontier, options, *standin.pages(host, 2))
    (late,) = standin.lease(frontier, options)
    mark = frontier.client.zscore(keys.host_out(host), keys.lease(frontier.crawl, late.lease))
    standin.wait_until(frontier.client, mark + 25)
    calm = standin.options(delay_s=0.02)
    assert len(standin.lease(frontier, calm)) == 1

    fetch, parse, reclaimed = frontier.reap(options)

    assert (fetch, parse, reclaimed) == ([], [], 0)
    assert _out(frontier, host) == 1
    assert standin.waiting(frontier, f"http://{host}") == [late.url]


def test_a_silent_workers_host_waits_its_delay_before_anybody_reaps(frontier, host):
    """A worker may still be asking when its lease ends, so the host is due a delay after that, reaped or not."""
    options = standin.options(delay_s=2.0, lease_s=0.05)
    standin.admit(frontier, options, *standin.pages(host, 2))
    (batch,) = standin.lease(frontier, options)
    standin.start(frontier, batch, options)
    expiry = frontier.client.zscore(keys.leases(frontier.crawl), keys.lease(frontier.crawl, batch.lease))
    standin.wait_until(frontier.client, expiry)

    leased = frontier.lease(options, window=9, slots=4)

    assert leased.batches == []
    assert leased.next_ms >= expiry + 2000


def test_origins_of_one_host_keep_the_longest_crawl_delay(frontier, host):
    """The answer of one port does not undo what another port of the same host asked for."""
    options = standin.options(robots="obey", batch=1)
    standin.admit(frontier, options, f"http://{host}/", f"http://{host}:81/")
    asked = [standin.start(frontier, batch, options) for batch in standin.lease(frontier, options)]
    for started, delay_ms in zip(asked, (400, 0), strict=True):
        standin.fetched(frontier, started, options)
        frontier.complete(
            standin.load(frontier, started.lease, options).lease,
            [],
            [],
            standin.links(options),
            options=options,
            robots=RobotsAnswer(origin=started.origin, fresh_ms=60_000, delay_ms=delay_ms),
        )
    frontier.client.hset(keys.host(host), "ended", 1)

    (page,) = standin.lease(frontier, options)

    assert standin.start(frontier, page, options).delay_ms == 400


def test_a_crawl_delay_counts_from_the_moment_it_is_known(frontier, host):
    """The first page does not follow on the heels of the robots.txt that asked for a delay."""
    options = standin.options(robots="obey")
    standin.admit(frontier, options, f"http://{host}/")
    (batch,) = standin.lease(frontier, options)
    started = standin.start(frontier, batch, options)
    standin.fetched(frontier, started, options)
    frontier.complete(
        standin.load(frontier, batch.lease, options).lease,
        [],
        [],
        standin.links(options),
        options=options,
        robots=RobotsAnswer(origin=started.origin, fresh_ms=60_000, delay_ms=5000),
    )

    leased = frontier.lease(options, window=9, slots=4)

    assert leased.batches == []
    assert leased.next_ms >= started.now_ms + 5000


def test_a_host_that_cannot_be_reached_is_given_up_in_slices(frontier, host):
    """After `HOST_FAIL_LIMIT` failures of connecting in a row its URLs come doomed, in whole batches."""
    options = standin.options(batch=5)
    standin.admit(frontier, options, *standin.pages(host, 12))
    (batch,) = standin.lease(frontier, options, window=1)
    started = standin.start(frontier, batch, options)
    standin.fetched(frontier, started, options, said=standin.report(started, fails=HOST_FAIL_LIMIT))

    doomed = standin.lease(frontier, options, window=2)[0]

    assert doomed.count == 5
    assert standin.start(frontier, doomed, options).doom == "connect"


def test_one_answer_gives_a_failing_host_a_fresh_chance(frontier, host):
    """Only failures in a row count."""
    options = standin.options(batch=1)
    standin.admit(frontier, options, *standin.pages(host, 12))
    for said in ({"fails": HOST_FAIL_LIMIT - 1}, {}, {"fails": HOST_FAIL_LIMIT - 1}):
        (batch,) = standin.lease(
            frontier, options, window=frontier.client.zcard(keys.leases(frontier.crawl)) + 1
        )
        started = standin.start(frontier, batch, options)
        standin.fetched(frontier, started, options, said=standin.report(started, **said))

    batch = standin.lease(frontier, options)[0]

    assert standin.start(frontier, batch, options).doom is None


def test_a_batch_without_requests_does_not_make_its_host_wait(frontier, host):
    """URLs that robots.txt denies are no requests: the host is due as before."""
    options = standin.options(delay_s=5)
    standin.admit(frontier, options, *standin.pages(host, 2))
    (batch,) = standin.lease(frontier, options)
    started = standin.start(frontier, batch, options)

    standin.fetched(frontier, started, options, said=standin.report(started, requests=0))

    assert len(standin.lease(frontier, options)) == 1


def _report(frontier, options, **said):
    """Take one batch that is due through its requests, later than what came before; return what was started."""
    standin.wait_until(frontier.client, standin.now_ms(frontier.client))
    (batch,) = standin.lease(frontier, options, window=frontier.client.zcard(keys.leases(frontier.crawl)) + 1)
    started = standin.start(frontier, batch, options)
    more = {name: value(started) if callable(value) else value for name, value in said.items()}
    standin.fetched(frontier, started, options, said=standin.report(started, **more))
    return started


def _hold_ms(frontier, host, started):
    return int(frontier.client.hget(keys.host(host), "hold")) - started.now_ms


def _pass(frontier, host, **more):
    """Let the host's hold and delay be over."""
    frontier.client.hset(keys.host(host), mapping={"hold": 0, "ended": 1, **more})
    frontier.client.zadd(
        keys.due(frontier.crawl, 0), {keys.queue(frontier.crawl, 0, f"http://{host}"): 1}, xx=True
    )


def test_a_delay_that_comes_up_later_counts_from_the_last_request(new_frontier, host):
    """A crawl that joins with a longer delay is owed it after the requests of those before it, too."""
    hasty, calm = new_frontier(), new_frontier()
    quick, slow = standin.options(), standin.options(delay_s=5)
    standin.admit(hasty, quick, f"http://{host}/1")
    standin.admit(calm, slow, f"http://{host}/2")
    asked = _report(hasty, quick)

    leased = calm.lease(slow, window=9, slots=4)

    assert leased.batches == []
    assert leased.next_ms == asked.now_ms + 5000


def test_batches_on_their_way_give_way_to_a_delay_that_came_up(new_frontier, host):
    """Sent when the host took eight at a time, they do not start together, nor with more than one request."""
    hasty, calm = new_frontier(), new_frontier()
    quick, slow = standin.options(batch=3), standin.options(delay_s=5)
    hasty.client.hset(keys.host(host), "expected_ms", "1")
    standin.admit(hasty, quick, *standin.pages(host, 9))
    sent = standin.lease(hasty, quick)
    standin.admit(calm, slow, f"http://{host}/calm")
    assert standin.lease(calm, slow) == []

    first = standin.start(hasty, sent[0], quick)
    others = [hasty.start(batch.lease, nonce="n", worker="w", options=quick) for batch in sent[1:]]

    assert [batch.count for batch in sent] == [3, 3, 3]
    assert (len(first.requests), first.delay_ms, first.cap) == (1, 5000, 1)
    assert others == ["busy", "busy"]
    assert len(standin.waiting(hasty, f"http://{host}")) == 8


def test_the_smallest_cap_of_all_active_crawls_counts_for_each(new_frontier, host):
    """A crawl that asks for two at a time is not crowded out by one that asks for eight."""
    many, few = new_frontier(), new_frontier()
    wide, narrow = standin.options(batch=1, host_concurrency=8), standin.options(batch=1, host_concurrency=2)
    standin.admit(few, narrow, *standin.pages(host, 9))
    standin.admit(many, wide, *standin.pages(host, 9))

    first = standin.lease(few, narrow, window=1)
    then = standin.lease(many, wide)

    assert (len(first), len(then)) == (1, 1)


def test_views_of_one_origin_keep_each_others_crawl_delay(new_frontier, host):
    """A crawl with `--resolve` meets another robots.txt; its answer does not undo what the other one asked for."""
    plain, mapped = new_frontier(), new_frontier()
    options = standin.options(robots="obey")
    elsewhere = standin.options(robots="obey", resolve=(f"{host}:80=127.0.0.1:80",))
    for frontier, opts, delay_ms in ((plain, options, 400), (mapped, elsewhere, 0)):
        standin.admit(frontier, opts, f"http://{host}/")
        _pass(frontier, host)
        started = _report(frontier, opts)
        answer = RobotsAnswer(origin=started.origin, fresh_ms=60_000, delay_ms=delay_ms)
        loaded = standin.load(frontier, started.lease, opts)
        frontier.complete(loaded.lease, [], [], standin.links(opts), options=opts, robots=answer)
    _pass(mapped, host)

    (page,) = standin.lease(mapped, elsewhere)

    assert standin.start(mapped, page, elsewhere).delay_ms == 400


def test_refusals_without_retry_after_hold_the_host_longer_each_time(frontier, host):
    """A 429 or 503 without a word holds for one second, two, four and so on; jitter takes at most half of it."""
    options = standin.options(batch=1)
    standin.admit(frontier, options, *standin.pages(host, 9))
    held = []
    for status in (429, 503, 429, 503):
        started = _report(frontier, options, refusal=lambda it, status=status: _refusal(it, status=status))
        held.append(_hold_ms(frontier, host, started))
        _pass(frontier, host)

    assert [1000 * 2**number for number in range(4)] >= held
    assert [500 * 2**number for number in range(4)] <= held


def test_a_good_answer_ends_the_row_of_refusals(frontier, host):
    """The next refusal holds as long as a first one."""
    options = standin.options(batch=1)
    standin.admit(frontier, options, *standin.pages(host, 9))
    for said in ({"refusal": _refusal}, {"refusal": _refusal}, {"good_ms": lambda it: it.now_ms + 1}):
        _report(frontier, options, **said)
        _pass(frontier, host)
    assert frontier.client.hget(keys.host(host), "refused") is None

    started = _report(frontier, options, refusal=_refusal)

    assert 500 <= _hold_ms(frontier, host, started) <= 1000


def test_refusals_of_requests_under_way_together_count_once(frontier, host):
    """Eight slots that hear the same refusal are no eight refusals, and a good answer from before it is no recovery."""
    options = standin.options(batch=1, host_concurrency=4)
    standin.admit(frontier, options, *standin.pages(host, 4))
    started = [standin.start(frontier, batch, options) for batch in standin.lease(frontier, options)]
    for one in started[:3]:
        standin.fetched(frontier, one, options, said=standin.report(one, refusal=_refusal(one)))
    standin.fetched(frontier, started[3], options, said=standin.report(started[3], good_ms=started[3].now_ms))

    assert frontier.client.hget(keys.host(host), "refused") == b"1"
    assert 500 <= _hold_ms(frontier, host, started[0]) <= 1000


def test_after_a_refusal_one_request_tries_the_host(frontier, host):
    """Until it is answered well, a host of any cap gets one request at a time, so that a hold costs one attempt."""
    options = standin.options(batch=20, host_concurrency=8)
    frontier.client.hset(keys.host(host), "expected_ms", "1")
    standin.admit(frontier, options, *standin.pages(host, 100))
    first, *others = standin.lease(frontier, options, window=8)
    started = standin.start(frontier, first, options)
    standin.fetched(
        frontier, started, options, count=1, said=standin.report(started, refusal=_refusal(started))
    )
    for batch in others:
        assert frontier.start(batch.lease, nonce="n", worker="w", options=options) == "busy"
    _pass(frontier, host)

    (probe,) = standin.lease(frontier, options)
    begun = standin.start(frontier, probe, options)
    standin.fetched(frontier, begun, options, said=standin.report(begun, good_ms=begun.now_ms + 1))

    assert probe.count == 1
    assert len(standin.lease(frontier, options)) > 1


def test_a_server_that_refuses_again_after_the_time_it_named_is_held_longer(frontier, host):
    """A first Retry-After is taken at its word, and never shortened; the next one is at least the backoff."""
    options = standin.options(batch=1)
    standin.admit(frontier, options, *standin.pages(host, 9))
    held = []
    for pause_ms in (200, 200, 200, 60_000):
        started = _report(frontier, options, refusal=lambda it, pause_ms=pause_ms: _refusal(it, pause_ms))
        held.append(_hold_ms(frontier, host, started))
        _pass(frontier, host)

    assert held[0] == 200
    assert 1000 <= held[1] <= 2000
    assert 2000 <= held[2] <= 4000
    assert held[3] == 60_000


def test_no_hold_is_longer_than_the_crawl_allows(frontier, host):
    """`CRAWL_MAX_HOLD_S` caps what servers ask for and what the backoff comes to."""
    options = standin.options(batch=1, max_hold_s=0.3)
    standin.admit(frontier, options, *standin.pages(host, 9))
    held = []
    for pause_ms in (10**12, 0, 0):
        started = _report(frontier, options, refusal=lambda it, pause_ms=pause_ms: _refusal(it, pause_ms))
        held.append(_hold_ms(frontier, host, started))
        _pass(frontier, host)

    assert held == [300, 300, 300]


def test_a_host_that_refuses_everything_is_given_up(frontier, host):
    """After `HOST_REFUSAL_LIMIT` refusals in a row its URLs come doomed, in whole batches, whatever hold is on."""
    options = standin.options(batch=5, delay_s=0.001)
    standin.admit(frontier, options, *standin.pages(host, 30))
    for _ in range(HOST_REFUSAL_LIMIT):
        _pass(frontier, host)
        _report(frontier, options, refusal=_refusal)

    doomed = standin.lease(frontier, options, window=14)

    assert [batch.count for batch in doomed] == [5, 5, 5, 5]
    assert [standin.start(frontier, batch, options).doom for batch in doomed] == ["http 429"] * 4
    assert _out(frontier, host) == 0


def test_the_adaptive_delay_is_a_multiple_of_the_hosts_own_time(frontier, host):
    """A host that takes long is left alone longer, and gets one request at a time; one that is new counts as such."""
    options = standin.options(adaptive_delay=2.0, host_concurrency=8)
    standin.admit(frontier, options, *standin.pages(host, 9))
    asked = _report(frontier, options, mean_ms=150.0)

    leased = frontier.lease(options, window=9, slots=4)

    assert (asked.cap, len(asked.requests)) == (1, 1)
    assert leased.batches == []
    assert leased.next_ms == asked.now_ms + 300


def test_the_adaptive_delay_has_a_cap_and_a_crawls_own_delay_is_the_least(frontier, host):
    """A minute at most; never shorter than `--delay`."""
    options = standin.options(adaptive_delay=10.0, delay_s=1.0)
    standin.admit(frontier, options, *standin.pages(host, 9))
    delays = []
    for expected_ms in (1, 30_000):
        _pass(frontier, host, expected_ms=expected_ms)
        delays.append(_report(frontier, options, mean_ms=None).delay_ms)

    assert delays == [1000, 60_000]


def test_a_crawl_that_nobody_pumps_owes_a_host_nothing(new_frontier, host):
    """An interrupted crawl with a long delay does not slow down those that come after it."""
    calm, hasty = new_frontier(), new_frontier()
    slow, quick = standin.options(delay_s=60, adaptive_delay=9.0, host_concurrency=1), standin.options()
    standin.admit(calm, slow, *standin.pages(host, 3))
    _report(calm, slow)
    calm.client.delete(keys.pump(calm.crawl))
    standin.admit(hasty, quick, *standin.pages(host, 3))

    (batch, *_) = standin.lease(hasty, quick)

    assert standin.start(hasty, batch, quick).delay_ms == 0
    assert {f"{word} {calm.crawl}".encode() for word in ("delay", "cap", "adaptive")}.isdisjoint(
        hasty.client.hkeys(keys.host(host))
    )
