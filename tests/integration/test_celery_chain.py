"""What Celery sees of a crawl: two tasks on two queues, one the callback of the other, and nothing it should not keep.

A real event receiver, the interface Flower uses, watches real workers. One worker of each pool is in it, one after the
other.
"""

from __future__ import annotations

import ast
import threading
from collections import Counter

import pytest
import rawserver
from stack import POOLS, Directory, PrivateServer, wait_for, worker

from crawl import keys, names
from crawl.broker import make_app

pytestmark = pytest.mark.slow

#: Stands in every page, and so must stand in no message.
MARKER = "the-body-of-the-page"
PAGES = 12


class Receiver:
    """Keeps every task event, as Flower does, until it is closed."""

    def __init__(self, url: str) -> None:
        self.events: list[dict] = []
        self.app = make_app(url)
        self._connection = self.app.connection_for_read()
        self._receiver = self.app.events.Receiver(self._connection, handlers={"*": self.events.append})
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._receiver.capture(limit=None, timeout=None, wakeup=False)

    def of(self, kind: str) -> list[dict]:
        """Return the events of one type."""
        return [event for event in list(self.events) if event["type"] == kind]

    def close(self) -> None:
        self._receiver.should_stop = True
        self._thread.join(10)
        self._connection.close()


def _site(connection, server: rawserver.Server) -> None:
    """A start page with links, and the pages they lead to; no robots.txt."""
    while True:
        path = server.head(connection).split(b" ")[1]
        if path == b"/robots.txt":
            connection.sendall(rawserver.page(b"", status=b"404 Not Found"))
            continue
        links = b"".join(b'<a href="/page-%d">' % n for n in range(PAGES)) if path == b"/" else b""
        body = b"<title>t</title><p>" + MARKER.encode() + b"</p>" + links
        connection.sendall(rawserver.page(body, b"Content-Type: text/html; charset=utf-8"))


@pytest.fixture(scope="module")
def site():
    server = rawserver.Server(_site)
    yield server
    server.close()


@pytest.fixture(scope="module", params=POOLS)
def watched(request, tmp_path_factory, site):
    """A crawl by one worker of a pool: the receiver's events, the records, and every key there was in Redis."""
    pool = request.param
    directory = Directory(tmp_path_factory.mktemp(pool))
    slots = "1" if pool == "solo" else "2"
    settings = {"CRAWL_POOL": pool, "CRAWL_CONCURRENCY": slots, "CRAWL_EVENTS": "on"}
    with PrivateServer(tmp_path_factory.mktemp(f"server-{pool}")) as server:
        receiver = Receiver(server.url)
        wait_for(lambda: server.client.pubsub_numpat() > 0, "the receiver listens")
        with worker(directory, server.url, CRAWL_ALLOW_ADDRESSES="127.0.0.0/8", **settings):
            done = directory.run(
                *("crawl", site.url(), "--delay", "0", "--name", "seen", "--json"), CRAWL_REDIS_URL=server.url
            )
            assert done.code == 0, done.stderr
            wait_for(
                lambda: len(receiver.of("task-succeeded")) >= 2 * _fetches(receiver), "the last parse's event"
            )
            during = sorted(key.decode() for key in server.client.scan_iter(count=1000))
        records = directory.records(CRAWL_REDIS_URL=server.url)
        receiver.close()
    directory.end()
    return receiver, records, during, done


def _fetches(receiver: Receiver) -> int:
    return sum(event["name"] == names.FETCH_TASK for event in receiver.of("task-received"))


def received(receiver: Receiver, name: str) -> list[dict]:
    """Return the task-received events of one task, which carry names, arguments and parents."""
    return [event for event in receiver.of("task-received") if event["name"] == name]


def test_only_two_kinds_of_task_run(watched):
    """`crawl.fetch` and `crawl.parse`, as many of the one as of the other."""
    receiver, *_ = watched
    counted = Counter(event["name"] for event in receiver.of("task-received"))

    assert {names.FETCH_TASK, names.PARSE_TASK} == set(counted)
    assert counted[names.FETCH_TASK] == counted[names.PARSE_TASK]


