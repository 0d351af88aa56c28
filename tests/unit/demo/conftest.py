"""A running demo site, as the embedded stack starts it: a process of its own on free ports."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message
    from pathlib import Path

AGENT = "poolcrawl/test (crawl one)"


class Answer(NamedTuple):
    """One whole answer; `first_s` and `whole_s` are the seconds until its headers and its end."""

    status: int
    headers: Message
    body: bytes
    first_s: float
    whole_s: float


def ask(port: int, host: str, target: str, agent: str = AGENT, method: str = "GET") -> Answer:
    """Ask like a client that believes in HTTP. Raises what http.client raises."""
    began = time.monotonic()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, target, headers={"Host": host, "User-Agent": agent})
        with connection.getresponse() as response:
            first_s = time.monotonic() - began
            body = response.read()
            return Answer(response.status, response.headers, body, first_s, time.monotonic() - began)


class Served(NamedTuple):
    """A site's process, its ports, and where it logs."""

    process: subprocess.Popen[str]
    port: int
    rough_port: int
    log: Path

    def get(self, host: str, target: str, agent: str = AGENT, method: str = "GET") -> Answer:
        """Ask the ordinary server."""
        return ask(self.port, host, target, agent, method)

    def rough(self, target: str) -> Answer:
        """Ask the rough server, believing in HTTP."""
        return ask(self.rough_port, "rough.demo.test:8080", target)

    def raw(self, target: str, timeout_s: float = 10.0) -> socket.socket:
        """Ask the rough server; return the connection with its answer unread."""
        connection = socket.create_connection(("127.0.0.1", self.rough_port), timeout=timeout_s)
        lines = [f"GET {target} HTTP/1.1", "Host: rough.demo.test:8080", f"User-Agent: {AGENT}", "", ""]
        connection.sendall("\r\n".join(lines).encode())
        return connection

    def logged(self, path: str) -> list[dict[str, object]]:
        """Return the access log's entries for a path."""
        entries = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [entry for entry in entries if entry["path"] == path]


@contextlib.contextmanager
def site(folder: Path, *options: str) -> Iterator[Served]:
    """Serve the site until the end of the block."""
    ports, log = folder / "ports.json", folder / "access.log"
    ports.unlink(missing_ok=True)
    command = [sys.executable, "-m", "demo", "--ports-file", str(ports), "--access-log", str(log), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 20
            while not ports.exists():
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                assert time.monotonic() < deadline
                time.sleep(0.02)
            known = json.loads(ports.read_text())
            assert process.pid == known["pid"]
            yield Served(process, known["port"], known["rough_port"], log)
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A site without latency, for tests that only ask."""
    with site(tmp_path_factory.mktemp("site"), "--latency", "0") as running:
        yield running


@pytest.fixture
def serve(tmp_path: Path):
    """A function from options to a running site, for tests that need their own."""
    return lambda *options: site(tmp_path, *options)
