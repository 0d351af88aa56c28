"""Bad input: the exit code, one line that names the thing and the remedy, never a traceback.

Cases that need no stack run before the first test, each in a fork of one process that has read the command line's
modules already: the real `poolcrawl` in a process of its own, without seventy cold starts of Python.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import rawserver
from stack import POOLCRAWL, Directory, Done, PrivateServer, at_once, wait_for, worker

from embedded.state import State

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Somewhere that passes every check of a URL and is never asked.
URL = "http://site.example/"

#: Reads cases (JSON: arguments, environment, stdin) from its first argument, forks for each, writes their exit codes.
FORKS = """
import json, os, sys
import poolcrawl.cli, poolcrawl.entry

poolcrawl.cli.cli.loaded()
codes = []
for number, (arguments, environment) in enumerate(json.load(open(sys.argv[1]))):
    child = os.fork()
    if child == 0:
        for descriptor, suffix in enumerate(("in", "out", "err")):
            name = f"case-{number}.{suffix}"
            os.dup2(os.open(name, os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT), descriptor)
        os.environ.update(environment)
        sys.argv = ["poolcrawl", *arguments]
        poolcrawl.entry.main()
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(codes))
"""

#: What stands in the directory of the cases.
FILES = {
    "empty.txt": b"",
    "blank.txt": b" \n\n\t\n",
    "comments.txt": b"# nothing here\n",
    "useless.txt": b"site.example\nftp://site.example/\n",
    "binary.bin": bytes(range(256)),
    "picture.png": b"\x89PNG\r\n\x1a\n\xff\xfe\xfd",
    "file": b"",
}


@dataclass(frozen=True)
class Case:
    """One way to be wrong: `names` and `remedy` are what its one line must say (regular expressions)."""

    arguments: tuple[str, ...]
    names: str
    remedy: str
    environment: Mapping[str, str] = field(default_factory=dict)
    code: int = 2
    stdin: bytes = b""


def case(
    arguments: str, names: str, remedy: str, *, stdin: bytes = b"", code: int = 2, **environment: str
) -> Case:
    return Case(tuple(arguments.split()), names, remedy, environment, code, stdin)


_POOLS = "prefork.*threads.*gevent.*asyncio.*solo"
_ADDRESS = r"expected redis://\[user:password@\]host"

CASES = {
    # Pools and settings.
    "pool option": case(f"crawl {URL} --pool fibers", "--pool.*'fibers'", _POOLS),
    "pool option of demo": case("demo --pool fibers", "--pool.*'fibers'", _POOLS),
    "pool variable": case("demo", "CRAWL_POOL='fibers'", _POOLS, CRAWL_POOL="fibers"),
    "pool of a worker": case("worker", "CRAWL_POOL='fibers'", _POOLS, CRAWL_POOL="fibers"),
    "pool of a stage": case("demo", "CRAWL_PARSE_POOL='fibers'", _POOLS, CRAWL_PARSE_POOL="fibers"),
    "unknown variable": case("demo", "CRAWL_POL ", "did you mean CRAWL_POOL", CRAWL_POL="gevent"),
    "unknown variable, unlike any": case(
        "list", "CRAWL_XYZZY ", "did you mean|docs/settings.md", CRAWL_XYZZY="1"
    ),
    "unknown variable in lower case": case("list", "crawl_pol ", "CRAWL_POOL", crawl_pol="gevent"),
    "zero concurrency": case(
        "demo", "CRAWL_CONCURRENCY='0'", "greater than or equal to 1", CRAWL_CONCURRENCY="0"
    ),
    "negative concurrency": case(
        "demo", "CRAWL_CONCURRENCY='-4'", "greater than or equal to 1", CRAWL_CONCURRENCY="-4"
    ),
    "concurrency in words": case("demo", "CRAWL_CONCURRENCY='many'", "integer", CRAWL_CONCURRENCY="many"),
    "zero concurrency option": case(f"crawl {URL} --concurrency 0", "--concurrency", "1<=x"),
    "zero workers option": case(f"crawl {URL} --workers 0", "--workers", "1<=x"),
    "unknown reason": case("retry --reason fatigue", "--reason.*'fatigue'", "'dns', 'connect'"),
    "unknown reason of failures": case("failures --reason no", "--reason.*'no'", "'dns', 'connect'"),
    "reasons and URLs at once": case(
        f"retry --reason dns --url {URL}", "--reason and --url", "name the reasons"
    ),
    "URL to retry that is none": case("retry --url ftp://a.test/", "--url.*ftp", "http"),
    "zero batch": case("demo", "CRAWL_BATCH='0'", "greater than or equal to 1", CRAWL_BATCH="0"),
    "endless delay": case("demo", "CRAWL_DELAY_S='nan'", "finite number", CRAWL_DELAY_S="nan"),
    "endless delay option": case(f"crawl {URL} --delay nan", "--delay", "finite number"),
    "endless latency option": case("demo --latency inf", "--latency", "finite|range"),
    "window that no message holds": case(
        "demo", f"CRAWL_WINDOW='{2**64}'", "less than or equal to 1000000000000", CRAWL_WINDOW=str(2**64)
    ),
    "timeout that no socket takes": case(
        "demo", "CRAWL_READ_TIMEOUT_S='1e10'", "less than or equal to 86400", CRAWL_READ_TIMEOUT_S="1e10"
    ),
    "unknown pipeline": case("demo", "CRAWL_PIPELINE='chain'", "callback.*fused", CRAWL_PIPELINE="chain"),
    "unknown queue": case("worker", "CRAWL_QUEUES='fetch,pars'", "fetch, parse", CRAWL_QUEUES="fetch,pars"),
    "events": case("demo", "CRAWL_EVENTS='maybe'", "on or off", CRAWL_EVENTS="maybe"),
    "proxy of another kind": case(
        "demo",
        r"CRAWL_PROXY='socks5://\.\.\.@proxy:1080'",
        "expected http://",
        CRAWL_PROXY="socks5://me:pw@proxy:1080",
    ),
    "header with a line break": Case(
        ("crawl", URL, "--header", "X-A: b\r\nX-B: c"), "--header.*X-A", "control character"
    ),
    "header that is none": case(f"crawl {URL} --header nonsense", "--header", "Name: value"),
    "header that something else sets": case(
        f"crawl {URL} --header Cookie:a=b", "--header.*Cookie", "--cookies"
    ),
    "credentials that are not there": case(
        f"crawl {URL} --credentials missing.txt", "credentials missing.txt", "no such file"
    ),
    "credentials that are none": case(
        f"crawl {URL} --credentials useless.txt",
        r"useless.txt, line 1",
        "expected ORIGIN basic USER:PASSWORD",
    ),
    "resolve variable": case("demo", "CRAWL_RESOLVE='a=b'", "NAME:PORT=ADDRESS:PORT", CRAWL_RESOLVE="a=b"),
    "allowed address variable": case(
        "demo", "CRAWL_ALLOW_ADDRESSES='10.0.0.300'", "10.0.0.0/8", CRAWL_ALLOW_ADDRESSES="10.0.0.300"
    ),
    "Redis URL of another scheme": case(
        "list", "CRAWL_REDIS_URL='http://h/'", _ADDRESS, CRAWL_REDIS_URL="http://h/"
    ),
    "Redis URL without a host": case(
        "list", "CRAWL_REDIS_URL='redis://'", _ADDRESS, CRAWL_REDIS_URL="redis://"
    ),
    "Redis URL with a wrong port": case(
        "list", "CRAWL_REDIS_URL='redis://h:99999/0'", _ADDRESS, CRAWL_REDIS_URL="redis://h:99999/0"
    ),
    "Redis URL with a number that no database has": case(
        "list", "CRAWL_REDIS_URL='redis://h/9999999999'", _ADDRESS, CRAWL_REDIS_URL="redis://h/9999999999"
    ),
    "password file": case(
        "list",
        "CRAWL_REDIS_PASSWORD_FILE=nowhere",
        "No such file",
        CRAWL_REDIS_URL="redis://127.0.0.1:1/0",
        CRAWL_REDIS_PASSWORD_FILE="nowhere",
    ),
    "state directory": case(f"crawl {URL}", "file/below", "CRAWL_STATE_DIR", CRAWL_STATE_DIR="file/below"),
    "Flower port in words": case("demo", "FLOWER_PORT='http'", "from 1 to 65535", FLOWER_PORT="http"),
    # URLs.
    "no scheme": case("crawl site.example", "'site.example' has no scheme", "http://site.example"),
    "no scheme, but a port": case("crawl site.example:8080/x", "site.example:8080", "http://"),
    "wrong scheme": case("crawl ftp://site.example/", "ftp://", "http:// and https://"),
    "mail address": case("crawl mailto:me@site.example", "mailto", "http:// and https://"),
    "empty host": case("crawl http:///path", "'http:///path' names no host", "http://HOST/PATH"),
    "only a scheme": case("crawl https://", "'https://' names no host", "HOST"),
    "one good, one bad URL": case(f"crawl {URL} site.example", "'site.example' has no scheme", "http://"),
    "nothing to crawl": case("crawl", "nothing to crawl", "URL, --seeds FILE, or --name"),
    # Seeds files.
    "missing seeds file": case("crawl --seeds nowhere.txt", "--seeds nowhere.txt", "one URL per line"),
    "seeds file that is a directory": case("crawl --seeds .", "--seeds .*directory", "one URL per line"),
    "empty seeds file": case("crawl --seeds empty.txt", "--seeds empty.txt is empty", "one URL per line"),
    "blank seeds file": case("crawl --seeds blank.txt", "--seeds blank.txt is empty", "one URL per line"),
    "seeds file of comments": case(
        "crawl --seeds comments.txt", "comments.txt has no usable line", "one URL"
    ),
    "seeds file without a usable line": case(
        "crawl --seeds useless.txt",
        "useless.txt has no usable line.*useless.txt:1: .*site.example",
        "one URL",
    ),
    "binary seeds file": case("crawl --seeds binary.bin", "--seeds binary.bin", "one URL per line"),
    "seeds file that is a picture": case(
        "crawl --seeds picture.png", "--seeds picture.png", "one URL per line"
    ),
    "empty standard input": case("crawl --seeds -", "standard input is empty", "one URL per line"),
    "useless standard input": case(
        "crawl --seeds -", "standard input has no usable line", "one URL per line", stdin=b"site.example\n"
    ),
    "recrawl of nothing": case("crawl --recrawl monday", "no crawl has been made in", "poolcrawl crawl URL"),
    "changes of nothing": case("changes monday tuesday", "no crawl has been made in", "poolcrawl crawl URL"),
    # Options.
    "negative depth": case(f"crawl {URL} --depth -1", "--depth.*-1", "0<=x"),
    "depth in words": case(f"crawl {URL} --depth deep", "--depth.*'deep'", "integer"),
    "no pages": case(f"crawl {URL} --max-pages 0", "--max-pages", "1<=x"),
    "more pages than can be counted": case(
        f"crawl {URL} --max-pages {2**64}", f"--max-pages.*{2**64}", "1<=x<=1000000000000"
    ),
    "more pages of a host than can be counted": case(
        f"crawl {URL} --max-pages-per-host {2**63}", f"--max-pages-per-host.*{2**63}", "1<=x<=1000000000000"
    ),
    "more links than can be counted": case(
        f"crawl {URL} --depth {2**64}", f"--depth.*{2**64}", "0<=x<=1000000000000"
    ),
    "negative delay": case(f"crawl {URL} --delay -1", "--delay", "0<=x"),
    "unknown scope": case(f"crawl {URL} --scope web", "--scope.*'web'", "host.*domain.*prefix.*any"),
    "broken include": case(
        f"crawl {URL} --include a(b", r"--include 'a\(b' is not a valid regular expression", "RE2"
    ),
    "broken exclude": case(
        f"crawl {URL} --exclude *.pdf", r"'\*\.pdf' is not a valid regular expression", "RE2"
    ),
    "backreference": case(f"crawl {URL} --exclude (a)\\1", "is not a valid regular expression", "RE2"),
    "scope that no seed is in": case(
        f"crawl {URL} --include /docs/", "no seed would be fetched .*--include '/docs/'", "further --include"
    ),
    "scope that excludes every seed": case(
        f"crawl {URL} --exclude site", "no seed would be fetched .*--exclude 'site'", "start from another URL"
    ),
    "nameless parameter": Case(
        ("crawl", URL, "--drop-query", ""), "--drop-query", "name the query parameter"
    ),
    "dry run of a name": case(
        f"crawl {URL} --dry-run --name x", "--dry-run.*--name", "leave one of them out"
    ),
    "dry run of nothing": case("crawl --dry-run --recrawl x", "--dry-run", "URL or --seeds FILE"),
    "why of nothing": case("why", "crawl's name and a URL", "poolcrawl why CRAWL URL"),
    "why of a crawl alone": case("why demo-20261122", "'demo-20261122' is no URL", "poolcrawl why demo-2"),
    "why of no URL": case("why shops site.example", "'site.example' has no scheme", "http://site.example"),
    "why before any crawl": case(f"why {URL}", "no crawl has been made", "poolcrawl demo"),
    "malformed name": case(f"crawl {URL} --name a/b", "--name.*'a/b'", "letters, digits"),
    "malformed address": case(f"crawl {URL} --allow-address x", "--allow-address.*'x'", "10.0.0.0/8"),
    "malformed map": case(f"crawl {URL} --resolve a:80", "--resolve.*'a:80'", "NAME:PORT=ADDRESS:PORT"),
    "unknown option": case(f"crawl {URL} --threads", "--threads", "poolcrawl crawl --help"),
    "option of a later release": case(f"crawl {URL} --render", "--render", "poolcrawl crawl --help"),
    "option of the embedded stack": case(
        f"crawl {URL} --pool gevent",
        "--pool.*CRAWL_REDIS_URL",
        "unset",
        CRAWL_REDIS_URL="redis://127.0.0.1:1/0",
    ),
    "worker without Redis": case("worker", "CRAWL_REDIS_URL is not set", "needs a Redis"),
    # Verbs and names, before any crawl was made.
    "unknown verb": case("crowl", "'crowl'", "poolcrawl --help"),
    "verb of a later release": case("schedule", "'schedule'", "poolcrawl --help"),
    "status before any crawl": case("status", "no crawl has been made", "poolcrawl demo"),
    "status of an unknown crawl before any": case("status shops", "no crawl has been made", "poolcrawl demo"),
    "list before any crawl": case("list", "no crawl has been made", "poolcrawl demo"),
    "audit before any crawl": case("audit shops", "no crawl has been made", "poolcrawl demo"),
    "export before any crawl": case("export shops", "no crawl has been made", "poolcrawl demo"),
    "continuing before any crawl": case("crawl --name shops", "no crawl has been made", "poolcrawl demo"),
    "pause before any crawl": case("pause shops", "no crawl has been made", "poolcrawl demo"),
    "cancel before any crawl": case("cancel", "no crawl has been made", "poolcrawl demo"),
    "delete before any crawl": case("delete shops --yes", "no crawl has been made", "poolcrawl demo"),
    "pump without a Redis": case("pump", "CRAWL_REDIS_URL is not set", "a pump service needs a Redis"),
    "detach with an output": case(f"crawl {URL} --detach --output f", "--output", "poolcrawl export"),
    # Outputs.
    "output in no directory": case(f"crawl {URL} --output no/f.jsonl", "--output no/f.jsonl", "name a file"),
    "output that is a directory": case(f"crawl {URL} --output .", "--output .*directory", "name a file"),
    "export to no name": Case(("export", "--output", ""), "--output.*is empty", "name a file"),
    "output of no name": Case(("crawl", URL, "--output", ""), "--output.*is empty", "name a file"),
    "export in no directory": case("export --output no/f.jsonl", "--output no/f.jsonl", "name a file"),
    "unknown format": case("export --format xml", "--format.*'xml'", "'jsonl'"),
    # Redis.
    "Redis unreachable": case(
        f"crawl {URL}",
        "redis://127.0.0.1:1/0",
        "start it, or correct",
        code=3,
        CRAWL_REDIS_URL="redis://127.0.0.1:1/0",
    ),
    "Redis unreachable for a worker": case(
        "worker",
        "redis://127.0.0.1:1/0",
        "start it, or correct",
        code=3,
        CRAWL_REDIS_URL="redis://127.0.0.1:1/0",
    ),
    "stop with a Redis elsewhere": case(
        "stop", "CRAWL_REDIS_URL is set", "unset it", CRAWL_REDIS_URL="redis://127.0.0.1:1/0"
    ),
    "Redis unreachable for a reader": case(
        "status",
        "redis://127.0.0.1:1/0",
        "start it, or correct",
        code=3,
        CRAWL_REDIS_URL="redis://127.0.0.1:1/0",
    ),
    "host of Redis unknown": case(
        "list",
        "redis://redis.invalid:6379",
        "start it, or correct",
        code=3,
        CRAWL_REDIS_URL="redis://redis.invalid:6379",
    ),
}


def is_one_line(text: str) -> bool:
    """Whether it is one line of poolcrawl's own."""
    return len(text.splitlines()) == 1 and text.startswith("poolcrawl: ") and "Traceback" not in text


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What came of every case, by its name."""
    directory = Directory(tmp_path_factory.mktemp("cases"))
    for name, content in FILES.items():
        (directory.path / name).write_bytes(content)

    for number, one in enumerate(CASES.values()):
        (directory.path / f"case-{number}.in").write_bytes(one.stdin)
    cases = [(one.arguments, dict(one.environment)) for one in CASES.values()]
    (directory.path / "cases.json").write_text(json.dumps(cases))
    forked = directory.spawn((sys.executable, "-P", "-c", FORKS, "cases.json")).ended()
    assert forked.code == 0, forked.stderr
    assert not (directory.path / ".poolcrawl").exists(), "a refused command made a state directory"

    def done(number: int, code: int) -> Done:
        said = ((directory.path / f"case-{number}.{suffix}").read_text() for suffix in ("out", "err"))
        return Done(code, *said)

    yield {
        name: done(number, code)
        for (number, name), code in zip(enumerate(CASES), forked.summary, strict=True)
    }
    directory.end()


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_line_with_its_remedy(outcomes, name):
    """The exit code, the thing, the remedy, and nothing on stdout, for every way to be wrong."""
    one, done = CASES[name], outcomes[name]

    assert one.code == done.code, done.stderr
    assert is_one_line(done.stderr), done.stderr
    assert re.search(one.names, done.stderr), done.stderr
    assert re.search(one.remedy, done.stderr), done.stderr
    assert done.stdout == ""


@pytest.fixture
def directory(tmp_path):
    made = Directory(tmp_path)
    yield made
    made.end()


def test_a_fixed_port_in_use_is_named(directory):
    """FLOWER_PORT that somebody listens on: the port and how to choose another, before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = directory.run("demo", FLOWER_PORT=str(port))

    assert done.code == 2
    assert is_one_line(done.stderr), done.stderr
    assert f"port {port}" in done.stderr
    assert "FLOWER_PORT" in done.stderr
    assert directory.left() == []


