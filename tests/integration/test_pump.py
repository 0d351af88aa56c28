"""The pump against a real Redis: whose crawl it is, what it sends, and what it survives."""

from __future__ import annotations

import base64
import json
import os
import threading
import time

import pytest
import redis
import standin

from crawl import broker, keys, names, results
from crawl.errors import StoppedError, UnavailableError
from crawl.frontier import Frontier
from producer import pressure
from producer import pump as pumping
from producer.pump import Pump
from producer.seeds import SLICE, Intake, SeedsFile
from producer.stream import Stream

FETCH_QUEUE = f"{keys.BROKER_PREFIX}{names.FETCH_QUEUE}"


class _EnoughError(Exception):
    """Raised by a test's `watch` to stop the pump."""


def _live_worker(client, queues=names.QUEUES, slots=4):
    """Write the heartbeat of a worker that takes no messages."""
    client.hset(
        keys.worker("w"), mapping={"pool": "threads", "slots": slots, "queues": ",".join(queues), "busy": 0}
    )
    client.zadd(keys.workers(), {"w": standin.now_ms(client) + 600_000})


@pytest.fixture
def world(own_server):
    """A server of this test's own with one live worker, a frontier on it and a Celery app for it."""
    with redis.Redis.from_url(own_server.url) as client:
        _live_worker(client)
        yield own_server, Frontier(client, "crawl"), broker.make_app(own_server.url)


def _stop_when(condition):
    def _watch():
        if condition():
            raise _EnoughError

    return _watch


def _messages(client):
    return [json.loads(message) for message in client.lrange(FETCH_QUEUE, 0, -1)]


def _body(message):
    return json.loads(base64.b64decode(message["body"]))


def _after(seconds):
    until = time.monotonic() + seconds
    return lambda: time.monotonic() > until


def test_a_crawl_with_nothing_left_is_ended(world):
    """The pump returns the state, and gives its mark back at once."""
    _, frontier, app = world
    options = standin.options()
    standin.admit(frontier, options)

    assert Pump(frontier.client, app, frontier, options).run() == names.FINISHED
    assert frontier.client.exists(keys.pump("crawl")) == 0


def test_each_batch_becomes_one_message_with_its_parse_as_callback(world):
    """What is due goes out within the window, readable in Flower; nothing else is ever in the broker."""
    _, frontier, app = world
    options = standin.options(batch=1, window=3)
    standin.admit(frontier, options, *standin.pages("a.test", 9))
    watch = _stop_when(lambda: frontier.client.llen(FETCH_QUEUE) >= 3)

    with pytest.raises(_EnoughError):
        Pump(frontier.client, app, frontier, options, watch=watch).run()

    messages = _messages(frontier.client)
    assert len(messages) == 3
    assert {message["headers"]["task"] for message in messages} == {names.FETCH_TASK}
    assert all("http://a.test/" in message["headers"]["argsrepr"] for message in messages)
    assert all(names.PARSE_TASK in json.dumps(_body(message)) for message in messages)


def test_the_time_that_a_killed_owner_did_not_count_is_counted_by_the_next(world):
    """Its pages count, so the seconds in which they were done have to, up to the last page; else rates are too high."""
    _, frontier, app = world
    options = standin.options()
    standin.admit(frontier, options)
    client, now = frontier.client, standin.now_ms(frontier.client)
    client.hset(keys.crawl("crawl"), mapping={"active_ms": 1000, "counted_at": now - 60_000})
    client.xadd(keys.results("crawl"), {"r": "a page"}, id=f"{now - 53_000}-0")
    Pump(client, app, frontier, options).run()
    first = results.status(client, "crawl").active_ms
    # Nothing is counted twice.
    Pump(client, app, frontier, options).run()

    assert 8000 <= first < 13_000
    assert results.status(client, "crawl").active_ms - first < 5000


def test_the_fused_pipeline_sends_no_callback(world):
    """There the fetch parses by itself."""
    _, frontier, app = world
    options = standin.options(pipeline=names.PIPELINE_FUSED)
    standin.admit(frontier, options, "http://a.test/")
    watch = _stop_when(lambda: frontier.client.llen(FETCH_QUEUE) >= 1)

    with pytest.raises(_EnoughError):
        Pump(frontier.client, app, frontier, options, watch=watch).run()

    assert names.PARSE_TASK not in json.dumps(_body(_messages(frontier.client)[0]))


