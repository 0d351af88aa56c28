"""The embedded stack with a real server: it comes up whole, and nothing of it outlives its parent.

Workers are stand-ins here (a process that prints and waits): what is tested is who starts and ends them.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import psutil
import pytest
import redis
import requests
from stack import POOLS

from crawl import keys
from crawl.errors import UnavailableError, UsageError
from crawl.settings import Settings
from embedded import stack as stack_module
from embedded.ports import free_port
from embedded.processes import identify
from embedded.stack import Stack, attach
from embedded.state import State

WAITS = (sys.executable, "-I", "-c", "import time; print('up', flush=True); time.sleep(600)")
#: Ignores the polite signal, as a worker that is stuck does.
STUBBORN = (
    sys.executable,
    "-I",
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
)
FAILS = (sys.executable, "-I", "-c", "raise SystemExit('no such pool')")
REFUSES = (sys.executable, "-I", "-c", "import sys; sys.stderr.write('CRAWL_POOL is wrong\\n'); sys.exit(2)")

#: A parent that runs a stack and says, as JSON, what is in it.
PARENT = """
import json, sys, time
from pathlib import Path
from crawl.settings import Settings
from embedded.stack import Stack
try:
    with Stack(Settings(state_dir=Path(sys.argv[1])), workers=2, worker_command=json.loads(sys.argv[2])) as stack:
        print(json.dumps({"url": stack.redis_url, "workers": stack.worker_pids}), flush=True)
        while True:
            stack.watch()
            time.sleep(0.05)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def settings(tmp_path):
    return Settings(state_dir=tmp_path / "state")


#: Children that this process had before the test: servers that other modules share, which are not this test's.
_others = set()


@pytest.fixture(autouse=True)
def _remember_others():
    _others.clear()
    _others.update(psutil.Process().children())


def left_running():
    """What this test started and has not ended."""
    return [child for child in psutil.Process().children() if child not in _others]


def ended(child):
    """Whether a child has ended, though nobody may have asked for its exit code yet."""
    try:
        return child.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def listed(settings):
    """Every process that `run.json` names."""
    run = State(settings.state_dir).read_run()
    return [] if run is None else [*run.server, *run.others]


def until(true, patience_s=30.0):
    """Wait for something that happens by itself; fail when it does not."""
    deadline = time.monotonic() + patience_s
    while not (found := true()):
        if time.monotonic() > deadline:
            pytest.fail("waited in vain")
        time.sleep(0.02)
    return found


def none_alive(processes):
    return not [process for process in processes if process.alive()]


@contextmanager
def parent(settings, worker=WAITS, pool="threads"):
    """Run a stack in a process of its own; yields the process and what it said."""
    command = [sys.executable, "-c", PARENT, str(settings.state_dir), json.dumps(worker)]
    environment = {**os.environ, "CRAWL_POOL": pool, "CRAWL_CONCURRENCY": "1" if pool == "solo" else "2"}
    running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, start_new_session=True)
    try:
        yield running, json.loads(running.stdout.readline())
    finally:
        running.kill()
        running.wait()
        running.stdout.close()
        until(lambda: none_alive(listed(settings)))


def client(url):
    return redis.Redis.from_url(url, socket_timeout=5)


def test_a_stack_comes_up_whole_and_leaves_no_process(settings):
    """Server, workers and their keepers run inside the block, and none of them after it."""
    with Stack(settings, workers=2, worker_command=WAITS) as stack:
        inside = listed(settings)
        assert client(stack.redis_url).ping()
        assert len(stack.worker_pids) == 2
        alive = [process.alive() for process in inside]

    assert alive == [True] * 6
    assert none_alive(inside)
    assert not left_running()
    assert State(settings.state_dir).read_run() is None


def test_the_server_is_private_and_durable(settings):
    """Loopback only, with a password, append-only, and it never evicts."""
    with Stack(settings, worker_command=WAITS) as stack:
        found = client(stack.redis_url).config_get("*")
        without_password = redis.Redis.from_url(
            stack.redis_url.replace(stack.redis_url.split("@")[0], "redis://")
        )
        with pytest.raises(redis.AuthenticationError):
            without_password.ping()

    names = ("bind", "appendonly", "appendfsync", "save", "maxmemory-policy")
    assert [found[name] for name in names] == ["127.0.0.1", "yes", "everysec", "", "noeviction"]
    assert found["dir"] == str((settings.state_dir / "data").resolve())


