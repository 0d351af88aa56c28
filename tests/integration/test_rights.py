"""A Redis that refuses what is asked of it, being a replica or by its user's rights: one line that says what to do."""

from __future__ import annotations

import re
import signal
from contextlib import contextmanager

import pytest
import standin
from stack import Directory, PrivateServer, at_once, wait_for, worker
from website import Website

from crawl.frontier import Frontier
from embedded.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

URL = "http://site.example/"
#: Every verb that writes to a Redis.
WRITING = (
    ("crawl", URL),
    ("crawl", URL, "--detach"),
    ("crawl", "--name", "here"),
    ("demo",),
    ("worker",),
    ("pump",),
    ("pause", "here"),
    ("resume", "here"),
    ("cancel", "here"),
    ("delete", "here", "--force", "--yes"),
    ("release", "here", "--all"),
    ("retry", "here", "--detach"),
)
READING = (
    ("list",),
    ("status", "here"),
    ("audit", "here"),
    ("audit", "here", "--politeness"),
    ("export", "here"),
    ("failures", "here"),
    ("parked", "here"),
    ("why", "here", URL),
)
#: What docs/operating.md gives a user of its own.
RIGHTS = ("~poolcrawl:*", "~celery:*", "&*", "+@all", "-@dangerous", "+info")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory, and a server that has one crawl, `here`."""
    directory = Directory(tmp_path_factory.mktemp("rights"))
    with PrivateServer(directory.path / "server") as server:
        standin.admit(Frontier(server.client, "here"), standin.options(), URL)
        yield directory, server
    directory.end()


@contextmanager
def replica(server):
    """Have a server copy one that is not there: it answers, and takes no writes."""
    server.client.replicaof("127.0.0.1", free_port())
    try:
        yield
    finally:
        server.client.replicaof("NO", "ONE")


def of_user(server, *rights):
    """Return the address for a user who may only do this."""
    server.client.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">secret-word", *rights)
    return f"redis://limited:secret-word@127.0.0.1:{server.port}/0"


def told(directory, verbs, url):
    """Run verbs against an address; return each with what came of it."""
    return list(
        zip(verbs, at_once(lambda verb: directory.run(*verb, CRAWL_REDIS_URL=url), verbs), strict=True)
    )


def assert_one_line(verb, done, *words):
    assert done.code == 3, (verb, done.stderr)
    assert done.stderr.count("\n") == 1, (verb, done.stderr)
    assert done.stderr.startswith("poolcrawl: Redis at redis://127.0.0.1:"), verb
    assert [word for word in words if word not in done.stderr] == [], (verb, done.stderr)
    assert "secret-word" not in done.stderr


def test_a_replica_is_named_by_every_verb_that_writes(place):
    """Exit 3, and where to go; whatever only reads may read there."""
    directory, server = place
    with replica(server):
        writing = told(directory, WRITING, server.url)
        reading = told(directory, READING, server.url)
        doctor = directory.run("doctor", CRAWL_REDIS_URL=server.url)
    status = directory.run("status", "here", "--json", CRAWL_REDIS_URL=server.url).summary

    for verb, done in writing:
        assert_one_line(verb, done, "is a replica", "set CRAWL_REDIS_URL to the primary")
    for verb, done in reading:
        assert done.code == 0, (verb, done.stderr)
    assert doctor.code == 1
    assert "FAIL redis writes: " in doctor.stdout
    assert "is a replica" in doctor.stdout
    assert "Traceback" not in doctor.stderr
    assert ("running", 1) == (status["state"], status["waiting"])


@pytest.mark.parametrize(
    "rights",
    [
        ("~*", "&*", "+@read", "+@connection", "+info"),
        # A script may begin, and what it does is refused, in words of its own.
        ("~*", "&*", "+@all", "-@write"),
    ],
    ids=" ".join,
)
def test_a_user_who_may_only_read_is_told_what_is_missing(place, rights):
    """Exit 3 with what Redis says, and where the rights stand that are needed."""
    directory, server = place
    url = of_user(server, *rights)

    for verb, done in told(directory, (WRITING[0], *WRITING[4:]), url):
        assert_one_line(verb, done, "refuses what its user may not do (", "docs/operating.md", "ACL SETUSER")
    doctor = directory.run("doctor", CRAWL_REDIS_URL=url)
    assert doctor.code == 1
    assert re.search(r"^FAIL redis.*ACL SETUSER", doctor.stdout, re.MULTILINE), doctor.stdout
    assert "Traceback" not in doctor.stderr


def test_a_user_without_channels_is_told_so_by_every_verb_that_gives_or_takes_work(place):
    """Workers would be ready, and then connect again and again."""
    directory, server = place
    url = of_user(server, "~*", "resetchannels", "+@all")

    for verb, done in told(directory, (WRITING[0], ("worker",), ("pump",)), url):
        assert_one_line(verb, done, "refuses what its user may not do (", "docs/operating.md")
    doctor = directory.run("doctor", CRAWL_REDIS_URL=url)
    assert doctor.code == 1
    assert re.search(r"^FAIL redis writes.*ACL SETUSER", doctor.stdout, re.MULTILINE), doctor.stdout


def test_a_cluster_is_named_by_every_verb_that_gives_work(tmp_path):
    """A script of ours needs keys of several slots, also where one server has them all."""
    directory = Directory(tmp_path)
    # Of its own accord it would take its port + 10000, which there may not be.
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with PrivateServer(tmp_path / "server", *options) as server:
        server.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_for(
            lambda: "cluster_state:ok" in str(server.client.execute_command("CLUSTER", "INFO")), "its slots"
        )
        giving = told(directory, (("crawl", URL), ("worker",), ("pump",)), server.url)
        doctor = directory.run("doctor", CRAWL_REDIS_URL=server.url)
    directory.end()

    for verb, done in giving:
        assert_one_line(verb, done, "is one of a cluster", "`cluster-enabled no`")
    assert doctor.code == 1
    assert "FAIL redis writes: Redis at redis://127.0.0.1:" in doctor.stdout


def test_a_primary_without_its_replicas_says_so(place):
    """`min-replicas-to-write`: it takes no writes while there are too few."""
    directory, server = place
    server.client.config_set("min-replicas-to-write", 1)
    try:
        found = told(directory, (("crawl", URL), ("worker",), ("pump",), ("cancel", "here")), server.url)
    finally:
        server.client.config_set("min-replicas-to-write", 0)

    for verb, done in found:
        assert_one_line(verb, done, "NOREPLICAS", "wait until they are back")


def test_a_replica_without_its_primary_may_refuse_to_read_as_well(place):
    """`replica-serve-stale-data no`: MASTERDOWN to verbs that read, too."""
    directory, server = place
    server.client.config_set("replica-serve-stale-data", "no")
    try:
        with replica(server):
            found = told(directory, (("crawl", URL), ("pump",), ("status", "here")), server.url)
    finally:
        server.client.config_set("replica-serve-stale-data", "yes")

    for verb, done in found:
        assert_one_line(verb, done, "replicated with", "set CRAWL_REDIS_URL to the primary")


def test_a_user_without_rights_is_told_so_by_every_verb(place):
    """Also by those that read, and by `doctor`, which checks."""
    directory, server = place
    url = of_user(server, "+@connection")

    for verb, done in told(directory, (*WRITING[:1], *READING), url):
        assert_one_line(verb, done, "no permissions", "docs/operating.md", "ACL SETUSER")
    doctor = directory.run("doctor", CRAWL_REDIS_URL=url)
    assert doctor.code == 1
    assert "no permissions" in next(line for line in doctor.stdout.splitlines() if "FAIL redis" in line)
    assert "Traceback" not in doctor.stderr


def test_a_server_that_wants_a_password_says_so(place):
    """NOAUTH, to verbs that submit, serve, change and read."""
    directory, server = place

    for verb, done in told(
        directory, (("pump",), ("cancel", "here"), ("audit", "here")), f"redis://127.0.0.1:{server.port}/0"
    ):
        assert done.code == 3, (verb, done.stderr)
        assert done.stderr.count("\n") == 1, (verb, done.stderr)
        assert "wants a password" in done.stderr


def test_the_rights_in_the_documentation_are_enough(place):
    """A worker, a pump service and a whole crawl with them; Redis has refused nothing."""
    directory, server = place
    url = of_user(server, *RIGHTS)
    server.client.acl_log_reset()
    options = ("--delay", "0", "--resolve")
    with Website({"a.test": lambda _: '<a href="/b">b</a>'}) as site:
        resolve = f"a.test:{site.port}=127.0.0.1:{site.port}"
        allowed = {"CRAWL_ALLOW_ADDRESSES": "127.0.0.1", "CRAWL_RESOLVE": resolve}
        with worker(directory, url, **allowed):
            pump = directory.start("pump", CRAWL_REDIS_URL=url)
            wait_for(lambda: "serves" in pump.stderr.read_text(), "a pump service")
            crawl = directory.run(
                "crawl", site.url("a.test"), *options, resolve, "--name", "rights", CRAWL_REDIS_URL=url
            )
            others = [
                directory.run(*verb, CRAWL_REDIS_URL=url)
                for verb in (("audit", "rights"), ("status", "rights"), ("delete", "rights", "--yes"))
            ]
            pump.interrupt(signal.SIGTERM)
            ended = pump.ended()

    assert crawl.code == 0, crawl.stderr
    assert [0, 0, 0] == [done.code for done in others]
    assert ended.code == 0, ended.stderr
    refused = server.client.acl_log()
    assert [(one["reason"], one["object"]) for one in refused] == []


def test_a_failover_is_an_outage_that_workers_and_services_survive(tmp_path):
    """While their Redis is a replica they wait, and go on when it takes writes again."""
    directory = Directory(tmp_path)
    with Website({"a.test": lambda _: "a"}) as site, PrivateServer(tmp_path / "server") as server:
        resolve = f"a.test:{site.port}=127.0.0.1:{site.port}"
        with worker(
            directory, server.url, CRAWL_ALLOW_ADDRESSES="127.0.0.1", CRAWL_RESOLVE=resolve
        ) as working:
            pump = directory.start("pump", CRAWL_REDIS_URL=server.url)
            wait_for(lambda: "serves" in pump.stderr.read_text(), "a pump service")
            with replica(server):
                wait_for(lambda: "is a replica" in pump.stderr.read_text(), "the service's complaint")
                wait_for(lambda: "is a replica" in working.stderr.read_text(), "the worker's complaint")
            wait_for(lambda: "Redis is back" in pump.stderr.read_text(), "the service's return")
            done = directory.run(
                "crawl", site.url("a.test"), "--delay", "0", "--resolve", resolve, CRAWL_REDIS_URL=server.url
            )
            lived = working.process.poll() is None and pump.process.poll() is None
            pump.interrupt(signal.SIGTERM)
            pump.ended()
    directory.end()

    assert done.code == 0, done.stderr
    assert lived
    assert "Traceback" not in pump.stderr.read_text()
