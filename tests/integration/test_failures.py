"""`failures`, `retry` and `audit` as a person runs them: a site that fails, and recovers."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import threading
from collections import Counter

import msgspec
import pytest
from stack import Directory, wait_for
from website import Response, Website

from crawl import keys, names, politeness, results, settings, urls
from crawl.audit import audit
from crawl.errors import UsageError
from embedded.attachment import reading
from poolcrawl.cli import cli, main
from poolcrawl.explaining import explain

HOST, SHUT = "sick.test", "shut.test"
OPTIONS = ("--delay", "0", "--scope", "any", "--max-pages", "40")
#: One attempt each, so that failures are quick; nothing is transient for long here.
QUICK = {"CRAWL_MAX_ATTEMPTS": "1", "CRAWL_LEASE_S": "3"}


class Site:
    """A site of a dozen pages; while it is sick, every third is broken, and so is the other host's robots.txt."""

    def __init__(self) -> None:
        self.sick = True
        self.gate: threading.Event | None = None
        #: Requests that have come to the gate.
        self.held = 0

    def answer(self, request):
        """Answer for the first host."""
        if request.path == "/robots.txt":
            return Response("", 404)
        if request.path == "/":
            links = "".join(f'<a href="/{number}">n</a>' for number in range(12))
            return f'{links}<a href="http://{SHUT}:{request.port}/">shut</a><a href="/missing">m</a>'
        if request.path == "/missing":
            return Response("", 404)
        number = int(request.path.split("/")[1])
        if self.sick and number % 3 == 0:
            return Response("", 500)
        if self.gate is not None:
            self.held += 1
            self.gate.wait(30)
        return (
            f'page {number} <a href="/{number}/below">below</a>' if request.path.count("/") == 1 else "below"
        )

    def shut(self, request):
        """Answer for the other host."""
        if request.path == "/robots.txt":
            return Response("", 500 if self.sick else 404)
        return "open"

    def rooms(self):
        return {HOST: self.answer, SHUT: self.shut}


@contextlib.contextmanager
def crawled(path):
    """A directory with the finished crawl `one` of the sick site."""
    own, directory = Site(), Directory(path, QUICK)
    with Website(own.rooms()) as site:
        done = directory.run("crawl", site.url(HOST), *OPTIONS, "--name", "one", *site.resolve(HOST, SHUT))
        assert done.code == 0, done.stderr
        try:
            yield own, directory, site
        finally:
            directory.end()


@contextlib.contextmanager
def looking(directory):
    """A client of a directory's server, which runs for the block."""
    with reading(settings.load({"CRAWL_STATE_DIR": str(directory.state)})) as client:
        yield client


@pytest.fixture(scope="module")
def sick(tmp_path_factory):
    """The crawl of the sick site, with its server; its tests leave it as it is."""
    with (
        crawled(tmp_path_factory.mktemp("sick")) as (_, directory, site),
        looking(directory) as client,
    ):
        yield directory, site, client


@pytest.fixture
def run(sick, monkeypatch, capsys):
    """A function that runs `poolcrawl ARGUMENTS` in this process; returns exit code and standard output."""
    monkeypatch.setenv("CRAWL_STATE_DIR", str(sick[0].state))

    def _run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = cli.main(list(arguments), standalone_mode=False)
        return code or 0, capsys.readouterr().out

    return _run


def test_failures_are_grouped_with_samples_and_hosts(sick, run):
    """The largest group first, with what may pass and how it is tried again."""
    site = sick[1]
    told = json.loads(run("failures", "--json")[1])
    _, said = run("failures", "one")

    assert [("http", 500, 4, 4), ("http", 404, 1, 0), ("robots", None, 1, 1)] == [
        (one["reason"], one["status"], one["count"], one["may_pass"]) for one in told["groups"]
    ]
    assert (6, 5, "finished", [[HOST, 4]]) == (
        *(told["failed"], told["may_pass"], told["state"], told["groups"][0]["hosts"]),
    )
    assert {"url": site.url(HOST, "/missing"), "status": 404, "generation": 0}.items() <= told["groups"][1][
        "samples"
    ][0].items()
    assert "       4  http 500  at sick.test 4\n" in said
    assert f"          {site.url(HOST, '/missing')}  The server answered 404 Not Found." in said
    assert "poolcrawl retry one" in said