def test_a_full_disk_behind_standard_output_is_one_line(directory):
    """An output that cannot be written needs not be a file; nor does it end as a traceback of the interpreter."""
    done = directory.spawn(("sh", "-c", 'exec "$@" >/dev/full', "sh", *POOLCRAWL, "--help")).ended()

    assert done.code == 2
    assert is_one_line(done.stderr), done.stderr
    assert "No space left" in done.stderr


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    with PrivateServer(tmp_path_factory.mktemp("private")) as server:
        yield server


@pytest.mark.parametrize(
    ("verb", "password"),
    [
        *(("crawl", "wrong-password"), ("worker", ""), ("status", "wrong-password"), ("doctor", "")),
        *(("crawl", ""), ("worker", "wrong-password"), ("status", ""), ("doctor", "wrong-password")),
    ],
)
def test_a_wrong_password_is_named_without_showing_it(directory, private, verb, password):
    """Exit 3 (doctor, which checks: 1), where it was tried, and what to correct; never the password itself."""
    url = (
        f"redis://:{password}@127.0.0.1:{private.port}/0"
        if password
        else f"redis://127.0.0.1:{private.port}/0"
    )
    done = directory.run(verb, *((URL,) if verb == "crawl" else ()), CRAWL_REDIS_URL=url)
    words = "refuses the password" if password else "wants a password; give it in"
    said = next(line for line in (done.stdout + done.stderr).splitlines() if words in line)

    assert done.code == (1 if verb == "doctor" else 3)
    assert f"redis://127.0.0.1:{private.port}/0" in said
    assert "CRAWL_REDIS_URL or CRAWL_REDIS_PASSWORD_FILE" in said
    assert "HELLO" not in said
    assert "wrong-password" not in done.stdout + done.stderr
    assert verb == "doctor" or is_one_line(done.stderr), done.stderr