def test_an_overdue_batch_is_sent_again_under_its_old_lease(world):
    """A message that nobody took is repeated once a lease time has passed; no second lease is made for it."""
    _, frontier, app = world
    options = standin.options(lease_s=0.2)
    standin.admit(frontier, options, "http://a.test/")
    watch = _stop_when(lambda: frontier.client.llen(FETCH_QUEUE) >= 2)

    with pytest.raises(_EnoughError):
        Pump(frontier.client, app, frontier, options, watch=watch).run()

    assert {tuple(_body(message)[0][:2]) for message in _messages(frontier.client)} == {("crawl", "l1")}
    assert results.status(frontier.client, "crawl").losses == 0


def test_a_crawl_has_one_pump_at_a_time(world):
    """A second producer says so and waits until the first one's mark is gone."""
    _, frontier, app = world
    options = standin.options()
    standin.admit(frontier, options)
    frontier.client.set(keys.pump("crawl"), "another", px=300)
    said = []

    state = Pump(frontier.client, app, frontier, options, say=said.append).run()

    assert state == names.FINISHED
    assert [line for line in said if "another producer pumps 'crawl'" in line]


def test_a_pump_without_workers_says_which_queue_nobody_serves(world):
    """It gives up after a while instead of waiting for ever."""
    _, frontier, app = world
    options = standin.options()
    standin.admit(frontier, options, "http://a.test/")
    _live_worker(frontier.client, queues=(names.FETCH_QUEUE,))

    with pytest.raises(UnavailableError, match=r"no live worker serves the queue 'parse'.*poolcrawl worker"):
        Pump(frontier.client, app, frontier, options, worker_wait_s=0.1).run()
    assert frontier.client.llen(FETCH_QUEUE) == 0


def test_a_redis_that_goes_away_while_a_batch_is_sent_is_waited_for(world):
    """Celery's publisher reports an outage in its own words; the pump waits like for any other and goes on."""
    server, frontier, app = world
    options = standin.options()
    standin.admit(frontier, options, "http://a.test/")
    timers = []

    class _Killing(Frontier):
        """Its server dies right after each lease with a batch in it, and comes back empty."""

        def lease(self, *args, **kwargs):
            leased = super().lease(*args, **kwargs)
            if leased.batches:
                server.kill()
                timers.append(threading.Timer(1.5, server.start))
                timers[-1].start()
            return leased

    said = []
    state = Pump(frontier.client, app, _Killing(frontier.client, "crawl"), options, say=said.append).run()
    for timer in timers:
        timer.join()

    assert len(timers) == 1
    assert any("Redis is away" in line for line in said)
    assert state == "gone"


def test_a_full_redis_pauses_the_crawl_and_then_stops_it_with_the_remedy(world, monkeypatch):
    """Nothing is leased above the limit; a stall ends the pump, and the crawl can be continued later."""
    _, frontier, app = world
    options = standin.options()
    standin.admit(frontier, options, "http://a.test/")
    monkeypatch.setattr(pressure, "STALL_S", 0.1)
    monkeypatch.setattr(pumping, "LOOK_S", 0.05)

    with pytest.raises(StoppedError, match=r"paused: memory.*maxmemory"):
        Pump(frontier.client, app, frontier, options, memory_limit_bytes=1).run()

    assert results.status(frontier.client, "crawl").paused_by == "memory"
    assert frontier.client.llen(FETCH_QUEUE) == 0


def test_a_later_pump_forgets_what_the_last_one_was_stopped_by(world):
    """`status` must not call a crawl paused that runs again."""
    _, frontier, app = world
    options = standin.options()
    standin.admit(frontier, options, "http://a.test/")
    frontier.client.hset(keys.crawl("crawl"), "paused_by", "memory")

    with pytest.raises(_EnoughError):
        Pump(frontier.client, app, frontier, options, watch=_stop_when(_after(0.2))).run()

    assert results.status(frontier.client, "crawl").paused_by is None


def test_the_end_is_noticed_without_polling(world):
    """A report wakes the pump: it does not sleep out its second."""
    _, frontier, app = world
    options = standin.options()
    standin.admit(frontier, options, "http://a.test/")
    done = {}

    def _work():
        while not (messages := _messages(frontier.client)):
            time.sleep(0.01)
        lease = _body(messages[0])[0][1]
        time.sleep(0.2)
        started = frontier.start(lease, nonce="n", worker="w", options=options)
        standin.fetched(frontier, started, options)
        done["closed"] = standin.complete(frontier, standin.load(frontier, lease, options), options)
        done["at"] = time.monotonic()

    worker = threading.Thread(target=_work)
    worker.start()
    state = Pump(frontier.client, app, frontier, options).run()
    ended = time.monotonic()
    worker.join()

    assert (state, done["closed"]) == (names.FINISHED, True)
    assert ended - done["at"] < 0.5