def test_failures_of_one_reason_are_a_line_each(sick, run):
    """For pipes: URL, status, detail; with --json, objects."""
    rows = [line.split("\t") for line in run("failures", "--reason", "http")[1].splitlines()]
    objects = run("failures", "--reason", "robots", "--json")[1].splitlines()

    assert {("500", 4), ("404", 1)} == {
        (status, sum(row[1] == status for row in rows)) for _, status, _ in rows
    }
    assert [sick[1].url(SHUT)] == [json.loads(line)["url"] for line in objects]


def test_no_failure_of_a_reason_is_said(sick, monkeypatch, capsys):
    """On standard error, and not with --json: pipes get what they got."""
    monkeypatch.setenv("CRAWL_STATE_DIR", str(sick[0].state))
    said = []
    for more in ((), ("--json",)):
        capsys.readouterr()
        assert not cli.main(["failures", "--reason", "lost", *more], standalone_mode=False)
        said.append(tuple(capsys.readouterr()))

    assert [
        ("", "one: no URL failed or was skipped for the reason 'lost' (finished)\n"),
        ("", ""),
    ] == said


def test_one_damaged_crawl_hides_no_other_one(sick, run):
    """`list` shows it as damaged; who needs its options gets one line."""
    client = sick[2]
    client.hset(keys.crawl("two"), mapping={**client.hgetall(keys.crawl("one")), "options": b'{"seeds":\xff'})
    client.zadd(keys.crawls(), {"two": 0})
    told = [json.loads(line) for line in run("list", "--json")[1].splitlines()]
    code, said = run("list")
    with pytest.raises(UsageError, match=r"'two' is damaged: its options in Redis cannot be read.*backup"):
        run("status", "two")
    client.delete(keys.crawl("two"))
    client.zrem(keys.crawls(), "two")

    assert [("one", "finished"), ("two", None)] == [(one["crawl"], one["state"]) for one in told]
    assert "is damaged" in told[1]["error"]
    assert 0 == code
    assert [["one", "finished"], ["two", "damaged"]] == [line.split()[:2] for line in said.splitlines()[1:]]


@pytest.mark.parametrize("verb", [("why", "one", "/missing"), ("failures", "one"), ("changes", "one", "one")])
@pytest.mark.parametrize(
    "text", [b'{"outcome":"failed","url":', b'{"outcome":"failed","url":"\xff"}', b'[{"outcome":"failed"}]']
)
def test_a_damaged_record_is_one_line(verb, text, sick, monkeypatch, capsys):
    """Never a traceback; it says what names the record, and what can be done."""
    _, site, client = sick
    fingerprint = str(urls.fingerprint(site.url(HOST, "/missing")))
    before = client.hget(keys.records("one"), fingerprint)
    assert before is not None
    words = [site.url(HOST, word) if word.startswith("/") else word for word in verb]
    monkeypatch.setattr("sys.argv", ["poolcrawl", *words])
    monkeypatch.setattr("poolcrawl.streams.discard_stdout", lambda: None)
    monkeypatch.setenv("CRAWL_STATE_DIR", str(sick[0].state))
    client.hset(keys.records("one"), fingerprint, text)
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        client.hset(keys.records("one"), fingerprint, before)

    assert ended.value.code == 2
    assert re.fullmatch(
        r"poolcrawl: a record that Redis keeps is damaged \(.*\): `poolcrawl audit CRAWL` names it.*\n",
        capsys.readouterr().err,
    )