#: One verb of each kind: it reads, submits, works, and looks whether all is well.
_KINDS = (("list",), ("crawl", URL), ("worker",), ("pump",), ("doctor",))


def _told_of(directory: Directory, url: str, words: str) -> None:
    """Assert that every kind of verb says these words in one line, with its exit code."""
    for verb, done in zip(
        _KINDS, at_once(lambda verb: directory.run(*verb, CRAWL_REDIS_URL=url), _KINDS), strict=True
    ):
        if verb == ("doctor",):
            assert done.code == 1, done.stderr
            assert re.search(f"^FAIL redis: .*{words}", done.stdout, re.MULTILINE), done.stdout
            assert done.stderr == ""
        else:
            assert done.code == 3, done.stderr
            assert is_one_line(done.stderr), done.stderr
            assert re.search(words, done.stderr), done.stderr


@pytest.mark.parametrize(
    "greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"], ids=["web", "ssh"]
)
def test_what_is_no_redis_is_named(directory, greeting):
    """The port of a web server, or of a shell."""

    def greets(connection: socket.socket, _: rawserver.Server) -> None:
        connection.sendall(greeting)
        connection.recv(65536)

    server = rawserver.Server(greets)
    address = server.url("").removeprefix("http://").rstrip("/")
    _told_of(
        directory,
        f"redis://{address}/0",
        f"what answers at redis://{address}/0 is no Redis; correct CRAWL_REDIS_URL",
    )
    server.close()