@pytest.fixture
def pipe(tmp_path):
    """A stream of seeds, what it said, and the file that writes into it."""
    path = tmp_path / "seeds"
    os.mkfifo(path)
    said = []
    stream = Stream(SeedsFile(str(path)), said.append)
    with path.open("w") as writer:
        yield stream, said, writer


def test_a_crawl_with_an_open_stream_goes_on_even_if_somebody_closed_its_seed_source(world, pipe):
    """A second producer that continues the crawl closes it; what the stream gives later is admitted all the same."""
    _, frontier, app = world
    stream, _, writer = pipe
    options = standin.options()
    standin.admit(frontier, options)
    looks = []

    def watch():
        looks.append(frontier.options()[3])
        if len(looks) == 3:
            Intake(frontier, options).close()
        elif len(looks) == 5:
            writer.write("http://a.test/\n")
            writer.flush()
        if frontier.client.llen(FETCH_QUEUE):
            raise _EnoughError

    with pytest.raises(_EnoughError):
        Pump(frontier.client, app, frontier, options, watch=watch, stream=stream).run()

    assert set(looks) == {names.RUNNING}
    assert _messages(frontier.client)[0]["headers"]["argsrepr"].count("http://a.test/")
    assert frontier.has_unnamed_seeds()


def test_a_stream_waits_for_the_producer_that_has_the_crawl(world, pipe):
    """That one ends the crawl as if there were no stream; then the crawl goes on with what the stream gives."""
    _, frontier, app = world
    stream, _, writer = pipe
    options = standin.options()
    standin.admit(frontier, options)
    frontier.client.set(keys.pump("crawl"), "another", px=600)
    writer.write("http://a.test/\n")
    writer.flush()
    assert frontier.finish() == names.FINISHED
    watch = _stop_when(lambda: frontier.client.llen(FETCH_QUEUE) >= 1)

    with pytest.raises(_EnoughError):
        Pump(frontier.client, app, frontier, options, watch=watch, stream=stream).run()

    assert frontier.options()[3] == names.RUNNING


def test_a_stream_is_read_only_so_far_ahead(world, pipe):
    """A source of millions waits in its pipe; each step admits a thousand at most."""
    _, frontier, _ = world
    stream, _, writer = pipe
    options = standin.options()
    standin.admit(frontier, options)
    writing = threading.Thread(
        target=lambda: [writer.write(f"http://a.test/{number}\n") for number in range(30_000)], daemon=True
    )
    writing.start()
    writing.join(1)
    stalled = writing.is_alive()
    stream.step(Intake(frontier, options))

    assert stalled
    assert 0 < results.status(frontier.client, "crawl").admitted <= SLICE
    while writing.is_alive():
        stream.step(Intake(frontier, options))


def test_many_seeds_of_few_hosts_widen_the_scope_by_few_entries(world):
    """Given again, they add nothing; a worker reads the entries in the order of their arrival."""
    _, frontier, _ = world
    options = standin.options()
    standin.admit(frontier, options)
    intake = Intake(frontier, options)
    seeds = [f"http://{number % 3}.test/{number}" for number in range(2500)]
    intake.admit_all(seeds)
    intake.admit_all([*seeds, "http://new.test/x"])

    expected = ["http://0.test/", "http://1.test/", "http://2.test/", "http://new.test/"]
    assert frontier.scope_seeds(0, 99) == expected
    assert frontier.scope_seeds(3, 1) == expected[3:]
    assert results.status(frontier.client, "crawl").admitted == 2501
    assert (intake.unseen(seeds), intake.unseen(["http://new.test/y"])) == (False, True)


def test_seeds_beyond_the_cap_are_not_read(world):
    """Whoever gives a million of them and allows ten pages does not wait for the rest."""
    _, frontier, _ = world
    options = standin.options(max_pages=10)
    standin.admit(frontier, options)
    taken = []

    def seeds():
        for number in range(100_000):
            taken.append(number)
            yield f"http://a.test/{number}"

    assert Intake(frontier, options).admit_all(seeds()) is False
    assert len(taken) == SLICE
    assert results.status(frontier.client, "crawl").admitted == 10