def test_no_command_line_holds_a_password(settings):
    """Anybody on the machine can list command lines."""
    with Stack(settings, worker_command=WAITS) as stack:
        password = stack.redis_url.split(":")[2].split("@")[0]
        lines = [" ".join(psutil.Process(process.pid).cmdline()) for process in listed(settings)]

    assert not [line for line in lines if password in line]
    assert len(lines) == 4


def test_data_outlives_the_stack(settings):
    """A crawl that was interrupted is continued by the next run in the same directory."""
    with Stack(settings, worker_command=WAITS) as stack:
        client(stack.redis_url).set("key", "value")
    with Stack(settings, worker_command=WAITS) as stack:
        found = client(stack.redis_url).get("key")

    assert found == b"value"


def test_everything_ends_when_the_parent_is_killed(settings):
    """SIGKILL gives the parent no chance; its children notice by the end of a pipe. Data is kept."""
    with parent(settings) as (running, said):
        client(said["url"]).set("key", "value")
        processes = listed(settings)
        running.kill()
        running.wait()
        until(lambda: none_alive(processes))

    with attach(settings) as url:
        found = client(url).get("key")
    assert len(processes) == 6
    assert found == b"value"


@pytest.mark.parametrize("pool", POOLS)
def test_real_workers_of_every_pool_end_when_the_parent_is_killed(settings, pool):
    """Their children too, which a prefork worker has."""
    with parent(settings, None, pool) as (running, said):
        connection = client(said["url"])
        until(lambda: connection.zcard(keys.workers()) == 2, 60)
        processes = listed(settings)
        children = [
            identify("child", child.pid)
            for pid in said["workers"]
            for child in psutil.Process(pid).children(recursive=True)
        ]
        running.kill()
        running.wait()
        until(lambda: none_alive([*processes, *children]), 60)

    assert len(processes) == 6
    assert len(children) == (4 if pool == "prefork" else 0)


def test_workers_of_a_killed_parent_end_before_the_server(settings):
    """A worker that still finishes its requests can report them."""
    slow = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), sys.exit(0)))"
    worker = (sys.executable, "-I", "-c", f"{slow}\nprint('up', flush=True)\ntime.sleep(600)")
    log = State(settings.state_dir).log("worker-1")
    with parent(settings, worker) as (running, said):
        until(lambda: log.exists() and b"up" in log.read_bytes())
        server, workers = listed(settings)[:2], listed(settings)[2:]
        running.kill()
        running.wait()
        with client(said["url"]) as connection:
            while not none_alive(workers):
                assert connection.ping()
        until(lambda: none_alive(server))


def test_a_terminals_interrupt_reaches_the_parent_only(settings):
    """Ctrl-C goes to a whole process group; the children are in sessions of their own and are asked by their parent."""
    with parent(settings) as (running, said):
        sessions = {os.getsid(pid) for pid in said["workers"]}
        processes = listed(settings)
        os.killpg(running.pid, signal.SIGINT)
        code = running.wait(30)

    assert running.pid not in sessions
    assert code == 130
    assert none_alive(processes)


def test_a_keeper_that_is_killed_takes_its_child_along(settings):
    """On Linux at once; elsewhere the next start in the directory ends it."""
    with Stack(settings, worker_command=WAITS) as stack:
        (worker,) = [process for process in listed(settings) if process.name == "worker-1"]
        (keeper,) = [process for process in listed(settings) if process.name == "worker-1 keeper"]
        keeper.send(signal.SIGKILL)
        if sys.platform.startswith("linux"):
            until(lambda: not worker.alive())
        until(lambda: stack.watch() or (stack.worker_pids and stack.worker_pids != [worker.pid]))


def test_a_dead_worker_is_started_again(settings):
    """With a line that says so; the others are left alone, and `run.json` knows the new one."""
    said = []
    with Stack(settings, workers=2, say=said.append, worker_command=WAITS) as stack:
        first, second = stack.worker_pids
        os.kill(first, signal.SIGKILL)
        until(lambda: stack.watch() or (len(stack.worker_pids) == 2 and first not in stack.worker_pids))
        after = stack.worker_pids
        recorded = {process.pid for process in listed(settings)}

    assert second in after
    assert set(after) <= recorded
    assert said[0] == "worker-1 ended (killed by SIGKILL); starting it again"