#: What may be damaged beside a record: in which key, with which field and value (or entry of a stream), the verbs that
#: end with one line, and those that go on, with their exit code.
_ALL = ("status", "export", "audit", "why", "failures", "changes", "retry")
_READERS = ("export", "audit", "why", "failures", "changes", "retry")
DAMAGES = [
    (keys.counts, ("admitted", b"garb"), _ALL, {"list": 0}),
    (keys.counts, ("trimmed", b"\xff"), _ALL, {"list": 0}),
    (keys.counts, (b"refused \xff", b"1"), _ALL, {"list": 0}),
    *(
        (keys.crawl, (field, value), (*_ALL, "pause") if field == "schema" else _ALL, {"list": 0})
        for field in ("schema", "active_ms", "created_at", "ended_at", "generation")
        for value in (b"", b"garbage", b"\xff")
    ),
    (keys.crawl, ("state", b"\xff"), ("status", "audit", "why", "retry"), {"list": 0}),
    (keys.records, ("garbage", b"{}"), (), {"audit": 1, "list": 0}),
    (keys.records, (b"\xff", b"{}"), (), {"audit": 1}),
    (keys.retried, (str(2**63), b"1"), (), {"audit": 1}),
    (keys.results, {"f": "garbage"}, (), {"audit": 1, "export": 0, "why": 0, "failures": 0}),
    (keys.results, {"x": "1"}, _READERS, {"status": 0}),
    (keys.results, {"f": b"\xff"}, _READERS, {}),
    (keys.results, {"f": "1", "g": "zz"}, _READERS, {}),
    (keys.attempts, {"x": "1"}, ("why", "politeness"), {"audit": 0}),
    (keys.attempts, {"a": "[1]"}, ("politeness",), {"audit": 0}),
    (keys.attempts, {"a": b"\xff", "h": "1"}, ("politeness",), {"audit": 0}),
]


@pytest.mark.parametrize(
    ("key", "damage", "refused", "others"), DAMAGES, ids=[f"{one[0].__name__} {one[1]}" for one in DAMAGES]
)
def test_damaged_data_are_one_line_in_every_verb(
    key, damage, refused, others, sick, run, monkeypatch, capsys
):
    """With exit code 2 and the remedy; `list` shows the crawl as damaged, and the audit counts what it can."""
    _, site, client = sick
    words = {
        "why": ("why", "one", site.url(HOST, "/missing")),
        "changes": ("changes", "one", "one"),
        "retry": ("retry", "one", "--reason", "dns"),
        "politeness": ("audit", "one", "--politeness"),
        "list": ("list",),
    }
    monkeypatch.setattr("poolcrawl.streams.discard_stdout", lambda: None)
    before = client.dump(key("one"))
    # Another one, which is shown as ever.
    client.copy(keys.crawl("one"), keys.crawl("two"))
    client.zadd(keys.crawls(), {"two": 0})
    if isinstance(damage, dict):
        client.xadd(key("one"), damage)
    else:
        client.hset(key("one"), *damage)
    ended, said = {}, {}
    try:
        for verb in (*refused, *others):
            monkeypatch.setattr("sys.argv", ["poolcrawl", *words.get(verb, (verb, "one"))])
            with pytest.raises(SystemExit) as code:
                main()
            ended[verb], said[verb] = code.value.code, capsys.readouterr()
    finally:
        client.delete(key("one"), keys.crawl("two"))
        client.zrem(keys.crawls(), "two")
        if before is not None:
            client.restore(key("one"), 0, before)

    assert dict.fromkeys(refused, 2) | others == ended, said
    for verb in refused:
        assert re.fullmatch(
            r"poolcrawl: crawl 'one' is damaged: .* in Redis cannot be read \(.*\); bring Redis' data back .*\n",
            said[verb].err,
        )
    if "list" in others:
        states = [line.split()[:2] for line in said["list"].out.splitlines()[1:]]
        assert [["one", "damaged" if refused else "finished"], ["two", "finished"]] == sorted(states)
    if others.get("audit") == 1:
        assert "NOT CLEAN" in said["audit"].out
        assert re.search(r"  damaged \(fingerprint .*\): .* is no fingerprint of a URL", said["audit"].out)
    assert 0 == run("audit", "one")[0]


def test_nothing_to_try_again_is_no_failure(run):
    """It is said, with where the others are listed."""
    assert (
        0,
        "one: nothing is to be tried again; 6 failed for other reasons (`poolcrawl failures one`)\n",
    ) == run("retry", "one", "--reason", "dns")


def test_a_url_that_cannot_be_tried_again_is_named(sick, run):
    """One that is there, and one that the crawl never met, with the remedy."""
    site = sick[1]
    for path, said in (
        ("/", r"has not failed in crawl 'one' \(ok, 200\)"),
        ("/never", f"has no record in crawl 'one'.*`poolcrawl why one {site.url(HOST, '/never')}`"),
    ):
        with pytest.raises(UsageError, match=said):
            run("retry", "one", "--url", site.url(HOST, path))


