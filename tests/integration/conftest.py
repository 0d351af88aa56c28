"""A private server for all integration tests of one run, and a crawl of its own for each test."""

from __future__ import annotations

import itertools
import subprocess
import time

import pytest
import redis
import standin

from crawl import keys
from crawl.frontier import Frontier
from embedded.ports import LOOPBACK, free_port
from embedded.server import binary

_numbers = itertools.count(1)


class PrivateServer:
    """A Valkey or Redis that this test run started, without persistence; it can be killed and started again."""

    def __init__(self, folder) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://{LOOPBACK}:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start, and wait until the server that answers is the one we started."""
        self.process = subprocess.Popen(
            [
                *(binary(), "--port", str(self.port), "--bind", LOOPBACK, "--dir", str(self._folder)),
                *("--save", "", "--appendonly", "no", "--logfile", str(self._folder / "server.log")),
            ],
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        )
        until = time.monotonic() + 10
        while True:
            try:
                with redis.Redis(host=LOOPBACK, port=self.port) as client:
                    answering = client.info("server")["process_id"]
                break
            except redis.ConnectionError:
                assert time.monotonic() < until, (self._folder / "server.log").read_text()
                assert self.process.poll() is None, (self._folder / "server.log").read_text()
                time.sleep(0.01)
        assert self.process.pid == answering, "another server has taken the port"

    def kill(self) -> None:
        """End the server at once; what it held is gone."""
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server for the whole run; every test uses crawls and hosts of its own names."""
    private = PrivateServer(tmp_path_factory.mktemp("server"))
    yield private
    private.kill()


@pytest.fixture
def own_server(tmp_path):
    """A server for one test that kills it."""
    private = PrivateServer(tmp_path)
    yield private
    private.kill()


@pytest.fixture(scope="session")
def client(server):
    with redis.Redis.from_url(server.url) as connected:
        yield connected


@pytest.fixture
def new_frontier(client):
    """A function that makes frontiers of crawls no other test uses."""
    return lambda: Frontier(client, f"crawl-{next(_numbers)}")


@pytest.fixture
def frontier(new_frontier):
    return new_frontier()


@pytest.fixture
def host(frontier):
    """A host name that no other test asks."""
    return f"{frontier.crawl}.test"


@pytest.fixture
def batch_of_four(frontier, host):
    """A batch of four URLs that is sent."""
    options = standin.options()
    frontier.client.hset(keys.host(host), "expected_ms", "1")
    standin.admit(frontier, options, *standin.pages(host, 4))
    (batch,) = standin.lease(frontier, options)
    assert batch.count == 4
    return batch, options
