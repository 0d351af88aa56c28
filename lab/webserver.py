"""Serving the generated site on loopback: nginx with a private configuration, else aiohttp.

nginx runs with one worker and without an access log, from a configuration, pid file and temporary paths of its own,
so a system nginx is neither used nor disturbed.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crawl.errors import UnavailableError
from embedded.child import Child
from embedded.ports import LOOPBACK, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

#: Seconds a server gets to accept its first connection.
START_S = 15.0
#: Seconds a server gets to end before it is killed.
STOP_S = 5.0

_NGINX = """\
worker_processes 1;
daemon off;
{user}
pid {run}/nginx.pid;
error_log {run}/error.log warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    types {{ text/html html; text/plain txt; }}
    charset utf-8;
    client_body_temp_path {run}/body;
    proxy_temp_path {run}/proxy;
    fastcgi_temp_path {run}/fastcgi;
    uwsgi_temp_path {run}/uwsgi;
    scgi_temp_path {run}/scgi;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 10000000;
    open_file_cache max=20000 inactive=600s;
    open_file_cache_valid 600s;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        root {root};
        index index.html;
    }}
}}
"""


@dataclass(frozen=True)
class Server:
    """A site that answers."""

    kind: str
    port: int
    pid: int

    @property
    def url(self) -> str:
        """The seed of every trial."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def note(self) -> str | None:
        """What the reader of the numbers must know about this server, if anything."""
        if self.kind == "nginx":
            return None
        return (
            "nginx was not found: the site is served by aiohttp, which is slower and may hold the trials back"
        )


@contextmanager
def serve(root: Path, run: Path, *, nginx: str | None = None) -> Iterator[Server]:
    """Serve `root` until the block ends; `run` is a directory for the server's own files.

    Raises UnavailableError if the server does not answer in time.
    """
    run.mkdir(parents=True, exist_ok=True)
    port = free_port()
    binary = nginx if nginx is not None else shutil.which("nginx", path=search_path())
    kind, command = (
        ("nginx", _nginx(binary, root, run, port)) if binary else ("aiohttp", _aiohttp(root, port))
    )
    with running(command, run, port) as pid:
        yield Server(kind=kind, port=port, pid=pid)


@contextmanager
def running(command: Sequence[str], run: Path, port: int, start_s: float = START_S) -> Iterator[int]:
    """Run a site's server until the block ends and give its pid, once it accepts connections on `port`.

    Its log is `run`/server.log. Raises UnavailableError if it does not listen within `start_s` seconds.
    """
    # A pipe that nobody writes to: its end, also by a kill of this process, ends the server.
    watched, held = os.pipe()
    child = Child(
        "site",
        command,
        environment=dict(os.environ),
        log=run / "server.log",
        grace_s=STOP_S,
        watches=watched,
    )
    try:
        child.start()
        _await_port(port, child, start_s)
        yield child.pid
    finally:
        child.ask()
        child.wait()
        os.close(watched)
        os.close(held)


def search_path() -> str:
    """PATH plus the system directories, because nginx lives in an sbin that users do not search."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])


def _nginx(binary: str, root: Path, run: Path, port: int) -> list[str]:
    # A root master would give its worker to another user, who cannot read a private directory.
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    config = run / "nginx.conf"
    config.write_text(_NGINX.format(user=user, run=run, root=root, port=port), encoding="utf-8")
    return [binary, "-p", str(run), "-e", str(run / "error.log"), "-c", str(config)]


def _aiohttp(root: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "lab.fallback", str(root), str(port)]


def _await_port(port: int, child: Child, start_s: float) -> None:
    deadline = time.monotonic() + start_s
    while time.monotonic() < deadline:
        if not child.alive():
            message = f"the site's server ended at once and said: {child.last_line() or 'nothing'}"
            raise UnavailableError(message)
        try:
            socket.create_connection((LOOPBACK, port), 1.0).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    message = f"the site's server did not answer on port {port} within {start_s:.0f} s"
    raise UnavailableError(message)