def test_a_server_that_was_killed_comes_back_with_its_data_and_address(settings):
    """Workers and producer reconnect by themselves to the same address."""
    with Stack(settings, worker_command=WAITS) as stack:
        url = stack.redis_url
        client(url).set("key", "value")
        listed(settings)[0].send(signal.SIGKILL)

        def value():
            stack.watch()
            try:
                return client(url).get("key")
            except redis.RedisError:
                return None

        found = until(value)

    assert found == b"value"


def test_a_worker_that_keeps_failing_ends_the_run_with_its_last_line(settings):
    """Nobody has to look for the log."""
    with (
        pytest.raises(UnavailableError, match="no such pool"),
        Stack(settings, worker_command=FAILS) as stack,
    ):
        until(stack.watch)

    assert not left_running()


def test_a_worker_that_refuses_its_settings_is_not_tried_again(settings):
    """Exit code 2 of a worker is exit code 2 of the command."""
    with (
        pytest.raises(UsageError, match="CRAWL_POOL is wrong"),
        Stack(settings, worker_command=REFUSES) as stack,
    ):
        until(stack.watch)


def test_two_stacks_run_in_two_directories_at_once(tmp_path):
    """Ports, data and passwords are their own."""
    one, two = Settings(state_dir=tmp_path / "one"), Settings(state_dir=tmp_path / "two")
    with Stack(one, worker_command=WAITS) as first, Stack(two, worker_command=WAITS) as second:
        client(first.redis_url).set("key", "first")
        client(second.redis_url).set("key", "second")
        found = [client(first.redis_url).get("key"), client(second.redis_url).get("key")]

    assert found == [b"first", b"second"]


def test_a_second_stack_in_the_same_directory_is_refused_and_harms_nothing(settings):
    """The message names the process that runs there; the running stack goes on."""
    with parent(settings) as (running, said):
        with pytest.raises(UsageError, match=f"pid {running.pid}"):
            Stack(settings, worker_command=WAITS).start()
        assert client(said["url"]).ping()
        assert len(listed(settings)) == 6


def test_a_stack_starts_over_the_leftovers_of_a_killed_one(settings, monkeypatch):
    """A worker that ignores the end of its parent is killed, by pid and start time, before new ones start."""
    monkeypatch.setattr("embedded.leftovers.DRAIN_S", 0.5)
    log = State(settings.state_dir).log("worker-2")
    with parent(settings, STUBBORN) as (running, said):
        until(lambda: log.exists() and b"up" in log.read_bytes())
        before = listed(settings)
        running.kill()
        running.wait()
        lines = []
        with Stack(settings, say=lines.append, worker_command=WAITS) as stack:
            left = [process for process in before if process.alive()]
            assert client(stack.redis_url).ping()

    assert left == []
    assert f"cleaning up after poolcrawl {running.pid}, which was killed: " in lines[0]
    assert f"worker-1 ({said['workers'][0]})" in lines[0]


def test_a_stubborn_worker_is_killed_after_its_grace(settings, monkeypatch):
    """A stop takes its time, and has an end."""
    monkeypatch.setattr(stack_module, "DRAIN_S", 0.3)
    log = State(settings.state_dir).log("worker-1")
    with Stack(settings, worker_command=STUBBORN):
        until(lambda: log.exists() and b"up" in log.read_bytes())
        inside = listed(settings)
        began = time.monotonic()

    assert none_alive(inside)
    assert 0.3 <= time.monotonic() - began < 10


def test_an_interrupt_during_stop_kills_workers_at_once(settings):
    """The second Ctrl-C means it. The server still writes its data and ends last."""
    log = State(settings.state_dir).log("worker-1")
    lines = []

    def interrupt(line):
        lines.append(line)
        os.kill(os.getpid(), signal.SIGINT)

    stack = Stack(settings, say=interrupt, worker_command=STUBBORN)
    stack.start()
    until(lambda: log.exists() and b"up" in log.read_bytes())
    client(stack.redis_url).set("key", "value")
    inside = listed(settings)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        stack.stop()

    took_s = time.monotonic() - began
    with attach(settings) as url:
        found = client(url).get("key")
    assert lines == ["waiting for the workers to end; Ctrl-C ends them at once"]
    assert none_alive(inside)
    assert took_s < 15
    assert found == b"value"


