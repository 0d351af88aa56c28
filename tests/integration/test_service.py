"""The pump service against a real Redis: which crawls it takes, which it leaves, and who has one when there are two."""

from __future__ import annotations

import threading
import time

import pytest
import redis
import standin
from stack import wait_for

from crawl import keys, lifecycle, names, results
from crawl.frontier import Frontier
from producer import pump as pumping
from producer.service import Service
from producer.submitter import Submitter


class _Running:
    """A service in a thread of this process, and what it has said."""

    def __init__(self, url) -> None:
        self.lines = []
        self.service = Service(url, say=self.lines.append)
        self._thread = threading.Thread(target=self.service.run)
        self._thread.start()

    def said(self, text):
        return [line for line in self.lines if text in line]

    def stop(self) -> None:
        self.service.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def running(own_server):
    """A function that starts one more service on this test's own server."""
    made = []

    def start():
        made.append(_Running(own_server.url))
        return made[-1]

    yield start
    for one in made:
        one.stop()


@pytest.fixture
def world(own_server):
    """A server of this test's own with one live worker that takes no messages, and a function that makes frontiers."""
    with redis.Redis.from_url(own_server.url) as client:
        about = {"pool": "threads", "slots": 4, "queues": ",".join(names.QUEUES), "busy": 0}
        client.hset(keys.worker("w"), mapping=about)
        client.zadd(keys.workers(), {"w": standin.now_ms(client) + 600_000})
        yield client, lambda name: Frontier(client, name)


def _state(client, crawl):
    return results.status(client, crawl).state


def test_every_crawl_without_an_owner_is_served_also_those_that_come_later(world, running):
    """Several at once; a new one within two seconds; one that a producer has is left to it."""
    client, made = world
    standin.admit(made("first"), standin.options())
    standin.admit(made("owned"), standin.options())
    standin.pump(made("owned"))
    service = running()
    wait_for(lambda: _state(client, "first") == names.FINISHED, "the first one's end")
    began = time.monotonic()
    standin.admit(made("second"), standin.options(), "http://a.test/")
    standin.admit(made("third"), standin.options())
    wait_for(lambda: client.exists(keys.pump("second")), "an owner")
    wait_for(lambda: _state(client, "third") == names.FINISHED, "the third one's end")
    took_s = time.monotonic() - began

    assert took_s < 2.5
    assert _state(client, "owned") == names.RUNNING
    assert service.said("first: taken")
    assert service.said("third: finished")
    assert not service.said("owned")
    assert results.pump_services(client) == 1


def test_a_service_that_is_told_to_end_leaves_its_crawls_to_the_next(world, running):
    """Its marks and its sign of life are gone at once."""
    client, made = world
    standin.admit(made("crawl"), standin.options(), "http://a.test/")
    first = running()
    wait_for(lambda: first.said("crawl: taken"), "an owner")
    second = running()
    first.stop()
    wait_for(lambda: second.said("crawl: taken"), "another owner", 4)

    assert results.pump_services(client) == 1
    assert first.said("crawl: left")


def test_a_service_that_froze_leaves_its_crawl_to_who_has_it_now(world, running, monkeypatch):
    """Its mark ran out while it stood still; it must not wait in line with a thread for ever."""
    monkeypatch.setattr(pumping, "OWNER_S", 1.0)
    client, made = world
    standin.admit(made("crawl"), standin.options(), "http://a.test/")
    service = running()
    wait_for(lambda: service.said("crawl: taken"), "an owner")
    client.set(keys.pump("crawl"), "another", px=60_000)

    wait_for(lambda: service.said("crawl: lost"), "that it lets go")


def test_a_crawl_whose_seeds_are_being_submitted_is_left_to_who_submits_them(world, running):
    """Until they are all there, or the submitter is gone."""
    client, made = world
    with Submitter(client, "crawl"):
        standin.admit(made("crawl"), standin.options())
        service = running()
        standin.admit(made("other"), standin.options())
        wait_for(lambda: _state(client, "other") == names.FINISHED, "another one's end")
        assert _state(client, "crawl") == names.RUNNING
        assert not service.said("crawl: ")

    wait_for(lambda: _state(client, "crawl") == names.FINISHED, "its end")


def test_a_crawl_whose_submitter_was_killed_is_pumped_but_not_called_finished(world, running):
    """`status` says that its source was cut; the same seeds submitted again complete it."""
    client, made = world
    frontier, options = made("crawl"), standin.options()
    frontier.create(options, unnamed=True)
    client.set(keys.submitter("crawl"), "killed", px=500)
    whole = results.status(client, "crawl").seeds_cut
    service = running()
    wait_for(lambda: service.said("crawl: its seed source was cut"), "an owner")
    wait_for(lambda: client.exists(keys.pump("crawl")), "the mark")
    time.sleep(0.5)
    status = results.status(client, "crawl")

    assert (whole, status.seeds_cut, status.state) == (False, True, names.RUNNING)

    frontier.add(standin.links(options), max_pages=None, close_seeds=True)
    wait_for(lambda: _state(client, "crawl") == names.FINISHED, "its end")


def test_seeds_that_the_options_name_are_admitted_for_a_submitter_that_was_killed(world, running):
    """Nobody has to submit them again."""
    client, made = world
    made("crawl").create(standin.options(seeds=("http://a.test/", "http://b.test/")))
    running()

    wait_for(lambda: client.hget(keys.crawl("crawl"), "seeds_open") == b"0", "the end of the submission")
    assert client.hget(keys.counts("crawl"), "admitted") == b"2"