def test_a_database_that_the_server_does_not_have_is_named(directory, private):
    """Its number stands in the line, and where to correct it."""
    words = (
        f"127.0.0.1:{private.port}/99 has no database of that number .*correct the number.*CRAWL_REDIS_URL"
    )
    _told_of(directory, f"redis://:{private.password}@127.0.0.1:{private.port}/99", words)


def test_a_state_directory_that_doctor_refuses_is_the_one_that_crawl_refuses(directory):
    """In the same words."""
    crawl = directory.run("crawl", URL, CRAWL_STATE_DIR="/proc/foo")
    doctor = directory.run("doctor", CRAWL_STATE_DIR="/proc/foo")
    words = crawl.stderr.removeprefix("poolcrawl: ").strip()

    assert (crawl.code, doctor.code) == (2, 1)
    assert words.startswith("cannot use /proc/foo for state: No such file or directory; set CRAWL_STATE_DIR")
    assert f"FAIL state directory: {words}" in doctor.stdout


@pytest.mark.parametrize("detach", [(), ("--detach",)], ids=["followed", "detached"])
def test_a_state_directory_without_room_is_named(directory, detach):
    """A disk that is full (here: files may not grow) is told the same with and without --detach."""
    State(directory.state).make()
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *POOLCRAWL, "crawl", URL, *detach],
        cwd=directory.path,
        env=directory.env(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2, done.stderr
    assert is_one_line(done.stderr), done.stderr
    assert "cannot use .poolcrawl for state: File too large; set CRAWL_STATE_DIR" in done.stderr


@pytest.fixture(scope="module")
def unserved(tmp_path_factory):
    """Two crawls without the workers they need, at the same time: nobody at all, and nobody who parses."""

    def run(name: str) -> Done:
        directory = Directory(tmp_path_factory.mktemp(name))
        with PrivateServer(directory.path / "server") as server, contextlib.ExitStack() as workers:
            if name == "half":
                settings = {"CRAWL_QUEUES": "fetch", "CRAWL_CONCURRENCY": "1"}
                workers.enter_context(worker(directory, server.url, **settings))
            done = directory.run("crawl", URL, "--name", name, CRAWL_REDIS_URL=server.url)
        directory.end()
        return done

    return at_once(run, ("alone", "half"))


def test_a_crawl_without_a_worker_ends_after_ten_seconds(unserved):
    """Exit 3, and how to start one."""
    done = unserved[0]
    last = done.stderr.splitlines()[-1]

    assert done.code == 3
    assert re.search("no worker is alive after 10 s; start one with `poolcrawl worker`", last), done.stderr
    assert last.startswith("poolcrawl: ")
    assert "Traceback" not in done.stderr


def test_a_half_served_crawl_names_the_queue_that_nobody_serves(unserved):
    """A fetch worker alone parses nothing; the message says so instead of letting the crawl hang."""
    done = unserved[1]

    assert done.code == 3
    assert "no live worker serves the queue 'parse'" in done.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def crawled(tmp_path_factory):
    """A directory with one crawl, `here`, of a server that is no HTTP, and what that crawl said."""
    directory = Directory(tmp_path_factory.mktemp("crawled"))
    server = rawserver.Server(_greets)
    done = directory.run(
        *("crawl", server.url(), "--name", "here", "--allow-address", "127.0.0.0/8", "--delay", "0", "--json")
    )
    server.close()
    yield directory, done
    directory.end()


def _greets(connection: socket.socket, _: rawserver.Server) -> None:
    """Greet as an SSH server does, whatever was asked."""
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    connection.recv(65536)


def test_a_server_that_is_no_http_gets_a_record_that_says_so(crawled):
    """Reason `protocol`, and exit 1 because nothing else was fetched; robots.txt is no way around it."""
    directory, done = crawled
    (record,) = directory.records("here")

    assert done.code == 1, done.stderr
    assert ("failed", "protocol") == (record["outcome"], record["reason"])
    assert record["detail"]
    assert {"protocol": 1} == done.summary["reasons"]
    assert "Traceback" not in done.stderr


def test_a_server_that_is_no_http_gets_the_same_record_without_robots(crawled):
    """With `--robots ignore` the page itself is asked for, and ends the same."""
    directory, _ = crawled
    server = rawserver.Server(_greets)
    options = ("--allow-address", "127.0.0.0/8", "--delay", "0", "--robots", "ignore")
    done = directory.run("crawl", server.url(), "--name", "asked", *options)
    server.close()
    (record,) = directory.records("asked")

    assert done.code == 1
    assert ("failed", "protocol", 1) == (record["outcome"], record["reason"], record["attempts"])


def test_hosts_that_cannot_be_asked_are_recorded_as_what_they_are(crawled):
    """No name, no listener, no permission: the reason is that one, not that robots.txt could not be had."""
    directory, _ = crawled
    closed = f"http://127.0.0.1:{_unused_port()}/"
    seeds = ("http://nowhere.invalid/", closed, "http://10.1.2.3/")
    options = ("--allow-address", "127.0.0.1", "--delay", "0", "--name", "nowhere")
    done = directory.run("crawl", *seeds, *options, CRAWL_MAX_ATTEMPTS="1")
    reasons = {record["url"]: record["reason"] for record in directory.records("nowhere")}

    assert done.code == 1
    assert dict(zip(seeds, ("dns", "connect", "address"), strict=True)) == reasons


def _unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.mark.parametrize("verb", ["status", "export", "audit", "failures", "retry"])
def test_an_unknown_crawl_is_named_beside_those_there_are(crawled, verb):
    """A mistyped name: exit 2, and the names one may have meant."""
    done = crawled[0].run(verb, "there")

    assert done.code == 2
    assert is_one_line(done.stderr), done.stderr
    assert "'there'" in done.stderr
    assert "here" in done.stderr
    assert "poolcrawl list" in done.stderr


def test_an_unknown_crawl_cannot_be_continued(crawled):
    """`crawl --name` without a URL continues; a name nobody gave is refused before a stack is started."""
    done = crawled[0].run("crawl", "--name", "there")

    assert done.code == 2
    assert is_one_line(done.stderr), done.stderr
    assert "'there'" in done.stderr


def test_other_options_for_an_existing_crawl_are_refused(crawled):
    """What a crawl was made with is frozen: exit 2, with both values and what to do."""
    done = crawled[0].run("crawl", "http://other.example/", "--name", "here", "--depth", "3")

    assert done.code == 2
    assert "'here' was made without --depth, not with 3" in done.stderr
    assert "another --name" in done.stderr
    assert "Traceback" not in done.stderr


def test_other_options_for_a_finished_crawl_are_refused_too(crawled):
    """Nothing is left to do there, but what was asked for was something else."""
    done = crawled[0].run("crawl", "--name", "here", "--depth", "3")

    assert done.code == 2
    assert is_one_line(done.stderr), done.stderr
    assert "'here' was made without --depth, not with 3" in done.stderr


def test_a_reader_who_leaves_early_is_no_failure(crawled):
    """`poolcrawl export | head -n 1` ends well, however early the reader goes."""
    read, write = os.pipe()
    os.close(read)

    with os.fdopen(write, "wb") as closed:
        code = subprocess.run(
            [*POOLCRAWL, "export", "here"],
            cwd=crawled[0].path,
            env=crawled[0].env(),
            stdout=closed,
            check=False,
        ).returncode

    assert code == 0


def test_bad_lines_of_a_seeds_file_are_named_and_the_rest_is_crawled(directory):
    """Line numbers on stderr, exit 0, and a record for every good line."""
    server = rawserver.Server(_serves)
    lines = (
        "# comment",
        server.url("/one"),
        "site.example",
        "",
        "ftp://site.example/",
        f"  {server.url('/two')}  ",
        "http://",
    )
    (directory.path / "seeds.txt").write_text("\n".join(lines))
    options = ("--seeds", "seeds.txt", "--allow-address", "127.0.0.0/8", "--delay", "0", "--depth", "0")
    done = directory.run("crawl", *options)
    server.close()

    assert done.code == 0, done.stderr
    assert ["3", "5", "7"] == re.findall(r"^seeds\.txt:(\d+): ", done.stderr, re.MULTILINE)
    assert {server.url("/one"), server.url("/two")} == {record["url"] for record in directory.records()}
    assert "Traceback" not in done.stderr


def _serves(connection: socket.socket, server: rawserver.Server) -> None:
    """A small page, to every request; no robots.txt."""
    while True:
        head = server.head(connection)
        status = b"404 Not Found" if head.startswith(b"GET /robots.txt ") else b"200 OK"
        connection.sendall(
            rawserver.page(b"<title>page</title>text", b"Content-Type: text/html", status=status)
        )


def test_a_second_crawl_in_a_directory_is_refused_with_the_pid(directory):
    """One stack per state directory: the running one's pid, and how to have another."""
    server = rawserver.Server(lambda *_: server.ended.wait(60))
    arguments = ("crawl", server.url(), "--allow-address", "127.0.0.0/8")
    first = directory.start(*arguments)
    wait_for(lambda: server.connections, "the first crawl's first request", 60)
    second = directory.run(*arguments)
    first.interrupt()
    server.close()
    ended = first.ended(60)

    assert second.code == 2
    assert is_one_line(second.stderr), second.stderr
    assert f"pid {first.process.pid}" in second.stderr
    assert "CRAWL_STATE_DIR" in second.stderr
    assert ended.code == 130
