"""CRAWL_HEARTBEAT_FILE of workers and pump services, where it cannot be touched, at the start or later."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import sys
import time

import pytest
from stack import POOLCRAWL, ROOT, Directory, PrivateServer, at_once, wait_for, worker

from worker.heartbeat import PERIOD_S

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

CELERY = (sys.executable, "-P", "-m", "celery", "--app", "worker.app:app", "worker", "--pool", "threads")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory and a server."""
    directory = Directory(tmp_path_factory.mktemp("heartbeat"))
    with PrivateServer(directory.path / "server") as server:
        yield directory, server
    directory.end()


def test_a_file_that_cannot_be_touched_ends_a_worker_and_a_service_at_once(place):
    """Exit 2 and one line with the setting and the path; Redis is not blamed for it."""
    directory, server = place
    path = directory.path / "missing" / "heartbeat"
    environment = {"CRAWL_REDIS_URL": server.url, "CRAWL_HEARTBEAT_FILE": str(path), "PYTHONPATH": str(ROOT)}
    commands = ((*POOLCRAWL, "worker"), (*POOLCRAWL, "pump"), CELERY)

    ended = at_once(lambda command: directory.spawn(command, **environment).ended(), commands)
    for command, done in zip(commands, ended, strict=True):
        # Started by its own name, Celery may have said more before.
        *before, line = done.stderr.splitlines()
        assert done.code == 2, (command, done.stderr)
        assert not before or command is CELERY, (command, before)
        assert re.match("poolcrawl( worker)?: ", line), (command, line)
        assert f": CRAWL_HEARTBEAT_FILE={path}: No such file or directory; name a file" in line, command
        assert "Traceback" not in done.stderr, command


def test_a_file_that_cannot_be_touched_any_more_is_said_once_and_ends_nobody(place):
    """It grows old, which whoever watches it sees; it is touched again as soon as that is possible."""
    directory, server = place
    folder = directory.path / "folder"
    folder.mkdir()
    files = {kind: folder / kind for kind in ("prefork", "threads", "pump")}
    running = {}
    with contextlib.ExitStack() as ended:
        for pool in ("prefork", "threads"):
            more = {"CRAWL_POOL": pool, "CRAWL_CONCURRENCY": "1", "CRAWL_HEARTBEAT_FILE": str(files[pool])}
            running[pool] = ended.enter_context(worker(directory, server.url, **more))
        running["pump"] = directory.start(
            "pump", CRAWL_REDIS_URL=server.url, CRAWL_HEARTBEAT_FILE=str(files["pump"])
        )
        wait_for(lambda: all(file.exists() for file in files.values()), "three files")
        shutil.rmtree(folder)
        wait_for(
            lambda: all("CRAWL_HEARTBEAT_FILE=" in one.stderr.read_text() for one in running.values()),
            "what all three say",
        )
        # Each tries again, twice at least.
        time.sleep(2.5 * PERIOD_S)
        folder.mkdir()
        wait_for(lambda: all(file.exists() for file in files.values()), "three files again")
        alive = [kind for kind, one in running.items() if one.process.poll() is None]
        running["pump"].interrupt(signal.SIGTERM)
        code = running["pump"].ended().code

    assert list(running) == alive
    assert code == 0
    for kind, one in running.items():
        said = one.stderr.read_text()
        assert "Traceback" not in said, (kind, said)
        assert 1 == said.count(f"CRAWL_HEARTBEAT_FILE={files[kind]}: No such file or directory"), (kind, said)
        assert "Redis is away" not in said, kind