def test_a_handled_sigterm_during_stop_is_noted_as_well(settings):
    """The command line turns SIGTERM into an interrupt; it must not break a stop off half-way."""

    def interrupt(*_):
        raise KeyboardInterrupt

    log = State(settings.state_dir).log("worker-1")
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        stack = Stack(settings, say=lambda _: os.kill(os.getpid(), signal.SIGTERM), worker_command=STUBBORN)
        stack.start()
        until(lambda: log.exists() and b"up" in log.read_bytes())
        inside = listed(settings)
        with pytest.raises(KeyboardInterrupt):
            stack.stop()
        after = signal.getsignal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert none_alive(inside)
    assert after is interrupt


# Python itself may be interrupted between making a socket and the `with` that closes it; collecting it closes it then.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("moment_s", [0.0, 0.03, 0.08, 0.12, 0.16, 0.2, 0.3])
def test_an_interrupt_during_start_leaves_nothing(settings, moment_s):
    """At whatever moment it comes: a child started in that very moment ends by its keeper's pipe."""
    before = signal.getsignal(signal.SIGINT)
    timer = threading.Timer(moment_s, os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  the interrupt may come in any of these lines
        timer.start()
        with Stack(settings, workers=3, worker_command=WAITS):
            time.sleep(5)

    timer.join()
    until(lambda: all(ended(child) for child in left_running()), patience_s=10.0)
    assert State(settings.state_dir).read_run() is None
    assert signal.getsignal(signal.SIGINT) is before


def test_reading_attaches_to_a_running_stack(settings):
    """The same server, and the stack goes on after."""
    with Stack(settings, worker_command=WAITS) as stack:
        with attach(settings) as url:
            attached = url
        assert client(stack.redis_url).ping()
        assert attached == stack.redis_url


def test_reading_after_the_stack_starts_a_server_for_a_moment(settings):
    """And leaves no process."""
    with Stack(settings, worker_command=WAITS) as stack:
        client(stack.redis_url).set("key", "value")
    with attach(settings) as url:
        found = client(url).get("key")
        names = [process.name for process in listed(settings)]

    assert found == b"value"
    assert names == ["server", "server keeper"]
    assert not left_running()
    assert State(settings.state_dir).read_run() is None


def test_two_readers_share_the_server_of_the_first(settings):
    """Whoever started it waits for the other before it stops it."""
    with Stack(settings, worker_command=WAITS) as stack:
        client(stack.redis_url).set("key", "value")
    entered, leave, found = threading.Event(), threading.Event(), []

    def second():
        with attach(settings) as url:
            entered.set()
            leave.wait(10)
            found.append(client(url).get("key"))

    thread = threading.Thread(target=second)
    with attach(settings):
        thread.start()
        assert entered.wait(10)
        threading.Timer(0.3, leave.set).start()
    thread.join()

    assert found == [b"value"]
    assert not left_running()


def test_reading_where_no_crawl_was_made_says_so(settings):
    """Exit code 2 with the remedy, and no directory is made."""
    with (
        pytest.raises(UsageError, match=r"no crawl has been made in .*; make one with `poolcrawl demo`"),
        attach(settings),
    ):
        pass

    assert not settings.state_dir.exists()


def test_a_server_that_cannot_start_gives_its_last_line(settings):
    """A damaged data file is named by the server; its words are in the message."""
    with Stack(settings, worker_command=WAITS) as stack:
        client(stack.redis_url).set("key", "value")
    manifest = settings.state_dir / "data" / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_text("this is no manifest\n")

    with pytest.raises(UnavailableError, match=r"the private server did not start: .+"), attach(settings):
        pass

    assert not left_running()


def fetch(url, host=None, login=None):
    """GET; returns (status, body)."""
    headers = {"Host": host} if host else {}
    response = requests.get(url, headers=headers, auth=login, timeout=10)
    return response.status_code, response.text


def test_the_site_is_up_and_workers_are_told_where(settings):
    """Names of the site resolve to its ports, and its address, no other, is allowed."""
    shows = (
        "import os, time; print(os.environ['CRAWL_RESOLVE'], os.environ['CRAWL_ALLOW_ADDRESSES'], flush=True)"
    )
    worker = (sys.executable, "-I", "-c", f"{shows}; time.sleep(600)")
    log = State(settings.state_dir).log("worker-1")
    with Stack(settings, site=True, worker_command=worker) as stack:
        port, rough_port = stack.site_ports
        status, body = fetch(f"http://127.0.0.1:{port}/", "alpha.demo.test")
        until(lambda: log.exists() and log.read_text().endswith("\n"))
        processes = listed(settings)

    resolve, allowed = log.read_text().split()
    assert (status, "<html" in body) == (200, True)
    assert f"alpha.demo.test:80=127.0.0.1:{port}" in resolve.split(",")
    assert f"rough.demo.test:8080=127.0.0.1:{rough_port}" in resolve.split(",")
    assert allowed == "127.0.0.1"
    assert none_alive(processes)


def test_the_site_comes_back_on_the_same_ports(settings):
    """In the next run, and within a run when it was killed: workers map its names to them."""
    with Stack(settings, site=True, worker_command=WAITS) as stack:
        first = stack.site_ports
    with Stack(settings, site=True, worker_command=WAITS) as stack:
        second = stack.site_ports
        (site,) = [process for process in listed(settings) if process.name == "site"]
        site.send(signal.SIGKILL)

        def answers():
            stack.watch()
            try:
                return fetch(f"http://127.0.0.1:{first[0]}/", "alpha.demo.test")[0]
            except requests.ConnectionError:
                return None

        status = until(answers)

    assert second == first
    assert status == 200


def test_fixed_site_ports_are_used_or_refused(settings):
    """A port in use is exit code 2, with nothing left behind."""
    ports = (free_port(), free_port())
    with Stack(settings, site=True, site_ports=ports, worker_command=WAITS) as stack:
        used = stack.site_ports
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", ports[1]))
        taken.listen()
        with pytest.raises(UsageError, match=f"port {ports[1]}, asked for by the demo site, is in use"):
            Stack(settings, site=True, site_ports=ports, worker_command=WAITS).start()

    assert used == ports
    assert not left_running()


def test_flower_runs_behind_a_login(settings):
    """Pages and API refuse without it; the password is random and on no command line."""
    with Stack(settings, flower=True, events=True, worker_command=WAITS) as stack:

        def up():
            try:
                return fetch(f"{stack.flower_url}healthcheck")[0] == 200
            except requests.ConnectionError:
                return False

        until(up)
        login = (stack.flower_user, stack.flower_password)
        pages = ("", "workers", "tasks", "broker", "api/workers", "api/tasks")
        without = [fetch(stack.flower_url + page)[0] for page in pages]
        with_login = [fetch(stack.flower_url + page, login=login)[0] for page in pages]
        commands = [" ".join(psutil.Process(process.pid).cmdline()) for process in listed(settings)]
        processes = listed(settings)

    assert without == [401] * len(pages)
    assert with_login == [200] * len(pages)
    assert not [line for line in commands if stack.flower_password in line]
    assert none_alive(processes)


def test_flower_without_a_password_exits_2_with_one_line():
    """Started by hand, or in a container without its secret."""
    environment = {**os.environ, "CRAWL_REDIS_URL": "redis://127.0.0.1:1/0"}
    environment.pop("FLOWER_PASSWORD", None)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "embedded.flower"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr == "flower: Flower needs a login: set FLOWER_PASSWORD or FLOWER_PASSWORD_FILE\n"


@pytest.mark.parametrize(("port", "words"), [("taken", "is in use"), ("none", "expected a port number")])
def test_a_flower_port_that_cannot_be_had_is_refused(settings, monkeypatch, port, words):
    """Before anything was started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("FLOWER_PORT", str(taken.getsockname()[1]) if port == "taken" else port)
        with pytest.raises(UsageError, match=words):
            Stack(settings, flower=True, worker_command=WAITS).start()

    assert not settings.state_dir.exists()