def test_every_parse_is_a_task_of_its_own_with_its_fetch_as_parent(watched):
    """The chain is Celery's: each parse names one fetch as parent and root, and each fetch has one such parse."""
    receiver, *_ = watched
    fetches = {event["uuid"] for event in received(receiver, names.FETCH_TASK)}
    parses = received(receiver, names.PARSE_TASK)

    assert not fetches & {event["uuid"] for event in parses}
    assert sorted(fetches) == sorted(event["parent_id"] for event in parses)
    assert sorted(fetches) == sorted(event["root_id"] for event in parses)


def test_every_task_succeeds_and_parse_begins_after_its_fetch(watched):
    """Both are SUCCESS in Flower, and the callback is sent when the fetch has returned."""
    receiver, *_ = watched
    succeeded = {event["uuid"]: event for event in receiver.of("task-succeeded")}
    started = {event["uuid"]: event for event in receiver.of("task-started")}

    assert set(succeeded) == {event["uuid"] for event in receiver.of("task-received")}
    assert receiver.of("task-failed") == receiver.of("task-retried") == []
    for parse in received(receiver, names.PARSE_TASK):
        assert started[parse["uuid"]]["timestamp"] >= started[parse["parent_id"]]["timestamp"]
        assert parse["clock"] > started[parse["parent_id"]]["clock"]


def test_the_tasks_have_queues_of_their_own():
    """A message of either task is routed to the queue of its stage."""
    app = make_app("redis://127.0.0.1:1/0")
    routes = {
        name: app.amqp.router.route({}, name)["queue"].name for name in (names.FETCH_TASK, names.PARSE_TASK)
    }

    assert {names.FETCH_TASK: "fetch", names.PARSE_TASK: "parse"} == routes


def test_arguments_and_results_can_be_read_and_hold_no_body(watched, site):
    """A fetch names its URL (and how many more), a parse and the results give counts; bodies never travel."""
    receiver, *_ = watched
    fetches, parses = received(receiver, names.FETCH_TASK), received(receiver, names.PARSE_TASK)

    assert all(site.url() in event["args"] for event in fetches), [event["args"] for event in fetches]
    assert all("'pages': " in event["args"] for event in parses), [event["args"] for event in parses]
    for event in receiver.of("task-succeeded"):
        result = ast.literal_eval(event["result"])
        assert {"crawl", "lease"} < set(result)
        assert all(len(str(value)) < 60 for value in result.values())
    assert MARKER not in str(receiver.events)
    assert all(len(event["args"]) < 300 and event["kwargs"] == "{}" for event in (*fetches, *parses))


def test_counts_in_the_arguments_add_up_to_the_records(watched):
    """What Flower shows is what was done: pages handed to parse, robots.txt included."""
    receiver, records, *_ = watched
    handed = sum(
        ast.literal_eval(event["args"])[0]["pages"] for event in received(receiver, names.PARSE_TASK)
    )

    assert PAGES + 1 == len(records)
    assert len(records) + 1 == handed


def test_redis_holds_no_results_and_keys_keep_their_prefixes(watched):
    """No task result is stored; ours are below `poolcrawl:`, Celery's and kombu's below `celery:`, nothing else."""
    _, _, during, _ = watched

    assert during
    assert [] == [key for key in during if "celery-task-meta" in key]
    assert [] == [key for key in during if not key.startswith((keys.PREFIX, keys.BROKER_PREFIX))]
    assert any(key.startswith(keys.BROKER_PREFIX) for key in during)


def test_the_worker_in_the_events_is_the_one_in_the_records(watched):
    """One name says pool, slots and host everywhere: in Flower, in records, in logs."""
    receiver, records, *_ = watched
    seen = {event["hostname"] for event in receiver.of("task-received")}

    assert seen == {record["worker"] for record in records} == {record["parse_worker"] for record in records}