def test_a_crawl_of_another_release_is_left_alone_and_named_once(world, running):
    """Nothing of it is read, changed or pumped."""
    client, made = world
    standin.admit(made("old"), standin.options())
    client.hset(keys.crawl("old"), "schema", 99)
    before = standin.image(made("old"))
    service = running()
    standin.admit(made("new"), standin.options())
    wait_for(lambda: _state(client, "new") == names.FINISHED, "another one's end")
    time.sleep(1.5)

    assert len(service.said("old: left alone")) == 1
    assert standin.image(made("old")) == before


@pytest.mark.parametrize(
    "damage", [{"options": "{"}, {"schema": b"\xff"}, {"state": names.CANCELLED, "ended_at": "garbage"}]
)
def test_a_damaged_crawl_is_left_alone_and_ends_no_service(world, running, damage):
    """What the service needs of it cannot be read; the crawl beside it is served, and the damaged one is named once."""
    client, frontier = world
    options = standin.options()
    for name in ("hurt", "other"):
        standin.admit(frontier(name), options, f"http://{name}.test/")
    client.hset(keys.crawl("hurt"), mapping=damage)
    service = running()

    wait_for(lambda: service.said("hurt: left alone"), "the word that it is damaged")
    wait_for(lambda: service.said("other: taken"), "the other crawl to be taken")
    time.sleep(2.5)  # it looks at both every second
    assert 1 == len(service.said("hurt:"))


def test_a_paused_crawl_is_let_go_and_taken_again_when_it_is_resumed(world, running):
    """By any machine on that Redis."""
    client, made = world
    standin.admit(made("crawl"), standin.options(), "http://a.test/")
    service = running()
    wait_for(lambda: service.said("crawl: taken"), "an owner")
    lifecycle.pause(client, "crawl")
    wait_for(lambda: service.said("crawl: paused"), "that it is let go", 3)
    lifecycle.resume(client, "crawl")

    wait_for(lambda: len(service.said("crawl: taken")) == 2, "an owner", 3)


def test_a_service_outlives_its_redis(own_server, world, running):
    """It waits and says so; what was there comes from the append-only file, here from nothing."""
    client, made = world
    service = running()
    wait_for(lambda: results.pump_services(client) == 1, "a sign of life")
    own_server.kill()
    wait_for(lambda: service.said("Redis is away"), "that it noticed", 20)
    own_server.start()
    standin.admit(made("crawl"), standin.options())

    wait_for(lambda: _state(client, "crawl") == names.FINISHED, "the end of a crawl", 20)


def test_a_cancel_that_was_interrupted_is_finished_by_the_service(world, running, monkeypatch):
    """The memory of a cancelled crawl is freed even if nobody repeats the verb."""
    monkeypatch.setattr("producer.service.CANCEL_S", -1.0)
    client, made = world
    standin.admit(made("crawl"), standin.options(), "http://a.test/")
    made("crawl").cancel()
    running()

    wait_for(lambda: client.hexists(keys.crawl("crawl"), "cleared"), "the rest of the cancel")
    assert client.scard(keys.queues("crawl")) == 0


def test_nothing_is_sent_while_no_worker_is_alive(world, running):
    """It would wait in the broker and be sent again and again; the crawl begins when a worker is there."""
    client, made = world
    client.delete(keys.workers())
    standin.admit(made("crawl"), standin.options(), "http://a.test/")
    service = running()
    wait_for(lambda: service.said("no worker is alive"), "that it says so")
    time.sleep(0.5)
    assert client.zcard(keys.leases("crawl")) == 0
    client.zadd(keys.workers(), {"w": standin.now_ms(client) + 600_000})

    wait_for(lambda: client.zcard(keys.leases("crawl")) == 1, "the first batch", 4)


def test_a_full_redis_pauses_what_a_service_pumps_until_there_is_room(world, running):
    """Nothing is leased meanwhile, and it goes on by itself."""
    client, made = world
    standin.admit(made("short"), standin.options(), "http://a.test/")
    # So much that a twentieth of it holds what a service itself needs.
    client.set("other", b"x" * 40 * 2**20)
    used = int(client.info("memory")["used_memory"])
    client.config_set("maxmemory", int(used * 1.05))
    service = running()
    wait_for(lambda: service.said("short: paused: memory."), "the pause")
    assert results.status(client, "short").paused_by == "memory"
    assert not client.zcard(keys.leases("short"))

    client.config_set("maxmemory", 0)
    wait_for(lambda: service.said("short: Redis holds"), "the line that it goes on")
    wait_for(lambda: client.zcard(keys.leases("short")), "a lease")
    assert results.status(client, "short").paused_by is None


def test_a_service_outlives_a_redis_that_takes_nothing(world, running):
    """Full to the last byte it cannot even be marked as pumped; it is taken as soon as it can."""
    client, made = world
    standin.admit(made("full"), standin.options(), "http://a.test/")
    client.config_set("maxmemory", 1)
    service = running()
    wait_for(lambda: service.said("Redis is full"), "the line that says so")

    client.config_set("maxmemory", 0)
    wait_for(lambda: service.said("full: taken"), "an owner")
    assert service.said("Redis is back")