@pytest.mark.parametrize(
    ("field", "value", "said", "verbs"),
    [
        ("state", "cancelled", "is cancelled", ["retry"]),
        ("schema", "1", "another release", ["retry", "failures", "audit"]),
    ],
)
def test_a_crawl_in_the_wrong_state_is_refused(sick, run, field, value, said, verbs):
    """Cancelled, or written by another version: one sentence each."""
    client = sick[2]
    before = client.hget(keys.crawl("one"), field)
    client.hset(keys.crawl("one"), field, value)
    try:
        for verb in verbs:
            with pytest.raises(UsageError, match=f"crawl 'one' .*{said}"):
                run(verb, "one")
    finally:
        client.hset(keys.crawl("one"), field, before)


def test_a_site_that_has_recovered_is_crawled_to_the_digest_of_the_healthy_one(tmp_path):
    """The records, links found only now included; each attempt is told with its pool and generation."""
    with crawled(tmp_path / "sick") as (own, directory, site):
        own.sick = False
        done = directory.run("retry", "one", "--json")
        with looking(directory) as client:
            found = audit(client, "one")
            manners = politeness.audit(client, "one")
            why = explain(client, "one", site.url(HOST, "/3"), site.url(HOST, "/3"))
            lines = [json.loads(line) for _, line in results.lines(client, "one")]
        healthy = Directory(tmp_path / "healthy", QUICK)
        healthy.run("crawl", site.url(HOST), *OPTIONS, "--name", "two", *site.resolve(HOST, SHUT))
        with looking(healthy) as client:
            expected = audit(client, "two")
        healthy.end()

    first, summary = (json.loads(line) for line in done.stdout.splitlines())
    assert (0, 1, 5, 1, {"http": 4, "robots": 1}, "finished") == (
        *(done.code, first["generation"], first["retried"], first["left"], first["reasons"], first["state"]),
    )
    assert ("finished", 27, {"ok": 26, "failed": 1}, {"http": 1}) == (
        *(summary["state"], summary["pages"], summary["outcomes"], summary["reasons"]),
    )
    assert expected.digest == found.digest
    assert (27, True, 1, 5, []) == (
        *(found.records, found.clean, found.generations, found.retried, manners.violations),
    )
    assert 27 == len(lines) == len({line["url"] for line in lines})
    assert {0: 22, 1: 5} == Counter(line["generation"] for line in lines)
    assert [("http 500", "threads", 0), ("ok 200", "threads", 1)] == [
        (made.result, made.pool, made.generation) for made in why.attempts
    ]


def test_a_killed_retry_is_repeated(tmp_path):
    """Killed while it crawls, with what it had admitted: the same command again does the rest, each URL once."""
    with crawled(tmp_path) as (own, directory, _):
        own.sick, own.gate = False, threading.Event()
        running = directory.start("retry", "one", "--reason", "http")
        wait_for(lambda: own.held, "a request")
        running.interrupt(signal.SIGKILL)
        running.ended()
        own.gate.set()
        with looking(directory) as client:
            between = audit(client, "one")
            # It would expire within ten seconds.
            client.delete(keys.pump("one"))
        done = directory.run("retry", "one", "--reason", "http", "--json")
        with looking(directory) as client:
            after = audit(client, "one")
            lines = [json.loads(line) for _, line in results.lines(client, "one")]

    assert between.clean
    assert between.pending > 0
    # Its workers may have ended some before they ended themselves.
    assert json.loads(done.stdout.splitlines()[0])["waiting"] > 0
    assert 0 == done.code, done.stderr
    assert (True, 0) == (after.clean, after.pending)
    assert {"ok": 4, "failed": 1} == Counter(line["outcome"] for line in lines if line["generation"])


def test_a_retry_of_a_crawl_that_runs_is_sent_by_its_producer(tmp_path):
    """It only admits, says so, and returns; the crawl then ends with the newer records."""
    # Alone in their batches, so that failures are there while other pages are still under way.
    own, directory = Site(), Directory(tmp_path, {**QUICK, "CRAWL_BATCH": "1"})
    own.gate = threading.Event()
    with Website(own.rooms()) as site:
        running = directory.start(
            "crawl", site.url(HOST), *OPTIONS, "--name", "one", *site.resolve(HOST, SHUT)
        )
        client = directory.client()
        wait_for(
            lambda: (
                client.zscore(keys.crawls(), "one")
                and results.status(client, "one").reasons.get("http", 0) >= 2
            ),
            "the failures",
        )
        own.sick = False
        done = directory.run("retry", "one")
        own.gate.set()
        ended = running.ended()
        with looking(directory) as server:
            found = audit(server, "one")
        directory.end()

    assert (0, 0) == (done.code, ended.code), done.stderr
    assert "its producer, which runs, sends them" in done.stdout
    assert (True, 1) == (found.clean, found.generations)
    assert found.retried >= 2


#: What is planted in a crawl, and what the audit must say of it: kind, and whose URL.
PLANTED = {
    "a removed record": ("missing", "/1"),
    "a record removed without a trace": ("missing", "/1"),
    "a doubled one": ("duplicate", "/1"),
    "a doubled one of a generation that never was": ("duplicate", "/1"),
    "a record that was never admitted": ("stray", "/planted"),
    "a record that no stream lists": ("missing", "/1"),
    "a retry that was lost": ("missing", "/3"),
    "a URL that vanished": ("missing", "/1/below"),
}


def _plant(client, fault: str, url: str) -> None:
    identity = str(urls.fingerprint(url))
    record = client.hget(keys.records("one"), identity)
    (listed, *_) = [
        one.identifier for one in results.listed(client, "one") if one.fingerprint == identity
    ] or [None]
    if fault == "a removed record":
        client.hdel(keys.records("one"), identity)
    elif fault in ("a record removed without a trace", "a URL that vanished"):
        client.hdel(keys.records("one"), identity)
        client.xdel(keys.results("one"), listed)
    elif fault == "a doubled one":
        client.xadd(keys.results("one"), {"f": identity})
    elif fault == "a doubled one of a generation that never was":
        client.xadd(keys.results("one"), {"f": identity, "g": 1})
    elif fault == "a record that was never admitted":
        other = client.hvals(keys.records("one"))[0]
        planted = {**msgspec.json.decode(other), "url": url}
        client.hset(keys.records("one"), identity, msgspec.json.encode(planted))
        client.xadd(keys.results("one"), {"f": identity})
    elif fault == "a record that no stream lists":
        client.xdel(keys.results("one"), listed)
    else:
        assert record is not None
        client.hset(keys.retried("one"), identity, 1)


@pytest.mark.parametrize("fault", PLANTED)
def test_an_audit_finds_a_planted_fault(sick, run, fault):
    """In a crawl that was really made: exit 1, and the URL is named, also where its record is gone."""
    _, site, client = sick
    kind, path = PLANTED[fault]
    url = site.url(HOST, path)
    before = {key("one"): client.dump(key("one")) for key in (keys.records, keys.results, keys.retried)}
    _plant(client, fault, url)
    found = audit(client, "one")
    code, said = run("audit", "one")
    for key, dumped in before.items():
        client.delete(key)
        if dumped is not None:
            client.restore(key, 0, dumped)

    assert [(kind, url)] == [(one.kind, one.url) for one in found.faults]
    assert 1 == code
    assert "one: NOT CLEAN" in said
    assert f"  {kind} {url}: " in said
    assert 0 == run("audit", "one")[0]


def test_an_audit_finds_a_planted_violation_of_a_delay(sick, run):
    """A request too soon after another one, in the attempts of a real crawl: exit 1, and both URLs are named."""
    _, site, client = sick
    one, two = site.url(HOST, "/early"), site.url(HOST, "/too-early")
    rows = [
        (one, HOST, names.PAGE, 1_000_000, 1_000_100, 500, "w", "ok 200", 1),
        (two, HOST, names.PAGE, 1_000_300, 1_000_400, 500, "w", "ok 200", 1),
    ]
    assert 0 == run("audit", "one", "--politeness")[0]
    planted = client.xadd(keys.attempts("one"), {"a": json.dumps(rows)})
    code, said = run("audit", "one", "--politeness")
    client.xdel(keys.attempts("one"), planted)

    assert 1 == code
    assert f"gap at {HOST}: {two} (w) 200 ms after the end of the one before, delay 500 ms: {one} (w)" in said
